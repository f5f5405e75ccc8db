"""Keeping and finding the documents of the books; what is searched or sorted has a column beside the document."""

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from xero_simulator.clock import to_ms
from xero_simulator.documents import Contact, Credit, Invoice, Login, Organisation, Payment
from xero_simulator.store import Store, fold


class NotFound(Exception):
    """No such document in the books."""


def cents(amount: Decimal) -> int:
    """Hundredths, the unit amounts are compared in."""
    return int(amount * 100)


def save(store: Store, *documents: Contact | Invoice | Credit | Payment) -> None:
    """Adds or replaces documents."""
    for kind, (_, row) in _ROWS.items():
        rows = [row(document) for document in documents if type(document) is kind]
        if rows:
            save_rows(store, kind, rows)


def row_of(document: Contact | Invoice | Credit | Payment) -> tuple[Any, ...]:
    """What the store keeps of a document: its columns, the document itself last."""
    row: tuple[Any, ...] = _ROWS[type(document)][1](document)
    return row


def save_rows(store: Store, kind: type, rows: Iterable[tuple[Any, ...]]) -> None:
    """Adds or replaces what `row_of` made of documents of that kind."""
    table, width = _ROWS[kind][0], _WIDTHS[kind]
    store.run_many(f"INSERT OR REPLACE INTO {table} VALUES ({', '.join('?' * width)})", rows)


def _contact_row(c: Contact) -> tuple[Any, ...]:
    search = "\x1f".join(fold(text) or "" for text in (c.name, c.first_name, c.last_name, c.number, c.email, c.company_number))
    head = (c.id, c.organisation, fold(c.number), fold(c.name), fold(c.first_name), fold(c.last_name), fold(c.email))
    return (*head, c.status, c.is_customer, c.is_supplier, search, to_ms(c.updated), c.model_dump_json())


def _invoice_row(i: Invoice) -> tuple[Any, ...]:
    number, reference = fold(i.number) or None, fold(i.reference) or None
    head = (i.id, i.organisation, i.contact, i.type, i.status, number, reference, _iso(i.date), _iso(i.due), i.currency)
    amounts = (cents(i.total), cents(i.due_amount), cents(i.paid_amount), cents(i.credited_amount))
    return (*head, *amounts, f"{number or ''}\x1f{reference or ''}", to_ms(i.updated), i.model_dump_json())


def _credit_row(c: Credit) -> tuple[Any, ...]:
    head = (c.id, c.organisation, c.contact, c.kind, c.status, fold(c.number), fold(c.reference) or None, _iso(c.date), c.currency)
    return (*head, cents(c.total), cents(c.remaining), to_ms(c.updated), c.model_dump_json())


def _payment_row(p: Payment) -> tuple[Any, ...]:
    head = (p.id, p.organisation, p.invoice, p.type, p.status, fold(p.reference) or None, _iso(p.date))
    return (*head, cents(p.amount), to_ms(p.updated), p.model_dump_json())


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


_ROWS: dict[type, tuple[str, Any]] = {
    Contact: ("contacts", _contact_row),
    Invoice: ("invoices", _invoice_row),
    Credit: ("credits", _credit_row),
    Payment: ("payments", _payment_row),
}
_WIDTHS: dict[type, int] = {Contact: 13, Invoice: 17, Credit: 13, Payment: 10}


def organisations(store: Store) -> list[Organisation]:
    return [Organisation.model_validate_json(row["doc"]) for row in store.rows("SELECT doc FROM organisations ORDER BY place")]


def organisation(store: Store, wanted: str) -> Organisation:
    """By id, short code or key (`kowhai`); raises NotFound."""
    row = store.row("SELECT doc FROM organisations WHERE id = ? OR short_code = ? OR key = ?", wanted.lower(), wanted, wanted)
    if row is None:
        raise NotFound(f"No organisation {wanted}")
    return Organisation.model_validate_json(row["doc"])


def save_organisation(store: Store, it: Organisation, place: int) -> None:
    store.run("INSERT OR REPLACE INTO organisations VALUES (?, ?, ?, ?, ?)", it.id, it.key, it.short_code, place, it.model_dump_json())


def logins(store: Store) -> list[Login]:
    return [Login.model_validate_json(row["doc"]) for row in store.rows("SELECT doc FROM logins ORDER BY place")]


def login(store: Store, wanted: str) -> Login:
    """By id or key (`owner`); raises NotFound."""
    row = store.row("SELECT doc FROM logins WHERE id = ? OR key = ?", wanted, wanted)
    if row is None:
        raise NotFound(f"No login {wanted}")
    return Login.model_validate_json(row["doc"])


def organisations_of(store: Store, login_id: str) -> list[Organisation]:
    """Where this login has a live role, in the order it would choose from."""
    sql = """SELECT o.doc FROM roles r JOIN organisations o ON o.id = r.organisation
        WHERE r.login = ? AND r.live ORDER BY r.place"""
    return [Organisation.model_validate_json(row["doc"]) for row in store.rows(sql, login_id)]


def contact(store: Store, contact_id: str) -> Contact:
    row = store.row("SELECT doc FROM contacts WHERE id = ?", contact_id)
    if row is None:
        raise NotFound(f"No contact {contact_id}")
    return Contact.model_validate_json(row["doc"])


def contacts_by_id(store: Store, ids: Iterable[str]) -> dict[str, Contact]:
    wanted = list(set(ids))
    found: dict[str, Contact] = {}
    for start in range(0, len(wanted), 500):
        some = wanted[start : start + 500]
        for row in store.rows(f"SELECT id, doc FROM contacts WHERE id IN ({marks(some)})", *some):
            found[row["id"]] = Contact.model_validate_json(row["doc"])
    return found


def contact_by_number(store: Store, organisation_id: str, number: str) -> Contact:
    row = store.row("SELECT doc FROM contacts WHERE organisation = ? AND number = ?", organisation_id, fold(number))
    if row is None:
        raise NotFound(f"No contact with the number {number}")
    return Contact.model_validate_json(row["doc"])


def invoice(store: Store, invoice_id: str) -> Invoice:
    row = store.row("SELECT doc FROM invoices WHERE id = ?", invoice_id)
    if row is None:
        raise NotFound(f"No invoice {invoice_id}")
    return Invoice.model_validate_json(row["doc"])


def invoices_of(store: Store, contact_id: str) -> list[Invoice]:
    return [
        Invoice.model_validate_json(row["doc"])
        for row in store.rows("SELECT doc FROM invoices WHERE contact = ? ORDER BY date", contact_id)
    ]


def credits_of(store: Store, contact_id: str) -> list[Credit]:
    return [
        Credit.model_validate_json(row["doc"]) for row in store.rows("SELECT doc FROM credits WHERE contact = ? ORDER BY date", contact_id)
    ]


def credit(store: Store, credit_id: str) -> Credit:
    row = store.row("SELECT doc FROM credits WHERE id = ?", credit_id)
    if row is None:
        raise NotFound(f"No credit {credit_id}")
    return Credit.model_validate_json(row["doc"])


def payment(store: Store, payment_id: str) -> Payment:
    row = store.row("SELECT doc FROM payments WHERE id = ?", payment_id)
    if row is None:
        raise NotFound(f"No payment {payment_id}")
    return Payment.model_validate_json(row["doc"])


def payments_of(store: Store, invoice_id: str) -> list[Payment]:
    """Live payments of an invoice, oldest first."""
    sql = "SELECT doc FROM payments WHERE invoice = ? AND status = 'AUTHORISED' ORDER BY date, updated"
    return [Payment.model_validate_json(row["doc"]) for row in store.rows(sql, invoice_id)]


def marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
