"""What can be done to the books from outside the API; each action is one transaction that also stores its webhooks."""

import uuid
from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from xero_simulator import books, ledger, webhooks
from xero_simulator.books import Refused
from xero_simulator.documents import Contact, Credit, Invoice, Line, Organisation, Payment
from xero_simulator.simulator import Simulator
from xero_simulator.store import fold

TAX = {"NZ": ("OUTPUT2", Decimal(15)), "GB": ("OUTPUT2", Decimal(20))}


def pay(simulator: Simulator, invoice_id: str, amount: Decimal | None = None, reference: str = "", on: date | None = None) -> Invoice:
    """A payment of `amount` in the invoice's currency, or of all that is due, dated today in the organisation's zone."""
    with simulator.change() as now:
        invoice, organisation = _invoice(simulator, invoice_id)
        money = books.rounded(amount if amount is not None else invoice.due_amount)
        payment = Payment(
            id=str(uuid.uuid4()),
            organisation=invoice.organisation,
            type="ACCRECPAYMENT" if invoice.type == "ACCREC" else "ACCPAYPAYMENT",
            invoice=invoice.id,
            date=on or organisation.day_of(now),
            amount=money,
            bank_amount=books.rounded(money / invoice.rate),
            rate=invoice.rate,
            reference=reference,
            updated=now,
        )
        books.pay(invoice, payment, now)
        return keep_invoice(simulator, invoice, now, payment)


def part_pay(simulator: Simulator, invoice_id: str) -> Invoice:
    """Half of what is due."""
    with simulator.change():
        invoice, _ = _invoice(simulator, invoice_id)
        return pay(simulator, invoice_id, books.rounded(invoice.due_amount / 2), "part payment")


def delete_payment(simulator: Simulator, invoice_id: str, payment_id: str | None = None) -> Invoice:
    """Takes back the given payment, or the newest."""
    with simulator.change() as now:
        invoice, _ = _invoice(simulator, invoice_id)
        payments = [p for p in ledger.payments_of(simulator.store, invoice_id) if payment_id in (None, p.id)]
        if not payments:
            raise Refused("There is no such payment on this document")
        books.take_back(invoice, payments[-1], now)
        return keep_invoice(simulator, invoice, now, payments[-1])


def set_status(simulator: Simulator, invoice_id: str, status: str) -> Invoice:
    """SUBMITTED, AUTHORISED, VOIDED or DELETED."""
    with simulator.change() as now:
        invoice, _ = _invoice(simulator, invoice_id)
        books.set_status(invoice, status, now)
        if status == "AUTHORISED":
            contact = ledger.contact(simulator.store, invoice.contact)
            books.mark_traded(contact, invoice)
            ledger.save(simulator.store, contact)
        return keep_invoice(simulator, invoice, now)


def edit(simulator: Simulator, invoice_id: str, **fields: Any) -> Invoice:
    """Changes `number`, `reference`, `date`, `due`, `unit` (price of the first line) or `description` of an unsettled document."""
    with simulator.change() as now:
        invoice, _ = _invoice(simulator, invoice_id)
        books.check_editable(invoice)
        if fields.get("number"):
            check_number(simulator, invoice, fields["number"])
        for name in ("number", "reference", "date", "due"):
            if fields.get(name) is not None:
                setattr(invoice, name, fields[name])
        for name in ("unit", "description"):
            if fields.get(name) is not None:
                setattr(invoice.lines[0], name, fields[name])
        books.price(invoice)
        books.touch(invoice, now)
        return keep_invoice(simulator, invoice, now)


def edit_twice(simulator: Simulator, invoice_id: str) -> Invoice:
    """Two edits within one second: the first line costs 1.00 more, then 2.00 more."""
    for _ in range(2):
        invoice, _organisation = _invoice(simulator, invoice_id)
        invoice = edit(simulator, invoice_id, unit=invoice.lines[0].unit + 1)
    return invoice


