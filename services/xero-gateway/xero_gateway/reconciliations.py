"""Asking Xero from time to time what changed: webhooks get lost, and some installations receive none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from common import claims
from common.contracts.xero_gateway import OrganisationChecked
from common.ids import new_id
from common.mongo import Database, Document, Reader, Tx
from xero_gateway import store
from xero_gateway.models import (
    OVERLAP,
    QUIET_PASSES,
    SWEEP_EVERY,
    Arrivals,
    Contact,
    Findings,
    InvoiceHead,
    InvoicesPage,
    Published,
    Sweep,
    pass_price,
    published,
    version_of,
)


def changes_since(row: Document) -> datetime:
    """What the next pass asks for."""
    high_water: datetime = row["high_water"]
    return high_water - OVERLAP


def may_wait(row: Document, arrivals: Arrivals, now: datetime, every_seconds: float) -> bool:
    """Whether this pass can be left out: webhooks tell of changes, nobody asked for it, and the last one is not long ago."""
    if row.get("asked", 0) != row.get("answered") or not arrivals.are_steady(now, every_seconds):
        return False
    return bool((now - row["passed_at"]).total_seconds() < (QUIET_PASSES - 0.5) * every_seconds)


async def news_among(reader: Reader, organisation_id: str, heads: Sequence[InvoiceHead]) -> set[str]:
    """The invoices among `heads` that have to be looked at: sales of a watched contact or published before, unless known as they are."""
    sales = [head for head in heads if head.is_sale]
    watched = await store.watched_among(reader, organisation_id, (head.contact_id for head in sales))
    before = await store.published_among(reader, organisation_id, (head.invoice_id for head in sales))
    return {head.invoice_id for head in sales if _is_news(head, before.get(head.invoice_id), watched)}


async def contacts_of_interest(reader: Reader, organisation_id: str, contacts: Sequence[Contact]) -> set[str]:
    """The contacts that are watched, or were merged into one that is."""
    ids = {contact.id for contact in contacts} | {contact.merged_to for contact in contacts if contact.merged_to}
    watched = await store.watched_among(reader, organisation_id, ids)
    return {contact.id for contact in contacts if contact.id in watched or contact.merged_to in watched}


async def finish_pass(tx: Tx, row: Document, found: Findings, every_seconds: float, calls_a_day: int) -> Counter[str]:
    """Marks what was found, or tells that nothing was; the next pass begins from when this one did. Raises LeaseLost.

    Answers the drift: how much of it nothing else had marked, by what found it. What was found is told by the time the next pass,
    which then comes soon, finds nothing more.
    """
    organisation_id = row["organisation_id"]
    drift = await _drift(tx, organisation_id, found)
    marks = [(organisation_id, "INVOICE", key) for key in sorted(found.invoice_ids | found.swept_ids)]
    await store.add_marks(tx, marks + [(organisation_id, "CONTACT", key) for key in sorted(found.contact_ids)])
    if found.nothing:
        version = version_of(found.read_at)
        await tx.emit(organisation_id, OrganisationChecked(version=version, organisation_id=organisation_id, checked_at=found.read_at))
    wait = every_seconds if found.nothing else every_seconds / 3
    await store.finish_pass(tx, row, found, wait, pass_price(found.calls, calls_a_day))
    return drift


async def next_sweep(reader: Reader, row: Document, now: datetime) -> Sweep | None:
    """What the sweep reads next: where it stands, or the beginning of a round that is due.

    None when there is nothing to read, and while earlier passes have used up what an organisation's part of the day held by now.
    """
    if row.get("paid_until", now) > now:
        return None
    known = Sweep.model_validate(row["sweep"]) if row.get("sweep") else None
    if known and (known.contact_id or now - known.began_at < SWEEP_EVERY):
        return known if known.contact_id else None
    first = await store.next_watched(reader, row["organisation_id"])
    return Sweep(round=new_id("swp"), began_at=now, contact_id=first) if first else None


async def take_swept(db: Database, organisation_id: str, sweep: Sweep, page: InvoicesPage) -> tuple[set[str], Sweep]:
    """The invoices of one page that are not as they were told, with those that vanished when it is a contact's last; what to read next.

    A contact that is just being loaded is passed over.
    """
    assert sweep.contact_id is not None  # there is no page of a round that is over
    loading = await store.is_loading(db, organisation_id, sweep.contact_id)
    wrong = set() if loading else await _not_as_told(db, organisation_id, sweep, page)
    if sweep.page < page.pages and not loading:
        return wrong, sweep.model_copy(update={"page": sweep.page + 1})
    following = await store.next_watched(db, organisation_id, sweep.contact_id)
    return wrong, sweep.model_copy(update={"contact_id": following, "page": 1})


async def _not_as_told(db: Database, organisation_id: str, sweep: Sweep, page: InvoicesPage) -> set[str]:
    ids = {invoice.invoice_id for invoice in page.invoices}
    known = await store.published_among(db, organisation_id, ids)
    wrong = {it.invoice_id for it in page.invoices if it.invoice_id not in known or known[it.invoice_id].digest != published(it).digest}
    await store.note_swept(db, organisation_id, ids, sweep.round)
    if sweep.page >= page.pages:
        wrong.update(await store.published_unswept(db, organisation_id, str(sweep.contact_id), sweep.round))
    return wrong


async def _drift(reader: Reader, organisation_id: str, found: Findings) -> Counter[str]:
    invoices = await store.marked_among(reader, organisation_id, "INVOICE", found.invoice_ids | found.swept_ids)
    contacts = await store.marked_among(reader, organisation_id, "CONTACT", found.contact_ids)
    swept = found.swept_ids - found.invoice_ids - invoices
    drift = Counter(changes=len(found.invoice_ids - invoices), contacts=len(found.contact_ids - contacts), sweep=len(swept))
    return +drift


async def rest(tx: Tx, row: Document) -> None:
    """When nothing is shared any more: no further passes until something is. Raises LeaseLost."""
    watched = await store.watches_any(tx, row["organisation_id"])
    await claims.finish(tx, store.RECONCILIATIONS, row, claims.later(0) if watched else claims.done("idle"))


def _is_news(head: InvoiceHead, known: Published | None, watched: set[str]) -> bool:
    if known is None:
        return head.contact_id in watched
    return (known.updated_at, known.contact_id) != (head.updated_at, head.contact_id)
