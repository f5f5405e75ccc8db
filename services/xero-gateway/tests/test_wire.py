"""Reading what Xero writes: exact money, dates in all their forms, nothing guessed."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from common.money import read_json
from xero_gateway.testing import a_raw_invoice, a_raw_line, an_id, an_invoice
from xero_gateway.wire import Unreadable, read_contact, read_date, read_each, read_invoice, read_summary

SAMPLE = rb"""{"Invoices":[{"Type":"ACCREC","InvoiceID":"243216C5-369E-4056-AC67-05388F86DC81","InvoiceNumber":"OIT00546",
 "Payments":[{"PaymentID":"0d666415-cf77-43fa-80c7-56775591d426","Date":"\/Date(1543449600000+0000)\/","Amount":10.1,"Reference":"bank"}],
 "CreditNotes":[{"CreditNoteID":"7ff8e3a5-1111-4000-8000-5388f86dc811","ID":"7ff8e3a5-1111-4000-8000-5388f86dc811",
   "CreditNoteNumber":"CN-1","AppliedAmount":5.00,"Total":500.00,"DateString":"2018-11-30T00:00:00","Date":"\/Date(1543536000000)\/"}],
 "Prepayments":[],"Overpayments":[{"ID":"7ff8e3a5-2222-4000-8000-5388f86dc811","AppliedAmount":1,"Date":"\/Date(1543536000000)\/"}],
 "AmountDue":29.9,"AmountPaid":10.10,"AmountCredited":6.0,
 "Contact":{"ContactID":"025867f1-d741-4d6b-b1af-9ac774b59ba7","Name":"City Agency","Addresses":[]},
 "DateString":"2018-10-20T00:00:00","Date":"\/Date(1539993600000+0000)\/","DueDateString":"2018-12-30T00:00:00",
 "DueDate":"\/Date(1546128000000+0000)\/","Status":"AUTHORISED","LineAmountTypes":"Exclusive",
 "LineItems":[{"LineItemID":"8a9d3eca-e052-43bc-9b87-221d0648c045","Description":"Fuel","Quantity":0.0375,"UnitAmount":12480.0000,
   "DiscountRate":10.5,"TaxType":"OUTPUT2","TaxAmount":6.0,"LineAmount":40.0,"ItemCode":"F1",
   "Tracking":[{"Name":"Region","Option":"North"}]},{"Description":"only text"}],
 "SubTotal":40.0,"TotalTax":6.0,"Total":46.0,"UpdatedDateUTC":"\/Date(1541176592690+0000)\/",
 "UpdatedDateUTCString":"2018-11-02T16:36:32Z","CurrencyCode":"NZD"}]}"""


def test_an_invoice_is_read_to_the_hundredth_and_the_millisecond() -> None:
    invoice = read_invoice(read_json(SAMPLE)["Invoices"][0])
    assert invoice.invoice_id == "243216c5-369e-4056-ac67-05388f86dc81"
    assert (invoice.total, invoice.amount_due, invoice.amount_paid, invoice.amount_credited) == (4600, 2990, 1010, 600)
    assert (invoice.date, invoice.due_date, invoice.fully_paid_on) == (date(2018, 10, 20), date(2018, 12, 30), None)
    assert invoice.updated_at == datetime(2018, 11, 2, 16, 36, 32, 690000, tzinfo=UTC)
    assert invoice.reference == ""


def test_what_reduced_an_invoice_is_the_part_used_on_it() -> None:
    invoice = read_invoice(read_json(SAMPLE)["Invoices"][0])
    assert [(it.kind, it.amount, it.reference, it.date) for it in invoice.payments] == [
        ("payment", 1010, "bank", date(2018, 11, 29)),
        ("credit_note", 500, "CN-1", date(2018, 11, 30)),
        ("overpayment", 100, "", date(2018, 11, 30)),
    ]


def test_lines_keep_the_digits_xero_wrote() -> None:
    line, text = read_invoice(read_json(SAMPLE)["Invoices"][0]).lines
    assert (line.quantity, line.unit_amount, line.discount_rate) == ("0.0375", "12480.0000", "10.5")
    assert (line.line_amount, line.tax_amount, line.item_code, line.tracking) == (4000, 600, "F1", ["Region: North"])
    assert (text.description, text.quantity, text.unit_amount, text.line_amount, text.tax_type) == ("only text", None, None, 0, None)


def test_a_summary_is_the_invoice_without_lines() -> None:
    raw = a_raw_invoice()
    assert read_summary(raw) == read_invoice(raw).summary()


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"DateString": "2018-10-20T00:00:00", "Date": "/Date(0)/"}, date(2018, 10, 20)),
        ({"Date": "/Date(1539993600000+0000)/"}, date(2018, 10, 20)),
        ({"Date": "/Date(1539993600000)/"}, date(2018, 10, 20)),
        ({"Date": "/Date(-86400000+0000)/"}, date(1969, 12, 31)),
        ({"Date": "/Date(1539946800000+1300)/"}, date(2018, 10, 20)),
        ({"Date": "/Date(1540011600000-0500)/"}, date(2018, 10, 20)),
        ({"Date": "2018-10-20T00:00:00"}, date(2018, 10, 20)),
        ({"Date": "2018-10-20"}, date(2018, 10, 20)),
        ({"Date": "/Date(0+0000)/"}, None),
        ({"Date": None}, None),
        ({"Date": ""}, None),
        ({}, None),
    ],
)
def test_a_calendar_date_is_found_in_every_form(written: dict[str, Any], expected: date | None) -> None:
    assert read_date(written, "Date") == expected


@pytest.mark.parametrize("written", ["/Date(x)/", "yesterday", "/Date(999999999999999999)/", 5])
def test_a_date_that_makes_no_sense_is_an_error(written: Any) -> None:
    with pytest.raises(Unreadable, match="Date"):
        read_date({"Date": written}, "Date")


def test_the_millisecond_of_a_change_is_not_taken_from_the_coarser_twin() -> None:
    assert an_invoice(UpdatedDateUTC="/Date(1541176592690)/").updated_at.microsecond == 690000
    assert an_invoice(UpdatedDateUTC=None, UpdatedDateUTCString="2018-11-02T16:36:32Z").updated_at.second == 32


@pytest.mark.parametrize(
    "changes",
    [
        {"Total": Decimal("46.001")},
        {"AmountDue": Decimal("0.005")},
        {"SubTotal": "many"},
        {"Total": None},
        {"Total": True},
        {"Total": Decimal("1e30")},
        {"CurrencyCode": ""},
        {"InvoiceID": "no"},
        {"Contact": None},
        {"Contact": {"Name": "nobody"}},
        {"UpdatedDateUTC": None, "UpdatedDateUTCString": None},
        {"Payments": [{"PaymentID": an_id("p"), "Amount": Decimal("1.005")}]},
        {"CreditNotes": [{"CreditNoteID": an_id("c"), "Total": Decimal("5.00")}]},
        {"LineItems": [a_raw_line(LineAmount=Decimal("0.001"))]},
        {"LineItems": [a_raw_line(Quantity=Decimal("NaN"))]},
        {"LineItems": {"no": "list"}},
        {"Status": 5},
    ],
)
def test_what_cannot_be_read_exactly_is_an_error_never_a_guess(changes: dict[str, Any]) -> None:
    with pytest.raises(Unreadable):
        read_invoice(a_raw_invoice(**changes))


def test_one_unreadable_invoice_is_reported_and_spoils_no_other() -> None:
    raws = [a_raw_invoice("1"), a_raw_invoice("2", Total=Decimal("1.001")), a_raw_invoice("3")]
    found, faults = read_each(raws, read_invoice)
    assert [invoice.number for invoice in found] == ["1", "3"]
    assert [(fault.invoice_id, fault.reason) for fault in faults] == [(an_id("2"), "Total is finer than a hundredth or too large")]


def test_a_deleted_payment_reduces_nothing() -> None:
    deleted = {"PaymentID": an_id("p"), "Amount": Decimal("46.00"), "Status": "DELETED"}
    assert an_invoice(Payments=[deleted]).payments == []


def test_words_xero_has_not_used_before_are_kept() -> None:
    invoice = an_invoice(Status="PENDING", LineAmountTypes="Gross", Type="ARSOMETHING")
    assert (invoice.status, invoice.line_amount_types, invoice.type) == ("PENDING", "Gross", "ARSOMETHING")
    assert not invoice.is_shareable


def test_large_money_is_exact() -> None:
    raw = read_json(b'{"v":90071992547409.93}')
    assert an_invoice(Total=raw["v"]).total == 9007199254740993


def test_a_contact_is_read_with_its_merger_and_persons() -> None:
    contact = read_contact(
        {
            "ContactID": an_id("c").upper(),
            "Name": "Old",
            "EmailAddress": " ",
            "AccountNumber": "A-7",
            "ContactStatus": "ARCHIVED",
            "IsCustomer": True,
            "MergedToContactID": an_id("heir"),
            "ContactPersons": [{"FirstName": "Ana", "EmailAddress": "ana@x.example"}],
            "UpdatedDateUTC": "/Date(1541176592690+0000)/",
        }
    )
    assert (contact.id, contact.email, contact.number, contact.status) == (an_id("c"), None, "A-7", "ARCHIVED")
    assert (contact.is_customer, contact.is_supplier, contact.merged_to) == (True, False, an_id("heir"))
    assert contact.persons[0].model_dump() == {"name": "Ana", "email": "ana@x.example"}
