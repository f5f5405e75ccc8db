"""How a client arrives, in a real browser: every row of what a link can be worth, and every situation at the door, with its words."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from common.testing import ORGANISATION
from web.client_testing import Link, Site, Upstream, a_site, again_in, an_invoice, listening_socket, served
from web.testing_papers import a_download, an_account

HANA, ZOE, NOBODY = "hana@rata.example", "zoe@other.example", "nobody@nowhere.example"
HERE = "p" * 43
INVITATION, LINK = "/i/cii_1", "/s/cil_1"
SENDER = f"/invoices/{ORGANISATION}"
TO_SENDER = {"kind": "sender", "organisation_id": ORGANISATION, "invoice_id": None}
NAME = "Kōwhai & Hart Studio Ltd"


@pytest.fixture
async def site(keys: Path) -> AsyncIterator[Site]:
    upstream = Upstream()
    upstream.sender(HANA, ORGANISATION, NAME, [an_invoice("INV-1")])
    upstream.invitations["cii_1"] = (HANA, ORGANISATION)
    listening = listening_socket()
    url = f"http://localhost:{listening.getsockname()[1]}"
    async with a_site(keys, upstream, url) as app, served(app, listening):
        yield Site(url, upstream)


class Visit:
    """One browser's visit: what it opens, presses and reads."""

    def __init__(self, site: Site, page: Page) -> None:
        self.site = site
        self.page = page

    async def opens(self, path: str) -> None:
        await self.page.goto(self.site.url + path)

    async def presses(self, name: str) -> None:
        await self.page.get_by_role("button", name=name, exact=True).click()

    async def types(self, label: str, text: str) -> None:
        await self.page.get_by_label(label).fill(text)

    async def reads(self, *texts: str | re.Pattern[str]) -> None:
        for text in texts:
            await expect(self.page.locator("body")).to_contain_text(text)

    async def does_not_read(self, *texts: str) -> None:
        for text in texts:
            await expect(self.page.locator("body")).not_to_contain_text(text)

    async def is_at(self, path: str) -> None:
        await expect(self.page).to_have_url(self.site.url + path)


@pytest.fixture
async def visit(site: Site, context: BrowserContext, page: Page) -> Visit:
    """A browser that was here before, so that a link may have been asked for by it."""
    await site.put_cookie(context, "__Host-pre", HERE)
    return Visit(site, page)


# ── what opens a link


@pytest.mark.row("the browser that asked, link alive")
async def test_the_browser_that_asked_sees_whom_it_signs_in_and_presses_once(site: Site, visit: Visit) -> None:
    site.upstream.links["cil_1"] = Link(HANA, HERE, goal=TO_SENDER)
    await visit.opens(LINK)
    await visit.reads("Signing in as h•••@rata.example.")
    assert await visit.page.get_by_label("Your e-mail address").count() == 0
    await visit.presses("Open my invoices")
    await visit.is_at(SENDER)


@pytest.mark.row("any other browser or device, alive")
async def test_any_other_browser_types_the_address_and_learns_nothing_before(site: Site, visit: Visit) -> None:
    site.upstream.links["cil_1"] = Link(HANA, "another")
    await visit.opens(LINK)
    await visit.reads("Opened on a different browser from the one that asked. Type the address this mail came to.")
    await visit.does_not_read("rata.example")
    await visit.types("Your e-mail address", ZOE)
    await visit.presses("Open my invoices")
    await visit.reads("That is not the address this link was sent to. 4 tries left.")
    await visit.types("Your e-mail address", HANA)
    await visit.presses("Open my invoices")
    await visit.is_at("/invoices")


@pytest.mark.row("this browser already has a live session of that address (used, expired or alive)")
@pytest.mark.parametrize("state", ["alive", "used", "expired"])
async def test_with_a_live_session_of_that_address_a_link_leads_straight_to_its_goal_and_stays_unspent(
    site: Site, visit: Visit, context: BrowserContext, state: str
) -> None:
    site.upstream.links["cil_1"] = Link(HANA, "another", state, goal=TO_SENDER)
    await site.sign_in(context, HANA)
    await visit.opens(LINK)
    await visit.is_at(SENDER)
    assert site.upstream.links["cil_1"].state == state


