"""What this service knows about, and the rules that need no input or output."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from common.contracts.xero_gateway import Invoice, InvoiceSummary
from xero_gateway.call_limits import Limit
from xero_gateway.errors import XeroBusy, XeroNeedsReauth, XeroProblem

OVERLAP = timedelta(minutes=5)
"""How far before a known moment changes are asked for again: clocks differ, and If-Modified-Since counts whole seconds."""

PART_OF_DAY = 0.1
"""How much of an organisation's daily calls asking for changes may use."""

PASSES_AHEAD_SECONDS = 3600
"""What of its part may be used ahead, so that several passes may follow each other when something happens."""

SWEEP_PAGE = 200
SWEEP_CALLS = 2
"""Pages of a round that one pass reads, when its part of the day is not used up."""

SWEEP_EVERY = timedelta(days=1)
QUIET_PASSES = 4
"""A pass is due only every fourth time while webhooks tell of changes."""

GAP_PATIENCE = timedelta(seconds=60)
SILENCE = timedelta(hours=24)
"""Xero gives a subscription up after a day without a good answer, and tells nobody but its collaborators by mail."""

MOST_GAPS = 100

BATCH_INVOICES = 100
BATCH_BYTES = 1024 * 1024
LOAD_PAGE = 512
"""Invoices a call of a first load asks for; halved, down to one, while Xero's answers are too large."""

IDS_AT_ONCE = 40
"""Xero answers 404 when a query grows too long, at a little over 50 ids."""

Category = Literal["INVOICE", "CONTACT", "CREDITNOTE", "PREPAYMENT", "OVERPAYMENT"]
CATEGORIES: frozenset[str] = frozenset({"INVOICE", "CONTACT", "CREDITNOTE", "PREPAYMENT", "OVERPAYMENT"})


class Shape(BaseModel):
    """Read from outside or from the database; never changed."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)


class ContactPerson(Shape):
    """One of up to five further persons of a contact."""

    name: str
    email: str | None


class Contact(Shape):
    """A contact of Xero. `merged_to` names the contact that took its place."""

    id: str
    name: str
    email: str | None
    number: str | None
    status: str
    is_customer: bool
    is_supplier: bool
    persons: list[ContactPerson]
    merged_to: str | None
    updated_at: datetime


class InvoiceHead(Shape):
    """Enough of an invoice to know whether it has to be looked at."""

    invoice_id: str
    contact_id: str
    type: str
    updated_at: datetime

    @property
    def is_sale(self) -> bool:
        return self.type == "ACCREC"


class Fault(Shape):
    """An invoice that Xero sent and that cannot be read exactly. It is never shown with a guessed figure."""

    invoice_id: str
    reason: str


class ContactsPage(Shape):
    """One page of contacts; `total` counts all pages."""

    contacts: list[Contact]
    total: int
    pages: int
    read_at: datetime


class InvoicesPage(Shape):
    """One page of invoices with lines. `read_at` is the database's time when the request began."""

    invoices: list[Invoice]
    faults: list[Fault]
    total: int
    pages: int
    read_at: datetime


class InvoiceNow(Shape):
    """One invoice with lines, as Xero held it when the request at `read_at` was answered."""

    invoice: Invoice
    read_at: datetime


class SummariesPage(Shape):
    """One page of invoices without lines."""

    invoices: list[InvoiceSummary]
    faults: list[Fault]
    total: int
    pages: int
    read_at: datetime


class HeadsPage(Shape):
    """One page of heads."""

    heads: list[InvoiceHead]
    pages: int
    read_at: datetime


class Published(Shape):
    """An invoice as it was last published, and the first load that published it, if one did. `digest` is of all that was told."""

    invoice_id: str
    contact_id: str
    updated_at: datetime
    status: str = ""
    digest: str = ""
    load_id: str | None = None


