"""What a client sees: home, a sender's invoices, one invoice. Every function checks the grant first and reads afterwards."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel

from common.contracts.invoice_lists import InvoiceList, InvoiceRow, list_invoices
from common.contracts.timelines import Happening, timeline
from common.contracts.xero_gateway import Invoice, Standing
from common.errors import NotFound
from common.mongo import Database, Document
from sharing import snapshot_store, store
from sharing.models import Contact, Doing, Organisation, Share
from sharing.organisations import today_of
from sharing.shares import decline_share

SHOWN_AT_HOME = 5
Contacts = Mapping[tuple[str, str], Contact]


class SenderContact(BaseModel):
    """Under which name of the sender's books invoices run."""

    contact_id: str
    name: str


class Sender(BaseModel):
    """An organisation that shares with this address. `as_of`: when Xero was last read for these contacts; `time_zone` is its own."""

    organisation_id: str
    name: str
    time_zone: str
    contacts: list[SenderContact]
    as_of: datetime | None
    not_updating_since: datetime | None


class Due(BaseModel):
    """What is to pay in one currency, in hundredths; `overdue` is part of it."""

    currency: str
    overdue: int
    to_pay: int


class HomeSender(Sender):
    """With what is to pay, the first unpaid invoices (overdue first), and how many invoices there are in all."""

    totals: list[Due]
    unpaid: list[InvoiceRow]
    count: int
    today: date


class Home(BaseModel):
    """Everything shared with one address; each sender's rows go by the date where it is."""

    senders: list[HomeSender]
    totals: list[Due]


class SenderInvoices(InvoiceList):
    """One page of a sender's invoices."""

    sender: Sender


class OneInvoice(BaseModel):
    """One invoice in full; the timeline begins with the oldest."""

    sender: Sender
    invoice: Invoice
    standing: Standing
    today: date
    as_of: datetime
    timeline: list[Happening]


async def show_home(db: Database, email: str, now: datetime, default_time_zone: str) -> Home:
    """Everything open to this address, by sender's name. Noting the visit is the write that proves what is read after it."""
    await store.note_visit(db, email)
    shares = await store.list_open_shares(db, email)
    organisations = await store.list_organisations(db, {share.organisation_id for share in shares})
    contacts = await store.list_contacts(db, [(share.organisation_id, share.contact_id) for share in shares])
    today = {share.organisation_id: today_of(organisations.get(share.organisation_id), now, default_time_zone) for share in shares}
    sums = await snapshot_store.sum_visible(db, shares, today, SHOWN_AT_HOME)
    senders = []
    for organisation_id, granted in _by_organisation(shares).items():
        sender = _sender(organisations[organisation_id], granted, contacts, default_time_zone)
        rows = [row for row in sums if row["_id"]["organisation_id"] == organisation_id]
        senders.append(_home_sender(sender, rows, today[organisation_id]))
    senders.sort(key=lambda sender: (sender.name.casefold(), sender.organisation_id))
    totals = _dues((due.currency, due.overdue, due.to_pay) for sender in senders for due in sender.totals)
    return Home(senders=senders, totals=totals)


async def show_sender(
    db: Database,
    email: str,
    organisation_id: str,
    contact_id: str | None,
    wanted: Mapping[str, Any],
    now: datetime,
    default_time_zone: str,
) -> SenderInvoices:
    """A sender's invoices, of all contacts shared with this address or of one. `wanted` as `list_invoices` takes it.

    Counts a view of every share it shows. Raises NotFound when nothing of this sender is open to this address.
    """
    granted = await store.list_open_shares(db, email, organisation_id)
    shares = await count_views(db, email, [share for share in granted if contact_id in (None, share.contact_id)])
    return await read_sender(db, shares, granted, wanted, now, default_time_zone)


async def show_invoice(
    db: Database, email: str, organisation_id: str, invoice_id: str, doing: Doing, now: datetime, default_time_zone: str
) -> OneInvoice:
    """One invoice, opened or downloaded, which is counted. Raises NotFound when it is not open to this address now."""
    contact_id = await snapshot_store.find_contact_of_invoice(db, organisation_id, invoice_id)
    if not contact_id:
        raise NotFound
    shares = await count_views(db, email, await store.list_open_shares(db, email, organisation_id, contact_id))
    found = await read_invoice(db, shares[0], invoice_id, now, default_time_zone)
    await snapshot_store.add_viewing(db, shares[0], invoice_id, doing)
    return found


