"""Payments and allocations of credit as the API writes them."""

import uuid
from decimal import Decimal

from xero_simulator import actions, books, ledger, shapes, webhooks
from xero_simulator.books import Refused
from xero_simulator.documents import Allocation, Credit, Invoice
from xero_simulator.inputs import GivenAllocation, GivenPayment, InvoiceReference
from xero_simulator.lists import NothingHere, find_invoice
from xero_simulator.shapes import Json
from xero_simulator.write_documents import credit_note_of
from xero_simulator.writes import Write


def write_payment(write: Write, element: Json) -> Json:
    """One element of PUT or POST /Payments: a payment of an invoice or bill."""
    given = GivenPayment.model_validate(element)
    if given.invoice is None:
        raise Refused("Only payments of invoices and bills are kept here")
    if not (given.account or given.code):
        raise Refused("Payment must have an account")
    if given.amount is None:
        raise Refused("The payment amount must be greater than 0")
    invoice = _invoice(write, given.invoice)
    paid = actions.pay(write.simulator, invoice.id, given.amount, given.reference, given.date)
    return _payment_shape(write, paid.payments[-1].id)


def delete_payment(write: Write, payment_id: str, element: Json) -> Json:
    """POST /Payments/{id}: nothing but its deletion changes a payment."""
    if GivenPayment.model_validate(element).status != "DELETED":
        raise Refused("A payment can only be deleted")
    payment = ledger.payment(write.simulator.store, payment_id)
    if payment.organisation != write.organisation.id:
        raise ledger.NotFound("The payment was not found")
    if payment.status == "DELETED":
        raise Refused("Payment not of valid status for modification")
    actions.delete_payment(write.simulator, payment.invoice, payment.id)
    return _payment_shape(write, payment.id)


def _payment_shape(write: Write, payment_id: str) -> Json:
    store = write.simulator.store
    payment = ledger.payment(store, payment_id)
    invoice = ledger.invoice(store, payment.invoice)
    return shapes.payment(payment, invoice, ledger.contact(store, invoice.contact))


def write_allocation(write: Write, credit_id: str, element: Json) -> Json:
    """One element of PUT /CreditNotes/{id}/Allocations."""
    given = GivenAllocation.model_validate(element)
    with write.simulator.change() as now:
        credit, invoice = credit_note_of(write, credit_id), _invoice(write, given.invoice)
        if credit.contact != invoice.contact:
            raise Refused("The credit note and the invoice belong to different contacts")
        day = given.date or write.organisation.day_of(now)
        books.check_unlocked(write.organisation, day)
        books.allocate(invoice, credit, books.rounded(Decimal(given.amount)), day, str(uuid.uuid4()), now)
        _keep(write, credit, invoice)
        return shapes.allocation(credit.allocations[-1])


def end_allocation(write: Write, credit_id: str, allocation_id: str) -> Json:
    """DELETE /CreditNotes/{id}/Allocations/{id}. Raises NotFound."""
    with write.simulator.change() as now:
        credit = credit_note_of(write, credit_id)
        ended: Allocation | None = next((one for one in credit.allocations if one.id == allocation_id), None)
        if ended is None:
            raise ledger.NotFound("The allocation was not found")
        invoice = ledger.invoice(write.simulator.store, ended.invoice)
        books.take_back_credit(invoice, credit, ended.id, now)
        _keep(write, credit, invoice)
        return {**shapes.allocation(ended), "IsDeleted": True}


def _keep(write: Write, credit: Credit, invoice: Invoice) -> None:
    store = write.simulator.store
    ledger.save(store, credit, invoice)
    for changed in (credit, invoice):
        webhooks.announce(store, write.simulator.settings.issuer, "UPDATE", changed, changed.updated)


def _invoice(write: Write, given: InvoiceReference) -> Invoice:
    """By id or number, of this organisation only. Raises NotFound."""
    try:
        return find_invoice(write.simulator.store, write.organisation, given.invoice_id or given.invoice_number or "")
    except NothingHere:
        raise ledger.NotFound("The invoice was not found") from None