def credit(simulator: Simulator, invoice_id: str, amount: Decimal | None = None) -> Invoice:
    """Writes a credit note (all that is due when no amount is given) and sets it off against the invoice."""
    with simulator.change() as now:
        invoice, organisation = _invoice(simulator, invoice_id)
        if invoice.type != "ACCREC":
            raise Refused("Only a sales invoice can be credited here")
        money, today = books.rounded(amount if amount is not None else invoice.due_amount), organisation.day_of(now)
        count = simulator.store.number("SELECT COUNT(*) FROM credits WHERE organisation = ?", organisation.id)
        line = Line(id=str(uuid.uuid4()), description=f"Credit for {invoice.number}"[:4000], unit=money)
        note = Credit(
            id=str(uuid.uuid4()),
            organisation=organisation.id,
            number=f"CN-{9000 + count}",
            contact=invoice.contact,
            date=today,
            currency=invoice.currency,
            rate=invoice.rate,
            amounts="NoTax",
            lines=[line],
            updated=now,
        )
        books.price(note)
        books.allocate(invoice, note, money, today, str(uuid.uuid4()), now)
        ledger.save(simulator.store, note)
        webhooks.announce(simulator.store, simulator.settings.issuer, "CREATE", note, now)
        return keep_invoice(simulator, invoice, now)


def move(simulator: Simulator, invoice_id: str, contact_id: str) -> Invoice:
    with simulator.change() as now:
        invoice, _ = _invoice(simulator, invoice_id)
        target = ledger.contact(simulator.store, contact_id)
        if target.organisation != invoice.organisation:
            raise Refused("The contact belongs to another organisation")
        books.move(invoice, target, now)
        ledger.save(simulator.store, target)
        return keep_invoice(simulator, invoice, now)


def create(
    simulator: Simulator,
    contact_id: str,
    unit: Decimal = Decimal("100.00"),
    description: str = "Work",
    status: str = "AUTHORISED",
    due: date | None = None,
    number: str | None = None,
    currency: str | None = None,
) -> Invoice:
    """A new sales invoice of one line with the usual tax, due today when no day is given."""
    with simulator.change() as now:
        contact = ledger.contact(simulator.store, contact_id)
        if contact.status != "ACTIVE":
            raise Refused("The contact is archived and cannot be used on documents")
        if status not in ("DRAFT", "SUBMITTED", "AUTHORISED"):
            raise Refused("Invoice not of valid status for creation")
        organisation = ledger.organisation(simulator.store, contact.organisation)
        invoice = _new_invoice(simulator, contact, organisation, now, unit, description)
        invoice.number, invoice.due = number or invoice.number, due or invoice.date
        invoice.currency = currency or contact.currency or organisation.currency
        if invoice.currency not in organisation.currencies:
            raise Refused(f"Organisation is not subscribed to currency {invoice.currency}")
        check_number(simulator, invoice, invoice.number)
        books.price(invoice)
        if status != "DRAFT":
            books.set_status(invoice, status, now)
            books.mark_traded(contact, invoice)
            ledger.save(simulator.store, contact)
        return keep_invoice(simulator, invoice, now, kind="CREATE")


def _new_invoice(
    simulator: Simulator, contact: Contact, organisation: Organisation, now: datetime, unit: Decimal, description: str
) -> Invoice:
    tax_type, rate = TAX[organisation.country]
    count = simulator.store.number("SELECT COUNT(*) FROM invoices WHERE organisation = ?", organisation.id)
    return Invoice(
        id=str(uuid.uuid4()),
        organisation=organisation.id,
        number=f"INV-{9000 + count}",
        contact=contact.id,
        date=organisation.day_of(now),
        currency=organisation.currency,
        amounts="Inclusive" if organisation.country == "GB" else "Exclusive",
        lines=[Line(id=str(uuid.uuid4()), description=description, unit=unit, tax_type=tax_type, tax_rate=rate)],
        updated=now,
    )


def add_contact(simulator: Simulator, organisation_id: str, name: str, email: str = "", number: str | None = None) -> Contact:
    with simulator.change() as now:
        contact = Contact(id=str(uuid.uuid4()), organisation=organisation_id, number=number, name="-", email=email, updated=now)
        books.rename(contact, name, active_names(simulator, contact), now)
        return keep_contact(simulator, contact, now, "CREATE")


