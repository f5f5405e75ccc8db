"""Invoices and credit notes as the API writes them: lines, prices, status, and what may be changed when."""

import uuid
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal

from xero_simulator import actions, books, ledger, shapes, webhooks
from xero_simulator.books import Refused
from xero_simulator.documents import Credit, Invoice, Line, Tracking
from xero_simulator.inputs import GivenCreditNote, GivenDocument, GivenInvoice, GivenLine
from xero_simulator.shapes import Json
from xero_simulator.store import fold
from xero_simulator.write_contacts import contact_of_document
from xero_simulator.writes import Write, text_of

LAYOUTS = {"exclusive": "Exclusive", "inclusive": "Inclusive", "notax": "NoTax"}
FIRST_STATUSES = ("DRAFT", "SUBMITTED", "AUTHORISED")
RATES: dict[str, dict[str, Decimal]] = {
    "NZ": {"OUTPUT2": Decimal(15), "INPUT2": Decimal(15), "ZERORATEDOUTPUT": Decimal(0), "EXEMPTOUTPUT": Decimal(0), "NONE": Decimal(0)},
    "GB": {
        "OUTPUT2": Decimal(20),
        "INPUT2": Decimal(20),
        "RROUTPUT": Decimal(5),
        "ZERORATEDOUTPUT": Decimal(0),
        "EXEMPTOUTPUT": Decimal(0),
        "NONE": Decimal(0),
    },
}


def write_invoice(write: Write, element: Json) -> Json:
    """One element of PUT or POST /Invoices."""
    given = GivenInvoice.model_validate(element)
    with write.simulator.change() as now:
        known = _known_invoice(write, given)
        invoice = _change_invoice(write, known, given, now) if known else _create_invoice(write, given, now)
        contact = ledger.contact(write.simulator.store, invoice.contact)
        return shapes.invoice(invoice, contact, shapes.Detail(whole_contact=True, unit_places=write.places))


def write_credit_note(write: Write, element: Json) -> Json:
    """One element of PUT or POST /CreditNotes; an existing one changes its status, its reference or, as a draft, its lines."""
    given = GivenCreditNote.model_validate(element)
    with write.simulator.change() as now:
        kind = "UPDATE" if given.credit_note_id else "CREATE"
        note = credit_note_of(write, given.credit_note_id) if given.credit_note_id else _new_credit_note(write, given, now)
        status = given.status or note.status
        drafted = note.status == "DRAFT" or given.line_items is None
        if not drafted or status not in books.NEXT_STATUSES.get(note.status, set()):
            raise Refused("Credit note not of valid status for modification")
        _fill(write, note, given)
        note.status = status
        books.check_unlocked(write.organisation, note.date)
        books.touch(note, now)
        ledger.save(write.simulator.store, note)
        webhooks.announce(write.simulator.store, write.simulator.settings.issuer, kind, note, now)
        contact = ledger.contact(write.simulator.store, note.contact)
        return shapes.credit(note, contact, shapes.Detail(whole_contact=True, unit_places=write.places))


def credit_note_of(write: Write, note_id: str) -> Credit:
    """Raises NotFound for an id that is no credit note of this organisation."""
    note = ledger.credit(write.simulator.store, note_id)
    if note.organisation != write.organisation.id or note.kind != "credit_note":
        raise ledger.NotFound("The credit note was not found")
    return note


def _new_credit_note(write: Write, given: GivenCreditNote, now: datetime) -> Credit:
    if given.type != "ACCRECCREDIT":
        raise Refused("Only credit notes of type ACCRECCREDIT are kept here")
    contact, today = contact_of_document(write, given.contact, now), write.organisation.day_of(now)
    count = write.simulator.store.number("SELECT COUNT(*) FROM credits WHERE organisation = ?", write.organisation.id)
    number = given.credit_note_number or f"CN-{9000 + count}"
    made = {"contact": contact.id, "date": given.date or today, "currency": write.organisation.currency, "status": "DRAFT"}
    note = Credit(id=str(uuid.uuid4()), organisation=write.organisation.id, number=number, updated=now, **made)
    _check_lines(given)
    return note


def _known_invoice(write: Write, given: GivenInvoice) -> Invoice | None:
    """What POST would change: by id, else the sale of that number. Raises Refused or NotFound."""
    store = write.simulator.store
    if given.invoice_id:
        found = ledger.invoice(store, given.invoice_id)
        if found.organisation != write.organisation.id:
            raise ledger.NotFound("The invoice was not found")
        return found
    if write.creates_only or not given.invoice_number or given.type == "ACCPAY":
        return None
    sql = "SELECT doc FROM invoices WHERE organisation = ? AND type = 'ACCREC' AND number = ?"
    row = store.row(sql, write.organisation.id, fold(given.invoice_number))
    return Invoice.model_validate_json(row["doc"]) if row else None