@pytest.mark.row("this browser is signed in as someone else, alive")
async def test_somebody_else_signed_in_here_may_stay_or_switch(site: Site, visit: Visit, context: BrowserContext) -> None:
    site.upstream.links["cil_1"] = Link(HANA, "another")
    await site.sign_in(context, ZOE)
    await visit.opens(LINK)
    await visit.reads(f"You are signed in here as {ZOE}. Opening this signs you out of that.")
    await visit.page.get_by_role("link", name=f"Stay as {ZOE}").click()
    await visit.is_at("/invoices")
    await visit.opens(LINK)
    await visit.types("Your e-mail address", HANA)
    await visit.presses("Switch and open")
    await visit.reads(NAME)
    assert list(site.upstream.sessions.values()) == [HANA]


async def test_somebody_else_signed_in_here_need_not_type_where_this_browser_asked(
    site: Site, visit: Visit, context: BrowserContext
) -> None:
    site.upstream.links["cil_1"] = Link(HANA, HERE)
    await site.sign_in(context, ZOE)
    await visit.opens(LINK)
    assert await visit.page.get_by_label("Your e-mail address").count() == 0
    await visit.presses("Switch and open")
    await visit.reads(NAME)


@pytest.mark.row("used")
@pytest.mark.row("expired")
@pytest.mark.row("replaced by a newer one")
@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("used", r"This link was used at .+\. If that was not you, sign in again and end other sessions under Account\."),
        ("expired", r"This link was good for 15 minutes, until .+\."),
        ("replaced", r"A newer mail was sent at .+\. Use that one, or get another\."),
    ],
)
async def test_a_link_past_its_time_says_why_and_mails_a_new_one_without_typing(site: Site, visit: Visit, state: str, said: str) -> None:
    site.upstream.links["cil_1"] = Link(HANA, "another", state)
    await visit.opens(LINK)
    assert await visit.page.locator("main").evaluate("(main, said) => new RegExp(said).test(main.innerText)", said)
    await visit.does_not_read("rata.example", NAME)
    await visit.presses("Send a new link")
    await visit.reads("Look in your inbox")
    assert site.upstream.requests[0]["link"] == "cil_1"


@pytest.mark.row("unknown, purged, ended with its access, mangled by a mail program")
async def test_a_link_nobody_knows_offers_the_address_field(site: Site, visit: Visit) -> None:
    await visit.opens("/s/cil_mangled%3E")
    await visit.reads("This link is not complete or no longer known.")
    await visit.types("Your e-mail address", HANA)
    await visit.presses("Send a sign-in mail")
    await visit.reads(f"If invoices are shared with {HANA}, a mail is on its way.")


async def test_a_browser_resting_on_a_link_leaves_it_as_it_was(site: Site, visit: Visit) -> None:
    """Mail scanners open links in whole browsers and wait; the full 30 seconds are among the proofs."""
    site.upstream.links["cil_1"] = Link(HANA, HERE)
    await visit.opens(LINK)
    await visit.page.wait_for_timeout(1500)
    assert set(site.upstream.calls) == {"POST /portal/internal/links/inspect"}
    assert (site.upstream.links["cil_1"].state, site.upstream.links["cil_1"].tries_left) == ("alive", 5)


# ── the invitation, the address field, and the box for the code


async def test_the_invitation_says_nothing_of_whom_it_is_from_and_sends_a_mail(site: Site, visit: Visit) -> None:
    await visit.opens(INVITATION)
    await visit.reads(
        "Open your invoices",
        "You were invited by e-mail. This page does not say by whom, so a forwarded link tells a stranger nothing; "
        "the mail you came from does.",
        "Press the button and a sign-in mail goes to the address that was invited. No password, no account, nothing to pay here.",
    )
    await visit.does_not_read(NAME, HANA)
    await visit.presses("Send me a sign-in mail")
    await visit.reads(
        "Look in your inbox",
        "If this invitation is open, a mail is on its way to the address it was sent to.",
        "Type the 6 digits from its subject here, or open its link. Both work once, for 15 minutes.",
        "Nothing after two minutes?",
        "Look in spam for “Client Invoices”.",
        "Was the invitation sent to a colleague? Then the mail went there: ask the sender to invite you too.",
        again_in(60),
    )
    await expect(visit.page.get_by_role("button", name="Send it again")).to_be_disabled()
    await expect(visit.page.get_by_role("button", name="Open my invoices")).to_be_enabled()


