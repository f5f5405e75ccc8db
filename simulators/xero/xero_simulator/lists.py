"""Finding documents as the accounting API does: filters, order, pages, and one by id or number."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from xero_simulator import ledger, shapes, wire
from xero_simulator.clock import to_ms
from xero_simulator.documents import Contact, Credit, Invoice, Organisation, Payment
from xero_simulator.ledger import marks
from xero_simulator.query import Query, TooManyIds, dashed
from xero_simulator.store import Store, fold
from xero_simulator.where import Field, Fields, order_sql, where_sql

D = TypeVar("D", bound=BaseModel)


class BadQuery(Exception):
    """Answered as 400 ValidationException."""


class NothingHere(Exception):
    """Answered as 404."""


CONTACT_OF = "(SELECT c.{} FROM contacts c WHERE c.id = contact)"
INVOICE_FIELDS: Fields = {
    "invoiceid": Field("id", "guid"),
    "invoicenumber": Field("number", "text", nullable=True),
    "reference": Field("reference", "text", nullable=True),
    "type": Field("type", "code"),
    "status": Field("status", "code"),
    "currencycode": Field("currency", "code"),
    "date": Field("date", "day"),
    "duedate": Field("due", "day", nullable=True),
    "total": Field("total", "money"),
    "amountdue": Field("due_amount", "money"),
    "amountpaid": Field("paid_amount", "money"),
    "amountcredited": Field("credited_amount", "money"),
    "updateddateutc": Field("updated", "instant"),
    "contact.contactid": Field("contact", "guid"),
    "contact.name": Field(CONTACT_OF.format("name"), "text"),
    "contact.contactnumber": Field(CONTACT_OF.format("number"), "text", nullable=True),
}
CONTACT_FIELDS: Fields = {
    "contactid": Field("id", "guid"),
    "contactnumber": Field("number", "text", nullable=True),
    "name": Field("name", "text"),
    "firstname": Field("first_name", "text", nullable=True),
    "lastname": Field("last_name", "text", nullable=True),
    "emailaddress": Field("email", "text", nullable=True),
    "contactstatus": Field("status", "code"),
    "iscustomer": Field("is_customer", "flag"),
    "issupplier": Field("is_supplier", "flag"),
    "updateddateutc": Field("updated", "instant"),
}
CREDIT_FIELDS: Fields = {
    "creditnoteid": Field("id", "guid"),
    "creditnotenumber": Field("number", "text", nullable=True),
    "reference": Field("reference", "text", nullable=True),
    "status": Field("status", "code"),
    "currencycode": Field("currency", "code"),
    "date": Field("date", "day"),
    "total": Field("total", "money"),
    "remainingcredit": Field("remaining", "money"),
    "updateddateutc": Field("updated", "instant"),
    "contact.contactid": Field("contact", "guid"),
}
PAYMENT_FIELDS: Fields = {
    "paymentid": Field("id", "guid"),
    "invoice.invoiceid": Field("invoice", "guid"),
    "status": Field("status", "code"),
    "paymenttype": Field("type", "code"),
    "reference": Field("reference", "text", nullable=True),
    "date": Field("date", "day"),
    "amount": Field("amount", "money"),
    "updateddateutc": Field("updated", "instant"),
}


@dataclass(frozen=True)
class Found(Generic[D]):
    items: list[D]
    pagination: dict[str, int] | None


@dataclass(frozen=True)
class Kind(Generic[D]):
    """What listing a document kind needs to know."""

    table: str
    type_name: str
    fields: Fields
    document: type[D]


INVOICES = Kind("invoices", "Invoice", INVOICE_FIELDS, Invoice)
CONTACTS = Kind("contacts", "Contact", CONTACT_FIELDS, Contact)
CREDITS = Kind("credits", "CreditNote", CREDIT_FIELDS, Credit)
PAYMENTS = Kind("payments", "Payment", PAYMENT_FIELDS, Payment)


class _Conditions:
    """SQL conditions joined by AND, with their values."""

    def __init__(self, organisation: Organisation) -> None:
        self.sql = ["organisation = ?"]
        self.values: list[Any] = [organisation.id]

    def add(self, sql: str, *values: Any) -> None:
        self.sql.append(sql)
        self.values += values

    def one_of(self, column: str, wanted: list[str]) -> None:
        if wanted:
            self.add(f"{column} IN ({marks(wanted)})", *wanted)


def list_invoices(store: Store, organisation: Organisation, query: Query) -> Found[Invoice]:
    conditions = _Conditions(organisation)
    conditions.one_of("contact", query.contact_ids)
    conditions.one_of("number", [fold(number) or "" for number in query.numbers])
    conditions.one_of("status", query.statuses)
    if query.created_by_my_app:
        conditions.add("0")
    return _list(store, INVOICES, organisation, conditions, query)


def list_contacts(store: Store, organisation: Organisation, query: Query) -> Found[Contact]:
    conditions = _Conditions(organisation)
    if not query.include_archived:
        conditions.add("status = 'ACTIVE'")
    return _list(store, CONTACTS, organisation, conditions, query)


def list_credits(store: Store, organisation: Organisation, query: Query, kind: str) -> Found[Credit]:
    """Credit notes, overpayments or prepayments."""
    conditions = _Conditions(organisation)
    conditions.add("kind = ?", kind)
    return _list(store, CREDITS, organisation, conditions, query)


def list_payments(store: Store, organisation: Organisation, query: Query) -> Found[Payment]:
    return _list(store, PAYMENTS, organisation, _Conditions(organisation), query)


def _list(store: Store, kind: Kind[D], organisation: Organisation, conditions: _Conditions, query: Query) -> Found[D]:
    """Applies what all lists share; the default order is by update time, then id."""
    _check(query)
    conditions.one_of("id", query.ids)
    if query.search and kind.table in ("invoices", "contacts"):
        text = (fold(query.search) or "").replace("!", "!!").replace("%", "!%").replace("_", "!_")
        found = f"SELECT rowid FROM {kind.table} WHERE organisation = ? AND search LIKE ? ESCAPE '!'"
        conditions.add(f"rowid IN ({found})", organisation.id, f"%{text}%")
    if query.where:
        sql, values = where_sql(query.where, kind.type_name, kind.fields)
        conditions.add(sql, *values)
    if query.modified_since:
        conditions.add("updated >= ?", to_ms(query.modified_since))
    order = _order(kind, query)
    source = f"FROM {kind.table} WHERE {' AND '.join(conditions.sql)}"
    pagination, limit = _page(store, source, conditions.values, query) if query.paged else (None, "")
    places = [row[0] for row in store.rows(f"SELECT rowid {source} ORDER BY {order} {limit}", *conditions.values)]
    return Found(_read(store, kind, places), pagination)


def _order(kind: Kind[D], query: Query) -> str:
    if not query.order:
        return "updated, id"
    order = order_sql(query.order, kind.type_name, kind.fields)
    return order if order.startswith("id ") else f"{order}, id"


def _read(store: Store, kind: Kind[D], places: list[int]) -> list[D]:
    """The documents at those places, in that order. Filters and order look at narrow indexes; only what is told is read whole."""
    found: dict[int, D] = {}
    for start in range(0, len(places), 500):
        some = places[start : start + 500]
        for row in store.rows(f"SELECT rowid, doc FROM {kind.table} WHERE rowid IN ({marks(some)})", *some):
            found[row[0]] = kind.document.model_validate_json(row["doc"])
    return [found[place] for place in places]


def _check(query: Query) -> None:
    try:
        query.check_ids()
    except TooManyIds:
        raise NothingHere from None


def _page(store: Store, source: str, values: list[Any], query: Query) -> tuple[dict[str, int], str]:
    count = store.number(f"SELECT COUNT(*) {source}", *values)
    pages = -(-count // query.page_size)
    pagination = {"page": query.page, "pageSize": query.page_size, "pageCount": pages, "itemCount": count}
    return pagination, f"LIMIT {query.page_size} OFFSET {(query.page - 1) * query.page_size}"


def find_invoice(store: Store, organisation: Organisation, key: str) -> Invoice:
    """By id, or by number (a sale before a bill). Raises NothingHere."""
    return _find(store, INVOICES, organisation, key, "ORDER BY type DESC, status = 'DELETED'")


def find_contact(store: Store, organisation: Organisation, key: str) -> Contact:
    return _find(store, CONTACTS, organisation, key)


def find_credit(store: Store, organisation: Organisation, key: str, kind: str) -> Credit:
    found = _find(store, CREDITS, organisation, key)
    if found.kind != kind:
        raise NothingHere
    return found


def find_payment(store: Store, organisation: Organisation, key: str) -> Payment:
    row = store.row("SELECT doc FROM payments WHERE organisation = ? AND id = ?", organisation.id, dashed(key))
    if row is None:
        raise NothingHere
    return Payment.model_validate_json(row["doc"])


def _find(store: Store, kind: Kind[D], organisation: Organisation, key: str, order: str = "") -> D:
    named = f"SELECT id FROM {kind.table} WHERE organisation = ?2 AND number = ?3 UNION ALL SELECT ?1"
    sql = f"SELECT doc FROM {kind.table} WHERE id IN ({named}) AND organisation = ?2 {order}"
    row = store.row(sql, dashed(key), organisation.id, fold(key))
    if row is None:
        raise NothingHere
    return kind.document.model_validate_json(row["doc"])


def invoice_shapes(store: Store, invoices: list[Invoice], detail: shapes.Detail) -> list[shapes.Json]:
    contacts = ledger.contacts_by_id(store, (invoice.contact for invoice in invoices))
    return [shapes.invoice(invoice, contacts[invoice.contact], detail) for invoice in invoices]


def contact_shapes(store: Store, organisation: Organisation, contacts: list[Contact], query: Query, now: datetime) -> list[shapes.Json]:
    """Unpaged lists tell less than pages; a summary less still."""
    if not query.paged or query.summary:
        return [shapes.contact_listed(contact, query.summary) for contact in contacts]
    balances = _balances(store, (contact.id for contact in contacts), organisation.day_of(now).isoformat())
    return [{**shapes.contact_full(contact), **balances.get(contact.id, {})} for contact in contacts]


def _balances(store: Store, contacts: Iterable[str], today: str) -> dict[str, shapes.Json]:
    """Outstanding and overdue amounts of those contacts who have any."""
    ids, told = list(contacts), {"ACCREC": "AccountsReceivable", "ACCPAY": "AccountsPayable"}
    balances: dict[str, shapes.Json] = {}
    sql = f"""SELECT contact, type, SUM(due_amount) AS open, SUM(CASE WHEN due < ? THEN due_amount ELSE 0 END) AS late
        FROM invoices WHERE status = 'AUTHORISED' AND contact IN ({marks(ids)}) GROUP BY contact, type"""
    for row in store.rows(sql, today, *ids):
        amounts = {"Outstanding": _money(row["open"]), "Overdue": _money(row["late"])}
        balances.setdefault(row["contact"], {"Balances": {}})["Balances"][told[row["type"]]] = amounts
    return balances


def _money(hundredths: int) -> Decimal:
    return wire.money(Decimal(hundredths) / 100)


def credit_shapes(store: Store, credits: list[Credit], detail: shapes.Detail) -> list[shapes.Json]:
    contacts = ledger.contacts_by_id(store, (credit.contact for credit in credits))
    return [shapes.credit(credit, contacts[credit.contact], detail) for credit in credits]


def payment_shapes(store: Store, payments: list[Payment]) -> list[shapes.Json]:
    made = []
    for payment in payments:
        invoice = ledger.invoice(store, payment.invoice)
        made.append(shapes.payment(payment, invoice, ledger.contact(store, invoice.contact)))
    return made