def rename(simulator: Simulator, contact_id: str, name: str) -> Contact:
    with simulator.change() as now:
        contact = ledger.contact(simulator.store, contact_id)
        books.rename(contact, name, active_names(simulator, contact), now)
        return keep_contact(simulator, contact, now)


def set_email(simulator: Simulator, contact_id: str, email: str) -> Contact:
    with simulator.change() as now:
        contact = ledger.contact(simulator.store, contact_id)
        contact.email = email.strip()
        books.touch(contact, now)
        return keep_contact(simulator, contact, now)


def archive(simulator: Simulator, contact_id: str) -> Contact:
    with simulator.change() as now:
        contact = ledger.contact(simulator.store, contact_id)
        books.archive(contact, now)
        return keep_contact(simulator, contact, now)


def restore(simulator: Simulator, contact_id: str) -> Contact:
    with simulator.change() as now:
        contact = ledger.contact(simulator.store, contact_id)
        books.restore(contact, now)
        return keep_contact(simulator, contact, now)


def merge(simulator: Simulator, contact_id: str, into: str) -> Contact:
    """Merges a contact into another; answers the archived one."""
    with simulator.change() as now:
        source, target = ledger.contact(simulator.store, contact_id), ledger.contact(simulator.store, into)
        invoices, credits = ledger.invoices_of(simulator.store, contact_id), ledger.credits_of(simulator.store, contact_id)
        books.merge(source, target, invoices, credits, now)
        ledger.save(simulator.store, *invoices, *credits)
        moved: list[Invoice | Credit] = [*invoices, *credits]
        for document in moved:
            webhooks.announce(simulator.store, simulator.settings.issuer, "UPDATE", document, now)
        keep_contact(simulator, target, now)
        return keep_contact(simulator, source, now)


def _invoice(simulator: Simulator, invoice_id: str) -> tuple[Invoice, Organisation]:
    invoice = ledger.invoice(simulator.store, invoice_id)
    return invoice, ledger.organisation(simulator.store, invoice.organisation)


def keep_invoice(simulator: Simulator, invoice: Invoice, now: datetime, *payments: Payment, kind: str = "UPDATE") -> Invoice:
    """Stores a changed invoice with the payments that changed it, and announces it. Raises Refused in a locked period."""
    organisation = ledger.organisation(simulator.store, invoice.organisation)
    for day in [payment.date for payment in payments] or [invoice.date]:
        books.check_unlocked(organisation, day)
    ledger.save(simulator.store, invoice, *payments)
    webhooks.announce(simulator.store, simulator.settings.issuer, kind, invoice, now)
    return invoice


def keep_contact(simulator: Simulator, contact: Contact, now: datetime, kind: str = "UPDATE") -> Contact:
    """Stores a changed contact and announces it."""
    ledger.save(simulator.store, contact)
    webhooks.announce(simulator.store, simulator.settings.issuer, kind, contact, now)
    return contact


def active_names(simulator: Simulator, contact: Contact) -> Sequence[str]:
    sql = "SELECT json_extract(doc, '$.name') AS name FROM contacts WHERE organisation = ? AND status = 'ACTIVE' AND id <> ?"
    return [row["name"] for row in simulator.store.rows(sql, contact.organisation, contact.id)]


def check_number(simulator: Simulator, invoice: Invoice, number: str) -> None:
    """Numbers of sales invoices are unique, deleted drafts included. Raises Refused."""
    if not 1 <= len(number) <= 255:
        raise Refused("The invoice number must have between 1 and 255 characters")
    sql = "SELECT 1 FROM invoices WHERE organisation = ? AND type = 'ACCREC' AND number = ? AND id <> ?"
    if invoice.type == "ACCREC" and simulator.store.row(sql, invoice.organisation, fold(number), invoice.id):
        raise Refused("Invoice # must be unique.")


def lock(simulator: Simulator, organisation_id: str, until: date | None) -> Organisation:
    """Sets the period lock date: nothing dated on it or before can be changed. None takes it away."""
    with simulator.change():
        organisation = ledger.organisation(simulator.store, organisation_id)
        organisation.locked_until = until
        simulator.store.run("UPDATE organisations SET doc = ? WHERE id = ?", organisation.model_dump_json(), organisation.id)
        return organisation
