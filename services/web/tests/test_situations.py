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
from web.testing_ledger import DRAFTS_ONLY, FIRST, KOWHAI, NO_EMAIL, NOW, RATA, a_share, an_invoice, in_utc

CLIENTS = f"/o/{KOWHAI}/clients"
CLIENT = f"{CLIENTS}/{RATA}"
AWAY = (503, "xero_unavailable")


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

    async def signs_in(self, session: str = SESSION) -> None:
        cookie = {"name": "__Host-provider", "value": session, "url": "https://localhost/"} | {
            "secure": True,
            "httpOnly": True,
            "sameSite": "Lax",
        }
        await self.page.context.add_cookies([cookie])  # type: ignore[list-item]

    async def is_at(self, path: str) -> None:
        await expect(self.page).to_have_url(re.compile(f"{re.escape(self.base + path)}$"))


@pytest.fixture
async def visit(keys: Path, up: Upstream, context: BrowserContext, page: Page) -> AsyncIterator[Visit]:
    """Signed in as Hana of Kōwhai & Hart."""
    listening = listening_socket()
    base = f"http://localhost:{listening.getsockname()[1]}"
    async with a_site(keys, up, public_url=base) as site, served(site, listening):
        visit = Visit(up, page, base)
        await visit.signs_in()
        yield visit


# ── signing in, and whose side this is


@pytest.mark.row("Client presses “Sign in with Xero” by mistake")
async def test_the_second_door_lists_what_is_read_and_the_first_page_names_the_other_side(visit: Visit) -> None:
    await visit.page.context.clear_cookies()
    await visit.opens("/")
    await visit.reads("I was sent invoices", "I send invoices with Xero", "Read your contacts", "Sign in with Xero")
    await visit.signs_in()
    await visit.opens(CLIENTS)
    await visit.reads("Looking for invoices sent to you? They are on the other side.")


@pytest.mark.row("Consent declined, or no organisation in that login")
async def test_a_sign_in_that_connected_nothing_says_so_with_one_button(visit: Visit) -> None:
    await visit.page.context.clear_cookies()
    for outcome, words in (
        ("declined", "Xero was not connected. Nothing was read."),
        ("no_organisation", "That Xero login has no organisation it may connect. Ask someone whose role in Xero may connect apps."),
    ):
        await visit.opens(f"/?xero={outcome}")
        await visit.reads(words)
        await expect(visit.page.get_by_role("status").get_by_role("link")).to_have_count(1)


@pytest.mark.row("Provider session ends in mid-task")
async def test_after_an_hour_signing_in_leads_back_to_the_typed_form(visit: Visit) -> None:
    await visit.opens(f"{CLIENT}/share")
    await visit.page.get_by_label("E-mail addresses").fill("ana@elsewhere.example")
    visit.up.idle = True
    await visit.presses("Send invitation")
    await visit.reads("You were signed out after an hour without use.")
    visit.up.idle = False
    await visit.opens(CLIENTS)  # where auth leads after signing in
    await expect(visit.page.get_by_label("E-mail addresses")).to_have_value("ana@elsewhere.example")
    assert visit.up.invited == []


# ── the list of clients


@pytest.mark.row("Organisation without contacts")
async def test_an_organisation_without_contacts_is_not_a_search_in_vain(visit: Visit) -> None:
    visit.up.contacts = {}
    await visit.opens(CLIENTS)
    await visit.reads(
        "Kōwhai & Hart Studio Ltd has no contacts yet. Add one in Xero and it appears here.", "Wrong organisation? Connect another."
    )
    for name in ("Open contacts in Xero", "Look again"):
        await expect(visit.page.get_by_role("link", name=name)).to_be_visible()
    await visit.opens(f"{CLIENTS}?search=zz")
    await visit.reads("No client matches “zz”")


@pytest.mark.row("Xero down on Clients")
async def test_without_xero_the_clients_shared_with_are_listed(visit: Visit) -> None:
    visit.up.shares, visit.up.failing = [a_share(1)], {"gateway": AWAY}
    await visit.opens(CLIENTS)
    await visit.reads(
        "Xero is not answering; showing the clients you share with, as of 2 hours ago.",
        "Search covers only the clients you share with until Xero answers.",
    )