def published(invoice: Invoice, load_id: str | None = None) -> Published:
    """What is kept of an invoice that is published now."""
    return Published(
        invoice_id=invoice.invoice_id,
        contact_id=invoice.contact_id,
        updated_at=invoice.updated_at,
        status=invoice.status,
        digest=hashlib.sha256(invoice.model_dump_json().encode()).hexdigest(),
        load_id=load_id,
    )


class Webhook(Shape):
    """(organisation, category, resource) of everything it tells of, and the numbers of its first and last event; 0 for none."""

    resources: tuple[tuple[str, str, str], ...]
    first: int
    last: int


class Gap(Shape):
    """Numbers of events that were skipped when a later one came, and when that was."""

    first: int
    last: int
    since: datetime


class Arrivals(Shape):
    """Which webhooks came. Xero numbers the events of the app's one subscription, all organisations together."""

    last_at: datetime | None = None
    seen_to: int | None = None
    gaps: tuple[Gap, ...] = ()

    def after(self, webhook: Webhook, now: datetime) -> Arrivals:
        """With one webhook more, which may come out of turn or again. One that begins at 1 is of a new subscription."""
        first, last, seen = webhook.first, webhook.last, self.seen_to
        if not 0 < first <= last:
            return self.model_copy(update={"last_at": now})
        if seen is None or first == 1:
            return Arrivals(last_at=now, seen_to=last)
        gaps = [part for gap in self.gaps for part in _without(gap, first, last)]
        if first > seen + 1:
            gaps.append(Gap(first=seen + 1, last=first - 1, since=now))
        if len(gaps) > MOST_GAPS:
            gaps = [Gap(first=gaps[0].first, last=gaps[-1].last, since=gaps[0].since)]
        return Arrivals(last_at=now, seen_to=max(seen, last), gaps=tuple(gaps))

    def late_gaps(self, now: datetime) -> list[Gap]:
        """Those that were not filled in the time Xero takes to send again at once."""
        return [gap for gap in self.gaps if now - gap.since >= GAP_PATIENCE]

    def reach_us(self, now: datetime) -> bool:
        """Whether changes are told at once: something came within a day, after which Xero gives a subscription up."""
        return self.last_at is not None and now - self.last_at < SILENCE

    def are_steady(self, now: datetime, seconds: float) -> bool:
        """Whether one came in the last `seconds` and none is missing, so that asking for changes is hardly needed."""
        return self.last_at is not None and (now - self.last_at).total_seconds() < seconds and not self.gaps


def _without(gap: Gap, first: int, last: int) -> Iterator[Gap]:
    """What is left of a gap when these numbers came."""
    if gap.first < first:
        yield gap.model_copy(update={"last": min(gap.last, first - 1)})
    if gap.last > last:
        yield gap.model_copy(update={"first": max(gap.first, last + 1)})


class Sweep(Shape):
    """How far a round over all invoices of the watched contacts is, in the order of their ids: what If-Modified-Since does not tell.

    `contact_id` is None when the round is over; the next begins a day after this one began.
    """

    round: str
    began_at: datetime
    contact_id: str | None
    page: int = 1


class Findings(Shape):
    """What one pass of reconciliation found to be looked at, when its reading began, and how many calls it took."""

    read_at: datetime
    invoice_ids: frozenset[str] = frozenset()
    contact_ids: frozenset[str] = frozenset()
    swept_ids: frozenset[str] = frozenset()
    sweep: Sweep | None = None
    calls: int = 0

    @property
    def nothing(self) -> bool:
        """Everything in Xero was told before."""
        return not (self.invoice_ids or self.contact_ids or self.swept_ids)


class Mark(Shape):
    """Something at Xero that has to be looked at again. `dirty_seq` counts how often that was said."""

    id: str = Field(alias="_id")
    organisation_id: str
    category: Category
    resource_id: str
    dirty_seq: int


