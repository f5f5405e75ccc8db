"""What a client takes away: the list as CSV, and the statement as page, PDF and CSV."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.testing import ORGANISATION
from web.client_testing import Upstream, a_browser, a_payment, a_site, an_invoice
from web.testing_papers import an_account

HANA = "hana@rata.example"
SENDER = f"/invoices/{ORGANISATION}"


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def browser(keys: Path, upstream: Upstream) -> AsyncIterator[httpx.AsyncClient]:
    async with a_site(keys, upstream) as app:
        yield a_browser(app, client=upstream.signed_in(HANA))


def rows_of(answer: httpx.Response) -> list[dict[str, str]]:
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.content.startswith(b"\xef\xbb\xbf")
    assert answer.content.count(b"\n") == answer.content.count(b"\r\n")
    return list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"), newline="")))


def text_of(page: httpx.Response) -> str:
    plain = re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(head|svg|script).*?</\1>", "", page.text))
    return " ".join(re.sub("[\u2068\u2069]", "", plain).replace("&#39;", "'").split())


async def test_a_list_is_taken_away_whole_as_it_is_narrowed_with_exact_figures(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    paid = an_invoice("INV-9", status="PAID", amount_due=0, amount_paid=46000, payments=[a_payment(46000, "2026-10-02")])
    late = an_invoice("INV-1", due_date="2026-11-20", amount_paid=6005, amount_due=39995, reference="PO “7”")
    many = [an_invoice(f"INV-{n}", due_date=None) for n in range(100, 720)]
    upstream.sender(HANA, ORGANISATION, "Kōwhai & Hart", [late, paid, *many])
    answer = await browser.get(f"{SENDER}/list.csv?view=to_pay&page=3")
    rows = rows_of(answer)
    assert len(rows) == 621
    assert rows[0] == {
        "Number": "INV-1", "Reference": "PO “7”", "To": "Rātā Joinery", "Date": "2026-11-01", "Due": "2026-11-20", "Status": "Overdue",
        "Currency": "NZD", "Total": "460.00", "Paid": "60.05", "Credited": "0.00", "To pay": "399.95",
    }  # fmt: skip
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''K%C5%8Dwhai%20%26%20Hart%20invoices%202026-11-21.csv"
    assert [row["Status"] for row in rows_of(await browser.get(f"{SENDER}/list.csv?view=paid"))] == ["Paid"]
    assert rows_of(await browser.get(f"{SENDER}/list.csv?search=none")) == []


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@SUM(A1)", " =1+1", "＝1", "\t=1", "\r=1", '=HYPERLINK("x","y")'])
async def test_no_text_of_others_becomes_a_formula(browser: httpx.AsyncClient, upstream: Upstream, start: str) -> None:
    evil = an_invoice(start, reference=start, contact_name=start, total=-46000, amount_due=-46000, status="VOIDED")
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [evil])
    (row,) = rows_of(await browser.get(f"{SENDER}/list.csv?view=all"))
    assert {row["Number"], row["Reference"], row["To"]} == {f"'{start}"}
    assert row["Total"] == "-460.00"


async def test_a_list_too_long_for_one_file_leads_back_and_says_so(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice("INV-1")], too_many=True)
    answer = await browser.get(f"{SENDER}/list.csv?view=all&search=I")
    assert answer.headers["location"] == f"{SENDER}?view=all&search=I&too_many=csv"
    assert "That is more than one file holds. Choose dates that leave fewer invoices." in text_of(
        await browser.get(answer.headers["location"])
    )


async def test_a_statement_shows_opening_movements_balance_and_ageing(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai & Hart", [an_invoice("INV-1")])
    page = text_of(await browser.get(f"{SENDER}/statement"))
    for told in (
        "Statement Kōwhai &amp; Hart · 1 Nov 2026 to 21 Nov 2026",
        "Opening balance NZD 100.00 1 Nov 2026 Invoice INV-1 due 12 Nov 2026 NZD 460.00 NZD 560.00",
        "12 Nov 2026 Payment INV-1 dated 30 Oct 2026 · Ref 1 NZD −60.00 NZD 500.00 Closing balance NZD 500.00",
        "Not overdue NZD 0.00 1–30 days NZD 400.00 31–60 days NZD 0.00 61–90 days NZD 0.00 Over 90 days NZD 100.00",
        "Credit that Kōwhai &amp; Hart has not set against an invoice is not in it.",
    ):
        assert told in page, page
    assert upstream.senders[HANA][ORGANISATION]["asked"] == {"period": "last_3_months", "doing": "opened"}


async def test_a_statement_of_some_invoices_says_which_and_what_it_cannot_know(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    limits = [{"contact_name": "Rātā Joinery", "from_date": "2026-03-01", "picked": None}]
    told = {"limits": limits, "awaiting": 2, "voided": 1, "accounts": [], "first": None}
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice("INV-1")], statement=told)
    page = text_of(await browser.get(f"{SENDER}/statement?period=all"))
    for words in (
        "Statement of shared invoices Kōwhai · Up to 21 Nov 2026",
        "No movement in this period.",
        "It covers the invoices dated from 1 Mar 2026 on.",
        "Other invoices of Kōwhai, and credit it has not set against an invoice, are not in it.",
        "Not counted: 2 invoices awaiting approval, 1 voided invoice.",
    ):
        assert words in page, page


@pytest.mark.parametrize(
    ("query", "asked"),
    [
        ("?period=all&contact=c-2", {"period": "all", "contact": "c-2"}),
        ("?date_from=2026-01-05&date_to=2026-02-05", {"period": "last_3_months", "date_from": "2026-01-05", "date_to": "2026-02-05"}),
        ("?period=nonsense&date_from=31-31", {"period": "last_3_months"}),
    ],
)
async def test_page_pdf_and_csv_ask_for_what_the_address_says(
    browser: httpx.AsyncClient, upstream: Upstream, query: str, asked: dict[str, str]
) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice("INV-1")])
    for name, doing in {"statement": "opened", "statement.pdf": "downloaded", "statement.csv": "downloaded"}.items():
        assert (await browser.get(f"{SENDER}/{name}{query}")).status_code == 200
        assert upstream.senders[HANA][ORGANISATION]["asked"] == {**asked, "doing": doing}


async def test_a_statement_is_taken_away_as_pdf_and_as_csv(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    accounts = [an_account(), an_account(contact_name="=evil", currency="JPY", entries=[], opening=50000)]
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice("INV-1")], statement={"accounts": accounts})
    page = await browser.get(f"{SENDER}/statement?period=all")
    assert f'href="{SENDER}/statement.pdf?period=all"' in page.text
    pdf = await browser.get(f"{SENDER}/statement.pdf")
    assert pdf.content.startswith(b"%PDF-")
    assert pdf.headers["content-disposition"].endswith("K%C5%8Dwhai%20Statement%202026-11-01%20to%202026-11-21.pdf")
    rows = rows_of(await browser.get(f"{SENDER}/statement.csv"))
    assert [(row["To"], row["What"], row["Amount"], row["Balance"]) for row in rows] == [
        ("Rātā Joinery", "Opening balance", "", "100.00"),
        ("Rātā Joinery", "Invoice", "460.00", "560.00"),
        ("Rātā Joinery", "Payment", "-60.00", "500.00"),
        ("Rātā Joinery", "Closing balance", "", "500.00"),
        ("'=evil", "Opening balance", "", "500.00"),
        ("'=evil", "Closing balance", "", "500.00"),
    ]


async def test_without_access_a_page_leads_home_and_a_file_is_the_common_404(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    assert (await browser.get(f"{SENDER}/statement")).headers["location"] == "/invoices"
    for name in ("statement.pdf", "statement.csv", "list.csv"):
        assert (await browser.get(f"{SENDER}/{name}")).status_code == 404
    upstream.down = {"sharing"}
    for name in ("statement", "statement.pdf", "statement.csv", "list.csv"):
        assert (await browser.get(f"{SENDER}/{name}")).status_code == 503


async def test_a_sender_offers_what_can_be_taken_away(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice("INV-1")])
    page: Any = (await browser.get(f"{SENDER}?view=all&search=INV")).text
    assert f'href="{SENDER}/list.csv?view=all&amp;search=INV"' in page
    assert f'href="{SENDER}/statement"' in page
