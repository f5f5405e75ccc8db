"""Asking Xero from time to time what changed: webhooks get lost, and some installations receive none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from common import claims
from common.mongo import Document, Reader, Tx
from xero_gateway import store
from xero_gateway.models import OVERLAP, QUIET_PASSES, Arrivals, Contact, Findings, InvoiceHead, Published, pass_price


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


async def finish_pass(tx: Tx, row: Document, found: Findings, every_seconds: float, calls_a_day: int) -> None:
    """Marks what was found; the next pass begins from when this one did. Raises LeaseLost."""
    organisation_id = row["organisation_id"]
    marks = [(organisation_id, "INVOICE", key) for key in sorted(found.invoice_ids)]
    await store.add_marks(tx, marks + [(organisation_id, "CONTACT", key) for key in sorted(found.contact_ids)])
    await store.finish_pass(tx, row, found.read_at, every_seconds, pass_price(found.calls, calls_a_day))


async def rest(tx: Tx, row: Document) -> None:
    """When nothing is shared any more: no further passes until something is. Raises LeaseLost."""
    watched = await store.watches_any(tx, row["organisation_id"])
    await claims.finish(tx, store.RECONCILIATIONS, row, claims.later(0) if watched else claims.done("idle"))


def _is_news(head: InvoiceHead, known: Published | None, watched: set[str]) -> bool:
    if known is None:
        return head.contact_id in watched
    return (known.updated_at, known.contact_id) != (head.updated_at, head.contact_id)