@pytest.mark.row("Connection needs signing in again")
async def test_a_lost_connection_is_one_band_on_every_page(visit: Visit) -> None:
    visit.up.organisations[0]["state"], visit.up.failing = "needs_reauth", {"gateway": (409, "xero_needs_reauth")}
    visit.up.shares = [a_share(1)]
    for path in (CLIENTS, CLIENT, f"/o/{KOWHAI}/shares", f"/o/{KOWHAI}/settings"):
        await visit.opens(path)
        await visit.reads("Xero asks you to sign in again for Kōwhai & Hart Studio Ltd.")
        await visit.reads(re.compile(r"Clients still open everything as of .+; new changes wait\."))
        await expect(visit.page.get_by_role("link", name="Reconnect Xero")).to_have_count(1)


# ── addresses


@pytest.mark.row("Contact without e-mail, or with an unusable one")
async def test_a_missing_or_unusable_address_is_said_and_not_filled_in(visit: Visit) -> None:
    await visit.opens(CLIENTS)
    await visit.reads("no e-mail in Xero")
    await visit.opens(f"{CLIENTS}/{NO_EMAIL}/share")
    await visit.reads("Xero holds no e-mail for this client. Type one; it is kept here, not written to Xero.")
    await visit.opens(f"{CLIENTS}/{DRAFTS_ONLY}/share")
    await visit.reads("Xero holds “n/a” for this client, which is not an address.")
    await expect(visit.page.get_by_label("E-mail addresses")).to_have_value("")


@pytest.mark.row("Address domain differs from the contact's; free mail; address already used for another client")
@pytest.mark.row("Provider shares with their own address")
async def test_an_unexpected_address_gets_a_line_and_no_extra_press(visit: Visit) -> None:
    visit.up.shares = [a_share(9, contact_id=DRAFTS_ONLY, contact_name="Only Drafts Ltd")]
    await visit.opens(f"{CLIENT}/share")
    for email, words in (
        ("x@other.example", "Xero has @rata.example, this is @other.example."),
        ("x@gmail.com", "Xero has @rata.example, this is @gmail.com"),
        ("accounts9@rata.example", "accounts9@rata.example already opens the invoices of Only Drafts Ltd."),
        ("hana@kowhai.example", "This is your own address. You will see the client side with a separate sign-in."),
    ):
        await visit.page.get_by_label("E-mail addresses").fill(email)
        await visit.reads(words)
    await visit.presses("Send invitation")
    await visit.reads("Shared with hana@kowhai.example.")


# ── what there is to share, and Xero away


@pytest.mark.row("Nothing to share yet")
async def test_with_nothing_to_share_the_button_says_from_when_on(visit: Visit) -> None:
    await visit.opens(f"{CLIENTS}/{DRAFTS_ONLY}/share?email=ana@rata.example")
    await visit.reads(re.compile(r"Invoices now\s*0"), "3 drafts: they join once approved in Xero", "2 bills: what you owe is never shared")
    await expect(visit.page.get_by_role("button", name="Share from the first approved invoice")).to_be_visible()
    visit.up.shares = [a_share(1, state="waiting_invoice", mail=None)]
    await visit.opens(CLIENT)
    await visit.reads("Waiting for the first invoice")


@pytest.mark.row("An invitation leaves only when there is something to open")
async def test_until_everything_is_loaded_the_access_is_preparing_and_can_be_cancelled(visit: Visit) -> None:
    visit.up.shares = [a_share(1, state="preparing", load_id="l1", load={"stored": 640, "total": 1200}, mail=None)]
    await visit.opens(CLIENT)
    await visit.reads("Preparing, 640 of 1,200 invoices")
    await visit.does_not_read("Invitation")
    await visit.presses("Cancel", role="link")
    await visit.reads("End access for accounts1@rata.example")


@pytest.mark.row("Xero down before the preview")
async def test_nothing_is_sent_unseen_while_xero_is_away(visit: Visit) -> None:
    await visit.opens(f"{CLIENT}/share?email=ana@rata.example")
    visit.up.failing = {"gateway": AWAY}
    await visit.presses("Send invitation")
    await visit.reads("Xero is not answering, so we cannot show what would be shared. Nothing was sent; your text is kept.")
    await expect(visit.page.get_by_label("E-mail addresses")).to_have_value("ana@rata.example")
    await expect(visit.page.get_by_role("button", name="Try again")).to_be_visible()
    visit.up.shares = [a_share(1)]
    await visit.presses("Try again")
    await visit.reads("this is what is stored, as of 2 hours ago. Sharing it works.")
    await visit.presses("Send invitation")
    await visit.reads("Shared with ana@rata.example.")


