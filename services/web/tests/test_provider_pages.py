"""The provider's pages: what they say in each state, and what they do when something they need is away."""

from __future__ import annotations

import html
import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from web.client_testing import a_browser
from web.testing import IDLE_SESSION, SESSION, Upstream, a_site, said, words
from web.testing_ledger import DRAFTS_ONLY, KOWHAI, NO_EMAIL, PIKE, RATA, a_share, an_invoice, an_organisation

CLIENTS = f"/o/{KOWHAI}/clients"
CLIENT = f"{CLIENTS}/{RATA}"
SHARE = f"shr_{1:026d}"
AWAY = (503, "xero_unavailable")


# ── start


async def test_a_stranger_finds_two_doors_and_the_permissions(site: FastAPI) -> None:
    async with a_browser(site) as browser:
        page = await words(browser, "/")
        assert "I was sent invoices" in page
        assert "Read your contacts Read your invoices" in page
        assert 'href="/auth/xero/start?next=clients"' in (await browser.get("/")).text


@pytest.mark.parametrize(
    ("outcome", "text"),
    [
        ("declined", "Xero was not connected. Nothing was read."),
        ("no_organisation", "That Xero login has no organisation it may connect. Ask someone whose role in Xero may connect apps."),
        ("expired", "Signing in took too long"),
        ("failed", "Xero answered with something we could not accept."),
        ("unavailable", "Xero is not answering, so nobody can sign in"),
    ],
)
async def test_the_start_page_says_how_signing_in_with_xero_ended(site: FastAPI, outcome: str, text: str) -> None:
    async with a_browser(site) as browser:
        assert text in await words(browser, f"/?xero={outcome}")


async def test_somebody_signed_in_goes_on_where_they_were(provider: httpx.AsyncClient) -> None:
    assert "Continue to Kōwhai & Hart Studio Ltd" in await words(provider, "/")


