"""The client's side in a real browser: how few presses it takes, that it reads well with axe's eyes, and fits every screen."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, BrowserContext, Page, ViewportSize

from common.testing import ORGANISATION, OTHER_ORGANISATION
from web.client_testing import (
    TODAY,
    Link,
    Site,
    Upstream,
    a_line,
    a_payment,
    a_site,
    an_invoice,
    listening_socket,
    served,
)
from web.testing_papers import a_download, an_account, an_entry

HANA, ZOE, NOBODY = "hana@rata.example", "zoe@other.example", "nobody@nowhere.example"
INVITATION = "/i/cii_1"
LONG = "Zoë Ferreira-Blackthorn-Whittaker International Freight Forwarding and Customs Brokerage Holdings Pty Ltd " * 2
WRAPPED = "document.documentElement.scrollWidth <= window.innerWidth"


@pytest.fixture
async def site(keys: Path) -> AsyncIterator[Site]:
    upstream = Upstream()
    upstream.sender(HANA, ORGANISATION, "Kōwhai & Hart Studio Ltd", _invoices(), contacts=_CONTACTS, statement=_STATEMENT)
    nothing: dict[str, object] = {"accounts": [], "first": None}
    upstream.sender(HANA, OTHER_ORGANISATION, LONG, [_PAID], not_updating_since="2026-11-18T07:12:00Z", statement=nothing)
    upstream.papers.downloads[HANA] = [
        a_download(),
        a_download(id="dl_2", sender=LONG, total=140, kept=12, missed=1, ready=False),
        a_download(id="dl_3", total=2, kept=1, missed=1),
        a_download(id="dl_4", kept=0, ready=False, reason="xero_unavailable"),
    ]
    upstream.invitations["cii_1"] = (HANA, ORGANISATION)
    listening = listening_socket()
    url = f"http://localhost:{listening.getsockname()[1]}"
    async with a_site(keys, upstream, url) as app, served(app, listening):
        yield Site(url, upstream)


async def test_the_first_time_takes_three_presses_and_six_digits(site: Site, page: Page) -> None:
    await page.goto(site.url + INVITATION)  # the first press: the link in the mail
    await page.get_by_role("button", name="Send me a sign-in mail").click()
    asked = site.upstream.requests[-1]
    goal = {"kind": "sender", "organisation_id": ORGANISATION, "invoice_id": None}
    site.upstream.links["cil_1"] = Link(HANA, asked["browser"], goal=goal)
    await page.get_by_label("6-digit code").fill("123 456")
    await page.get_by_role("button", name="Open my invoices").click()
    await page.wait_for_url(f"{site.url}/invoices/{ORGANISATION}")
    assert await page.get_by_role("heading", level=1).inner_text() == "Kōwhai & Hart Studio Ltd"


async def test_coming_back_without_a_session_takes_the_address_the_code_and_two_presses(site: Site, page: Page) -> None:
    await page.goto(f"{site.url}/invoices")
    await page.get_by_label("Your e-mail address").fill(f" {HANA} ")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/sign-in/sent")
    site.upstream.links["cil_1"] = Link(HANA, site.upstream.requests[-1]["browser"])
    await page.get_by_label("6-digit code").fill("123456")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"{site.url}/invoices")


async def test_a_signed_in_person_opens_a_new_invitation_with_the_link_alone(site: Site, context: BrowserContext, page: Page) -> None:
    await site.sign_in(context, HANA)
    await page.goto(site.url + INVITATION)
    assert page.url == f"{site.url}/invoices/{ORGANISATION}"


async def test_a_pressed_button_rests_and_the_token_leaves_the_address(site: Site, page: Page) -> None:
    site.upstream.links["cil_1"] = Link(HANA, "another")
    await page.goto(f"{site.url}/s/cil_1")
    await page.evaluate("""() => {
        const button = document.querySelector("main button");
        new MutationObserver(() => sessionStorage.setItem("rested", button.disabled)).observe(button, {attributes: true});
    }""")
    await page.get_by_label("Your e-mail address").fill(HANA)
    await page.get_by_role("button", name="Open my invoices").click()
    await page.wait_for_url(f"{site.url}/invoices")
    assert await page.evaluate("sessionStorage.getItem('rested')") == "true"
    assert site.upstream.calls.count("POST /portal/internal/links/redeem") == 1


async def test_sending_again_rests_and_wakes(site: Site, context: BrowserContext, page: Page) -> None:
    await page.clock.install()
    await page.goto(site.url + INVITATION)
    await page.get_by_role("button", name="Send me a sign-in mail").click()
    again = page.get_by_role("button", name="Send it again")
    assert await again.is_disabled()
    await page.clock.run_for(61_000)
    assert await again.is_enabled()
    assert await page.get_by_text("You can ask again in").is_hidden()


async def test_without_scripts_everything_still_works(site: Site, chromium: Browser) -> None:
    context = await chromium.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(site.url + INVITATION)
    await page.get_by_role("button", name="Send me a sign-in mail").click()
    site.upstream.links["cil_1"] = Link(HANA, site.upstream.requests[-1]["browser"])
    await page.get_by_role("button", name="Send it again").click()
    await page.get_by_label("6-digit code").fill("123456")
    await page.get_by_role("button", name="Open my invoices").click()
    await page.get_by_role("link", name="INV-1", exact=True).click()
    assert await page.get_by_role("heading", level=1).inner_text() == "Invoice INV-1"
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1440])
async def test_every_page_and_state_passes_axe(site: Site, chromium: Browser, width: int, scheme: Literal["light", "dark"]) -> None:
    """The dark pages differ from the light ones in their colours alone, so those alone are looked at again."""
    rules = None if scheme == "light" else ["color-contrast"]
    faults = []
    async for path, page in _every_page(site, chromium, {"width": width, "height": 800}, scheme):
        found = await Axe().run(page, options={"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {}))
        faults += [f"{path}: {item['id']} {item['nodes'][0]['html'][:120]}" for item in found.response["violations"]]
    assert faults == []


async def test_no_page_scrolls_sideways_on_the_narrowest_screen(site: Site, chromium: Browser) -> None:
    pages = [(path, await page.evaluate(WRAPPED)) async for path, page in _every_page(site, chromium, {"width": 320, "height": 800})]
    assert [path for path, wrapped in pages if not wrapped] == []


async def test_an_invoice_prints_on_one_clean_page(site: Site, context: BrowserContext, page: Page) -> None:
    await site.sign_in(context, HANA)
    await page.goto(f"{site.url}/invoices/{ORGANISATION}/{_INVOICE['invoice_id']}")
    printed = await page.pdf(format="A4")
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") + printed.count(b"/Type /Page/") == 1
    await page.emulate_media(media="print")
    for hidden in (".paper-head", ".foot", ".crumb", ".payments"):
        assert not await page.locator(hidden).first.is_visible()
    assert await page.get_by_text("Kōwhai & Hart Studio Ltd").last.is_visible()
    assert await page.get_by_text("Rātā Joinery").last.is_visible()


async def _every_page(
    site: Site, chromium: Browser, screen: ViewportSize, scheme: Literal["light", "dark"] = "light"
) -> AsyncIterator[tuple[str, Page]]:
    """Every page of the client's side in every state, as nobody, as a client and as somebody with nothing."""
    for session in (None, HANA, ZOE):
        context = await chromium.new_context(viewport=screen, color_scheme=scheme)
        await site.put_cookie(context, "__Host-pre", "p" * 43)
        if session:
            await site.sign_in(context, session)
        page = await context.new_page()
        _links(site.upstream)
        for path in _paths(session):
            site.upstream.down = {"sharing"} if path.endswith("#down") else set()
            await page.goto(site.url + path)
            yield path, page
        await context.close()