async def read_sender(
    db: Database, shares: Sequence[Share], granted: Sequence[Share], wanted: Mapping[str, Any], now: datetime, default_time_zone: str
) -> SenderInvoices:
    """What these shares show, for whom the grant check has let pass; `granted` names all contacts, which are the filter's choices."""
    sender, today = await about_sender(db, granted, now, default_time_zone)
    summaries = await snapshot_store.list_visible_summaries(db, shares)
    page = list_invoices(summaries, today, order="due_first", as_of=sender.as_of, **wanted)
    return SenderInvoices(**dict(page), sender=sender)


async def read_invoice(db: Database, share: Share, invoice_id: str, now: datetime, default_time_zone: str) -> OneInvoice:
    """One invoice with its history as this share shows it. Raises NotFound when it does not."""
    snapshot = await snapshot_store.find_visible_invoice(db, [share], invoice_id)
    if snapshot is None or snapshot.invoice is None:
        raise NotFound
    sender, today = await about_sender(db, [share], now, default_time_zone)
    invoice = snapshot.invoice
    ids = (share.organisation_id, share.contact_id, share.load_id, invoice_id)
    hidden = "SUBMITTED" if await store.list_hiding(db, {share.organisation_id}) else None
    versions = [
        version
        for version in await snapshot_store.list_versions(db, *ids)
        if share.policy.admits(version.invoice) and version.invoice.status != hidden
    ]
    return OneInvoice(
        sender=sender,
        invoice=invoice,
        standing=invoice.standing(today),
        today=today,
        as_of=sender.as_of or snapshot.read_at,
        timeline=timeline([version.invoice for version in versions]),
    )


async def decline_shares(db: Database, email: str, organisation_id: str, contact_id: str | None) -> int:
    """Ends what this address may see of a sender, each access in its own transaction; how many. Raises NotFound when there is none."""
    shares = await store.list_open_shares(db, email, organisation_id, contact_id)
    if not shares:
        raise NotFound
    for share in shares:
        await db.transact(decline_share, share)
    return len(shares)


async def count_views(db: Database, email: str, candidates: Sequence[Share]) -> list[Share]:
    """The grant check: those shares whose view was counted by a majority write are open, unless their organisation is ending all.

    Raises NotFound when none is.
    """
    counted = await asyncio.gather(*(store.count_view(db, email, share.id) for share in candidates))
    shares = await store.without_ending(db, [share for share in counted if share is not None])
    if not shares:
        raise NotFound
    return shares


async def about_sender(db: Database, shares: Sequence[Share], now: datetime, default_time_zone: str) -> tuple[Sender, date]:
    """The one sender of these shares, and its date."""
    organisation = await store.find_organisation(db, shares[0].organisation_id)
    assert organisation is not None  # nothing is shared before the organisation is known
    contacts = await store.list_contacts(db, [(share.organisation_id, share.contact_id) for share in shares])
    return _sender(organisation, shares, contacts, default_time_zone), today_of(organisation, now, default_time_zone)


def _sender(organisation: Organisation, shares: Iterable[Share], contacts: Contacts, default_time_zone: str) -> Sender:
    shown = [contacts[share.organisation_id, share.contact_id] for share in shares]
    shown.sort(key=lambda contact: (contact.name.casefold(), contact.contact_id))
    return Sender(
        organisation_id=organisation.id,
        name=organisation.name,
        time_zone=organisation.time_zone or default_time_zone,
        contacts=[SenderContact(contact_id=contact.contact_id, name=contact.name) for contact in shown],
        as_of=max((as_of for contact in shown if (as_of := organisation.as_of(contact))), default=None),
        not_updating_since=organisation.not_updating_since,
    )


def _home_sender(sender: Sender, rows: Sequence[Document], today: date) -> HomeSender:
    texts = [text for row in rows for text in row["unpaid"] if text]
    unpaid = list_invoices(snapshot_store.read_summaries(texts), today, view="to_pay", order="due_first", page_size=SHOWN_AT_HOME)
    return HomeSender(
        **dict(sender),
        totals=_dues((row["_id"]["currency"], row["overdue"], row["to_pay"]) for row in rows),
        unpaid=unpaid.invoices,
        count=sum(row["count"] for row in rows),
        today=today,
    )


def _dues(parts: Iterable[tuple[str, int, int]]) -> list[Due]:
    """Added up per currency, never across; a currency in which nothing is due is left out."""
    sums: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for currency, overdue, to_pay in parts:
        sums[currency][0] += overdue
        sums[currency][1] += to_pay
    return [Due(currency=currency, overdue=overdue, to_pay=to_pay) for currency, (overdue, to_pay) in sorted(sums.items()) if to_pay]


def _by_organisation(shares: Iterable[Share]) -> dict[str, list[Share]]:
    grouped: dict[str, list[Share]] = defaultdict(list)
    for share in shares:
        grouped[share.organisation_id].append(share)
    return grouped