@pytest.mark.row("Invitation opened, signed in as the invited address")
async def test_an_invitation_opened_by_the_invited_address_leads_to_that_sender(site: Site, visit: Visit, context: BrowserContext) -> None:
    await site.sign_in(context, HANA)
    await visit.opens(INVITATION)
    await visit.is_at(SENDER)
    assert site.upstream.requests == []


@pytest.mark.row("Invitation opened, signed in as another address")
async def test_an_invitation_opened_by_another_address_adds_one_line(site: Site, visit: Visit, context: BrowserContext) -> None:
    await site.sign_in(context, ZOE)
    await visit.opens(INVITATION)
    await visit.reads(f"You are signed in as {ZOE}. An invitation opens only for the address it was sent to.")
    await expect(visit.page.get_by_role("button", name="Send me a sign-in mail")).to_be_visible()
    await visit.page.get_by_role("link", name="Go to my invoices").click()
    await visit.is_at("/invoices")


async def test_asking_by_address_says_the_same_for_every_address_and_helps_who_gets_nothing(site: Site, visit: Visit) -> None:
    await visit.opens("/sign-in")
    await visit.reads("Do you send invoices with Xero? Sign in with Xero")
    await visit.types("Your e-mail address", NOBODY)
    await visit.presses("Send a sign-in mail")
    await visit.reads(
        f"If invoices are shared with {NOBODY}, a mail is on its way.",
        "Invitations go to one exact address. Look for the mail that invited you; the address stands at its end.",
    )
    await visit.page.get_by_role("link", name="Change the address").click()
    await visit.is_at("/sign-in")


async def test_asking_too_soon_says_how_long_to_wait(site: Site, visit: Visit) -> None:
    site.upstream.too_soon = 40
    await visit.opens("/sign-in")
    await visit.types("Your e-mail address", HANA)
    await visit.presses("Send a sign-in mail")
    await visit.reads(again_in(40))


async def test_when_mail_fails_for_everybody_a_line_says_so_before_and_after_asking(site: Site, visit: Visit) -> None:
    await visit.page.clock.install()
    await visit.opens("/sign-in")
    await visit.types("Your e-mail address", HANA)
    await visit.presses("Send a sign-in mail")
    await visit.reads("Look in your inbox")
    await visit.does_not_read("Mails are not leaving")
    site.upstream.mail_failing_since = "2026-11-21T09:42:00Z"
    await visit.page.clock.run_for(21_000)
    said = "Mails are not leaving at the moment, for anybody, since"
    await visit.reads(said)
    await visit.opens("/sign-in")
    await visit.reads(said)


async def test_a_wrong_code_counts_down_and_the_last_one_ends_code_and_link(site: Site, visit: Visit) -> None:
    site.upstream.links["cil_1"] = Link(HANA, HERE, tries_left=2)
    await visit.opens(INVITATION)
    await visit.presses("Send me a sign-in mail")
    for said in ("That is not the code. 1 try left.", "That was the last try. That code and its link are dead now; send a new mail."):
        await visit.types("6-digit code", "000-000")
        await visit.presses("Open my invoices")
        await visit.reads(said)


async def test_with_portal_away_every_door_says_that_the_link_stays_good(site: Site, visit: Visit) -> None:
    site.upstream.links["cil_1"] = Link(HANA, HERE)
    site.upstream.down = {"portal"}
    for path in ("/sign-in", LINK):
        await visit.opens(path)
        await visit.reads("Signing in is not possible right now; your link stays good.")


# ── situations at the door


