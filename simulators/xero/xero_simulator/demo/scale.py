"""Organisations of any size, to measure with: a few hundred invoices priced by the books' own rules, stamped as often as wanted."""

import re
from collections.abc import Iterator
from datetime import date, datetime
from itertools import cycle, islice
from typing import Any

from xero_simulator import ledger
from xero_simulator.demo import ordinary
from xero_simulator.demo.people import LARGE_LOGIN, large_organisation
from xero_simulator.demo.plan import Plan
from xero_simulator.documents import Invoice, Payment
from xero_simulator.store import Store

ORIGINALS, CONTACTS, CHUNK = 250, 50, 5000
MARK = re.compile("@[A-Za-z]@")
Row = tuple[Any, ...]


def plant_large(store: Store, seed: int, anchor: date | None, now: datetime, organisations: int, invoices: int) -> None:
    """Adds `large-01` and so on, each with contacts V-001 to V-050 and that many invoices; V-001 has a fifth of them.

    The login `large` may choose any of them. Joins the caller's transaction.
    """
    login = ledger.login(store, LARGE_LOGIN)
    for place in range(1, organisations + 1):
        organisation = large_organisation(seed, place)
        ledger.save_organisation(store, organisation, 1000 + place)
        store.run("INSERT OR REPLACE INTO roles VALUES (?, ?, ?, 1)", login.id, organisation.id, place)
        plan = Plan(organisation, seed, anchor or organisation.day_of(now))
        _plant(store, plan, invoices)


def _plant(store: Store, plan: Plan, invoices: int) -> None:
    for place in range(1, CONTACTS + 1):
        plan.contact(f"V-{place:03}", f"Volume Client {place:03}", f"accounts@volume-{place:03}.example", is_customer=True)
    ordinary.fill(plan, list(plan.contacts), min(ORIGINALS, invoices), "V", ordinary.ADVICE)
    ledger.save(store, *plan.contacts.values())
    paid: dict[str, list[Payment]] = {}
    for payment in plan.payments:
        paid.setdefault(payment.invoice, []).append(payment)
    originals = [_original(invoice, paid.get(invoice.id, [])) for invoice in plan.invoices.values()]
    contacts = [contact.id for contact in plan.contacts.values()]
    stamped = _stamped(plan, originals, contacts, invoices)
    while some := list(islice(stamped, CHUNK)):
        ledger.save_rows(store, Invoice, (row for row, _ in some))
        ledger.save_rows(store, Payment, (payment for _, rows in some for payment in rows))


def _original(invoice: Invoice, payments: list[Payment]) -> tuple[Row, list[Row]]:
    """The rows of an invoice and its payments with marks where each copy differs."""
    invoice.number, invoice.contact = "@N@", "@C@"
    for place, line in enumerate(invoice.lines):
        line.id = f"@I@a{place:02x}"
    for place, payment in enumerate(payments):
        payment.id, payment.invoice, payment.reference = f"@I@b{place:02x}", "@I@@E@", "@N@"
        invoice.payments[place].id, invoice.payments[place].reference = payment.id, "@N@"
    invoice.id = "@I@@E@"
    return ledger.row_of(invoice), [ledger.row_of(payment) for payment in payments]


def _stamped(plan: Plan, originals: list[tuple[Row, list[Row]]], contacts: list[str], count: int) -> Iterator[tuple[Row, list[Row]]]:
    for place, (invoice, payments) in enumerate(islice(cycle(originals), count), 1):
        own, number = plan.id("invoice", f"V-{place:06}"), f"V-{place:06}"
        contact = contacts[0] if place % 5 == 0 else contacts[place % CONTACTS]
        marks = {"@N@": number, "@n@": number.lower(), "@C@": contact, "@I@": own[:33], "@i@": own[:33], "@E@": own[33:], "@e@": own[33:]}
        yield _copy(invoice, marks), [_copy(payment, marks) for payment in payments]


def _copy(row: Row, marks: dict[str, str]) -> Row:
    return tuple(MARK.sub(lambda found: marks[found[0]], value) if isinstance(value, str) else value for value in row)
