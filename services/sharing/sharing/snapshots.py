"""Keeping what Xero said of invoices: the newest version of each, in whatever order versions arrive, and every version as history."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from hashlib import sha256

from common.contracts.xero_gateway import Invoice, InvoicesChanged, InvoicesFetched
from common.crypto import KeyRing
from common.mongo import Tx
from sharing import snapshot_store, store
from sharing.invitations import invite_waiting
from sharing.models import KEPT, Version, blank_snapshot, contact_key


async def store_batch(tx: Tx, batch: InvoicesFetched, ring: KeyRing) -> None:
    """Stores one batch of a contact's first load; the batch that completes it invites whoever waits.

    A batch of a load nobody waits for any more is dropped: the contact was closed since, or opened anew.
    """
    contact = await store.find_contact(tx, batch.organisation_id, batch.contact_id)
    openings = await store.find_openings(tx, batch.organisation_id, {batch.contact_id})
    if contact is None or openings.get(batch.contact_id) != batch.load_id:
        return
    contact = contact.with_batch(batch.version, stored=batch.stored, total=batch.total, batches=batch.batches, read_at=batch.read_at)
    await store.save_contact(tx, contact)
    await _keep(tx, batch.organisation_id, batch.invoices, batch.read_at, from_load=True)
    await invite_waiting(tx, contact, ring)


async def store_changes(tx: Tx, change: InvoicesChanged, ring: KeyRing) -> None:
    """Stores a contact's invoices as they are now; the first one there is to open invites whoever waits. Bills are refused."""
    await store.touch_contacts(tx, change.organisation_id, {change.contact_id}, change.read_at)
    await _keep(tx, change.organisation_id, change.invoices, change.read_at)
    contact = await store.find_contact(tx, change.organisation_id, change.contact_id)
    if contact is not None:
        await invite_waiting(tx, contact, ring)


async def _keep(tx: Tx, organisation_id: str, invoices: Sequence[Invoice], read_at: datetime, *, from_load: bool = False) -> None:
    """Each invoice is judged by the contact it belongs to now, and its content kept only if somebody has access to that one."""
    sales = [invoice for invoice in invoices if invoice.is_sale]
    openings = await store.find_openings(tx, organisation_id, {invoice.contact_id for invoice in sales})
    known = await snapshot_store.list_snapshots(tx, organisation_id, {invoice.invoice_id for invoice in sales})
    told = dict(known)
    for invoice in sales:
        before = told.get(invoice.invoice_id) or blank_snapshot(organisation_id, invoice.invoice_id)
        told[invoice.invoice_id] = before.told(invoice, read_at, openings.get(invoice.contact_id))
    changed = [snapshot for invoice_id, snapshot in told.items() if snapshot != known.get(invoice_id)]
    if changed:
        await snapshot_store.save_snapshots(tx, changed)
    kept = [_version(organisation_id, it, read_at, openings, from_load) for it in sales if _is_kept(it, openings)]
    await snapshot_store.add_versions(tx, kept)


def _is_kept(invoice: Invoice, openings: Mapping[str, str]) -> bool:
    return invoice.contact_id in openings and invoice.status in KEPT


def _version(organisation_id: str, invoice: Invoice, read_at: datetime, openings: Mapping[str, str], from_load: bool) -> Version:
    """Named by its content: the same version read again is the same document, two changes within one second are two."""
    load_id = openings[invoice.contact_id]
    content = sha256(invoice.model_dump_json().encode()).hexdigest()[:16]
    return Version(
        id=f"{contact_key(organisation_id, invoice.invoice_id)}:{load_id}:{content}",
        organisation_id=organisation_id,
        invoice_id=invoice.invoice_id,
        contact_id=invoice.contact_id,
        load_id=load_id,
        updated_at=invoice.updated_at,
        read_at=read_at,
        from_load=from_load,
        invoice=invoice,
    )
