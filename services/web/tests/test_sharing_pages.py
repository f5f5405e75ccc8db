"""Sharing a client's invoices and ending access, as a provider meets them page by page."""

from __future__ import annotations

import html
import re

import httpx
import pytest

from web.client_testing import press
from web.testing import Upstream, said, words
from web.testing_ledger import DRAFTS_ONLY, KOWHAI, NO_EMAIL, RATA, a_share

CLIENTS = f"/o/{KOWHAI}/clients"
CLIENT = f"{CLIENTS}/{RATA}"
SHARE = f"shr_{1:026d}"
AWAY = (503, "xero_unavailable")


# ── sharing


async def test_the_share_form_is_filled_in_beside_what_would_be_shared(provider: httpx.AsyncClient) -> None:
    answer = await provider.get(f"{CLIENT}/share")
    page = said(answer)
    assert 'value="accounts@rata.example"' in answer.text
    assert "Invoices now 12" in page
    assert "2 bills: what you owe is never shared" in page
    assert "ana@rata.example" in page
    assert "Send invitation" in page


async def test_sending_takes_one_press_and_says_what_happened(up: Upstream, provider: httpx.AsyncClient) -> None:
    answer = await press(provider, f"{CLIENT}/share", email=" Ana@Rata.example ")
    assert up.invited == [{"email": "Ana@Rata.example", "contact_name": "Rātā Joinery Ltd", "contact_id": RATA}]  # everything, for ever
    assert "Shared with Ana@Rata.example." in await words(provider, answer.headers["location"])
    again = await press(provider, f"{CLIENT}/share", email="Ana@Rata.example")
    assert "Ana@Rata.example already has access. The invitation was sent moments ago." in await words(provider, again.headers["location"])


async def test_a_made_up_result_in_the_address_says_nothing(provider: httpx.AsyncClient) -> None:
    assert 'role="status"' not in (await provider.get(f"{CLIENT}?done=invited&share=shr_evil")).text


async def test_an_address_that_is_none_is_refused_beside_the_field_and_kept(up: Upstream, provider: httpx.AsyncClient) -> None:
    answer = await press(provider, f"{CLIENT}/share", email="ana rata")
    assert answer.status_code == 422
    assert 'value="ana rata"' in answer.text
    assert 'aria-invalid="true"' in answer.text
    assert 'href="#email"' in answer.text
    assert not up.invited


@pytest.mark.parametrize(
    ("email", "text"),
    [
        ("x@other.example", "Xero has @rata.example, this is @other.example."),
        ("x@gmail.com", "Xero has @rata.example, this is @gmail.com, where anybody can have an address."),
        ("HANA@kowhai.example", "This is your own address. You will see the client side with a separate sign-in."),
        ("accounts9@rata.example", "accounts9@rata.example already opens the invoices of Only Drafts Ltd."),
    ],
)
async def test_an_unexpected_address_gets_a_line_and_no_extra_press(
    up: Upstream, provider: httpx.AsyncClient, email: str, text: str
) -> None:
    up.shares = [a_share(9, contact_id=DRAFTS_ONLY, contact_name="Only Drafts Ltd")]
    assert text in await words(provider, f"{CLIENT}/share?email={email}")
    assert text in html.unescape((await provider.get(f"{CLIENT}/share/hints?email={email}")).text)
    assert (await press(provider, f"{CLIENT}/share", email=email)).status_code == 303


async def test_missing_and_unusable_addresses_of_xero_are_said_and_not_filled_in(provider: httpx.AsyncClient) -> None:
    assert "Xero holds no e-mail for this client. Type one; it is kept here, not written to Xero." in await words(
        provider, f"{CLIENTS}/{NO_EMAIL}/share"
    )
    unusable = await provider.get(f"{CLIENTS}/{DRAFTS_ONLY}/share")
    assert "Xero holds “n/a” for this client, which is not an address." in said(unusable)
    assert 'value="n/a"' not in unusable.text


async def test_with_nothing_to_share_the_button_says_from_when(provider: httpx.AsyncClient) -> None:
    page = await words(provider, f"{CLIENTS}/{DRAFTS_ONLY}/share")
    assert "Invoices now 0" in page
    assert "3 drafts: they join once approved in Xero" in page
    assert "Share from the first approved invoice" in page


