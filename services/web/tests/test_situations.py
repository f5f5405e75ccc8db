"""What a provider meets, in a real browser: every situation of the design that is on their side, with its words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from web import client_testing
from web.client_testing import listening_socket, served
from web.testing import SESSION, Upstream, a_site
from web.testing_ledger import DRAFTS_ONLY, FIRST, KOWHAI, RATA, a_share, an_invoice, in_utc

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


# ── mails


@pytest.mark.row("Mail refused")
async def test_a_refused_mail_says_why_and_offers_the_address_or_another_try(visit: Visit) -> None:
    visit.up.shares = [a_share(1, state="invited", mail="failed", mail_reason="mailbox unknown")]
    await visit.opens(CLIENT)
    await visit.reads("Not delivered: mailbox unknown.")
    await visit.presses("Resend")
    await visit.reads("The invitation to accounts1@rata.example is on its way again.", "Invitation queued")
    for mail, words in (("sent", "Invitation handed to the mail server"), ("returned", "Returned: mailbox unknown.")):
        visit.up.shares = [a_share(1, state="invited", mail=mail, mail_reason="mailbox unknown")]
        await visit.opens(CLIENT)
        await visit.reads(words)
    await visit.presses("Correct the address", role="link")
    await visit.presses("End access and correct")
    await expect(visit.page.get_by_label("E-mail addresses")).to_have_value("accounts1@rata.example")
    assert visit.up.shares[0]["state"] == "ended"


async def test_resending_rests_a_minute_and_says_so(visit: Visit) -> None:
    later = in_utc(datetime.now(UTC) + timedelta(seconds=3600))
    visit.up.shares = [a_share(1, state="invited", resend_at=later)]
    await visit.opens(CLIENT)
    await visit.presses("Resend")
    await visit.reads(
        re.compile(r"The invitation to accounts1@rata\.example was sent moments ago\. You can send it again in \d+ seconds\.")
    )
    assert visit.up.shares[0]["mail"] == "sent"


# ── before sharing


async def test_looking_as_a_client_before_sharing_needs_no_share_and_keeps_the_form(visit: Visit) -> None:
    visit.up.in_full = {FIRST: client_testing.an_invoice("INV-1042", invoice_id=FIRST, contact_id=RATA)}
    await visit.opens(f"{CLIENT}/share?email=ana@rata.example")
    await visit.page.get_by_label("Only those I pick").check()
    await visit.page.get_by_role("checkbox", name="INV-1042").check()
    await expect(visit.page.locator("#preview")).to_contain_text(re.compile(r"Invoices now\s*1\b"))
    await visit.presses("View as client", role="link")
    await visit.reads("This is what they would see. Nothing is shared by it. Your look is written down and counts as no opening.")
    await expect(visit.page.locator("table.invoices tbody tr")).to_have_count(1)
    await visit.presses("INV-1042", role="link")
    await visit.reads("What happened", "Issued")
    await visit.presses("Back to sharing", role="link")
    await expect(visit.page.get_by_role("checkbox", name="INV-1042")).to_be_checked()
    await expect(visit.page.get_by_label("E-mail addresses")).to_have_value("ana@rata.example")
    assert [(look["invoice_ids"], look.get("invoice")) for look in visit.up.looks] == [([FIRST], None), ([FIRST], FIRST)]
    assert visit.up.shares == []


@pytest.mark.parametrize("script", [True, False])
async def test_invoices_are_picked_over_pages_and_found_by_searching(visit: Visit, chromium: Browser, script: bool) -> None:
    visit.up.invoices[RATA] = [an_invoice(number) for number in range(1000, 1120)]
    context = await chromium.new_context(java_script_enabled=script, locale="en-NZ")
    await context.add_cookies(await visit.page.context.cookies(["https://localhost/"]))  # type: ignore[arg-type]
    visit.page = await context.new_page()
    await visit.opens(f"{CLIENT}/share?email=ana@rata.example&what=picked")
    await visit.page.get_by_role("checkbox", name="INV-1000").check()
    await visit.presses("Next")
    await visit.reads("51–100 of 120", "1 more is picked on other pages.")
    await visit.page.get_by_role("checkbox", name="INV-1060").check()
    await visit.page.get_by_label("Number or reference").fill("1117")
    await visit.page.get_by_label("Number or reference").press("Enter")
    await visit.reads("2 more are picked on other pages.")
    await visit.page.get_by_role("checkbox", name="INV-1117").check()
    assert visit.up.invited == [], "Enter in the search field sends nothing"
    await visit.presses("Send invitation")
    await visit.reads("Shared with ana@rata.example.")
    chosen = {row["invoice_id"] for row in visit.up.invoices[RATA] if row["number"] in ("INV-1000", "INV-1060", "INV-1117")}
    assert set(visit.up.invited[0]["invoice_ids"]) == chosen
    await context.close()


async def test_what_is_hidden_from_clients_is_not_counted_as_shared(visit: Visit) -> None:
    visit.up.hides_awaiting = True
    await visit.opens(f"{CLIENT}/share")
    await visit.reads(re.compile(r"Invoices now\s*11\b"), "1 invoice awaiting approval: hidden from clients")
    await expect(visit.page.get_by_role("checkbox", name="INV-1040", include_hidden=True)).to_have_count(0)


# ── what happened in Xero


@pytest.mark.row("Invoice moved to another contact, contact merged or archived in Xero")
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


# ── leaving, and several organisations


async def test_leaving_is_explained_although_accesses_cannot_be_counted(visit: Visit) -> None:
    visit.up.failing = {"sharing": (503, "unavailable")}
    await visit.opens(f"/o/{KOWHAI}/leave")
    await visit.reads("The same, and every access; we cannot count them right now.")
    await visit.presses("Disconnect and end all access", role="link")
    await expect(visit.page.get_by_role("button", name="Disconnect and end all access")).to_have_count(0)
    await visit.opens(f"/o/{KOWHAI}/leave/disconnect")
    await expect(visit.page.get_by_role("button", name="Disconnect")).to_be_visible()


async def test_each_organisation_says_how_many_accesses_it_has_by_one_call_for_all(visit: Visit) -> None:
    visit.up.shares = [a_share(1), a_share(2), a_share(3, state="ended")]
    await visit.opens("/organisations")
    await expect(visit.page.get_by_role("listitem").filter(has_text="Kōwhai & Hart")).to_contain_text("2 accesses")
    await expect(visit.page.get_by_role("listitem").filter(has_text="Pike")).to_contain_text("nothing shared")
    assert visit.up.calls == ["POST /auth/internal/identify", "POST /auth/internal/leavings/look"]
    visit.up.failing = {"sharing": (503, "unavailable")}
    await visit.opens("/organisations")
    await visit.reads("Kōwhai & Hart")
    await visit.does_not_read("accesses")
