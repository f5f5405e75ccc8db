"""The list both sides show: which invoices are rows, what the boxes say, in which order, on which page."""

import random
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from common.contracts.invoice_lists import VIEWS, Chosen, InvoiceList, View, list_as_client, list_invoices
from common.contracts.xero_gateway import InvoiceSummary, Settlement

TODAY = date(2026, 11, 20)
NOW = datetime(2026, 11, 20, 1, 2, 3, tzinfo=UTC)


def an_invoice(number: str = "INV-1", **changes: Any) -> InvoiceSummary:
    due = changes.pop("due", 10_000)
    values = {
        "invoice_id": f"id-{number}",
        "type": "ACCREC",
        "number": number,
        "reference": "",
        "status": "AUTHORISED",
        "contact_id": "c",
        "contact_name": "Aroha Ltd",
        "currency": "NZD",
        "line_amount_types": "Exclusive",
        "date": TODAY - timedelta(days=5),
        "due_date": TODAY + timedelta(days=5),
        "fully_paid_on": None,
        "sub_total": 10_000,
        "total_tax": 0,
        "total": 10_000,
        "amount_due": due,
        "amount_paid": 10_000 - due,
        "amount_credited": 0,
        "payments": [],
        "updated_at": NOW,
        **changes,
    }
    return InvoiceSummary.model_validate(values)


MIXED = [
    an_invoice("open"),
    an_invoice("today", due_date=TODAY),
    an_invoice("late", due_date=TODAY - timedelta(days=1)),
    an_invoice("part", due=4_000),
    an_invoice("paid", status="PAID", due=0),
    an_invoice("credited", status="PAID", amount_due=0, amount_paid=0, amount_credited=10_000),
    an_invoice("draft", status="DRAFT"),
    an_invoice("awaiting", status="SUBMITTED"),
    an_invoice("voided", status="VOIDED", due=0, amount_paid=0),
    an_invoice("deleted", status="DELETED"),
    an_invoice("bill", type="ACCPAY"),
    an_invoice("deleted bill", type="ACCPAY", status="DELETED"),
    an_invoice("dollars", currency="USD"),
]


def numbers(found: InvoiceList) -> list[str]:
    return [row.number for row in found.invoices]


@pytest.mark.parametrize(
    ("view", "expected"),
    [
        ("unpaid", {"open", "today", "late", "part", "dollars"}),
        ("to_pay", {"open", "today", "late", "part", "dollars"}),
        ("overdue", {"late"}),
        ("open", {"open", "today", "part", "dollars"}),
        ("paid", {"paid", "credited"}),
        ("all", {"open", "today", "late", "part", "dollars", "paid", "credited", "draft", "awaiting", "voided"}),
    ],
)
def test_each_view_shows_its_standings_and_never_a_bill(view: View, expected: set[str]) -> None:
    assert set(numbers(list_invoices(MIXED, TODAY, view=view))) == expected


def test_counts_cover_everything_whatever_is_shown() -> None:
    found = list_invoices(MIXED, TODAY, view="paid", search="no such", date_from=TODAY)
    assert found.total == 0
    assert found.counts.model_dump() == {"unpaid": 5, "overdue": 1, "open": 4, "paid": 2, "all": 10}


def test_totals_are_per_currency_and_never_mixed() -> None:
    nzd, usd = list_invoices(MIXED, TODAY).totals
    assert nzd.model_dump() == {"currency": "NZD", "unpaid": 34_000, "overdue": 10_000, "open": 24_000, "paid": 16_000, "all": 90_000}
    assert usd.model_dump() == {"currency": "USD", "unpaid": 10_000, "overdue": 0, "open": 10_000, "paid": 0, "all": 10_000}


def test_payments_received_leaves_out_credits_and_voided_invoices() -> None:
    invoices = [
        an_invoice("1", due=2_500),
        an_invoice("2", amount_due=0, amount_paid=1_000, amount_credited=9_000, status="PAID"),
        an_invoice("3", status="VOIDED", due=5_000),
    ]
    assert list_invoices(invoices, TODAY).totals[0].paid == 8_500


def test_what_a_share_would_show_and_leave_out_covers_every_invoice_once() -> None:
    found = list_invoices(MIXED, TODAY)
    assert found.shareable.count == 8
    assert [total.model_dump() for total in found.shareable.totals] == [
        {"currency": "NZD", "total": 70_000, "to_pay": 34_000},
        {"currency": "USD", "total": 10_000, "to_pay": 10_000},
    ]
    assert found.left_out.model_dump() == {"draft": 1, "bill": 1, "voided": 1, "deleted": 2, "earlier": 0, "awaiting": 0}
    assert found.shareable.count + sum(found.left_out.model_dump().values()) == len(MIXED)


def test_rows_of_every_view_add_up_to_its_box() -> None:
    for view in ("unpaid", "overdue", "open"):
        found = list_invoices(MIXED, TODAY, view=view)
        for total in found.totals:
            due = sum(row.amount_due for row in found.invoices if row.currency == total.currency)
            assert due == getattr(total, view)
    everything = list_invoices(MIXED, TODAY, view="all")
    for total in everything.totals:
        assert sum(row.total for row in everything.invoices if row.currency == total.currency) == total.all