async def test_without_xero_nothing_unseen_can_be_sent(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.failing = {"gateway": AWAY}
    answer = await provider.get(f"{CLIENT}/share?email=ana@rata.example")
    page = said(answer)
    assert "Xero is not answering, so we cannot show what would be shared." in page
    assert "Nothing was sent" not in page
    assert "· Kōwhai" not in page
    assert "Send invitation" not in page
    assert "Try again" in page
    assert 'value="ana@rata.example"' in answer.text


async def test_xero_going_away_before_the_press_sends_nothing_and_keeps_the_text(up: Upstream, provider: httpx.AsyncClient) -> None:
    token = (await provider.get(f"{CLIENT}/share")).text.split('name="form_token" value="')[1].split('"')[0]
    up.failing = {"gateway": AWAY}
    answer = await provider.post(f"{CLIENT}/share", data={"form_token": token, "email": "ana@rata.example"})
    assert answer.status_code == 503
    assert "Xero is not answering, so we cannot show what would be shared. Nothing was sent; your text is kept." in said(answer)
    assert 'value="ana@rata.example"' in answer.text
    assert not up.invited


@pytest.mark.parametrize(
    ("state", "text"), [("needs_reauth", "Xero asks you to sign in again"), ("disconnected", "is disconnected from Xero")]
)
async def test_a_lost_connection_is_said_once_on_every_page(up: Upstream, provider: httpx.AsyncClient, state: str, text: str) -> None:
    up.organisations[0]["state"], up.failing = state, {"gateway": (409, "xero_needs_reauth")}
    for shares in ([], [a_share(1)]):
        up.shares = shares
        for path in (CLIENTS, CLIENT, f"{CLIENT}/share", f"/o/{KOWHAI}/shares", f"/o/{KOWHAI}/settings"):
            page = (await provider.get(path)).text
            assert page.count(text) == 1, path
            assert page.count("Reconnect Xero") == 1, path
            assert "Xero needs you to sign in again" not in page, path
            assert 'class="notice' not in page, path


async def test_without_xero_a_client_shared_already_can_be_shared_from_what_is_stored(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares, up.failing = [a_share(1)], {"gateway": AWAY}
    assert "this is what is stored, as of 2 hours ago. Sharing it works." in await words(provider, f"{CLIENT}/share")
    answer = await press(provider, f"{CLIENT}/share", email="ana@rata.example")
    assert answer.status_code == 303
    assert up.invited[0]["contact_name"] == "Rātā Joinery Ltd"


async def test_when_sharing_fails_the_text_is_kept_and_nothing_is_claimed(up: Upstream, provider: httpx.AsyncClient) -> None:
    opened = await provider.get(f"{CLIENT}/share")
    token = opened.text.split('name="form_token" value="')[1].split('"')[0]
    up.refusing_shares = True
    answer = await provider.post(f"{CLIENT}/share", data={"form_token": token, "email": "ana@rata.example"})
    assert answer.status_code == 503
    assert "Sharing is not possible right now. Nothing was sent; your text is kept." in said(answer)
    assert 'value="ana@rata.example"' in answer.text


async def test_several_addresses_are_sent_with_a_line_each(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares = [a_share(1)]
    answer = await press(provider, f"{CLIENT}/share", email="ana@rata.example; accounts1@rata.example, ana@rata.example")
    page = await words(provider, answer.headers["location"])
    assert "Shared with ana@rata.example. The invitation" in page
    assert "accounts1@rata.example already has access. The invitation is on its way again." in page
    assert [invited["email"] for invited in up.invited] == ["ana@rata.example", "accounts1@rata.example"]
    twice = await press(provider, f"{CLIENT}/share", email="ana@rata.example; accounts1@rata.example")
    assert (await words(provider, twice.headers["location"])).count("already has access. The invitation was sent moments ago.") == 2


async def test_a_refused_address_among_several_is_named_and_only_it_stays_in_the_field(up: Upstream, provider: httpx.AsyncClient) -> None:
    answer = await press(provider, f"{CLIENT}/share", email="ana@rata.example, tom at otherfirm")
    page = said(answer)
    assert answer.status_code == 422
    assert "Shared with ana@rata.example." in page
    assert "Not sent to the addresses below" in page
    assert "Nothing was sent" not in page
    assert 'value="tom at otherfirm"' in answer.text
    assert [invited["email"] for invited in up.invited] == ["ana@rata.example"]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"email": " , ; "}, "Type the address of the person who may open them."),
        ({"email": ",".join(f"c{n}@x.example" for n in range(21))}, "At most 20 addresses at a time."),
        ({"email": "ana@rata.example", "what": "from", "from_date": "soon"}, "Choose a day."),
        ({"email": "ana@rata.example", "what": "picked"}, "Pick at least one invoice."),
        ({"email": "ana@rata.example", "ends_on": "2020-01-01"}, "That day is over. Choose a later one."),
        ({"email": "ana@rata.example", "ends_on": "30 May"}, "Choose a day."),
    ],
)
async def test_a_form_that_cannot_be_sent_says_what_is_missing_and_is_kept(
    up: Upstream, provider: httpx.AsyncClient, fields: dict[str, str], text: str
) -> None:
    answer = await press(provider, f"{CLIENT}/share", **fields)
    assert answer.status_code == 422
    assert said(answer).count(text) == 2 or "Pick at least" in text
    assert "Nothing was sent" in said(answer)
    assert f'value="{fields["email"].strip()}"' in answer.text
    assert not up.invited


async def test_what_is_shared_and_until_when_is_sent_as_chosen(up: Upstream, provider: httpx.AsyncClient) -> None:
    await press(provider, f"{CLIENT}/share", email="ana@rata.example", what="from", from_date="2026-04-01", ends_on="2030-05-03")
    assert (up.invited[0]["from_date"], up.invited[0]["ends_on"]) == ("2026-04-01", "2030-05-03")
    await press(provider, f"{CLIENT}/share", email="tom@rata.example", what="picked", from_date="2026-04-01", invoice="9a000000")
    assert up.invited[1]["invoice_ids"] == ["9a000000"]
    assert "from_date" not in up.invited[1]