def _paths(session: str | None) -> list[str]:
    sender = f"/invoices/{ORGANISATION}"
    links = [f"/s/{name}" for name in ("here", "elsewhere", "used", "expired", "replaced", "unknown")]
    if session is None:
        return ["/sign-in", "/sign-in?signed_out=1", INVITATION, *links]
    if session == ZOE:
        return ["/invoices", "/downloads", "/account", INVITATION, "/s/here", "/s/elsewhere"]
    invoices = [f"{sender}/{item['invoice_id']}" for item in _invoices()]
    views = [sender, f"{sender}?view=all", f"{sender}?search=none", f"{sender}?too_many=csv", f"/invoices/{OTHER_ORGANISATION}"]
    views += [f"{sender}/statement", f"/invoices/{OTHER_ORGANISATION}/statement"]
    return ["/invoices", *views, *invoices, f"{sender}/unknown", "/downloads", "/account", "/invoices#down"]


def _links(upstream: Upstream) -> None:
    upstream.links = {"here": Link(NOBODY, "p" * 43), "elsewhere": Link(NOBODY, "another")}
    upstream.links |= {state: Link(NOBODY, "another", state) for state in ("used", "expired", "replaced")}


def _invoices() -> list[dict[str, object]]:
    return [_INVOICE, _PAID, *_OTHERS]


_CONTACTS = [{"contact_id": "c-1", "name": "Rātā Joinery"}, {"contact_id": "c-2", "name": LONG}]
_HUGE = an_entry("invoice", "2026-11-20", 1_234_567_890_00, 1_234_567_890_00, number="N" * 255, reference=LONG, due_date="2026-12-01")
_STATEMENT = {
    "limits": [{"contact_name": LONG, "from_date": None, "picked": 3}],
    "awaiting": 2,
    "voided": 1,
    "accounts": [
        an_account(),
        an_account(entries=[], opening=50000, currency="GBP"),
        an_account(contact_id="c-2", contact_name=LONG, currency="JPY", opening=0, entries=[_HUGE], closing=1_234_567_890_00),
    ],
}
_INVOICE = an_invoice(
    "INV-1",
    due_date=str(TODAY - timedelta(days=10)),
    lines=[a_line(), a_line(line_item_id="2", tax_type="RR", line_amount=10000, tax_amount=500, description="Words " * 60)],
    sub_total=50000,
    total_tax=6500,
    total=56500,
    amount_paid=20000,
    amount_due=36500,
    payments=[a_payment(10000, "2026-11-01", reference="Ref 1"), a_payment(10000, "2026-11-09")],
)
_PAID = an_invoice("INV-2", status="PAID", amount_due=0, amount_paid=46000, payments=[a_payment(46000, "2026-10-02")])
_OTHERS = [
    an_invoice("INV-3", due_date=str(TODAY)),
    an_invoice("INV-4", currency="JPY", total=1_234_567_890_00, amount_due=1_234_567_890_00, contact_id="c-2", contact_name=LONG),
    an_invoice("INV-5", status="VOIDED", amount_due=0),
    an_invoice("INV-6", status="SUBMITTED"),
    an_invoice("N" * 255, due_date=None, amount_paid=6000, amount_due=40000, payments=[a_payment(6000, "2026-11-01", reference=LONG)]),
]
