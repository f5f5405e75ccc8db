"""What a client takes away of a sender at once: the whole list, and a statement. Each is a grant check and is recorded once for a share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from pydantic import BaseModel

from common.mongo import Database
from sharing import snapshot_store, store
from sharing.client_views import Sender, SenderInvoices, about_sender, count_views, read_sender
from sharing.errors import TooMany
from sharing.models import Doing, Paper, Share
from sharing.statements import Account, Days, Period, accounts, days_of

MOST_ROWS = 10_000
MOST_ENTRIES = 3_000
"""How many invoices one list, and how many movements one statement hold."""


class Limit(BaseModel):
    """Why an access shows not all invoices to this contact: those dated from a day on, or some that were picked."""

    contact_name: str
    from_date: date | None
    picked: int | None


class Statement(BaseModel):
    """What moved from `first` (None: from the beginning) to `last`, by contact and currency. `limits` is empty when all is shared.

    `awaiting` and `voided` count invoices that are no part of it. `too_long`: opening, closing and ageing stand, the entries are left out.
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


async def show_list(
    db: Database,
    email: str,
    organisation_id: str,
    contact_id: str | None,
    wanted: Mapping[str, Any],
    now: datetime,
    default_time_zone: str,
) -> SenderInvoices:
    """All rows of a sender's list, as `show_sender` narrows it. Raises TooMany, and NotFound as that does."""
    granted, shares = await _granted(db, email, organisation_id, contact_id)
    found = await read_sender(db, shares, granted, {**wanted, "page_size": MOST_ROWS}, now, default_time_zone)
    if found.total > MOST_ROWS:
        raise TooMany(most=MOST_ROWS)
    await _record(db, shares, "list", "downloaded")
    return found


async def show_statement(
    db: Database,
    email: str,
    organisation_id: str,
    contact_id: str | None,
    period: Period,
    between: tuple[date | None, date | None],
    doing: Doing,
    now: datetime,
    default_time_zone: str,
) -> Statement:
    """A statement of all contacts shared with this address or of one, over a named period or `between` two days; a last day that is
    missing there is today. Raises NotFound when nothing of this sender is open to this address."""
    granted, shares = await _granted(db, email, organisation_id, contact_id)
    sender, today = await about_sender(db, granted, now, default_time_zone)
    days = Days(between[0], between[1] or today) if any(between) else days_of(period, today)
    summaries = await snapshot_store.list_visible_summaries(db, shares)
    found = accounts(summaries, days)
    too_long = sum(len(account.entries) for account in found) > MOST_ENTRIES
    await _record(db, shares, "statement", doing)
    return Statement(
        sender=sender,
        today=today,
        first=days.first,
        last=days.last,
        limits=_limits(shares, sender),
        accounts=[account.model_copy(update={"entries": []}) for account in found] if too_long else found,
        too_long=too_long,
        awaiting=sum(summary.status == "SUBMITTED" for summary in summaries),
        voided=sum(summary.status == "VOIDED" for summary in summaries),
    )


async def _granted(db: Database, email: str, organisation_id: str, contact_id: str | None) -> tuple[list[Share], list[Share]]:
    """What this address may see of a sender, and which of it was asked for and let pass."""
    granted = await store.list_open_shares(db, email, organisation_id)
    return granted, await count_views(db, email, [share for share in granted if contact_id in (None, share.contact_id)])


async def _record(db: Database, shares: list[Share], paper: Paper, doing: Doing) -> None:
    for share in shares:
        await snapshot_store.add_viewing(db, share, paper, doing)


def _limits(shares: list[Share], sender: Sender) -> list[Limit]:
    names = {contact.contact_id: contact.name for contact in sender.contacts}
    return [
        Limit(contact_name=names[share.contact_id], from_date=share.policy.from_date, picked=picked and len(picked))
        for share in shares
        if (picked := share.policy.invoice_ids) or share.policy.from_date
    ]