@pytest.mark.row("Xero down after Send")
@pytest.mark.row("Xero's minute or day limit")
async def test_an_access_that_waits_for_xero_says_why_and_goes_on_by_itself(visit: Visit) -> None:
    visit.up.shares = [a_share(1, state="preparing", load_id="l1", load={"stored": 0, "total": None}, mail=None)]
    waits = {
        "state": "waiting",
        "stored": 0,
        "total": None,
        "waiting_since": in_utc(NOW - timedelta(minutes=5)),
        "reason": "xero_unavailable",
    }
    visit.up.loads["l1"] = waits
    await visit.opens(CLIENT)
    await visit.reads(re.compile(r"Waiting for Xero since .+; the invitation goes out by itself\."))
    limit = {"reason": "xero_busy", "limit": "day", "continues_at": in_utc(NOW + timedelta(hours=5)), "calls_a_day": 5000}
    visit.up.loads["l1"] = waits | limit
    await visit.opens(CLIENT)
    await visit.reads("Xero allows 5,000 requests a day for Kōwhai & Hart Studio Ltd.", re.compile(r"The rest continues about .+\."))


@pytest.mark.row("No webhook reaches this installation")
async def test_without_instant_updates_settings_say_how_late_changes_arrive(visit: Visit) -> None:
    await visit.opens(f"/o/{KOWHAI}/settings")
    await visit.reads("Changes arrive within 15 minutes (checked by schedule); instant updates need a public address.")


@pytest.mark.row("Online invoice link of Xero")
async def test_xeros_public_page_is_offered_to_the_provider_alone_with_what_it_means(visit: Visit) -> None:
    visit.up.in_full = {FIRST: client_testing.an_invoice("INV-1042", invoice_id=FIRST, contact_id=RATA)}
    await visit.opens(f"{CLIENT}/invoices/{FIRST}")
    await visit.presses("Public page in Xero", role="link")
    await visit.reads("Anybody who has its address opens it without signing in, and ending access here does not close it.")
    link = visit.page.get_by_role("link", name="Open the public page")
    await expect(link).to_have_attribute("href", f"https://in.xero.example/{FIRST}")
    await visit.opens(f"{CLIENT}/share/as-client/{FIRST}")
    assert "in.xero.example" not in await visit.page.content()


# ── ending


@pytest.mark.row("Ending access")
async def test_ending_access_asks_says_what_stays_and_then_when(visit: Visit) -> None:
    visit.up.shares = [a_share(1)]
    await visit.opens(CLIENT)
    await visit.presses("End access", role="link")
    await visit.reads(
        "End access for accounts1@rata.example to Rātā Joinery Ltd in Kōwhai & Hart Studio Ltd?",
        "It ends now: the next page they open is refused, on every device. What is already on their screen or downloaded stays with them.",
    )
    await visit.presses("End access")
    await visit.reads(re.compile(r"Access ended at \d\d:\d\d:\d\d\."))
    await expect(visit.page.get_by_role("link", name="Share again").first).to_be_visible()


@pytest.mark.row("Two colleagues, one organisation")
async def test_every_row_says_who_shared_and_deleting_asks_where_a_colleague_works(visit: Visit) -> None:
    visit.up.shares = [a_share(1), a_share(2, shared_by={"name": "Tāne Reid", "email": "tane@kowhai.example"})]
    await visit.opens(f"/o/{KOWHAI}/shares")
    await visit.reads("by Hana Kōwhai", "by Tāne Reid")
    await expect(visit.page.get_by_role("link", name="End access")).to_have_count(2)
    visit.up.leaving["colleagues"] = {KOWHAI: 1}
    await visit.opens(f"/o/{KOWHAI}/leave/delete")
    await expect(visit.page.get_by_label("End the 2 accesses of Kōwhai & Hart Studio Ltd as well")).to_be_checked()


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
