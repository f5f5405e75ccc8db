"""An invoice's history, who opened it, its PDF, the provider's look as the client, and giving access back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from web import client_testing
from web.client_testing import a_browser, a_payment, press
from web.testing import SESSION, Upstream, a_site, said, words
from web.testing_ledger import FIRST, KOWHAI, RATA, a_share, a_viewing

Clients = tuple[client_testing.Upstream, httpx.AsyncClient]
CLIENT = f"/o/{KOWHAI}/clients/{RATA}"
SHARE = f"{CLIENT}/shares/shr_{1:026d}"
HANA = "hana@rata.example"
SENDER = f"/invoices/{KOWHAI}"
AWAY = (503, "xero_unavailable")


def in_full(**changes: Any) -> dict[str, Any]:
    return client_testing.an_invoice("INV-1042", invoice_id=FIRST, contact_id=RATA, contact_name="Rātā Joinery Ltd", **changes)


@pytest.fixture
async def shared(up: Upstream) -> Upstream:
    up.shares, up.viewings, up.in_full = [a_share(1)], [a_viewing(1)], {FIRST: in_full()}
    return up


@pytest.fixture
async def clients(keys: Path) -> AsyncIterator[Clients]:
    """The client's side: what stands behind it, and a browser signed in as Hana."""
    upstream = client_testing.Upstream()
    invoice = client_testing.an_invoice("INV/1 ü", payments=[a_payment(5000, "2026-11-12")], amount_paid=5000, amount_due=41000)
    upstream.sender(HANA, KOWHAI, "Kōwhai & Hart Studio Ltd", [invoice])
    async with client_testing.a_site(keys, upstream) as app, a_browser(app, client=upstream.signed_in(HANA)) as browser:
        yield upstream, browser


def path_of(upstream: client_testing.Upstream) -> str:
    return f"{SENDER}/{upstream.senders[HANA][KOWHAI]['invoices'][0]['invoice_id']}"


# ── the provider


async def test_an_invoice_tells_its_history_who_opened_it_and_leads_to_xero(shared: Upstream, provider: httpx.AsyncClient) -> None:
    answer = await provider.get(f"{CLIENT}/invoices/{FIRST}")
    page = said(answer)
    for text in (
        "Issued",
        "Reference “a”, now “b”",
        "Payment of NZD 50.00, part-paid, NZD 410.00 to pay",
        "accounts1@rata.example opened 2 times, downloaded 1 time, first",
        "Open in Xero",
    ):
        assert text in page
    assert 'href="https://go.xero.example/9"' in answer.text
    assert f'href="{CLIENT}/invoices/{FIRST}"' in (await provider.get(CLIENT)).text


async def test_an_opening_before_the_last_change_is_marked(shared: Upstream, provider: httpx.AsyncClient) -> None:
    assert "before the last change" not in await words(provider, f"{CLIENT}/invoices/{FIRST}")
    shared.in_full[FIRST]["updated_at"] = "2099-01-01T00:00:00Z"
    assert "before the last change" in await words(provider, f"{CLIENT}/invoices/{FIRST}")


async def test_without_xero_the_stored_invoice_is_shown_and_says_so(shared: Upstream, provider: httpx.AsyncClient) -> None:
    shared.failing = {"gateway": AWAY}
    page = await words(provider, f"{CLIENT}/invoices/{FIRST}")
    assert "Xero is not answering; this is what is stored." in page
    assert "Open in Xero" not in page
    assert "accounts1@rata.example opened 2 times" in page
    shared.shares = []
    assert (await provider.get(f"{CLIENT}/invoices/{FIRST}")).status_code == 503


@pytest.mark.parametrize("changes", [{"contact_id": "another"}, {"type": "ACCPAY"}])
async def test_another_contacts_invoice_and_a_bill_are_no_page(up: Upstream, provider: httpx.AsyncClient, changes: dict[str, str]) -> None:
    up.in_full = {FIRST: in_full() | changes}
    assert (await provider.get(f"{CLIENT}/invoices/{FIRST}")).status_code == 404
    assert (await provider.get(f"{CLIENT}/invoices/{FIRST.replace('1', '2')}")).status_code == 404


