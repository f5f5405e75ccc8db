"""The rules an organisation's books obey: totals, status changes, payments, credit; pure functions that change documents in place."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal

from xero_simulator.documents import (
    ZERO,
    Allocation,
    AppliedCredit,
    AppliedPayment,
    Contact,
    Credit,
    Dated,
    Invoice,
    Line,
    Organisation,
    Payment,
)

CENT = Decimal("0.01")
NEXT_STATUSES = {
    "DRAFT": {"DRAFT", "SUBMITTED", "AUTHORISED", "DELETED"},
    "SUBMITTED": {"SUBMITTED", "DRAFT", "AUTHORISED", "DELETED"},
    "AUTHORISED": {"AUTHORISED", "VOIDED"},
}
SETTLED_EDIT = "This document cannot be edited as it has a payment or credit note allocated to it."


class Refused(Exception):
    """The books do not allow it; the text is what Xero would say."""


def rounded(amount: Decimal) -> Decimal:
    return amount.quantize(CENT, ROUND_HALF_UP)


def check_unlocked(organisation: Organisation, day: date) -> None:
    """Raises Refused for a day that lies in a locked period."""
    locked = organisation.locked_until
    if locked and day <= locked:
        raise Refused(f"The document date cannot be before the period lock date, currently set at {locked:%d %B %Y}")


def touch(document: Dated, now: datetime) -> None:
    """Marks a change: the update time is now, and later than the one before even within one millisecond."""
    document.updated = max(now, document.updated + timedelta(milliseconds=1))


def price(document: Invoice | Credit) -> None:
    """Computes every total from the lines. Tax is rounded on each line, then added up, as Xero does."""
    undiscounted = ZERO
    for line in document.lines:
        _price_line(line, document.amounts)
        undiscounted += rounded(line.quantity * line.unit)
    amount = sum((line.amount for line in document.lines), ZERO)
    document.tax = sum((line.tax for line in document.lines), ZERO)
    document.subtotal = amount - document.tax if document.amounts == "Inclusive" else amount
    document.total = document.subtotal + document.tax
    document.discount = undiscounted - amount
    _balance(document)


def _price_line(line: Line, amounts: str) -> None:
    full = line.quantity * line.unit
    line.amount = rounded(full if line.discount is None else full * (100 - line.discount) / 100)
    if amounts == "NoTax":
        line.tax = ZERO
    elif amounts == "Inclusive":
        line.tax = rounded(line.amount * line.tax_rate / (100 + line.tax_rate))
    else:
        line.tax = rounded(line.amount * line.tax_rate / 100)


def _balance(document: Invoice | Credit) -> None:
    paid = sum((payment.amount for payment in document.payments), ZERO)
    if isinstance(document, Credit):
        used = sum((allocation.amount for allocation in document.allocations), ZERO)
        document.remaining = document.total - used - paid
        return
    document.paid_amount = paid
    document.credited_amount = sum((credit.amount for credit in document.credits), ZERO)
    document.due_amount = document.total - paid - document.credited_amount


def _settle(document: Invoice | Credit, day: date) -> None:
    """PAID when nothing is left, AUTHORISED again when something is."""
    _balance(document)
    left = document.remaining if isinstance(document, Credit) else document.due_amount
    if document.status == "AUTHORISED" and left == 0:
        document.status, document.paid_on = "PAID", day
    elif document.status == "PAID" and left != 0:
        document.status, document.paid_on = "AUTHORISED", None


def set_status(invoice: Invoice, status: str, now: datetime) -> None:
    """Approves, submits, deletes or voids. A total of nothing is paid at once when approved. Raises Refused."""
    if status not in NEXT_STATUSES.get(invoice.status, set()):
        raise Refused("Invoice not of valid status for modification")
    if status == "VOIDED" and (invoice.payments or invoice.credits):
        raise Refused(SETTLED_EDIT)
    if status == "AUTHORISED" and invoice.due is None and invoice.type == "ACCREC":
        invoice.due = invoice.date
    invoice.status = status
    if status in ("VOIDED", "DELETED"):
        invoice.due_amount = ZERO
    else:
        _settle(invoice, invoice.date)
    touch(invoice, now)


def check_editable(invoice: Invoice) -> None:
    if invoice.status not in NEXT_STATUSES:
        raise Refused("Invoice not of valid status for modification" if not invoice.payments else SETTLED_EDIT)
    if invoice.payments or invoice.credits:
        raise Refused(SETTLED_EDIT)


def pay(invoice: Invoice, payment: Payment, now: datetime) -> None:
    """Applies a payment. Raises Refused for a draft, a finished document or more than is due."""
    if invoice.status != "AUTHORISED":
        raise Refused("Payments can only be made against Authorised documents")
    if payment.amount <= 0:
        raise Refused("The payment amount must be greater than 0")
    if payment.amount > invoice.due_amount:
        raise Refused("Payment amount exceeds the amount outstanding on this document")
    shown = AppliedPayment(id=payment.id, date=payment.date, amount=payment.amount, reference=payment.reference, rate=payment.rate)
    invoice.payments.append(shown)
    _settle(invoice, payment.date)
    touch(invoice, now)


def take_back(invoice: Invoice, payment: Payment, now: datetime) -> None:
    """Deletes a payment: the invoice is due again. Raises Refused when it is deleted already."""
    if payment.status == "DELETED":
        raise Refused("Payment not of valid status for modification")
    payment.status = "DELETED"
    invoice.payments = [shown for shown in invoice.payments if shown.id != payment.id]
    _settle(invoice, payment.date)
    touch(payment, now)
    touch(invoice, now)


def allocate(invoice: Invoice, credit: Credit, amount: Decimal, day: date, allocation_id: str, now: datetime) -> None:
    """Sets credit off against an invoice of the same contact. Raises Refused for more than is due or left."""
    if invoice.status != "AUTHORISED" or credit.status != "AUTHORISED":
        raise Refused("Credit can only be allocated between Authorised documents")
    if amount <= 0 or amount > invoice.due_amount or amount > credit.remaining:
        raise Refused("Allocation amount exceeds the amount outstanding on this document")
    shown = AppliedCredit(id=allocation_id, credit=credit.id, kind=credit.kind, number=credit.number, date=credit.date, amount=amount)
    invoice.credits.append(shown)
    credit.allocations.append(Allocation(id=allocation_id, invoice=invoice.id, number=invoice.number, amount=amount, date=day))
    _settle(invoice, day)
    _settle(credit, day)
    touch(invoice, now)
    touch(credit, now)


def take_back_credit(invoice: Invoice, credit: Credit, allocation_id: str, now: datetime) -> None:
    """Ends one allocation: the invoice is due again, the credit free again. Raises Refused when there is no such allocation."""
    if allocation_id not in {allocation.id for allocation in credit.allocations}:
        raise Refused("Allocation not found")
    invoice.credits = [shown for shown in invoice.credits if shown.id != allocation_id]
    credit.allocations = [allocation for allocation in credit.allocations if allocation.id != allocation_id]
    for document in (invoice, credit):
        _settle(document, document.date)
        touch(document, now)


def move(invoice: Invoice, target: Contact, now: datetime) -> None:
    """Gives an unsettled document to another contact. Raises Refused as an edit would."""
    check_editable(invoice)
    if target.status != "ACTIVE":
        raise Refused("The contact is archived and cannot be used on documents")
    invoice.contact = target.id
    mark_traded(target, invoice)
    touch(invoice, now)


def mark_traded(contact: Contact, invoice: Invoice) -> None:
    """The first sale makes a customer, the first bill a supplier."""
    if invoice.type == "ACCREC":
        contact.is_customer = True
    else:
        contact.is_supplier = True


def rename(contact: Contact, name: str, others: Iterable[str], now: datetime) -> None:
    """A new name, unique among `others`, the active names. Raises Refused."""
    name = name.strip()
    if not 1 <= len(name) <= 255:
        raise Refused("The contact name must have between 1 and 255 characters")
    if name in others:
        raise Refused(
            f"The contact name {name} is already assigned to another contact. The contact name must be unique across all active contacts."
        )
    contact.name = name
    touch(contact, now)


def archive(contact: Contact, now: datetime) -> None:
    if contact.status != "ACTIVE":
        raise Refused("The contact is archived already")
    contact.status = "ARCHIVED"
    touch(contact, now)


def restore(contact: Contact, now: datetime) -> None:
    if contact.status != "ARCHIVED" or contact.merged_into:
        raise Refused("Only an archived contact that was not merged can be restored")
    contact.status = "ACTIVE"
    touch(contact, now)


def merge(source: Contact, target: Contact, invoices: Iterable[Invoice], credits: Iterable[Credit], now: datetime) -> None:
    """Everything of `source` becomes the target's; the source is archived and says where it went. Raises Refused."""
    if source.id == target.id or source.organisation != target.organisation:
        raise Refused("A contact can only be merged into another contact of the same organisation")
    if source.status != "ACTIVE" or target.status != "ACTIVE":
        raise Refused("Only active contacts can be merged")
    moved: list[Invoice | Credit] = [*invoices, *credits]
    for document in moved:
        document.contact = target.id
        touch(document, now)
    target.is_customer = target.is_customer or source.is_customer
    target.is_supplier = target.is_supplier or source.is_supplier
    source.status, source.merged_into = "ARCHIVED", target.id
    touch(source, now)
    touch(target, now)
