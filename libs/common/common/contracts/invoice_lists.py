"""Lists of one contact's invoices: views, counts, totals, order and pages, the same for provider and client. Pure.

xero-gateway computes them over what Xero holds, sharing over its snapshots.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from common.contracts.xero_gateway import OUTSTANDING, InvoiceSummary, Settlement, Shape, Standing

View = Literal["unpaid", "to_pay", "overdue", "open", "paid", "all", "shareable"]
"""`to_pay` is what a client calls `unpaid`; `shareable` are those a share may name one by one."""

PAGE_SIZE = 50
MOST_PICKED = 500
"""How many single invoices one access may name."""

LISTED: frozenset[Standing] = OUTSTANDING | {"draft", "awaiting", "paid", "credited", "voided"}
VIEWS: dict[View, frozenset[Standing]] = {
    "unpaid": OUTSTANDING,
    "to_pay": OUTSTANDING,
    "overdue": frozenset({"overdue"}),
    "open": frozenset({"open", "due_today"}),
    "paid": frozenset({"paid", "credited"}),
    "all": LISTED,
    "shareable": OUTSTANDING | {"awaiting", "paid", "credited"},
}


@dataclass(frozen=True)
class Chosen:
    """Which invoices a share made now would show: all that are finalised, those dated from a day on, or picked ones (their ids).

    `hides_awaiting`: the organisation shows clients nothing that awaits approval.
    """

    dated_from: dt.date | None = None
    picked: frozenset[str] | None = None
    hides_awaiting: bool = False

    def offers(self, invoice: InvoiceSummary) -> bool:
        """Whether a client may be shown this invoice at all."""
        return invoice.is_shareable and not (self.hides_awaiting and invoice.status == "SUBMITTED")

    def is_early(self, invoice: InvoiceSummary) -> bool:
        """From before the day, or without a date."""
        return self.dated_from is not None and (invoice.date is None or invoice.date < self.dated_from)

    def shows(self, invoice: InvoiceSummary) -> bool:
        """Whether it is among those chosen."""
        return self.offers(invoice) and not self.is_early(invoice) and (self.picked is None or invoice.invoice_id in self.picked)


EVERYTHING = Chosen()


class InvoiceRow(Shape):
    """An invoice in a list. Money in hundredths of `currency`; `link` leads into Xero and is there for providers only."""

    invoice_id: str
    number: str
    reference: str
    type: str
    status: str
    standing: Standing
    date: dt.date | None
    due_date: dt.date | None
    currency: str
    total: int
    amount_due: int
    amount_paid: int
    amount_credited: int
    payments: list[Settlement]
    contact_name: str
    link: str | None = None
    updated_at: dt.datetime


class Counts(Shape):
    """How many invoices each view holds."""

    unpaid: int
    overdue: int
    open: int
    paid: int
    all: int


class Total(Shape):
    """One currency. unpaid, overdue and open: what is due in that view; all: the invoices' totals, voided ones and drafts too.

    `paid` is what was received by payments, part payments included and credits not, on sales invoices that are not voided.
    """

    currency: str
    unpaid: int = 0
    overdue: int = 0
    open: int = 0
    paid: int = 0
    all: int = 0


class ShareableTotal(Shape):
    """Of the invoices a share would show, in one currency."""

    currency: str
    total: int = 0
    to_pay: int = 0


class Shareable(Shape):
    """What a share of what is chosen would show now."""

    count: int
    totals: list[ShareableTotal]


class LeftOut(Shape):
    """What a share would not show, and why; `earlier`: dated before the day asked for, or without a date; `awaiting`: awaits approval,
    and is hidden."""

    draft: int
    bill: int
    voided: int
    deleted: int
    earlier: int = 0
    awaiting: int = 0


class InvoiceList(Shape):
    """One page of a view. `total` counts the rows that view, search and dates leave; everything else covers all invoices given.

    `as_of` is when Xero was read.
    """

    invoices: list[InvoiceRow]
    page: int
    page_size: int
    total: int
    view: View
    counts: Counts
    totals: list[Total]
    shareable: Shareable
    left_out: LeftOut
    today: dt.date
    as_of: dt.datetime | None


def list_invoices(
    invoices: Sequence[InvoiceSummary],
    today: dt.date,
    *,
    view: View = "unpaid",
    search: str = "",
    page: int = 1,
    date_from: dt.date | None = None,
    date_to: dt.date | None = None,
    chosen: Chosen = EVERYTHING,
    order: Literal["newest", "due_first"] = "newest",
    page_size: int = PAGE_SIZE,
    as_of: dt.datetime | None = None,
    link: Callable[[InvoiceSummary], str] | None = None,
) -> InvoiceList:
    """The list over all invoices of a contact, whatever their type and status; bills and deleted ones are never rows.

    `today` is the date in the organisation's time zone. `search` finds number and reference, in any letter case; the dates
    are the invoice's own and inclusive. `chosen` decides what a share would show, and beside that only the rows of `shareable`.
    newest: by date, then number; due_first: overdue, due soonest, then newest.
    """
    standings = [(invoice, invoice.standing(today)) for invoice in invoices]
    listed = [(invoice, standing) for invoice, standing in standings if invoice.is_sale and standing in LISTED]
    wanted = VIEWS[view]
    offered = [pair for pair in listed if chosen.offers(pair[0])] if view == "shareable" else listed
    found = [pair for pair in offered if pair[1] in wanted and _matches(pair[0], search.strip().casefold(), date_from, date_to)]
    found.sort(key=_newest, reverse=True)
    if order == "due_first":
        found.sort(key=_due)
    first = (page - 1) * page_size
    return InvoiceList(
        invoices=[_row(invoice, standing, link) for invoice, standing in found[first : first + page_size]],
        page=page,
        page_size=page_size,
        total=len(found),
        view=view,
        counts=_counts(listed),
        totals=_totals(listed),
        shareable=_shareable(standings, chosen),
        left_out=_left_out(invoices, chosen),
        today=today,
        as_of=as_of,
    )


def list_as_client(invoices: Sequence[InvoiceSummary], today: dt.date, chosen: Chosen, **wanted: Any) -> InvoiceList:
    """The list a client would see through a share of what is chosen, made now: nothing else is in rows, counts or totals.

    `wanted` as `list_invoices` takes it.
    """
    return list_invoices([invoice for invoice in invoices if chosen.shows(invoice)], today, order="due_first", **wanted)


Standings = Sequence[tuple[InvoiceSummary, Standing]]


def _matches(invoice: InvoiceSummary, search: str, date_from: dt.date | None, date_to: dt.date | None) -> bool:
    if search and search not in invoice.number.casefold() and search not in invoice.reference.casefold():
        return False
    if date_from is None and date_to is None:
        return True
    return invoice.date is not None and (date_from or dt.date.min) <= invoice.date <= (date_to or dt.date.max)


def _newest(pair: tuple[InvoiceSummary, Standing]) -> tuple[dt.date, int, str, str]:
    """A longer number counts as later: INV-10 follows INV-9."""
    invoice = pair[0]
    return invoice.date or dt.date.min, len(invoice.number), invoice.number, invoice.invoice_id


def _due(pair: tuple[InvoiceSummary, Standing]) -> tuple[bool, dt.date]:
    """What is outstanding by its due date, which puts the overdue first; the rest keeps its order."""
    invoice, standing = pair
    outstanding = standing in OUTSTANDING
    return not outstanding, (invoice.due_date if outstanding else None) or dt.date.max


def _row(invoice: InvoiceSummary, standing: Standing, link: Callable[[InvoiceSummary], str] | None) -> InvoiceRow:
    shared = {name: getattr(invoice, name) for name in InvoiceRow.model_fields if name not in ("standing", "link")}
    return InvoiceRow(**shared, standing=standing, link=link(invoice) if link else None)


def _counts(listed: Standings) -> Counts:
    names = Counts.model_fields
    counts = {name: sum(standing in VIEWS[name] for _, standing in listed) for name in VIEWS if name in names}
    return Counts.model_validate(counts)


def _totals(listed: Standings) -> list[Total]:
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for invoice, standing in listed:
        total = sums[invoice.currency]
        total["all"] += invoice.total
        total["paid"] += invoice.amount_paid if standing != "voided" else 0
        for view in ("unpaid", "overdue", "open"):
            total[view] += invoice.amount_due if standing in VIEWS[view] else 0
    return [Total(currency=currency, **amounts) for currency, amounts in sorted(sums.items())]


def _shareable(standings: Standings, chosen: Chosen) -> Shareable:
    shared = [pair for pair in standings if chosen.shows(pair[0])]
    sums: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for invoice, standing in shared:
        sums[invoice.currency]["total"] += invoice.total
        sums[invoice.currency]["to_pay"] += invoice.amount_due if standing in OUTSTANDING else 0
    totals = [ShareableTotal(currency=currency, **amounts) for currency, amounts in sorted(sums.items())]
    return Shareable(count=len(shared), totals=totals)


def _left_out(invoices: Sequence[InvoiceSummary], chosen: Chosen) -> LeftOut:
    """Each invoice under its first reason; a deleted bill is deleted."""
    kept = [invoice for invoice in invoices if invoice.status != "DELETED"]
    sales = [invoice.status for invoice in kept if invoice.is_sale]
    return LeftOut(
        draft=sales.count("DRAFT"),
        bill=len(kept) - len(sales),
        voided=sales.count("VOIDED"),
        deleted=len(invoices) - len(kept),
        earlier=sum(chosen.offers(invoice) and chosen.is_early(invoice) for invoice in invoices),
        awaiting=sum(invoice.is_shareable and not chosen.offers(invoice) for invoice in invoices),
    )
