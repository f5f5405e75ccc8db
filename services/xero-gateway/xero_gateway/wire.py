"""Reads Xero's wire format: Microsoft dates, exact money, enums as plain text. Pure; takes what common.money.read_json gave.

Shapes and traps are those of Xero's OpenAPI documents and their examples: calendar dates have a `…String` twin that is safe to
cut, /Date(ms+hhmm)/ holds UTC milliseconds, absent dates may be missing, null or /Date(0)/, and money is a JSON number.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal, TypeVar
from uuid import UUID

from common.clock import milliseconds
from common.contracts.xero_gateway import Invoice, InvoiceSummary, Line, Settlement
from common.money import NotMoney, hundredths
from xero_gateway.models import Contact, ContactPerson, Fault, InvoiceHead

Raw = Mapping[str, Any]
T = TypeVar("T")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSOFT_DATE = re.compile(r"/Date\((-?\d+)(?:([+-])(\d{2})(\d{2})?)?\)/")
CREDITS: tuple[tuple[str, str, Literal["credit_note", "prepayment", "overpayment"]], ...] = (
    ("CreditNotes", "CreditNoteID", "credit_note"),
    ("Prepayments", "PrepaymentID", "prepayment"),
    ("Overpayments", "OverpaymentID", "overpayment"),
)


class Unreadable(ValueError):
    """Something of a document that must be known is missing or cannot be read exactly; the text names it."""


def read_each(raws: Iterable[Raw], read: Callable[[Raw], T]) -> tuple[list[T], list[Fault]]:
    """What can be read of invoices, and the rest as faults."""
    found: list[T] = []
    faults: list[Fault] = []
    for raw in raws:
        try:
            found.append(read(raw))
        except Unreadable as error:
            faults.append(Fault(invoice_id=str(raw.get("InvoiceID", "")).lower(), reason=str(error)))
    return found, faults


def read_invoice(raw: Raw) -> Invoice:
    """An invoice or bill with its lines. Raises Unreadable."""
    lines = [_line(line, place) for place, line in enumerate(_list(raw, "LineItems"))]
    return Invoice(**_summary(raw), lines=lines)


def read_summary(raw: Raw) -> InvoiceSummary:
    """The same without its lines. Raises Unreadable."""
    return InvoiceSummary(**_summary(raw))


def read_head(raw: Raw) -> InvoiceHead:
    """What a list with summaryOnly tells: enough to know whether an invoice has to be looked at. Raises Unreadable."""
    return InvoiceHead(
        invoice_id=read_uuid(raw, "InvoiceID"),
        contact_id=read_uuid(_object(raw, "Contact"), "ContactID"),
        type=_text(raw, "Type"),
        updated_at=read_instant(raw),
    )


def read_contact(raw: Raw) -> Contact:
    """A contact. Its number is ContactNumber, else the account number people see in Xero. Raises Unreadable."""
    merged = raw.get("MergedToContactID")
    return Contact(
        id=read_uuid(raw, "ContactID"),
        name=_text(raw, "Name"),
        email=_text(raw, "EmailAddress").strip() or None,
        number=_text(raw, "ContactNumber") or _text(raw, "AccountNumber") or None,
        status=_text(raw, "ContactStatus") or "ACTIVE",
        is_customer=raw.get("IsCustomer") is True,
        is_supplier=raw.get("IsSupplier") is True,
        persons=[_person(person) for person in _list(raw, "ContactPersons")],
        merged_to=read_uuid(raw, "MergedToContactID") if merged else None,
        updated_at=read_instant(raw),
    )


def read_uuid(raw: Raw, name: str) -> str:
    """Lower-case, with dashes. Raises Unreadable."""
    try:
        return str(UUID(str(raw[name])))
    except (KeyError, ValueError) as error:
        raise Unreadable(f"{name} is no UUID") from error


def read_money(raw: Raw, name: str, *, absent: int | None = None) -> int:
    """Hundredths. A missing amount is `absent`; without that, or when finer than a hundredth, Unreadable is raised."""
    amount = raw.get(name)
    if amount is None and absent is not None:
        return absent
    if not isinstance(amount, Decimal | int) or isinstance(amount, bool):
        raise Unreadable(f"{name} is no amount")
    try:
        return hundredths(amount)
    except NotMoney as error:
        raise Unreadable(f"{name} is finer than a hundredth or too large") from error


def read_date(raw: Raw, name: str) -> date | None:
    """A calendar date, from its twin `…String` where there is one. Raises Unreadable when it is there and makes no sense."""
    text = raw.get(f"{name}String") or raw.get(name)
    if not text:
        return None
    match = MICROSOFT_DATE.fullmatch(str(text))
    try:
        return _date_of(match) if match else datetime.fromisoformat(str(text)).date()
    except (ValueError, OverflowError) as error:
        raise Unreadable(f"{name} is no date") from error


def read_instant(raw: Raw) -> datetime:
    """UpdatedDateUTC to the millisecond; its twin knows only seconds, too coarse to order two changes. Raises Unreadable."""
    match = MICROSOFT_DATE.fullmatch(str(raw.get("UpdatedDateUTC")))
    try:
        if match:
            return EPOCH + timedelta(milliseconds=int(match[1]))
        moment = datetime.fromisoformat(str(raw.get("UpdatedDateUTCString") or raw.get("UpdatedDateUTC")))
    except (ValueError, OverflowError) as error:
        raise Unreadable("UpdatedDateUTC is no instant") from error
    return milliseconds(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _summary(raw: Raw) -> dict[str, Any]:
    contact = _object(raw, "Contact")
    currency = _text(raw, "CurrencyCode")
    if not currency:
        raise Unreadable("CurrencyCode is missing")
    return {
        "invoice_id": read_uuid(raw, "InvoiceID"),
        "type": _text(raw, "Type"),
        "number": _text(raw, "InvoiceNumber"),
        "reference": _text(raw, "Reference"),
        "status": _text(raw, "Status"),
        "contact_id": read_uuid(contact, "ContactID"),
        "contact_name": _text(contact, "Name"),
        "currency": currency,
        "line_amount_types": _text(raw, "LineAmountTypes"),
        "date": read_date(raw, "Date"),
        "due_date": read_date(raw, "DueDate"),
        "fully_paid_on": read_date(raw, "FullyPaidOnDate"),
        "sub_total": read_money(raw, "SubTotal"),
        "total_tax": read_money(raw, "TotalTax"),
        "total": read_money(raw, "Total"),
        "amount_due": read_money(raw, "AmountDue"),
        "amount_paid": read_money(raw, "AmountPaid", absent=0),
        "amount_credited": read_money(raw, "AmountCredited", absent=0),
        "payments": _settlements(raw),
        "updated_at": read_instant(raw),
    }


def _settlements(raw: Raw) -> list[Settlement]:
    """Payments in Xero's order, then what was credited."""
    paid = [_payment(payment) for payment in _list(raw, "Payments") if payment.get("Status") != "DELETED"]
    return paid + [_credit(credit, id_name, kind) for name, id_name, kind in CREDITS for credit in _list(raw, name)]