# ── ending access


async def test_ending_access_asks_first_and_then_says_when(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares = [a_share(1)]
    asked = await words(provider, f"{CLIENT}/shares/{SHARE}/end")
    assert "End access for accounts1@rata.example to Rātā Joinery Ltd in Kōwhai & Hart Studio Ltd?" in asked
    assert "It ends now: the next page they open is refused, on every device." in asked
    assert asked.index("Keep access") < asked.rindex("End access")
    assert up.shares[0]["state"] == "active"
    answer = await press(provider, f"{CLIENT}/shares/{SHARE}/end")
    assert up.shares[0]["state"] == "ended"
    page = await words(provider, answer.headers["location"])
    assert re.search(r"Access ended at \d\d:\d\d:\d\d\. Share again", page)


async def test_correcting_an_address_ends_it_and_fills_the_form(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares = [a_share(1, email="ana+x@rata.example", mail="failed")]
    answer = await press(provider, f"{CLIENT}/shares/{SHARE}/end?correct=1", f"{CLIENT}/shares/{SHARE}/end", then="correct")
    assert up.shares[0]["state"] == "ended"
    assert 'value="ana+x@rata.example"' in (await provider.get(answer.headers["location"])).text


async def test_resending_mails_the_invitation_again_and_says_so(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares = [a_share(1, state="invited", mail="returned", mail_reason="mailbox full")]
    answer = await press(provider, CLIENT, f"{CLIENT}/shares/{SHARE}/resend")
    assert up.shares[0]["mail"] == "queued"
    page = await words(provider, answer.headers["location"])
    assert "The invitation to accounts1@rata.example is on its way again." in page
    assert "Invitation queued" in page


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"ends_on": "2030-05-03"}, "Active, ends 3 May 2030"),
        ({"state": "invited", "ends_on": "2030-05-03"}, "Invited, ends 3 May 2030"),
        ({"state": "ended", "ended_at": "2026-05-03T12:00:00Z", "ended_reason": "expired", "ends_on": "2020-05-03"}, "Expired 3 May 2020"),
        (
            {"state": "ended", "ended_at": "2026-05-03T12:00:00Z", "ended_reason": "declined"},
            "Closed by the client as not meant for them, 4 May 2026, 00:00 NZST",
        ),
        ({"from_date": "2026-04-01"}, "dated from 1 Apr 2026 on"),
        ({"picked": 1}, "1 picked invoice"),
    ],
)
async def test_an_access_tells_its_end_and_what_it_is_narrowed_to(
    up: Upstream, provider: httpx.AsyncClient, changes: dict[str, object], text: str
) -> None:
    up.shares = [a_share(1, **changes)]
    assert text in await words(provider, CLIENT)


async def test_nothing_selected_ends_nothing_and_foreign_ids_are_left_out(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares = [a_share(1)]
    for query in ("", "?share=shr_evil", f"?share=shr_{9:026d}"):
        assert (await provider.get(f"/o/{KOWHAI}/shares/end{query}")).headers["location"] == f"/o/{KOWHAI}/shares"
    assert up.shares[0]["state"] == "active"


async def test_the_shares_page_lists_live_accesses_and_ends_one(up: Upstream, provider: httpx.AsyncClient) -> None:
    assert "Nothing is shared yet. Start with a client." in await words(provider, f"/o/{KOWHAI}/shares")
    waiting = a_share(4, state="waiting_invoice", mail=None)
    up.shares = [a_share(1), a_share(2, mail="failed", mail_reason="mailbox full"), a_share(3, state="ended"), waiting]
    page = await words(provider, f"/o/{KOWHAI}/shares")
    assert page.index("accounts2@") < page.index("accounts1@")
    assert "End access accounts1@rata.example" in page
    assert "Cancel accounts4@rata.example" in page
    assert "accounts3@" not in page
    answer = await press(provider, f"{CLIENT}/shares/{SHARE}/end?back=shares", f"{CLIENT}/shares/{SHARE}/end", then="shares")
    assert answer.headers["location"] == f"/o/{KOWHAI}/shares?done=ended&share={SHARE}"
    assert "Access ended at" in await words(provider, answer.headers["location"])


async def test_what_awaits_approval_is_hidden_from_clients_and_shown_again(up: Upstream, provider: httpx.AsyncClient) -> None:
    shares = f"/o/{KOWHAI}/shares"
    assert "Shown: clients see them as “Awaiting approval”, not due. Hide them from clients" in await words(provider, shares)
    assert (await press(provider, shares, f"{shares}/awaiting", hidden="yes")).headers["location"] == shares
    assert up.hides_awaiting
    assert "Hidden: clients see an invoice once it is approved in Xero. Show them to clients" in await words(provider, shares)
    await press(provider, shares, f"{shares}/awaiting", hidden="no")
    assert not up.hides_awaiting
