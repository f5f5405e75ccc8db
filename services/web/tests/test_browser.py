"""The provider's pages in a real browser: readable by everybody, never wider than the window, and the journeys by pressing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from web import client_testing
from web.client_testing import listening_socket, served
from web.testing import SESSION, Upstream, a_site
from web.testing_ledger import DRAFTS_ONLY, FIRST, KOWHAI, LONG_NAME, NO_EMAIL, RATA, a_history, a_share, a_viewing, an_invoice

CLIENTS = f"/o/{KOWHAI}/clients"
CLIENT = f"{CLIENTS}/{RATA}"
CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
ALWAYS = {
    "start": "/",
    "declined": "/?xero=declined",
    "organisations": "/organisations",
    "clients": CLIENTS,
    "no match": f"{CLIENTS}?search=zz",
    "client": CLIENT,
    "all": f"{CLIENT}?view=all",
    "ended": f"{CLIENT}?done=ended&share=shr_{6:026d}",
    "drafts": f"{CLIENTS}/{DRAFTS_ONLY}",
    "share": f"{CLIENT}/share",
    "share hints": f"{CLIENT}/share?email=hana@gmail.com",
    "share from a day": f"{CLIENT}/share?what=from&from_date=2026-01-01&ends_on=2030-01-01",
    "share picked": f"{CLIENT}/share?what=picked",
    "share without address": f"{CLIENTS}/{NO_EMAIL}/share",
    "end": f"{CLIENT}/shares/shr_{1:026d}/end",
    "shares": f"/o/{KOWHAI}/shares",
    "end many": f"/o/{KOWHAI}/shares/end?share=shr_{1:026d}&share=shr_{5:026d}",
    "invoice": f"{CLIENT}/invoices/{FIRST}",
    "public page": f"{CLIENT}/invoices/{FIRST}/online",
    "as client before sharing": f"{CLIENT}/share/as-client",
    "one access": f"{CLIENT}/shares/shr_{1:026d}",
    "as client": f"{CLIENT}/shares/shr_{1:026d}/as-client?view=all",
    "invoice as client": f"{CLIENT}/shares/shr_{1:026d}/as-client/{FIRST}",
    "timeline": f"{CLIENT}/timeline",
    "timeline, one kind": f"{CLIENT}/timeline?kind=mails&too_many=csv",
    "timeline, empty": f"{CLIENTS}/{NO_EMAIL}/timeline",
    "settings": f"/o/{KOWHAI}/settings",
    "leave": f"/o/{KOWHAI}/leave",
    "leave by deleting": f"/o/{KOWHAI}/leave/delete",
    "settings, tested": f"/o/{KOWHAI}/settings?test=scope",
    "account": "/me",
    "help": "/help",
    "help topic": "/help/sending",
    "not found": "/nowhere",
}
XERO_AWAY = {"clients": CLIENTS, "client": CLIENT, "share": f"{CLIENT}/share", "nothing stored": f"{CLIENTS}/{NO_EMAIL}"}
LONGEST = "Kaihangawharekaihangawhare" * 9 + " Ltd"


@dataclass
class Visitor:
    """A browser window on the site, signed in as a provider."""

    page: Page
    up: Upstream
    base: str


def a_full_upstream() -> Upstream:
    up = Upstream()
    up.leaving = {"colleagues": {KOWHAI: 1}, "ending": {KOWHAI: 12}, "under_way": None}
    up.shares = [
        a_share(1, email=f"{'long' * 15}@{'sub.' * 20}rata.example"),
        a_share(2, state="preparing", load_id="l1", load={"stored": 640, "total": 1200}, mail=None, last_seen_at=None),
        a_share(3, state="waiting_invoice", mail=None, last_seen_at=None),
        a_share(4, state="invited", mail="failed", mail_reason="mailbox unknown", last_seen_at=None),
        a_share(5, state="opened", last_seen_at=None, ends_on="2030-05-03", from_date="2026-01-01"),
        a_share(7, state="invited", mail="returned", mail_reason="mailbox full", last_seen_at=None),
        a_share(8, state="invited", mail="sent", last_seen_at=None),
        a_share(6, state="ended", ended_at="2026-05-03T08:00:00Z", ended_by="Hana Kōwhai"),
    ]
    up.viewings = [a_viewing(1)]
    up.timeline = [entry | ({"number": "N" * 255, "mail_reason": LONG_NAME} if at % 2 else {}) for at, entry in enumerate(a_history())]
    up.in_full = {FIRST: client_testing.an_invoice("INV-1042", invoice_id=FIRST, contact_id=RATA, contact_name=LONGEST)}
    up.contacts["6b7c1d2e-0000-4000-8000-000000000009"] = up.contacts[RATA] | {
        "id": "6b7c1d2e-0000-4000-8000-000000000009",
        "name": LONGEST,
    }
    up.invoices[RATA].append(an_invoice(7, "overdue", -3, total=9_999_999_999_999, number="N" * 255, reference=LONG_NAME))
    return up


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest.fixture
async def visitor(chromium: Browser, keys: Path) -> AsyncIterator[Visitor]:
    up, listening = a_full_upstream(), listening_socket()
    base = f"http://localhost:{listening.getsockname()[1]}"
    async with a_site(keys, up, public_url=base, demo=True) as site, served(site, listening):
        context = await signed_in(chromium)
        yield Visitor(await context.new_page(), up, base)
        await context.close()


async def signed_in(chromium: Browser) -> BrowserContext:
    context = await chromium.new_context(locale="en-NZ", reduced_motion="reduce")
    cookie = {"name": "__Host-provider", "value": SESSION, "url": "https://localhost/", "secure": True, "httpOnly": True, "sameSite": "Lax"}
    await context.add_cookies([cookie])  # type: ignore[list-item]
    return context


async def faults_on(page: Page, scheme: str = "light") -> list[str]:
    """The dark pages differ from the light ones in their colours alone, so those alone are looked at again."""
    options = {"resultTypes": ["violations"]} | ({"runOnly": ["color-contrast"]} if scheme == "dark" else {})
    result = await Axe().run(page, options=options)
    return [f"{fault['id']}: {fault['nodes'][0]['html'][:160]}" for fault in result.response["violations"]]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (360, "light"), (360, "dark")])
async def test_no_page_has_a_fault_that_axe_can_find(visitor: Visitor, width: int, scheme: str) -> None:
    await visitor.page.set_viewport_size({"width": width, "height": 900})
    await visitor.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    found = {}
    for name, path in ALWAYS.items():
        await visitor.page.goto(visitor.base + path)
        found[name] = await faults_on(visitor.page, scheme)
    visitor.up.failing = {"gateway": (503, "xero_unavailable")}
    for name, path in XERO_AWAY.items():
        await visitor.page.goto(visitor.base + path)
        found[f"without Xero, {name}"] = await faults_on(visitor.page, scheme)
    visitor.up.organisations[0]["state"] = "needs_reauth"
    await visitor.page.goto(visitor.base + CLIENT)
    found["reconnect"] = await faults_on(visitor.page, scheme)
    assert {name: faults for name, faults in found.items() if faults} == {}


async def test_no_page_scrolls_sideways_on_the_narrowest_phone(visitor: Visitor) -> None:
    await visitor.page.set_viewport_size({"width": 320, "height": 800})
    visitor.up.organisations[0]["name"] = LONGEST
    visitor.up.contacts[RATA]["name"] = LONGEST
    too_wide = {}
    for name, path in ALWAYS.items():
        await visitor.page.goto(visitor.base + path)
        width = await visitor.page.evaluate("document.documentElement.scrollWidth")
        if width > 320:
            too_wide[name] = width
    assert too_wide == {}


async def test_what_is_pressed_on_a_phone_is_large_enough(visitor: Visitor) -> None:
    await visitor.page.set_viewport_size({"width": 360, "height": 900})
    small = """() => [...document.querySelectorAll('button, .button, summary, nav a, .crumb, .totals a, .lines a.button')]
        .filter((e) => e.offsetParent && !e.closest('.payments') && !e.closest('[aria-hidden]') && e.getBoundingClientRect().height < 43.5)
        .map((e) => e.outerHTML.slice(0, 120))"""
    found = {}
    for name, path in ALWAYS.items():
        await visitor.page.goto(visitor.base + path)
        found[name] = await visitor.page.evaluate(small)
    assert {name: parts for name, parts in found.items() if parts} == {}


async def test_the_demo_strip_is_one_line_on_a_phone_and_a_key_reaches_its_end(visitor: Visitor) -> None:
    await visitor.page.set_viewport_size({"width": 360, "height": 800})
    await visitor.page.goto(visitor.base + CLIENTS)
    strip = await visitor.page.locator(".demo").bounding_box()
    assert strip is not None
    assert strip["height"] < 60
    for _ in range(6):  # past “Skip to content” to the last of five
        await visitor.page.keyboard.press("Tab")
    last = await visitor.page.locator(".demo a:focus").bounding_box()
    assert last is not None
    assert 0 <= last["x"] < last["x"] + last["width"] <= 360


async def test_neither_a_date_nor_a_word_with_a_hyphen_breaks_in_a_status(visitor: Visitor) -> None:
    broken = "() => [...document.querySelectorAll('.status time, .status .nowrap')].filter((e) => e.getClientRects().length > 1).length"
    visitor.up.invoices[RATA][-1]["number"] = "x" * 255
    for width in (1440, 800, 360, 320):
        await visitor.page.set_viewport_size({"width": width, "height": 800})
        await visitor.page.goto(f"{visitor.base}{CLIENT}?view=all")
        assert await visitor.page.locator(".status .nowrap").count() == 2
        assert await visitor.page.evaluate(broken) == 0, width


async def test_from_a_client_two_presses_send_an_invitation(visitor: Visitor) -> None:
    await visitor.page.goto(visitor.base + CLIENT)
    await visitor.page.get_by_role("link", name="Share invoices").click()
    await visitor.page.get_by_role("button", name="Send invitation").click()
    await visitor.page.get_by_text("Shared with accounts@rata.example.").wait_for()
    assert [invited["email"] for invited in visitor.up.invited] == ["accounts@rata.example"]
    assert visitor.page.url == visitor.base + CLIENT


async def test_typing_an_address_brings_its_line_without_a_press(visitor: Visitor) -> None:
    await visitor.page.goto(f"{visitor.base}{CLIENT}/share")
    await visitor.page.get_by_label("E-mail addresses").fill("ana@elsewhere.example")
    await visitor.page.get_by_text("Xero has @rata.example, this is @elsewhere.example.").wait_for()


async def test_choosing_a_day_or_picking_changes_what_is_shown_without_a_press(visitor: Visitor) -> None:
    await visitor.page.goto(f"{visitor.base}{CLIENT}/share")
    preview = visitor.page.locator("#preview")
    assert await visitor.page.get_by_role("checkbox", name="INV-1042").is_hidden()
    await visitor.page.get_by_label("Only those I pick").check()
    await visitor.page.get_by_role("checkbox", name="INV-1042").check()
    await preview.get_by_text("These invoices and no other").wait_for()
    await preview.get_by_role("row", name="Invoices now 1").wait_for()
    await visitor.page.get_by_role("button", name="Send invitation").click()
    await visitor.page.get_by_text("Shared with accounts@rata.example.").wait_for()
    assert len(visitor.up.invited[0]["invoice_ids"]) == 1


async def test_several_are_selected_and_ended_each_with_its_result(visitor: Visitor) -> None:
    visitor.up.shares = [a_share(1), a_share(2), a_share(3)]
    visitor.up.not_ending = {visitor.up.shares[1]["id"]}
    await visitor.page.goto(f"{visitor.base}/o/{KOWHAI}/shares")
    assert await visitor.page.get_by_role("button", name="End selected accesses").is_hidden()
    for number in (1, 2):
        await visitor.page.get_by_role("checkbox", name=f"Select accounts{number}@rata.example").check()
    await visitor.page.get_by_role("button", name="End selected accesses").click()
    await visitor.page.get_by_role("heading", name="End 2 accesses in Kōwhai & Hart Studio Ltd?").wait_for()
    await visitor.page.get_by_role("button", name="End 2 accesses").click()
    await visitor.page.get_by_role("heading", name="Some accesses did not end").wait_for()
    assert "Ended at" in await visitor.page.locator("li", has_text="accounts1@").inner_text()
    assert "Still has access." in await visitor.page.locator("li", has_text="accounts2@").inner_text()
    assert [share["state"] for share in visitor.up.shares] == ["ended", "active", "active"]


async def test_searching_narrows_the_list_and_the_address_follows(visitor: Visitor) -> None:
    await visitor.page.goto(visitor.base + CLIENTS)
    await visitor.page.keyboard.press("/")
    await visitor.page.keyboard.type("only dr")
    await visitor.page.get_by_role("link", name="Rātā Joinery Ltd").wait_for(state="detached")
    await visitor.page.wait_for_url(re.compile(r"search=only"))
    assert await visitor.page.locator("table.clients tbody tr").count() == 1


async def test_preparing_turns_into_invited_while_the_page_stands(visitor: Visitor) -> None:
    visitor.up.shares = [a_share(1, state="preparing", load={"stored": 1, "total": 9}, mail=None)]
    await visitor.page.goto(visitor.base + CLIENT)
    await visitor.page.get_by_text("Preparing, 1 of 9 invoices").wait_for()
    visitor.up.shares = [a_share(1, state="invited", mail="sent")]
    await visitor.page.get_by_text("Invitation handed to the mail server").wait_for()


async def test_payments_open_by_press_mouse_and_key_and_close_by_escape(visitor: Visitor) -> None:
    await visitor.page.goto(visitor.base + CLIENT)
    payments = visitor.page.get_by_text("2 payments")
    table = visitor.page.get_by_text("1 of 2")
    await payments.hover()
    await table.wait_for()
    await visitor.page.mouse.move(0, 0)
    await table.wait_for(state="hidden")
    await payments.focus()
    await visitor.page.keyboard.press("Enter")
    await table.wait_for()
    await visitor.page.keyboard.press("Escape")
    await table.wait_for(state="hidden")


async def test_the_journey_works_without_script(chromium: Browser, visitor: Visitor) -> None:
    context = await chromium.new_context(java_script_enabled=False, locale="en-NZ")
    await context.add_cookies(await visitor.page.context.cookies(["https://localhost/"]))  # type: ignore[arg-type]
    page = await context.new_page()
    await page.goto(visitor.base + CLIENTS)
    await page.get_by_label("Find a client").fill("Rātā")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name="Rātā Joinery Ltd").click()
    await page.get_by_role("link", name="Share invoices").click()
    await page.get_by_role("button", name="Send invitation").click()
    await page.get_by_text("Shared with accounts@rata.example.").wait_for()
    await page.locator("tr", has_text="accounts@rata.example").get_by_role("link", name="End access").click()
    await page.get_by_role("button", name="End access").click()
    await page.get_by_text("ended at").wait_for()
    await context.close()
