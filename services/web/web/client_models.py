"""What portal and sharing answer about a client, as far as the pages read it. Money is in hundredths beside its currency."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Literal

from common.contracts.xero_gateway import Invoice, Standing
from web.models import Answer, InvoiceList, InvoiceRow, OtherContact, Person


class Goal(Answer):
    """Where signing in leads."""

    kind: Literal["home", "sender", "invoice"] = "home"
    organisation_id: str | None = None
    invoice_id: str | None = None


class SignedIn(Answer):
    """A new session and where it wanted to go."""

    session: str
    goal: Goal


class MailServer(Answer):
    """Whether mails leave at all."""

    failing_since: datetime | None


class LinkState(Answer):
    """What a sign-in link is worth in one browser. `at`: when it was used, expired or replaced. `masked_email` is there only for the
    browser that asked."""

    state: Literal["ready_here", "ready_elsewhere", "signed_in", "signed_in_as_other", "used", "expired", "replaced", "unknown"]
    asked_here: bool = False
    masked_email: str | None = None
    signed_in_as: str | None = None
    at: datetime | None = None
    tries_left: int | None = None
    goal: Goal | None = None


class SenderContact(Answer):
    """Under which name of the sender's books these invoices run."""

    contact_id: str
    name: str


class Sender(Answer):
    """An organisation that shares invoices with this address. `as_of`: when its invoices were last true to Xero, None before the first;
    `time_zone`: the IANA name by which its day begins and ends."""

    organisation_id: str
    name: str
    time_zone: str | None = None
    contacts: list[SenderContact]
    as_of: datetime | None = None
    not_updating_since: datetime | None = None


class Due(Answer):
    """What is to pay in one currency; `overdue` is part of it."""

    currency: str
    overdue: int
    to_pay: int


class HomeSender(Sender):
    """A sender on the home page: up to five unpaid invoices, overdue first, and `count` of all. `today`: the date where it is."""

    totals: list[Due]
    unpaid: list[InvoiceRow]
    count: int
    today: date


class Home(Answer):
    """Everything shared with one address."""

    senders: list[HomeSender]
    totals: list[Due]


class SenderInvoices(InvoiceList):
    """One page of a sender's invoices. `as_of` may be missing, as it may for the sender."""

    sender: Sender


class Change(Answer):
    """A field before and after, as texts: dates in ISO form, money in hundredths; `lines` tells how many."""

    field: str
    before: str
    after: str


class Happening(Answer):
    """One thing that happened to an invoice: `at` a moment, or `on` a day known from Xero alone. After it `left` is to pay, where known."""

    kind: str
    at: datetime | None = None
    on: date | None = None
    settlement: str | None = None
    amount: int | None = None
    left: int | None = None
    changes: Sequence[Change] = ()


class TimelineEntry(Answer):
    """One line of a client's timeline. `kind` is shares, mails, openings, payments or changes, and says which of the rest is there.

    `invoice_id` is “list” or “statement” where one of these was opened; `number` is None once it is no longer stored.
    """

    at: datetime
    kind: str
    share_id: str | None = None
    email: str | None = None
    access: str | None = None
    by: Person | None = None
    ended_reason: str | None = None
    carried_to: OtherContact | None = None
    mail: str | None = None
    mail_reason: str | None = None
    doing: str | None = None
    invoice_id: str | None = None
    number: str | None = None
    currency: str | None = None
    happening: Happening | None = None


class ClientTimeline(Answer):
    """One page of a client's timeline, newest first; `next` is the place the following page begins at."""

    contact_name: str | None
    as_of: datetime | None
    entries: Sequence[TimelineEntry]
    next: str | None = None


class OneInvoice(Answer):
    """One invoice in full; the timeline begins with the oldest."""

    sender: Sender
    invoice: Invoice
    standing: Standing
    today: date
    as_of: datetime
    timeline: Sequence[Happening] = ()


class Limit(Answer):
    """Why not all invoices to this contact are shown: those dated from a day on, or some that were picked."""

    contact_name: str
    from_date: date | None = None
    picked: int | None = None


class Entry(Answer):
    """One movement of a statement; `dated` is Xero's own date where that lies before `day`. `balance` is what is owed after it."""

    day: date
    kind: str
    invoice_id: str
    number: str
    reference: str
    due_date: date | None = None
    dated: date | None = None
    amount: int
    balance: int


class Ageing(Answer):
    """What is owed at the end by how many days it is overdue then."""

    current: int
    to_30: int
    to_60: int
    to_90: int
    older: int


class Account(Answer):
    """One contact's invoices in one currency over a period."""

    contact_id: str
    contact_name: str
    currency: str
    opening: int
    entries: list[Entry]
    closing: int
    ageing: Ageing


class Statement(Answer):
    """What moved from `first` (None: from the beginning) to `last`; `limits` is empty when all invoices are shared.

    `awaiting` and `voided` count invoices that are no part of it; `too_long`: there are too many entries to tell.
    """

    sender: Sender
    today: date
    first: date | None
    last: date
    limits: list[Limit]
    accounts: list[Account]
    too_long: bool
    awaiting: int
    voided: int


class WouldSee(Answer):
    """What a client would see by terms nothing was shared with yet. Without `shown` nothing is stored, and Xero has to be read."""

    hides_awaiting: bool
    shown: SenderInvoices | None = None


class WouldSeeInvoice(Answer):
    """The same of one invoice."""

    hides_awaiting: bool
    shown: OneInvoice | None = None


class Download(Answer):
    """PDFs of many invoices, asked for at once: `kept` of `total` are Xero's own, of `missed` Xero holds another version or none.

    `reason` and `limit` say why the rest waits. `invoice_ids` are those that may be taken away now, where they were asked for.
    """

    id: str
    organisation_id: str
    sender: str
    time_zone: str
    total: int
    kept: int
    missed: int
    ready: bool
    reason: str | None = None
    limit: str | None = None
    created_at: datetime
    purge_at: datetime
    invoice_ids: Sequence[str] = ()


class PdfGrant(Answer):
    """The right to Xero's PDF, and what to draw while Xero is away."""

    token: str
    shown: OneInvoice


class Moment(Answer):
    """One opening or download."""

    at: datetime
    kind: Literal["opened", "downloaded"]


class Viewing(Answer):
    """What one address did with one invoice; `number` is that of the invoice, where it is stored."""

    share_id: str
    email: str
    invoice_id: str
    number: str | None = None
    opened: int
    downloaded: int
    first_at: datetime
    last_at: datetime
    moments: Sequence[Moment] = ()


class StoredInvoice(Answer):
    """One stored invoice for its provider, with who opened it, the last one first."""

    invoice: Invoice
    standing: Standing
    today: date
    as_of: datetime
    timeline: Sequence[Happening] = ()
    viewings: Sequence[Viewing] = ()


class XeroInvoice(Answer):
    """One invoice as Xero holds it now, and where to open it there."""

    invoice: Invoice
    standing: Standing
    today: date
    as_of: datetime
    link: str
