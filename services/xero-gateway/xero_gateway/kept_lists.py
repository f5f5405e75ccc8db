"""A contact and its invoices without lines, kept for five minutes so that pages, views and searches cost Xero one reading."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from pydantic import TypeAdapter

from common.contracts.xero_gateway import InvoiceSummary
from common.ids import new_id
from common.mongo import Database, Reader
from xero_gateway import store
from xero_gateway.models import Contact

KEPT = timedelta(minutes=5)
PURGED = timedelta(hours=1)
PART_INVOICES = 1000
"""About 0.7 MB of JSON; a document may have 16 MB."""

SUMMARIES = TypeAdapter(list[InvoiceSummary])


async def find_kept_list(db: Database, organisation_id: str, contact_id: str) -> tuple[datetime, list[InvoiceSummary]] | None:
    """When Xero was read, and all the contact's invoices; None when there is no fresh list."""
    found = await store.find_list(db, organisation_id, contact_id)
    if found is None:
        return None
    as_of, parts = found
    invoices: list[InvoiceSummary] = []
    for part in parts:
        invoices += SUMMARIES.validate_json(part)
        await asyncio.sleep(0)  # others get their turn between the parts of a long list
    return as_of, invoices


async def find_kept_contact(db: Database, organisation_id: str, contact_id: str) -> Contact | None:
    """The contact itself, while what is kept of it is fresh."""
    found = await store.find_kept_contact(db, organisation_id, contact_id)
    return Contact.model_validate_json(found) if found else None


async def keep_contact(db: Database, organisation_id: str, contact: Contact, generation: str) -> None:
    """Keeps a contact as long as a list; `generation` as for `keep_list`."""
    await store.keep_contact(db, organisation_id, contact.id, generation, contact.model_dump_json(), await db.now() + KEPT)


async def begin_list(db: Database, organisation_id: str, contact_id: str) -> str:
    """To be called before Xero is read: what `keep_list` needs to notice that something changed meanwhile."""
    return await store.begin_list(db, organisation_id, contact_id, new_id("gen"), await db.now() + PURGED)


async def keep_list(
    db: Database, organisation_id: str, contact_id: str, generation: str, as_of: datetime, invoices: Sequence[InvoiceSummary]
) -> bool:
    """Keeps a list that was read at `as_of`; False when a change was seen since its reading began, then it is not kept."""
    list_id, purge_at = new_id("lst"), as_of + PURGED
    parts = [list(invoices[first : first + PART_INVOICES]) for first in range(0, len(invoices), PART_INVOICES)]
    for place, part in enumerate(parts):
        ids = [invoice.invoice_id for invoice in part]
        text = SUMMARIES.dump_json(part).decode()
        await store.add_list_part(db, organisation_id, contact_id, list_id, place, ids, text, purge_at)
    head = {"list_id": list_id, "parts": len(parts), "as_of": as_of, "expires_at": as_of + KEPT, "purge_at": purge_at}
    return await store.keep_list(db, organisation_id, contact_id, generation, head)


async def drop_lists(where: Reader, organisation_id: str, contact_ids: Iterable[str], invoice_ids: Sequence[str] = ()) -> None:
    """Forgets the lists of these contacts, and those of other contacts that show one of the invoices."""
    shown = await store.contacts_listing(where, organisation_id, invoice_ids) if invoice_ids else set()
    await store.drop_lists(where, organisation_id, {*contact_ids, *shown}, new_id("gen"))


async def drop_all_lists(where: Reader, organisation_id: str) -> None:
    """Forgets every list of the organisation."""
    await store.drop_lists(where, organisation_id, None, new_id("gen"))