@pytest.mark.row("Mail app's built-in browser")
async def test_the_browser_inside_a_mail_program_works_alone(site: Site, visit: Visit, chromium: Browser) -> None:
    """It shares no cookie with the browser that asked: the link there takes the address, the code here still works."""
    await visit.opens(INVITATION)
    await visit.presses("Send me a sign-in mail")
    site.upstream.links |= {"cil_1": Link(HANA, HERE), "cil_2": Link(HANA, HERE)}
    inside = await chromium.new_context()
    mail_program = Visit(site, await inside.new_page())
    await mail_program.opens(LINK)
    await mail_program.types("Your e-mail address", HANA)
    await mail_program.presses("Open my invoices")
    await mail_program.reads(NAME)
    await inside.close()
    await visit.types("6-digit code", "123456")
    await visit.presses("Open my invoices")
    await visit.reads(NAME)


@pytest.mark.row("Cookies refused")
@pytest.mark.parametrize("path", ["/sign-in", INVITATION, LINK])
async def test_a_browser_that_keeps_no_cookies_is_told_so(site: Site, visit: Visit, context: BrowserContext, path: str) -> None:
    site.upstream.links["cil_1"] = Link(HANA, HERE)
    await visit.opens(path)
    await context.clear_cookies()
    if path == "/sign-in":
        await visit.types("Your e-mail address", HANA)
    await visit.page.locator("main button").first.click()
    await visit.reads("This browser keeps no cookies for this site, so it cannot stay signed in.")


@pytest.mark.row("Revoked person signs in")
async def test_somebody_with_no_access_left_signs_in_and_is_told_without_names(site: Site, visit: Visit) -> None:
    site.upstream.links["cil_1"] = Link(NOBODY, HERE)
    await visit.opens(LINK)
    await visit.presses("Open my invoices")
    await visit.reads(
        f"Nothing is shared with {NOBODY} now.",
        "If you expected invoices, ask the business that sends them; they may have used another address.",
    )
    await visit.does_not_read(NAME, "revoked")


@pytest.mark.row("Revoked while a page is open")
async def test_access_that_ends_while_a_page_is_open_is_home_for_a_list_and_nothing_here_for_an_invoice(
    site: Site, visit: Visit, context: BrowserContext
) -> None:
    await site.sign_in(context, HANA)
    await visit.opens(SENDER)
    site.upstream.senders[HANA] = {}
    await visit.page.get_by_role("link", name="INV-1", exact=True).click()
    await visit.reads("There is nothing here for you", "It may have been removed, or belong to another address.")
    await expect(visit.page.get_by_role("link", name="My invoices").first).to_be_visible()
    await visit.opens(SENDER)
    await visit.is_at("/invoices")


async def test_a_goal_that_is_no_longer_granted_leads_home_without_a_word_why(site: Site, visit: Visit) -> None:
    gone = {"kind": "sender", "organisation_id": "org_00000000000000000000000001", "invoice_id": None}
    site.upstream.links["cil_1"] = Link(HANA, HERE, goal=gone)
    await visit.opens(LINK)
    await visit.presses("Open my invoices")
    await visit.is_at("/invoices")
    assert await visit.page.get_by_role("status").count() == 0


@pytest.mark.row("Same person is provider and client")
async def test_the_menu_leads_to_the_other_side_whoever_is_signed_in_and_signing_out_names_its_side(
    site: Site, visit: Visit, context: BrowserContext
) -> None:
    await site.sign_in(context, HANA)
    await visit.opens("/account")
    await expect(visit.page.get_by_role("link", name="Invoices I send").first).to_be_attached()
    await visit.presses("Sign out of “Invoices sent to me”")
    await visit.reads("You are signed out of the invoices sent to you.")


async def test_the_start_page_has_two_doors_and_the_clients_one_leads_to_the_address_field(site: Site, visit: Visit) -> None:
    await visit.opens("/")
    await visit.reads("I was sent invoices", "I send invoices with Xero")
    await visit.page.get_by_role("link", name="Open my invoices").first.click()
    await visit.is_at("/sign-in")