async def test_one_access_tells_what_was_opened_through_it(shared: Upstream, provider: httpx.AsyncClient) -> None:
    page = await words(provider, SHARE)
    for text in ("accounts1@rata.example", "Active", "INV-1042 opened 2 times, downloaded 1 time", "View as client", "End access"):
        assert text in page
    shared.viewings = [a_viewing(1, number=None)]
    assert "an invoice no longer stored" in await words(provider, SHARE)
    shared.viewings = []
    assert "No invoice yet. Your own look as this client never counts." in await words(provider, SHARE)


async def test_view_as_client_is_the_clients_page_in_a_marked_frame(shared: Upstream, provider: httpx.AsyncClient) -> None:
    answer = await provider.get(f"{SHARE}/as-client?view=all")
    page = said(answer)
    assert "This is what accounts1@rata.example sees. Your look is written down and counts as no opening. Back to sharing" in page
    assert "To pay, overdue included" in page
    assert f'href="{SHARE}/as-client/{FIRST}"' in answer.text
    assert "/sign-out" not in answer.text.split("<main")[1]
    one = await words(provider, f"{SHARE}/as-client/{FIRST}")
    assert "INV-1042" in one
    assert "What happened" in one
    assert "Download PDF" not in one
    assert (await provider.get(f"{SHARE}/as-client/{FIRST.replace('1', '2')}")).status_code == 404


# ── the client


async def test_a_client_reads_what_happened(clients: Clients) -> None:
    upstream, browser = clients
    page = await words(browser, path_of(upstream))
    for text in (
        "What happened",
        "Issued",
        "Due 20 Nov 2026, now",
        "Total NZD 450.00, now NZD 460.00",
        "Payment of NZD 50.00",
        "Download PDF",
    ):
        assert text in page


async def test_the_pdf_is_xeros_own_and_opens_in_the_browser(clients: Clients) -> None:
    upstream, browser = clients
    answer = await browser.get(f"{path_of(upstream)}/pdf")
    assert answer.content == b"%PDF of right to " + path_of(upstream).rpartition("/")[2].encode()
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"] == "inline; filename*=UTF-8''INV-1%20%C3%BC.pdf"
    assert answer.headers["cache-control"] == "no-store"


async def test_without_xero_the_pdf_is_drawn_and_says_so(clients: Clients) -> None:
    upstream, browser = clients
    upstream.down = {"gateway"}
    answer = await browser.get(f"{path_of(upstream)}/pdf")
    assert answer.status_code == 200
    assert answer.content.startswith(b"%PDF-")


async def test_sharing_away_means_no_pdf_and_unknown_is_the_common_404(clients: Clients) -> None:
    upstream, browser = clients
    assert (await browser.get(f"{SENDER}/unknown/pdf")).status_code == 404
    upstream.down = {"sharing"}
    assert (await browser.get(f"{path_of(upstream)}/pdf")).status_code == 503


async def test_what_is_not_meant_for_somebody_is_given_back_after_asking(
    clients: Clients,
) -> None:
    upstream, browser = clients
    assert f'href="{SENDER}/decline"' in (await browser.get(SENDER)).text
    asked = await words(browser, f"{SENDER}/decline")
    assert "Invoices of Kōwhai & Hart Studio Ltd will no longer open for hana@rata.example, on every device." in asked
    assert not upstream.declined
    answer = await press(browser, f"{SENDER}/decline")
    assert upstream.declined == [(HANA, KOWHAI, "")]
    page = await words(browser, answer.headers["location"])
    assert "Done. The sender is told that those invoices were not meant for this address." in page
    assert (await browser.get(f"{SENDER}/decline")).status_code == 404
    assert (await browser.get(SENDER)).headers["location"] == "/invoices"


async def test_giving_back_one_contact_that_ended_meanwhile_asks_for_nothing_else(clients: Clients) -> None:
    upstream, browser = clients
    answer = await browser.get(f"{SENDER}/decline?contact=ended-meanwhile")
    assert (answer.status_code, answer.headers["location"]) == (303, SENDER)
    assert not upstream.declined


async def test_a_provider_signed_out_comes_back_to_the_invoice(shared: Upstream, keys: Path) -> None:
    async with a_site(keys, shared) as app, a_browser(app, provider="pis_ended") as browser:
        answer = await browser.get(f"{CLIENT}/invoices/{FIRST}")
        assert answer.status_code == 303
        browser.cookies.set("__Host-provider", SESSION, domain="invoices.example", path="/")
        assert (await browser.get(f"/o/{KOWHAI}/clients")).headers["location"] == f"{CLIENT}/invoices/{FIRST}"