def _create_invoice(write: Write, given: GivenInvoice, now: datetime) -> Invoice:
    if given.type not in ("ACCREC", "ACCPAY"):
        raise Refused("Invoice Type must be ACCREC or ACCPAY")
    status = given.status or "DRAFT"
    if status not in FIRST_STATUSES:
        raise Refused("Invoice not of valid status for creation")
    contact = contact_of_document(write, given.contact, now)
    _check_lines(given)
    count = write.simulator.store.number("SELECT COUNT(*) FROM invoices WHERE organisation = ?", write.organisation.id)
    number = given.invoice_number or (f"INV-{9000 + count}" if given.type == "ACCREC" else "")
    invoice = Invoice(
        id=str(uuid.uuid4()),
        organisation=write.organisation.id,
        type=given.type,
        number=number,
        contact=contact.id,
        date=given.date or write.organisation.day_of(now),
        currency=contact.currency or write.organisation.currency,
        updated=now,
    )
    _fill(write, invoice, given)
    if number:
        actions.check_number(write.simulator, invoice, number)
    if status != "DRAFT":
        books.set_status(invoice, status, now)
    if status == "AUTHORISED":
        books.mark_traded(contact, invoice)
        ledger.save(write.simulator.store, contact)
    return actions.keep_invoice(write.simulator, invoice, now, kind="CREATE")


def _change_invoice(write: Write, invoice: Invoice, given: GivenInvoice, now: datetime) -> Invoice:
    if given.model_fields_set - {"invoice_id", "invoice_number", "type", "status", "sent_to_contact"}:
        books.check_editable(invoice)
        if given.contact is not None:
            invoice.contact = contact_of_document(write, given.contact, now).id
        if given.invoice_number and given.invoice_id:
            actions.check_number(write.simulator, invoice, given.invoice_number)
            invoice.number = given.invoice_number
        invoice.date = given.date or invoice.date
        _fill(write, invoice, given)
    if given.sent_to_contact is not None:
        invoice.sent = given.sent_to_contact
    if given.status and given.status != invoice.status:
        books.set_status(invoice, given.status, now)
        if given.status == "AUTHORISED":
            contact = ledger.contact(write.simulator.store, invoice.contact)
            books.mark_traded(contact, invoice)
            ledger.save(write.simulator.store, contact)
    elif invoice.status not in books.NEXT_STATUSES:
        raise Refused("Invoice not of valid status for modification")
    books.touch(invoice, now)
    return actions.keep_invoice(write.simulator, invoice, now)


def _check_lines(given: GivenDocument) -> None:
    if not given.line_items or not all(line.description for line in given.line_items):
        raise Refused("One or more line items must be specified")


def _fill(write: Write, document: Invoice | Credit, given: GivenDocument) -> None:
    """Sets what was sent and computes the totals. Raises Refused for what the books cannot hold."""
    if isinstance(document, Invoice) and given.due_date:
        document.due = given.due_date
    if given.reference is not None:
        document.reference = given.reference
    if given.line_amount_types:
        document.amounts = LAYOUTS.get(given.line_amount_types.lower(), document.amounts)
    if given.currency_code:
        document.currency = given.currency_code
    if document.currency not in write.organisation.currencies:
        raise Refused(f"Organisation is not subscribed to currency {document.currency}")
    document.rate = given.currency_rate or document.rate
    if given.line_items is not None:
        _check_lines(given)
        document.lines = _lines(write, document, given.line_items)
    books.price(document)
    if given.line_items is not None and given.total is not None and given.total != document.total:
        raise Refused("The invoice total does not equal the sum of the lines.")


def _lines(write: Write, document: Invoice | Credit, given: list[GivenLine]) -> list[Line]:
    """The new lines: known ids are changed, the others are new and come first; what is not listed is gone."""
    before = {line.id: line for line in document.lines}
    new = [_line(write, None, line) for line in given if line.line_item_id not in before]
    return new + [_line(write, before[line.line_item_id], line) for line in given if line.line_item_id in before]


def _line(write: Write, before: Line | None, given: GivenLine) -> Line:
    usual = "OUTPUT2"
    tax_type = given.tax_type or (before.tax_type if before else usual)
    rates = RATES[write.organisation.country]
    account = given.account_code or (before.account if before else "200")
    if tax_type not in rates:
        raise Refused(f"The TaxType code '{tax_type}' cannot be used with account code '{account}'.")
    quantity = given.quantity if given.quantity is not None else before.quantity if before else Decimal(1)
    unit = given.unit_amount if given.unit_amount is not None else given.line_amount if given.line_amount is not None else None
    if unit is None:
        unit = before.unit if before else Decimal(0)
    line = Line(
        id=before.id if before else str(uuid.uuid4()),
        description=given.description,
        quantity=quantity,
        unit=unit.quantize(Decimal(1).scaleb(-write.places), ROUND_HALF_UP),
        discount=given.discount_rate,
        tax_type=tax_type,
        tax_rate=rates[tax_type],
        account=account,
        tracking=[
            Tracking(category_id=t.tracking_category_id or "", option_id=t.tracking_option_id or "", name=t.name, option=t.option)
            for t in given.tracking
        ],
    )
    _check_amount(line, given)
    return line


def _check_amount(line: Line, given: GivenLine) -> None:
    if given.line_amount is None or given.unit_amount is None:
        return
    full = line.quantity * line.unit
    expected = books.rounded(full if line.discount is None else full * (100 - line.discount) / 100)
    if given.line_amount != expected:
        raise Refused(f"The line total {text_of(given.line_amount)} does not match the expected line total {text_of(expected)}")
