"""What a provider meets, in a real browser: every situation of the design that is on their side, with its words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import BrowserContext, Page, expect

from web.client_testing import listening_socket, served
from web.testing import SESSION, Upstream, a_site
from web.testing_ledger import DRAFTS_ONLY, KOWHAI, RATA, a_share

CLIENTS = f"/o/{KOWHAI}/clients"
CLIENT = f"{CLIENTS}/{RATA}"


class Visit:
    """A provider's visit: what they open, press and read."""

    def __init__(self, up: Upstream, page: Page, base: str) -> None:
        self.up, self.page, self.base = up, page, base

    async def opens(self, path: str) -> None:
        await self.page.goto(self.base + path)

    async def presses(self, name: str, role: str = "button") -> None:
        await self.page.get_by_role(role, name=name).first.click()  # type: ignore[arg-type]

    async def reads(self, *texts: str | re.Pattern[str]) -> None:
        for text in texts:
            await expect(self.page.locator("body")).to_contain_text(text)

    async def does_not_read(self, *texts: str) -> None:
        for text in texts:
            await expect(self.page.locator("body")).not_to_contain_text(text)

    async def is_at(self, path: str) -> None:
        await expect(self.page).to_have_url(re.compile(f"{re.escape(self.base + path)}$"))


@pytest.fixture
async def visit(keys: Path, up: Upstream, context: BrowserContext, page: Page) -> AsyncIterator[Visit]:
    """Signed in as Hana of Kōwhai & Hart."""
    listening = listening_socket()
    base = f"http://localhost:{listening.getsockname()[1]}"
    cookie = {"name": "__Host-provider", "value": SESSION, "url": "https://localhost/", "secure": True, "httpOnly": True, "sameSite": "Lax"}
    await context.add_cookies([cookie])  # type: ignore[list-item]
    async with a_site(keys, up, public_url=base) as site, served(site, listening):
        yield Visit(up, page, base)


# ── what happened in Xero


async def test_a_merge_asks_and_nothing_moves_by_itself(visit: Visit) -> None:
    other = {"contact_id": DRAFTS_ONLY, "name": None}
    visit.up.shares = [a_share(1, merged_to=other), a_share(2, merged_to=other)]
    await visit.opens(f"/o/{KOWHAI}/shares")
    await visit.presses("Merged in Xero: carry access over?", role="link")
    await visit.reads("Rātā Joinery Ltd was merged into Only Drafts Ltd in Xero. Carry access over?")
    assert {share["state"] for share in visit.up.shares} == {"active"}
    await visit.page.get_by_label("Shared with").get_by_role("link", name="End access").first.click()
    await visit.reads("End 2 accesses in Kōwhai & Hart Studio Ltd?")
    await visit.page.go_back()
    await visit.presses("Carry access over")
    await visit.is_at(f"{CLIENTS}/{DRAFTS_ONLY}")
    await visit.reads("Access of accounts1@rata.example was carried over.", "Access of accounts2@rata.example was carried over.")
    await visit.opens(CLIENT)
    await visit.reads(re.compile(r"Carried over to Only Drafts Ltd, .+ by Hana Kōwhai"))
    await visit.does_not_read("Carry access over?")


async def test_a_merge_waits_for_the_other_clients_name_while_xero_is_away(visit: Visit) -> None:
    visit.up.shares = [a_share(1, merged_to={"contact_id": DRAFTS_ONLY, "name": None})]
    visit.up.failing = {"gateway": (503, "xero_unavailable")}
    await visit.opens(CLIENT)
    await visit.reads("Rātā Joinery Ltd was merged into another client in Xero. Access can be carried over once Xero answers.")
    await expect(visit.page.get_by_role("button", name="Carry access over")).to_have_count(0)