class Load(Shape):
    """The first load of a contact's invoices, page by page; `batches` and `stored` count what was published."""

    id: str = Field(alias="_id")
    organisation_id: str
    contact_id: str
    state: Literal["pending", "complete", "cancelled"]
    phase: Literal["pages", "changes"] = "pages"
    next_page: int = 1
    contact_name: str | None = None
    began_at: datetime | None = None
    batches: int = 0
    stored: int = 0
    total: int | None = None
    page_size: int = LOAD_PAGE
    reason: Literal["xero_unavailable", "xero_busy", "xero_needs_reauth"] | None = None
    limit: Limit | None = None
    waiting_since: datetime | None = None
    due_at: datetime | None = None

    @property
    def shown_state(self) -> Literal["loading", "waiting", "complete", "cancelled"]:
        """What people are told about it. Waiting for the next minute of Xero's limit is how a long load goes on."""
        if self.state == "pending":
            return "waiting" if self.reason and self.limit != "minute" else "loading"
        return self.state

    @property
    def halved(self) -> Load | None:
        """The same load, about to read the first half of its page; None when a page holds one invoice already."""
        if self.page_size < 2:
            return None
        return self.model_copy(update={"page_size": self.page_size // 2, "next_page": self.next_page * 2 - 1})

    @property
    def changes_since(self) -> datetime:
        """The pass after the pages asks for what changed since then. It runs only once a first page was read."""
        assert self.began_at is not None
        return self.began_at - OVERLAP


def page_after(load: Load, page: InvoicesPage) -> int | None:
    """The page to read next, None when the last one was read.

    Pages are cut from a list ordered by id. An invoice that leaves the contact meanwhile moves those behind it forward, over
    the edge of a page already read: when the list shrank, as many pages are read again.
    """
    shrunk_by = (load.total or 0) - page.total
    if load.next_page > 1 and shrunk_by > 0:
        return max(1, load.next_page - -(-shrunk_by // load.page_size))
    return load.next_page + 1 if load.next_page < page.pages else None


def batches_of(invoices: Sequence[Invoice]) -> Iterator[list[Invoice]]:
    """Cuts invoices into batches of at most 100 and about 1 MiB of JSON; a larger one travels alone."""
    batch: list[Invoice] = []
    held = 0
    for invoice in invoices:
        size = len(invoice.model_dump_json().encode())
        if batch and (len(batch) == BATCH_INVOICES or held + size > BATCH_BYTES):
            yield batch
            batch, held = [], 0
        batch.append(invoice)
        held += size
    if batch:
        yield batch


def batches_by_contact(invoices: Sequence[Invoice]) -> Iterator[list[Invoice]]:
    """The same, each batch of one contact alone."""
    for contact_id in dict.fromkeys(invoice.contact_id for invoice in invoices):
        yield from batches_of([invoice for invoice in invoices if invoice.contact_id == contact_id])


def wait_after(problem: XeroProblem, attempts: int) -> float:
    """Seconds until background work tries again: as Xero says, or longer with each attempt, at most a minute.

    Signing in again ends the wait of `xero_needs_reauth` at once, by an event.
    """
    if isinstance(problem, XeroNeedsReauth):
        return 60.0
    if isinstance(problem, XeroBusy):
        return (problem.retry_after or 5.0) + random.random()
    return float(min(60, 2 ** min(attempts, 6))) * (0.5 + random.random() / 2)


def pass_price(calls: int, calls_a_day: int) -> float:
    """The seconds for which so many calls use up reconciliation's part of the day; in any 24 hours it stays within that part."""
    return calls * (24 * 3600 + PASSES_AHEAD_SECONDS) / (PART_OF_DAY * calls_a_day)


def version_of(updated_at: datetime) -> int:
    """Milliseconds since 1970: what orders the events about one invoice or contact."""
    return round(updated_at.timestamp() * 1000)


def key_of(*parts: str) -> str:
    """The `_id` of something that has no id of its own, such as a contact within an organisation."""
    return ":".join(parts)