def test_newest_goes_by_date_then_by_number_where_ten_follows_nine() -> None:
    invoices = [
        an_invoice("INV-9"),
        an_invoice("INV-10"),
        an_invoice("INV-8"),
        an_invoice("old", date=TODAY - timedelta(days=30)),
        an_invoice("undated", date=None),
        an_invoice("new", date=TODAY),
    ]
    random.Random(3).shuffle(invoices)
    assert numbers(list_invoices(invoices, TODAY)) == ["new", "INV-10", "INV-9", "INV-8", "old", "undated"]


def test_due_first_shows_overdue_then_due_soonest_then_newest() -> None:
    invoices = [
        an_invoice("paid old", status="PAID", due=0, date=TODAY - timedelta(days=50)),
        an_invoice("paid new", status="PAID", due=0, date=TODAY - timedelta(days=1)),
        an_invoice("next week", due_date=TODAY + timedelta(days=7)),
        an_invoice("no due date", due_date=None),
        an_invoice("long overdue", due_date=TODAY - timedelta(days=91)),
        an_invoice("today", due_date=TODAY),
        an_invoice("just overdue", due_date=TODAY - timedelta(days=1)),
    ]
    shown = numbers(list_invoices(invoices, TODAY, view="all", order="due_first"))
    assert shown == ["long overdue", "just overdue", "today", "next week", "no due date", "paid new", "paid old"]


def test_pages_show_every_invoice_exactly_once() -> None:
    invoices = [an_invoice(f"INV-{n}") for n in range(120)]
    pages = [list_invoices(invoices, TODAY, page=page) for page in (1, 2, 3, 4)]
    assert [len(page.invoices) for page in pages] == [50, 50, 20, 0]
    assert {page.total for page in pages} == {120}
    assert sorted(number for page in pages for number in numbers(page)) == sorted(f"INV-{n}" for n in range(120))


def test_search_finds_number_and_reference_in_any_case() -> None:
    invoices = [an_invoice("INV-7/a"), an_invoice("INV-8", reference="Straße 7/A"), an_invoice("INV-9")]
    assert set(numbers(list_invoices(invoices, TODAY, search=" 7/A "))) == {"INV-7/a", "INV-8"}
    assert numbers(list_invoices(invoices, TODAY, search="STRASSE")) == ["INV-8"]


def test_dates_are_inclusive_and_leave_out_the_undated() -> None:
    invoices = [an_invoice(f"day {n}", date=TODAY - timedelta(days=n)) for n in range(5)] + [an_invoice("undated", date=None)]
    found = list_invoices(invoices, TODAY, date_from=TODAY - timedelta(days=3), date_to=TODAY - timedelta(days=1))
    assert numbers(found) == ["day 1", "day 2", "day 3"]
    assert numbers(list_invoices(invoices, TODAY, date_from=TODAY)) == ["day 0"]
    assert numbers(list_invoices(invoices, TODAY, date_to=TODAY - timedelta(days=4))) == ["day 4"]


def test_a_row_carries_its_payments_and_a_link_only_where_one_is_given() -> None:
    payment = Settlement(id="p", kind="payment", date=TODAY, amount=6_000, reference="bank")
    invoice = an_invoice("part", due=4_000, payments=[payment])
    assert list_invoices([invoice], TODAY).invoices[0].link is None
    row = list_invoices([invoice], TODAY, link=lambda it: f"https://xero.example/{it.invoice_id}", as_of=NOW).invoices[0]
    assert row.link == "https://xero.example/id-part"
    assert (row.standing, row.payments, row.amount_paid) == ("open", [payment], 6_000)


def test_without_invoices_every_figure_is_nothing() -> None:
    found = list_invoices([], TODAY, view="all", as_of=NOW)
    assert (found.invoices, found.total, found.totals, found.shareable.count, found.as_of) == ([], 0, [], 0, NOW)


def test_every_view_is_counted_as_it_lists() -> None:
    counts = list_invoices(MIXED, TODAY).counts.model_dump()
    for view in VIEWS:
        if view != "shareable":  # a choice of invoices, no view of people's
            assert list_invoices(MIXED, TODAY, view=view).total == counts["unpaid" if view == "to_pay" else view]


def test_what_is_chosen_is_counted_and_what_a_client_sees_of_it_is_nothing_else() -> None:
    invoices = [an_invoice("old", date=TODAY - timedelta(days=9)), an_invoice("new", date=TODAY), an_invoice("waits", status="SUBMITTED")]
    drafts = [an_invoice("draft", status="DRAFT"), an_invoice("gone", status="VOIDED")]
    everything = [*invoices, *drafts]
    hiding = Chosen(hides_awaiting=True)
    assert list_invoices(everything, TODAY).shareable.count == 3
    hidden = list_invoices(everything, TODAY, view="shareable", chosen=hiding)
    assert (hidden.shareable.count, hidden.left_out.awaiting, set(numbers(hidden))) == (2, 1, {"old", "new"})
    picked = Chosen(picked=frozenset({invoices[0].invoice_id, drafts[0].invoice_id}))
    assert list_invoices(everything, TODAY, page=3, chosen=picked).shareable.count == 1
    seen = list_as_client(everything, TODAY, Chosen(dated_from=TODAY - timedelta(days=1), hides_awaiting=True), view="all")
    assert (numbers(seen), seen.counts.all, seen.left_out.draft) == (["new"], 1, 0)
