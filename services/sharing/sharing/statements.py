"""A statement of account: what was owed before a period, what moved in it, what was owed at its end and how old that is. Pure.

It knows invoices and what settled them, nothing else. An invoice counts from its date, a settlement from its own date but never before
its invoice: what was paid in advance is set against the invoice when that is issued. So the balance at any day is what remained of the
invoices issued by then, and at the end of everything it is the sum of what Xero says is due. Voided invoices owe nothing, ever; those
that await approval do not owe yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from itertools import accumulate
from typing import Literal, NamedTuple

from pydantic import BaseModel

from common.contracts.xero_gateway import InvoiceSummary

EntryKind = Literal["invoice", "payment", "credit_note", "prepayment", "overpayment", "other"]
Period = Literal["this_month", "last_month", "last_3_months", "last_12_months", "all"]
OWING = frozenset({"AUTHORISED", "PAID"})


class Entry(BaseModel):
    """One movement on `day`; `dated` is Xero's own date of it where that lies before. `balance` is what is owed after it."""

    day: date
    kind: EntryKind
    invoice_id: str
    number: str
    reference: str
    due_date: date | None = None
    dated: date | None = None
    amount: int
    balance: int = 0


class Ageing(BaseModel):
    """What is owed at the end of the period by how long it is overdue then, in days; together the closing balance."""

    current: int = 0
    to_30: int = 0
    to_60: int = 0
    to_90: int = 0
    older: int = 0


class Account(BaseModel):
    """One contact's invoices in one currency, in hundredths: opening + the entries' amounts = closing."""

    contact_id: str
    contact_name: str
    currency: str
    opening: int
    entries: list[Entry]
    closing: int
    ageing: Ageing


class Days(NamedTuple):
    """A period, both days within it; without a first day it begins with the first movement."""

    first: date | None
    last: date


def days_of(period: Period, today: date) -> Days:
    """What a named period is today. The last 3 and 12 months are whole months and the days of this one."""
    this_month = today.replace(day=1)
    if period == "all":
        return Days(None, today)
    if period == "last_month":
        return Days(_months_before(this_month, 1), this_month - timedelta(days=1))
    return Days(_months_before(this_month, {"this_month": 0, "last_3_months": 2, "last_12_months": 11}[period]), today)


def accounts(invoices: Sequence[InvoiceSummary], days: Days) -> list[Account]:
    """One for each contact and currency in which anything moved or is owed; by the contact's name, then the currency."""
    grouped: dict[tuple[str, str], list[InvoiceSummary]] = defaultdict(list)
    for invoice in invoices:
        if invoice.is_sale and invoice.status in OWING:
            grouped[invoice.contact_id, invoice.currency].append(invoice)
    found = [_account(some, days) for some in grouped.values()]
    told = [account for account in found if account.entries or account.opening]
    return sorted(told, key=lambda it: (it.contact_name.casefold(), it.contact_id, it.currency))


def movements(invoice: InvoiceSummary) -> list[Entry]:
    """An invoice and everything that settled it, the invoice first; together they are what is due of it."""
    issued = invoice.date or invoice.updated_at.date()
    about = {"invoice_id": invoice.invoice_id, "number": invoice.number}
    first = Entry(day=issued, kind="invoice", **about, reference=invoice.reference, due_date=invoice.due_date, amount=invoice.total)
    settled = [
        Entry(
            day=max(part.date or invoice.fully_paid_on or issued, issued),
            kind=part.kind,
            **about,
            reference=part.reference,
            dated=part.date if part.date and part.date < issued else None,
            amount=-part.amount,
        )
        for part in invoice.payments
    ]
    rest = invoice.total - invoice.amount_due + sum(entry.amount for entry in settled)
    if rest:
        day = max(invoice.fully_paid_on or issued, issued)
        settled.append(Entry(day=day, kind="other", **about, reference="", amount=-rest))
    return [first, *settled]


def _account(invoices: Sequence[InvoiceSummary], days: Days) -> Account:
    moved = [(invoice, [entry for entry in movements(invoice) if entry.day <= days.last]) for invoice in invoices]
    every = sorted((entry for _, entries in moved for entry in entries), key=_in_order)
    before = [entry for entry in every if days.first is not None and entry.day < days.first]
    opening = sum(entry.amount for entry in before)
    entries = every[len(before) :]
    balances = list(accumulate((entry.amount for entry in entries), initial=opening))
    return Account(
        contact_id=invoices[0].contact_id,
        contact_name=max(invoices, key=lambda invoice: invoice.updated_at).contact_name,
        currency=invoices[0].currency,
        opening=opening,
        entries=[entry.model_copy(update={"balance": balance}) for entry, balance in zip(entries, balances[1:], strict=True)],
        closing=balances[-1],
        ageing=_ageing(((invoice.due_date, sum(entry.amount for entry in entries)) for invoice, entries in moved), days.last),
    )


def _in_order(entry: Entry) -> tuple[date, bool, int, str, str]:
    """By day, invoices before what settles them, then as numbers are counted."""
    return entry.day, entry.kind != "invoice", len(entry.number), entry.number, entry.invoice_id


def _ageing(owed: Iterable[tuple[date | None, int]], last: date) -> Ageing:
    sums: dict[str, int] = defaultdict(int)
    for due, left in owed:
        late = (last - due).days if due else 0
        limits = ((0, "current"), (30, "to_30"), (60, "to_60"), (90, "to_90"))
        sums[next((name for most, name in limits if late <= most), "older")] += left
    return Ageing.model_validate(sums)


def _months_before(first_day: date, months: int) -> date:
    passed = first_day.year * 12 + first_day.month - 1 - months
    return date(passed // 12, passed % 12 + 1, 1)