def _payment(raw: Raw) -> Settlement:
    return Settlement(
        id=read_uuid(raw, "PaymentID"),
        kind="payment",
        date=read_date(raw, "Date"),
        amount=read_money(raw, "Amount"),
        reference=_text(raw, "Reference"),
    )


def _credit(raw: Raw, id_name: str, kind: Literal["credit_note", "prepayment", "overpayment"]) -> Settlement:
    """`AppliedAmount` is the part used on this invoice; `Total` would be the whole credit."""
    return Settlement(
        id=read_uuid(raw, id_name if id_name in raw else "ID"),
        kind=kind,
        date=read_date(raw, "Date"),
        amount=read_money(raw, "AppliedAmount"),
        reference=_text(raw, "CreditNoteNumber") or _text(raw, "Reference"),
    )


def _line(raw: Raw, place: int) -> Line:
    """A line that is only text has no amounts at all."""
    return Line(
        line_item_id=_text(raw, "LineItemID") or str(place),
        description=_text(raw, "Description"),
        quantity=_decimal(raw, "Quantity"),
        unit_amount=_decimal(raw, "UnitAmount"),
        discount_rate=_decimal(raw, "DiscountRate"),
        tax_type=_text(raw, "TaxType") or None,
        tax_amount=read_money(raw, "TaxAmount", absent=0),
        line_amount=read_money(raw, "LineAmount", absent=0),
        item_code=_text(raw, "ItemCode") or None,
        tracking=[f"{_text(it, 'Name')}: {_text(it, 'Option')}" for it in _list(raw, "Tracking")],
    )


def _person(raw: Raw) -> ContactPerson:
    name = f"{_text(raw, 'FirstName')} {_text(raw, 'LastName')}".strip()
    return ContactPerson(name=name, email=_text(raw, "EmailAddress").strip() or None)


def _date_of(match: re.Match[str]) -> date | None:
    """Midnight UTC is the rule; an old value may be midnight in the zone its offset names. Zero stands for no date."""
    moment = EPOCH + timedelta(milliseconds=int(match[1]))
    if moment == EPOCH:
        return None
    if moment.time() != EPOCH.time() and match[2]:
        offset = timedelta(hours=int(match[3]), minutes=int(match[4] or 0))
        moment += offset if match[2] == "+" else -offset
    return moment.date()


def _decimal(raw: Raw, name: str) -> str | None:
    """The digits as Xero wrote them, never with an exponent."""
    value = raw.get(name)
    if value is None:
        return None
    if not isinstance(value, Decimal | int) or isinstance(value, bool) or not Decimal(value).is_finite():
        raise Unreadable(f"{name} is no number")
    return f"{Decimal(value):f}"


def _text(raw: Raw, name: str) -> str:
    value = raw.get(name)
    if value is not None and not isinstance(value, str):
        raise Unreadable(f"{name} is no text")
    return value or ""


def _object(raw: Raw, name: str) -> Raw:
    value = raw.get(name)
    if not isinstance(value, Mapping):
        raise Unreadable(f"{name} is missing")
    return value


def _list(raw: Raw, name: str) -> Iterable[Raw]:
    value = raw.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise Unreadable(f"{name} is no list of objects")
    return value