# ── what is shared, and what its sender sees


@pytest.mark.row("Same address, several clients of one sender")
async def test_several_clients_of_one_sender_are_one_section_under_their_names(site: Site, visit: Visit, context: BrowserContext) -> None:
    both = [{"contact_id": "c-1", "name": "Rātā Joinery"}, {"contact_id": "c-2", "name": "Rātā Workshop"}]
    other = an_invoice("INV-2", contact_id="c-2", contact_name="Rātā Workshop")
    site.upstream.sender(HANA, ORGANISATION, NAME, [an_invoice("INV-1"), other], contacts=both)
    await site.sign_in(context, HANA)
    await visit.opens("/invoices")
    await expect(visit.page.get_by_role("heading", name=NAME)).to_have_count(1)
    await visit.reads("Rātā Joinery", "Rātā Workshop")
    await visit.opens(SENDER)
    await visit.page.get_by_label("Invoices to").select_option(label="Rātā Workshop")
    await visit.presses("Search")
    await visit.reads("INV-2")
    await expect(visit.page.get_by_role("link", name="INV-1", exact=True)).to_have_count(0)


@pytest.mark.row("Partial grants")
async def test_every_total_says_its_base_and_a_statement_of_some_invoices_what_it_cannot_know(
    site: Site, visit: Visit, context: BrowserContext
) -> None:
    limits = [{"contact_name": "Rātā Joinery", "from_date": "2026-10-01"}]
    told = {"limits": limits, "accounts": [an_account()]}
    site.upstream.sender(HANA, ORGANISATION, NAME, [an_invoice("INV-1")], statement=told)
    await site.sign_in(context, HANA)
    await visit.opens("/invoices")
    await visit.reads("Of the invoices shared with you by 1 sender.")
    await visit.opens(SENDER)
    await visit.reads("Of the invoices shared with you.")
    await visit.page.get_by_role("link", name="Statement").click()
    await visit.reads("Statement of shared invoices", "credit")


@pytest.mark.row("What the sender sees")
async def test_the_account_and_the_help_say_what_a_sender_sees(site: Site, visit: Visit, context: BrowserContext) -> None:
    await site.sign_in(context, HANA)
    await visit.opens("/account")
    await visit.reads(f"{NAME} sees when this address opens or downloads an invoice.")
    await visit.opens("/help/receiving")
    await visit.reads("The business sees when your address opens or downloads an invoice it shared.")


@pytest.mark.row("New invoices later")
async def test_home_says_that_no_mail_comes_for_new_invoices(site: Site, visit: Visit, context: BrowserContext) -> None:
    await site.sign_in(context, HANA)
    await visit.opens("/invoices")
    await visit.reads("New invoices appear here; no mail is sent for them.")


@pytest.mark.row("Many PDFs at once")
async def test_many_pdfs_are_counted_while_they_come_and_over_two_hundred_a_period_is_chosen(
    site: Site, visit: Visit, context: BrowserContext
) -> None:
    invoices = [an_invoice(f"INV-{number}") for number in range(201)]
    site.upstream.sender(HANA, ORGANISATION, NAME, invoices)
    await site.sign_in(context, HANA)
    await visit.opens(SENDER)
    await visit.presses("PDFs")
    await visit.reads("One download holds at most 200 PDFs. Choose a period with fewer invoices.")
    few = [invoice["invoice_id"] for invoice in invoices[:2]]
    site.upstream.sender(HANA, ORGANISATION, NAME, invoices[:2])
    site.upstream.papers.downloads[HANA] = [a_download(organisation_id=ORGANISATION, invoice_ids=few, total=2, kept=1, ready=False)]
    await visit.opens(SENDER)
    await visit.presses("PDFs")
    await visit.reads("1 of 2 are here.", "About 1 minute more.")
    site.upstream.papers.downloads[HANA] = [a_download(organisation_id=ORGANISATION, invoice_ids=few, total=2, kept=2)]
    await visit.opens("/downloads")
    await visit.reads("Ready.")
    await expect(visit.page.get_by_role("link", name="Download ZIP")).to_be_visible()
