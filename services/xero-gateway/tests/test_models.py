"""The rules of first loads and waiting, without any Xero."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from xero_gateway.errors import XeroBusy, XeroNeedsReauth, XeroUnavailable
from xero_gateway.models import BATCH_BYTES, InvoicesPage, Load, batches_by_contact, batches_of, page_after, wait_after
from xero_gateway.testing import a_raw_line, an_id, an_invoice


def a_load(**changes: Any) -> Load:
    return Load.model_validate({"_id": "lod_1", "organisation_id": "org_1", "contact_id": "c", "state": "pending", **changes})


def a_page(total: int) -> InvoicesPage:
    return InvoicesPage(invoices=[], faults=[], total=total, pages=-(-total // 100), read_at=datetime(2026, 6, 18, tzinfo=UTC))


@pytest.mark.parametrize(
    ("number", "known_total", "total", "following"),
    [
        (1, None, 250, 2),
        (2, 250, 250, 3),
        (3, 250, 250, None),
        (1, None, 0, None),
        (1, None, 100, None),
        (2, 250, 260, 3),
        (3, 300, 301, 4),
        (3, 250, 249, 2),
        (2, 250, 249, 1),
        (5, 500, 380, 3),
        (3, 250, 150, 2),
        (2, 150, 100, 1),
    ],
)
def test_pages_already_read_are_read_again_when_the_list_shrank(number: int, known_total: int, total: int, following: int) -> None:
    assert page_after(a_load(next_page=number, total=known_total, page_size=100), a_page(total)) == following


def test_batches_hold_every_invoice_once_and_never_too_much() -> None:
    long = [a_raw_line(Description="ก" * 1333) for _ in range(100)]
    invoices = [an_invoice(f"INV-{n}") for n in range(230)] + [an_invoice(f"long-{n}", LineItems=long) for n in range(6)]
    invoices.insert(5, an_invoice("huge", LineItems=long * 4))
    batches = list(batches_of(invoices))
    assert [invoice.number for batch in batches for invoice in batch] == [invoice.number for invoice in invoices]
    assert max(len(batch) for batch in batches) == 100
    for batch in batches:
        assert len(batch) == 1 or sum(len(invoice.model_dump_json().encode()) for invoice in batch) <= BATCH_BYTES
    assert [invoice.number for invoice in next(batch for batch in batches if len(batch) == 1)] == ["huge"]


def test_a_halved_page_begins_where_the_whole_one_did() -> None:
    load: Load | None = a_load(next_page=3)
    seen = []
    while load is not None:
        seen.append((load.page_size, (load.next_page - 1) * load.page_size))
        load = load.halved
    assert [size for size, _ in seen] == [512, 256, 128, 64, 32, 16, 8, 4, 2, 1]
    assert {start for _, start in seen} == {1024}


def test_news_of_two_contacts_never_travel_together() -> None:
    contacts = [{"ContactID": an_id(name), "Name": name} for name in ("one", "other")]
    invoices = [an_invoice(f"INV-{n}", Contact=contacts[n % 2]) for n in range(210)]
    batches = list(batches_by_contact(invoices))
    assert [len(batch) for batch in batches] == [100, 5, 100, 5]
    assert all(len({invoice.contact_id for invoice in batch}) == 1 for batch in batches)
    assert {invoice.number for batch in batches for invoice in batch} == {invoice.number for invoice in invoices}


def test_waiting_follows_xero_and_grows_to_a_minute() -> None:
    assert 120 <= wait_after(XeroBusy(retry_after=120), 1) <= 121
    assert 5 <= wait_after(XeroBusy(), 1) <= 6
    assert 1 <= wait_after(XeroUnavailable(), 1) <= 2
    assert 30 <= wait_after(XeroUnavailable(), 500) <= 60
    assert wait_after(XeroNeedsReauth(), 1) == 60


def test_people_are_told_that_a_load_waits_only_while_it_does() -> None:
    assert a_load().shown_state == "loading"
    assert a_load(reason="xero_busy").shown_state == "waiting"
    assert a_load(reason="xero_busy", limit="minute").shown_state == "loading"
    assert a_load(reason="xero_busy", limit="day").shown_state == "waiting"
    assert a_load(state="complete").shown_state == "complete"
    assert a_load(state="cancelled", reason="xero_busy").shown_state == "cancelled"


def test_a_zero_total_is_no_missing_amount() -> None:
    assert an_invoice(Total=Decimal("0.00"), AmountDue=Decimal(0)).total == 0