async def test_the_start_page_opens_although_nobody_can_say_who_is_asking(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.failing = {"auth": (503, "unavailable"), "portal": (503, "unavailable")}
    assert "Sign in with Xero" in await words(provider, "/")


# ── sessions


async def test_a_session_that_ended_leads_back_to_the_same_page_and_filter(site: FastAPI) -> None:
    async with a_browser(site, provider=IDLE_SESSION) as browser:
        there = f"{CLIENT}?view=overdue&search=INV-1"
        sent_away = await browser.get(there)
        assert sent_away.headers["location"] == "/?signed_out=session_idle"
        page = await browser.get("/?signed_out=session_idle")
        assert "You were signed out after an hour without use." in said(page)
        assert f"/auth/xero/start?next=clients&amp;organisation={KOWHAI}" in page.text
        browser.cookies.set("__Host-provider", SESSION, domain="invoices.example", path="/")
        assert (await browser.get(CLIENTS)).headers["location"] == there
        assert (await browser.get(CLIENTS)).status_code == 200


async def test_a_typed_address_survives_the_end_of_a_session(site: FastAPI, up: Upstream) -> None:
    async with a_browser(site, provider=IDLE_SESSION) as browser:
        token = site.state.csrf_ring.hmac(f"provider\n{IDLE_SESSION}".encode())
        await browser.post(f"{CLIENT}/share", data={"form_token": token, "email": "ana+books@rata.example"})
        browser.cookies.set("__Host-provider", SESSION, domain="invoices.example", path="/")
        back = (await browser.get(CLIENTS)).headers["location"]
        assert back == f"{CLIENT}/share?email=ana%2Bbooks%40rata.example"
        assert 'value="ana+books@rata.example"' in (await browser.get(back)).text
    assert not up.invited


@pytest.mark.parametrize(
    "address", ["https://elsewhere.example/", "//elsewhere.example/", f"/o/{KOWHAI}/clients@elsewhere.example", "/o/org_x/clients"]
)
async def test_a_forged_place_to_return_to_is_ignored(provider: httpx.AsyncClient, address: str) -> None:
    answer = await provider.get(CLIENTS, headers={"cookie": f"__Host-provider={SESSION}; __Host-return={address}"})
    assert answer.status_code == 200


async def test_a_cookie_that_cannot_be_one_is_nobody(site: FastAPI) -> None:
    async with a_browser(site, provider="x" * 300) as browser:
        assert (await browser.get(CLIENT)).headers["location"] == "/?sign_in=1"


async def test_another_organisation_and_ids_that_cannot_be_are_one_404(provider: httpx.AsyncClient) -> None:
    unknown = "6b7c1d2e-0000-4000-8000-00000000ffff"
    paths = [f"/o/org_{'0' * 26}/clients", "/o/x/clients", f"{CLIENTS}/{'0' * 36}", f"{CLIENTS}/..%2f..", f"{CLIENTS}/{unknown}"]
    paths += [f"{CLIENT}/shares/{SHARE}/end", "/nowhere", "/help/nothing"]
    answers = [await provider.get(path) for path in paths]
    assert [answer.status_code for answer in answers] == [404] * len(paths)
    assert len({answer.text for answer in answers}) == 1
    assert "There is nothing here for you" in answers[0].text
    assert "cor_" not in answers[0].text
    assert answers[0].headers["x-correlation-id"].startswith("cor_")


async def test_a_404_says_the_same_to_a_stranger(site: FastAPI, provider: httpx.AsyncClient) -> None:
    async with a_browser(site) as stranger:
        assert (await stranger.get("/nowhere")).text == (await provider.get("/nowhere")).text


async def test_without_auth_no_page_of_a_provider_opens(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.failing = {"auth": (503, "unavailable")}
    answer = await provider.get(CLIENT)
    assert answer.status_code == 503
    assert "We cannot check right now who is asking" in answer.text
    assert "Rātā" not in answer.text
    assert answer.headers["retry-after"]


async def test_each_page_asks_who_is_there_once(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares = [a_share(1)]
    for path in (CLIENTS, CLIENT, f"{CLIENT}/share", f"/o/{KOWHAI}/shares", f"/o/{KOWHAI}/settings", "/organisations"):
        up.calls.clear()
        await words(provider, path)
        assert [call for call in up.calls if call.endswith("/identify")] == ["POST /auth/internal/identify"], path


# ── organisations


async def test_organisations_show_their_connection_and_are_searchable_from_eight(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.organisations[1]["state"] = "needs_reauth"
    page = await words(provider, "/organisations")
    assert "Connected" in page
    assert "Sign in again" in page
    assert "Find an organisation" not in page
    up.organisations += [an_organisation(f"org_{number:026d}", f"Branch {number}") for number in range(8)]
    assert "Find an organisation" in await words(provider, "/organisations")
    assert "Branch 3" in await words(provider, "/organisations?search=ranch%203")
    assert "Branch 4" not in await words(provider, "/organisations?search=ranch%203")


async def test_a_login_without_an_organisation_is_led_to_connecting_one(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.organisations = []
    assert "No organisation is connected yet." in await words(provider, "/organisations")


# ── clients


async def test_clients_are_listed_with_how_many_see_them(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares = [a_share(1), a_share(2), a_share(3, state="ended")]
    page = await words(provider, CLIENTS)
    assert "Rātā Joinery Ltd accounts@rata.example C-00012 2" in page
    assert "no e-mail in Xero" in page


async def test_searching_in_vain_and_having_no_contacts_say_different_things(up: Upstream, provider: httpx.AsyncClient) -> None:
    assert "No client matches “zz<b>”." in await words(provider, f"{CLIENTS}?search=zz%3Cb%3E")
    up.contacts.clear()
    page = await words(provider, CLIENTS)
    assert "Kōwhai & Hart Studio Ltd has no contacts yet. Add one in Xero and it appears here." in page
    assert "Wrong organisation?" in page


async def test_more_than_a_page_of_clients_has_a_next_page_that_keeps_the_search(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.contacts |= {
        f"{n:08x}-0000-4000-8000-000000000000": {"id": f"{n:08x}-0000-4000-8000-000000000000", "name": f"Shop {n}"} for n in range(60)
    }
    answer = await provider.get(f"{CLIENTS}?search=shop")
    assert "1–50 of 60" in said(answer)
    assert f'href="{CLIENTS}?search=shop&amp;page=2"' in answer.text
    assert "51–60 of 60" in await words(provider, f"{CLIENTS}?search=shop&page=2")


async def test_without_xero_the_clients_shared_with_are_listed(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares, up.failing = [a_share(1)], {"gateway": AWAY}
    page = await words(provider, CLIENTS)
    assert "Xero is not answering; showing the clients you share with, as of 2 hours ago." in page
    assert "Search covers only the clients you share with" in page
    assert "Rātā Joinery Ltd" in page


async def test_a_connection_that_needs_signing_in_shows_one_band_and_stored_data(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares, up.failing = [a_share(1)], {"gateway": (409, "xero_needs_reauth")}
    answer = await provider.get(CLIENT)
    assert "Xero asks you to sign in again for Kōwhai &amp; Hart Studio Ltd." in answer.text
    assert answer.text.count("Reconnect Xero") == 1
    assert "these are the stored invoices" not in answer.text
    assert "INV-1042" in answer.text


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (
            "needs_reauth",
            "Xero asks you to sign in again for Kōwhai & Hart Studio Ltd. Clients still open everything as of {}; new changes wait.",
        ),
        (
            "disconnected",
            "Kōwhai & Hart Studio Ltd is disconnected from Xero. Clients still open everything as of {}; nothing new arrives.",
        ),
    ],
)
async def test_every_page_of_a_lost_organisation_says_since_when_nothing_new_arrives(
    up: Upstream, provider: httpx.AsyncClient, state: str, told: str
) -> None:
    up.organisations[0] |= {"state": state, "since": up.devices[1]["last_seen_at"]}
    for path in (f"/o/{KOWHAI}/shares", f"/o/{KOWHAI}/settings"):
        page = (await provider.get(path)).text
        text = html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", page.split("<aside", 1)[1].split("</aside", 1)[0])))
        assert told.format("9 minutes ago") in text
        assert page.count("Reconnect Xero") == 1
    assert "<aside" not in (await provider.get("/organisations")).text


# ── one client


async def test_a_client_page_shows_what_each_view_adds_up_to_in_each_currency(provider: httpx.AsyncClient) -> None:
    answer = await provider.get(CLIENT)
    page = said(answer)
    assert "Unpaid JPY 120,000" in page
    assert "NZD 7,350,042.90" in page
    assert "Unpaid 8 Overdue 3 Open 5 Paid 3 All 13" in page
    assert f'href="{CLIENT}?view=overdue"' in answer.text
    assert "as of 4 minutes ago, from Xero" in page


@pytest.mark.parametrize(
    ("invoice", "text"),
    [
        (an_invoice(1, due_in=0, standing="due_today"), "Due today"),
        (an_invoice(1, "overdue", -1), "Overdue 1 day NZD"),
        (an_invoice(1, "overdue", -10, paid=(100,)), "Overdue 10 days, part-paid 1 payment"),
        (an_invoice(1, due_date=None), "Open, no due date"),
        (an_invoice(1, "paid", paid=(50_000, 74_750)), "2 payments"),
        (an_invoice(1, "credited"), "Settled by credit"),
        (an_invoice(1, "voided"), "Voided, nothing to pay"),
        (an_invoice(1, "awaiting"), "Awaiting approval"),
        (an_invoice(1, "draft"), "Draft, not shared"),
    ],
)
async def test_each_standing_has_its_words(up: Upstream, provider: httpx.AsyncClient, invoice: dict[str, Any], text: str) -> None:
    up.invoices[RATA] = [invoice]
    assert text in await words(provider, f"{CLIENT}?view=all")


async def test_names_and_references_are_text_never_markup(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.contacts[RATA]["name"] = "<script>alert(1)</script>"
    up.invoices[RATA] = [an_invoice(1, reference="<img src=x>", number='"><b>')]
    page = (await provider.get(CLIENT)).text
    assert "<script>alert" not in page
    assert "<img" not in page
    assert '"><b>' not in page


async def test_a_client_with_drafts_alone_is_explained(up: Upstream, provider: httpx.AsyncClient) -> None:
    assert "Only drafts: 3. They can be shared once approved in Xero." in await words(provider, f"{CLIENTS}/{DRAFTS_ONLY}")
    up.invoices[DRAFTS_ONLY] = [an_invoice(n, "draft", status="DRAFT") for n in range(3)]
    assert "Only drafts: 3." in await words(provider, f"{CLIENTS}/{DRAFTS_ONLY}")
    assert "Draft, not shared" in await words(provider, f"{CLIENTS}/{DRAFTS_ONLY}?view=all")
    assert "This client has never been invoiced." in await words(provider, f"{CLIENTS}/{NO_EMAIL}")


async def test_without_xero_a_client_shared_with_shows_stored_invoices_and_another_says_why_not(
    up: Upstream, provider: httpx.AsyncClient
) -> None:
    up.shares, up.failing = [a_share(1)], {"gateway": AWAY}
    assert "Xero is not answering; these are the stored invoices, as of 2 hours ago." in await words(provider, CLIENT)
    assert "Xero is not answering, and no invoice of this client is stored here." in await words(provider, f"{CLIENTS}/{NO_EMAIL}")
    up.failing = {"gateway": (503, "xero_busy")}
    assert "Xero's limit of requests for Kōwhai & Hart Studio Ltd is used up for now" in await words(provider, CLIENT)


async def test_a_load_that_waits_for_the_day_says_the_limit_and_when_it_goes_on(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares = [a_share(2, state="preparing", load_id="l1", load={"stored": 640, "total": 1200})]
    waits = {"state": "waiting", "stored": 640, "total": 1200, "waiting_since": "2026-05-03T08:00:00Z", "reason": "xero_busy"}
    up.loads["l1"] = {**waits, "limit": "day", "calls_a_day": 5000, "continues_at": "2026-05-03T20:00:00Z"}
    page = await words(provider, CLIENT)
    assert "Xero allows 5,000 requests a day for Kōwhai & Hart Studio Ltd. The rest continues about 4 May 2026, 08:00 NZST." in page
    up.loads["l1"] = {**waits, "limit": "day", "calls_a_day": 1000}
    page = await words(provider, CLIENT)
    assert "Xero allows 1,000 requests a day for Kōwhai & Hart Studio Ltd. The rest continues by itself within a day." in page


async def test_shared_with_tells_each_state(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares = [
        a_share(1),
        a_share(2, state="preparing", load_id="l1", load={"stored": 640, "total": 1200}),
        a_share(3, state="waiting_invoice"),
        a_share(4, state="invited", mail="failed", mail_reason="mailbox unknown"),
        a_share(5, state="opened"),
        a_share(6, state="ended", ended_at="2026-05-03T08:00:00Z", ended_by={"name": "Ana Kemp", "email": "a@b.example"}),
        a_share(7, state="invited", mail="returned", mail_reason="mailbox full"),
        a_share(8, state="opened", mail="queued"),
        a_share(9, state="invited", mail="sent"),
    ]
    up.loads["l1"] = {"state": "waiting", "stored": 640, "total": 1200, "waiting_since": "2026-05-03T08:00:00Z", "reason": "xero_busy"}
    page = await words(provider, CLIENT)
    for text in (
        "Active",
        "Preparing, 640 of 1,200 invoices",
        "Waiting for Xero since 3 May 2026, 20:00 NZST; the invitation goes out by itself.",
        "Waiting for the first invoice",
        "Not delivered: mailbox unknown. Correct the address · Resend accounts4@rata.example",
        "Returned: mailbox full. Correct the address · Resend accounts7@rata.example",
        "Invitation queued",
        "Invitation handed to the mail server · Resend accounts9@rata.example",
        "Opened",
        "Revoked 3 May 2026, 20:00 NZST by Ana Kemp",
        "by Hana Kōwhai",
    ):
        assert text in page
    assert page.index("accounts4@") < page.index("accounts7@") < page.index("accounts1@") < page.index("accounts6@")
    assert "Resend accounts8@" not in page


async def test_the_list_asks_again_while_something_is_prepared_and_then_stops(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares = [a_share(1, state="preparing", load={"stored": 1, "total": 9})]
    again = f'hx-get="{CLIENT}/shares"'
    assert again in (await provider.get(CLIENT)).text
    up.shares = [a_share(1)]
    fragment = await provider.get(f"{CLIENT}/shares", headers={"hx-request": "true"})
    assert fragment.text.lstrip().startswith("<section")
    assert again not in fragment.text
    assert (await provider.get(f"{CLIENT}/shares")).headers["location"] == f"{CLIENT}#shared-with"


# ── the rest


async def test_the_switcher_is_there_for_several_organisations_only(up: Upstream, provider: httpx.AsyncClient) -> None:
    assert f'href="/o/{PIKE}/clients"' in (await provider.get(CLIENTS)).text
    up.organisations.pop()
    assert "Switch organisation" not in (await provider.get(CLIENTS)).text


async def test_every_help_topic_opens_without_signing_in(site: FastAPI) -> None:
    async with a_browser(site) as browser:
        links = re.findall(r'href="(/help/\w+)"', (await browser.get("/help")).text)
        assert len(set(links)) == 4
        for link in links:
            assert (await browser.get(link)).text.count("<h1") == 1


async def test_the_demo_strip_shows_only_when_there_is_a_demo(keys: Path, up: Upstream, provider: httpx.AsyncClient) -> None:
    assert "you@demo.example" not in (await provider.get(CLIENTS)).text
    async with a_site(keys, up, demo=True) as demo, a_browser(demo, provider=SESSION) as browser:
        page = (await browser.get(CLIENTS)).text
    for place in (f"/o/{KOWHAI}/clients", f"/o/{KOWHAI}/shares", "http://127.0.0.1:8182/", "http://127.0.0.1:8181/back-office"):
        assert f'href="{place}"' in page


async def test_a_value_that_cannot_be_is_a_422_that_repeats_nothing(provider: httpx.AsyncClient) -> None:
    answer = await provider.get(f"{CLIENTS}?page=evil")
    assert answer.status_code == 422
    assert "evil" not in answer.text
    assert 'class="band"' in answer.text
    assert f'href="/o/{KOWHAI}/shares"' in answer.text


async def test_a_page_that_cannot_be_read_keeps_the_band_of_its_organisation(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.failing = {"sharing": (503, "unavailable")}
    answer = await provider.get(f"/o/{KOWHAI}/shares")
    assert answer.status_code == 503
    assert 'class="band"' in answer.text
    assert "A part of this page is not answering" in answer.text


async def test_a_fault_of_ours_is_a_500_page_with_a_reference(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.organisations[0].pop("name")
    answer = await provider.get(CLIENTS)
    assert answer.status_code == 500
    assert "Something went wrong on our side" in answer.text
    assert re.search(r"Reference cor_\w{26}", answer.text)
