"""What a client sees: what is owed to whom, one sender, one invoice; and what is left when access ends or a service is away."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from common.ids import organisation_id
from common.testing import ORGANISATION, OTHER_ORGANISATION
from web.client_testing import TODAY, Upstream, a_browser, a_line, a_payment, a_site, an_invoice

HANA = "hana@rata.example"
SENDER = f"/invoices/{ORGANISATION}"
WORKSHOP = {"contact_id": "c-2", "contact_name": "Rātā Workshop"}
CONTACTS = [{"contact_id": "c-1", "name": "Rātā Joinery"}, {"contact_id": "c-2", "name": "Rātā Workshop"}]


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def app(keys: Path, upstream: Upstream) -> AsyncIterator[FastAPI]:
    async with a_site(keys, upstream) as app:
        yield app


@pytest.fixture
def browser(app: FastAPI, upstream: Upstream) -> httpx.AsyncClient:
    return a_browser(app, client=upstream.signed_in(HANA))


def in_days(days: int) -> str:
    return str(TODAY + timedelta(days=days))


def text_of(page: httpx.Response) -> str:
    """What people read: without tags, spaces as one."""
    body = re.sub(r"(?s)<(head|svg|script).*?</\1>", "", page.text)
    return " ".join(re.sub(r"<[^>]+>", " ", body).replace("&#39;", "'").split()).replace(" .", ".")


def paid(number: str, **changes: Any) -> dict[str, Any]:
    return an_invoice(number, status="PAID", amount_due=0, amount_paid=46000, payments=[a_payment(46000, "2026-10-02")], **changes)


def path_of(invoice: dict[str, Any]) -> str:
    return f"{SENDER}/{invoice['invoice_id']}"


async def test_home_shows_each_currency_alone_and_every_sender_overdue_first(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai & Hart", [an_invoice("INV-2"), an_invoice("INV-1", due_date=in_days(-10)), paid("INV-0")])
    upstream.sender(HANA, OTHER_ORGANISATION, "Pike & Larkmoor LLP", [an_invoice("P-1", currency="GBP", amount_due=10000)])
    read = text_of(await browser.get("/invoices"))
    assert "Overdue GBP 0.00 NZD 460.00 To pay, overdue included GBP 100.00 NZD 920.00" in read
    assert "Of the invoices shared with you by 2 senders." in read
    assert read.index("INV-1") < read.index("INV-2") < read.index("Pike & Larkmoor LLP".replace("&", "&amp;")) < read.index("P-1")
    assert "Overdue 10 days" in read
    assert "INV-0" not in read
    assert "All 3" in read


async def test_several_clients_of_one_sender_stand_under_their_names(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    invoices = [an_invoice("A-1"), an_invoice("B-1", **WORKSHOP), an_invoice("A-2")]
    upstream.sender(HANA, ORGANISATION, "Kōwhai", invoices, contacts=CONTACTS)
    for page in ("/invoices", SENDER):
        read = text_of(await browser.get(page)).partition("Balance")[2]
        assert read.index("Rātā Joinery") < read.index("A-1") < read.index("A-2") < read.index("Rātā Workshop") < read.index("B-1")
    filtered = (await browser.get(f"{SENDER}?contact=c-2")).text
    assert "B-1" in filtered
    assert "A-1" not in filtered
    assert '<option value="">Everybody</option>' in filtered


async def test_a_sender_that_is_not_updating_says_since_when(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice("INV-1")], not_updating_since="2026-11-18T07:12:00Z")
    for page in ("/invoices", SENDER, path_of(an_invoice("INV-1"))):
        assert "not updating since 18 Nov 2026, 20:12 NZDT" in text_of(await browser.get(page))


async def test_times_of_a_sender_are_told_in_its_own_zone(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    facts = {"not_updating_since": "2026-11-18T07:12:00Z", "time_zone": "Europe/London"}
    upstream.sender(HANA, ORGANISATION, "Pike", [an_invoice("INV-1")], **facts)
    for page in (SENDER, path_of(an_invoice("INV-1"))):
        assert "not updating since 18 Nov 2026, 07:12 GMT" in text_of(await browser.get(page))


async def test_with_nothing_shared_home_says_what_to_do_and_never_why(browser: httpx.AsyncClient) -> None:
    read = text_of(await browser.get("/invoices"))
    assert f"Nothing is shared with {HANA} now." in read
    assert "If you expected invoices, ask the business that sends them; they may have used another address." in read
    assert "revoked" not in read.lower()


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("", ["LATE", "OPEN"]),
        ("?view=overdue", ["LATE"]),
        ("?view=paid", ["PAID"]),
        ("?view=all", ["LATE", "OPEN", "PAID"]),
        ("?view=all&search=open", ["OPEN"]),
        ("?view=all&date_from=2026-11-01", ["LATE", "OPEN"]),
        ("?view=all&date_to=2026-10-31", ["PAID"]),
        ("?view=nonsense&page=-3&date_from=31-31-31&contact=", ["LATE", "OPEN"]),
    ],
)
async def test_a_senders_views_search_and_dates_show_what_they_name(
    browser: httpx.AsyncClient, upstream: Upstream, query: str, shown: list[str]
) -> None:
    upstream.sender(
        HANA, ORGANISATION, "Kōwhai", [an_invoice("OPEN"), an_invoice("LATE", due_date=in_days(-1)), paid("PAID", date="2026-10-01")]
    )
    page = await browser.get(f"{SENDER}{query}")
    assert re.findall(r'class="whole"[^>]*>(\w+)</a>', page.text) == shown


async def test_a_search_narrows_the_list_and_neither_counts_nor_sums(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice("INV-1"), an_invoice("INV-2")])
    read = text_of(await browser.get(f"{SENDER}?search=INV-2"))
    assert "To pay, overdue included NZD 920.00" in read
    assert "Search and dates narrow the list below, not these sums." in read
    assert "To pay 2 Overdue 0" in read


async def test_days_overdue_go_by_the_senders_own_date(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice("INV-1", due_date=in_days(-1))])
    assert "Overdue 1 day" in text_of(await browser.get("/invoices"))


async def test_filters_stay_in_the_address_of_every_view_and_page(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice(f"INV-{n:03}") for n in range(120)])
    page = await browser.get(f"{SENDER}?search=INV&page=2")
    assert "51–100 of 120" in page.text
    assert f'href="{SENDER}?search=INV&amp;view=all"' in page.text
    assert re.search(rf'rel="next" href="{SENDER}\?search=INV&amp;page=3"', page.text)
    assert re.search(rf'rel="prev" href="{SENDER}\?search=INV"', page.text)
    assert text_of(await browser.get(f"{SENDER}?page=9")).count("There is no page 9.") == 1


async def test_nothing_to_pay_names_the_day_of_the_last_payment(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [paid("INV-1"), paid("INV-2")])
    assert "Nothing to pay. Last invoice paid 2 Oct 2026. All" in text_of(await browser.get(SENDER))
    assert "Nothing is overdue." in text_of(await browser.get(f"{SENDER}?view=overdue"))


async def test_a_search_that_finds_nothing_says_so_and_offers_all(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice("INV-1")])
    page = await browser.get(f"{SENDER}?search=%3Cb%3E")
    assert "No invoice matches “&lt;b&gt;”." in page.text


async def test_an_invoice_shows_its_lines_sums_and_what_is_left(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    lines = [
        a_line(line_item_id="1", quantity="3.0000", unit_amount="120.0000", line_amount=36000, tax_amount=5400),
        a_line(line_item_id="2", quantity="12480", unit_amount="0.0375", discount_rate="10.00", line_amount=42120, tax_amount=6318),
    ]
    settled = [a_payment(10000, "2026-11-05", reference="Ref 88"), a_payment(5000, "2026-11-03", "credit_note", "CN-31")]
    invoice = an_invoice(
        "INV-1", lines=lines, sub_total=78120, total_tax=11718, total=89838, amount_paid=10000, amount_credited=5000, amount_due=74838,
        payments=settled, reference="PO 7781",
    )  # fmt: skip
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [invoice])
    page = await browser.get(path_of(invoice))
    read = text_of(page)
    assert "3 × 120.00 Tax 15%" in read
    assert "12,480 × 0.0375 10% off Tax 15%" in read
    sums = "Subtotal NZD 781.20 Tax 15% NZD 117.18 Total NZD 898.38"
    assert f"{sums} Credit note 3 Nov 2026 CN-31 NZD −50.00 Payment 5 Nov 2026 Ref 88 NZD −100.00 To pay NZD 748.38" in read
    assert "Reference PO 7781" in read
    assert "from Xero" in read
    assert page.text.count('class="double"') == 1


async def test_two_rates_each_have_their_row(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    lines = [a_line(line_item_id="1"), a_line(line_item_id="2", tax_type="RR", line_amount=10000, tax_amount=500)]
    invoice = an_invoice("INV-1", lines=lines, sub_total=50000, total_tax=6500, total=56500, amount_due=56500)
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [invoice])
    assert "Tax 15% on 400.00 NZD 60.00 Tax 5% on 100.00 NZD 5.00 Total NZD 565.00" in text_of(await browser.get(path_of(invoice)))


async def test_a_voided_invoice_says_there_is_nothing_to_pay(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    invoice = an_invoice("INV-1", status="VOIDED", amount_due=0)
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [invoice])
    assert "Voided, nothing to pay" in text_of(await browser.get(path_of(invoice)))


async def test_names_and_words_of_others_are_never_markup(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    evil = '<script>alert("1")</script>'
    invoice = an_invoice(
        evil, reference=evil, contact_name=evil, lines=[a_line(description=evil)], payments=[a_payment(1, "2026-11-01", "payment", evil)]
    )
    upstream.sender(
        HANA, ORGANISATION, evil, [invoice], contacts=[{"contact_id": "c-1", "name": evil}, {"contact_id": "c-2", "name": evil}]
    )
    for page in ("/invoices", SENDER, path_of(invoice)):
        assert "<script>alert" not in (await browser.get(page)).text


async def test_access_that_ends_while_a_page_is_open_leads_a_list_home_and_hides_an_invoice(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    invoice = an_invoice("INV-1")
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [invoice])
    assert (await browser.get(SENDER)).status_code == 200
    del upstream.senders[HANA][ORGANISATION]
    page = await browser.get(SENDER)
    assert (page.status_code, page.headers["location"]) == (303, "/invoices")
    gone = await browser.get(path_of(invoice))
    assert gone.status_code == 404
    assert "There is nothing here for you" in text_of(gone)
    assert "It may have been removed, or belong to another address." in text_of(gone)
    assert "reads Xero" not in gone.text


async def test_unknown_foreign_and_impossible_invoices_are_one_answer(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    foreign, mine = an_invoice("F-1"), an_invoice("INV-1")
    upstream.sender("zoe@other.example", OTHER_ORGANISATION, "Pike", [foreign])
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [mine])
    answers = [
        await browser.get(path)
        for path in (
            f"{SENDER}/{foreign['invoice_id']}",
            f"/invoices/{OTHER_ORGANISATION}/{foreign['invoice_id']}",
            f"/invoices/{organisation_id('5f1f7b3a-0000-4000-8000-00000000ffff')}/{mine['invoice_id']}",
            f"{SENDER}/%2e%2e",
            f"{SENDER}/a'b",
        )
    ]
    assert {(answer.status_code, answer.content) for answer in answers} == {(404, answers[0].content)}
    seen = [{name: value for name, value in answer.headers.items() if name != "x-correlation-id"} for answer in answers]
    assert seen == [seen[0]] * len(seen)


async def test_without_a_session_every_page_leads_to_sign_in(app: FastAPI, upstream: Upstream) -> None:
    for browser in (a_browser(app), a_browser(app, client="cis_gone"), a_browser(app, client="x" * 500)):
        for page in ("/invoices", SENDER, f"{SENDER}/x", "/account"):
            answer = await browser.get(page)
            assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")


async def test_when_access_cannot_be_checked_nothing_is_shown(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    invoice = an_invoice("INV-1")
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [invoice])
    for down in ("sharing", "portal"):
        upstream.down = {down}
        for page in ("/invoices", SENDER, path_of(invoice)):
            answer = await browser.get(page)
            assert answer.status_code == 503
            assert "Your invoices are safe; we cannot check your access right now, so we show none." in answer.text
            assert "Kōwhai" not in answer.text
            assert "reads Xero" not in answer.text


async def test_one_identity_call_and_one_round_make_a_page(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    invoice = an_invoice("INV-1")
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [invoice])
    for page in ("/invoices", SENDER, path_of(invoice)):
        upstream.calls.clear()
        await browser.get(page)
        assert len(upstream.calls) == 2


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-purpose": "prefetch;prerender"},
        {"purpose": "prefetch"},
        {"x-moz": "prefetch"},
        {"user-agent": "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)"},
    ],
)
async def test_what_nobody_looks_at_is_shown_nothing_and_counts_nowhere(
    browser: httpx.AsyncClient, upstream: Upstream, headers: dict[str, str]
) -> None:
    invoice = an_invoice("INV-1")
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [invoice])
    for page in ("/invoices", SENDER, path_of(invoice), f"{path_of(invoice)}/pdf", f"{SENDER}/statement"):
        answer = await browser.get(page, headers=headers)
        assert (answer.status_code, answer.content) == (425, b"")
        assert (await browser.head(page)).status_code == 405
    assert upstream.calls == []
    assert (await browser.get(path_of(invoice))).status_code == 200
