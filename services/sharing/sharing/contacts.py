"""The contacts somebody has access to: their names, and their stored invoices for the provider while Xero is away."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from pydantic import BaseModel

from common.contracts.invoice_lists import Chosen, InvoiceList, list_invoices
from common.contracts.xero_gateway import ContactChanged
from common.errors import NotFound
from common.mongo import Database, Tx
from sharing import snapshot_store, store
from sharing.models import Organisation, Policy
from sharing.organisations import today_of


class SharedClient(BaseModel):
    """A contact, how many addresses have access to it, and when Xero was last read for it."""

    contact_id: str
    name: str
    shares: int
    as_of: datetime | None


class SharedClients(BaseModel):
    """One page of them, by name."""

    clients: list[SharedClient]
    page: int
    page_size: int
    total: int


async def note_contact(tx: Tx, change: ContactChanged) -> None:
    """A shared contact's name as it is now, and into which one it was merged. Nothing moves by that: a provider is asked."""
    contact = await store.find_contact(tx, change.organisation_id, change.contact_id)
    if contact is not None and change.version > contact.name_version:
        await store.save_contact(tx, contact.changed(name=change.name, merged_to=change.merged_to, name_version=change.version))


async def list_clients(db: Database, organisation_id: str, search: str, page: int) -> SharedClients:
    """The contacts of this organisation somebody has access to now."""
    counts = await store.count_live_shares(db, organisation_id)
    contacts, total = await store.search_contacts(db, organisation_id, counts, search, page)
    organisation = await store.find_organisation(db, organisation_id) or Organisation(id=organisation_id)
    clients = [
        SharedClient(contact_id=contact.contact_id, name=contact.name, shares=counts[contact.contact_id], as_of=organisation.as_of(contact))
        for contact in contacts
    ]
    return SharedClients(clients=clients, page=page, page_size=store.PAGE_SIZE, total=total)


async def list_stored_invoices(
    db: Database,
    organisation_id: str,
    contact_id: str,
    policy: Policy,
    wanted: Mapping[str, Any],
    now: datetime,
    default_time_zone: str,
) -> InvoiceList:
    """A contact's invoices as they are stored, and what a share with this policy would show; `wanted` as `list_invoices` takes it.

    Raises NotFound when nothing is stored.
    """
    contact = await store.find_contact(db, organisation_id, contact_id)
    openings = await store.find_openings(db, organisation_id, {contact_id})
    if contact is None or contact.as_of is None or contact_id not in openings:
        raise NotFound
    summaries = await snapshot_store.list_stored_summaries(db, organisation_id, contact_id, openings[contact_id])
    organisation = await store.find_organisation(db, organisation_id) or Organisation(id=organisation_id)
    as_of = organisation.as_of(contact) or contact.as_of
    picked = None if policy.invoice_ids is None else frozenset(policy.invoice_ids)
    chosen = Chosen(policy.from_date, picked, organisation.hides_awaiting)
    return list_invoices(summaries, today_of(organisation, now, default_time_zone), as_of=as_of, chosen=chosen, **wanted)
