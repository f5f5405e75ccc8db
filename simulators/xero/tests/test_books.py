"""The rules of the books, without store or network."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from xero_simulator import books
from xero_simulator.books import Refused
from xero_simulator.documents import Contact, Credit, Invoice, Line, Payment

NOW = datetime(2026, 6, 18, 9, 0, tzinfo=UTC)
TODAY = date(2026, 6, 18)


def a_line(unit: str, quantity: str = "1", tax: str = "15", discount: str | None = None) -> Line:
    off = Decimal(discount) if discount else None
    return Line(id="l", description="Work", quantity=Decimal(quantity), unit=Decimal(unit), tax_rate=Decimal(tax), discount=off)


def an_invoice(*lines: Line, amounts: str = "Exclusive", status: str = "AUTHORISED") -> Invoice:
    made = Invoice(
        id="i", organisation="o", contact="c", date=TODAY, due=TODAY, currency="NZD", amounts=amounts, lines=list(lines), updated=NOW
    )
    books.price(made)
    made.status = status
    return made


def a_payment(amount: str) -> Payment:
    money = Decimal(amount)
    return Payment(id=f"p{amount}", organisation="o", invoice="i", date=TODAY, amount=money, bank_amount=money, updated=NOW)


def a_credit(amount: str) -> Credit:
    made = Credit(
        id="n", organisation="o", number="CN-1", contact="c", date=TODAY, currency="NZD", lines=[a_line(amount, tax="0")], updated=NOW
    )
    books.price(made)
    return made


def test_tax_is_rounded_on_each_line_then_added_up() -> None:
    invoice = an_invoice(a_line("25.06"), a_line("25.61"), a_line("25.63"))
    assert (invoice.subtotal, invoice.tax, invoice.total) == (Decimal("76.30"), Decimal("11.44"), Decimal("87.74"))


def test_inclusive_prices_contain_their_tax() -> None:
    invoice = an_invoice(a_line("115.00"), amounts="Inclusive")
    assert (invoice.subtotal, invoice.tax, invoice.total) == (Decimal("100.00"), Decimal("15.00"), Decimal("115.00"))


def test_no_tax_means_none() -> None:
    assert an_invoice(a_line("100.00"), amounts="NoTax").total == 100


def test_a_discount_lowers_the_line_and_its_tax() -> None:
    invoice = an_invoice(a_line("45.00", "2", discount="100"), a_line("9.00", discount="10"))
    assert (invoice.subtotal, invoice.tax, invoice.discount) == (Decimal("8.10"), Decimal("1.22"), Decimal("90.90"))


def test_small_unit_prices_are_multiplied_before_rounding() -> None:
    assert an_invoice(a_line("0.0375", "12480", tax="0")).total == Decimal("468.00")


def test_paying_in_parts_settles_in_the_end_and_taking_back_reopens() -> None:
    invoice = an_invoice(a_line("100.00", tax="0"))
    books.pay(invoice, a_payment("40.00"), NOW)
    assert (invoice.status, invoice.due_amount, invoice.paid_amount) == ("AUTHORISED", Decimal(60), Decimal(40))
    last = a_payment("60.00")
    books.pay(invoice, last, NOW)
    assert (invoice.status, invoice.due_amount, invoice.paid_on) == ("PAID", Decimal(0), TODAY)
    books.take_back(invoice, last, NOW)
    assert (invoice.status, invoice.due_amount, invoice.paid_on, last.status) == ("AUTHORISED", Decimal(60), None, "DELETED")


@pytest.mark.parametrize("amount", ["100.01", "0.00", "-1.00"])
def test_nobody_pays_more_than_is_due_or_nothing(amount: str) -> None:
    with pytest.raises(Refused):
        books.pay(an_invoice(a_line("100.00", tax="0")), a_payment(amount), NOW)


def test_nobody_pays_more_than_is_left_after_a_part() -> None:
    invoice = an_invoice(a_line("100.00", tax="0"))
    books.pay(invoice, a_payment("40.00"), NOW)
    with pytest.raises(Refused, match="exceeds"):
        books.pay(invoice, a_payment("60.01"), NOW)


@pytest.mark.parametrize("status", ["DRAFT", "SUBMITTED", "PAID", "VOIDED", "DELETED"])
def test_only_approved_documents_take_payments(status: str) -> None:
    with pytest.raises(Refused, match="Authorised"):
        books.pay(an_invoice(a_line("10.00"), status=status), a_payment("1.00"), NOW)


def test_credit_is_used_up_on_both_sides() -> None:
    invoice, note = an_invoice(a_line("100.00", tax="0")), a_credit("30.00")
    books.allocate(invoice, note, Decimal("30.00"), TODAY, "a", NOW)
    assert (invoice.credited_amount, invoice.due_amount, invoice.status) == (Decimal(30), Decimal(70), "AUTHORISED")
    assert (note.remaining, note.status, note.paid_on) == (Decimal(0), "PAID", TODAY)
    with pytest.raises(Refused):
        books.allocate(invoice, note, Decimal("1.00"), TODAY, "b", NOW)


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        ("DRAFT", "SUBMITTED", True),
        ("DRAFT", "AUTHORISED", True),
        ("DRAFT", "DELETED", True),
        ("DRAFT", "VOIDED", False),
        ("SUBMITTED", "DRAFT", True),
        ("SUBMITTED", "AUTHORISED", True),
        ("AUTHORISED", "VOIDED", True),
        ("AUTHORISED", "DRAFT", False),
        ("AUTHORISED", "DELETED", False),
        ("PAID", "VOIDED", False),
        ("VOIDED", "AUTHORISED", False),
        ("DELETED", "DRAFT", False),
    ],
)
def test_status_changes(before: str, after: str, allowed: bool) -> None:
    invoice = an_invoice(a_line("10.00"), status=before)
    if allowed:
        books.set_status(invoice, after, NOW)
        assert invoice.status == after
    else:
        with pytest.raises(Refused, match="not of valid status"):
            books.set_status(invoice, after, NOW)


def test_a_settled_invoice_is_neither_voided_nor_edited() -> None:
    invoice = an_invoice(a_line("100.00", tax="0"))
    books.pay(invoice, a_payment("40.00"), NOW)
    with pytest.raises(Refused, match="payment or credit note"):
        books.set_status(invoice, "VOIDED", NOW)
    with pytest.raises(Refused, match="payment or credit note"):
        books.check_editable(invoice)


def test_an_approved_total_of_nothing_is_paid_at_once() -> None:
    invoice = an_invoice(a_line("0.00"), status="DRAFT")
    books.set_status(invoice, "AUTHORISED", NOW)
    assert invoice.status == "PAID"


def test_every_change_is_later_than_the_one_before() -> None:
    invoice = an_invoice(a_line("100.00"))
    books.touch(invoice, NOW)
    books.touch(invoice, NOW)
    books.touch(invoice, NOW - timedelta(hours=1))
    assert invoice.updated == NOW + timedelta(milliseconds=3)


def test_a_merge_carries_everything_over_and_archives() -> None:
    source = Contact(id="c", organisation="o", name="Old", is_supplier=True, updated=NOW)
    target = Contact(id="d", organisation="o", name="New", is_customer=True, updated=NOW)
    invoice, note = an_invoice(a_line("1.00")), a_credit("1.00")
    books.merge(source, target, [invoice], [note], NOW)
    assert (invoice.contact, note.contact) == ("d", "d")
    assert (source.status, source.merged_into) == ("ARCHIVED", "d")
    assert (target.is_customer, target.is_supplier) == (True, True)
    with pytest.raises(Refused):
        books.restore(source, NOW)


def test_a_name_is_unique_among_active_contacts() -> None:
    contact = Contact(id="c", organisation="o", name="Old", updated=NOW)
    with pytest.raises(Refused, match="already assigned"):
        books.rename(contact, "Taken", ["Taken"], NOW)
