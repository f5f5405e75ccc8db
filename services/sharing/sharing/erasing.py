"""Erasing: what is stored of a contact 30 days after its last access ended, and everything of organisations and providers that left."""

from __future__ import annotations

from datetime import datetime

from common.mongo import Database, Document, Tx
from sharing import download_store, leaving_store


async def erase_some(tx: Tx, row: Document) -> int:
    """Erases a part of a contact's snapshots; 0 when all are gone, or when somebody has access again. Raises LeaseLost."""
    organisation_id, contact_id = row["organisation_id"], row["contact_id"]
    await leaving_store.touch_contact(tx, organisation_id, contact_id)
    erased = 0
    if not await leaving_store.has_live_share(tx, organisation_id, contact_id):
        erased = await leaving_store.delete_some_snapshots(tx, organisation_id, contact_id)
    if not erased:
        await leaving_store.drop_closed_contact(tx, row)
    return erased


async def forget(db: Database, id: str, asked_at: datetime) -> None:
    """Everything about a provider or an organisation from before `asked_at`; an organisation that is shared again keeps what is new."""
    if id.startswith("prv_"):
        await leaving_store.forget_provider(db, id)
    else:
        await _forget_organisation(db, id, asked_at)


async def _forget_organisation(db: Database, organisation_id: str, asked_at: datetime) -> None:
    while shares := await leaving_store.list_ended_before(db, organisation_id, asked_at):
        await db.transact(leaving_store.delete_shares, [share.id for share in shares])
    while await download_store.delete_some_downloads(db, organisation_id, asked_at):
        pass
    kept, after = set(), ""
    while contact_ids := await leaving_store.list_contact_ids(db, organisation_id, after):
        for contact_id in contact_ids:
            if not await db.transact(_drop_contact, organisation_id, contact_id):
                kept.add(contact_id)
        after = contact_ids[-1]
    while await leaving_store.delete_stray_snapshots(db, organisation_id, kept, asked_at):
        pass
    await leaving_store.delete_looks(db, organisation_id, asked_at)
    await db.transact(leaving_store.forget_name, organisation_id)


async def _drop_contact(tx: Tx, organisation_id: str, contact_id: str) -> bool:
    """Deletes a contact without any share; False when it has one."""
    if await leaving_store.has_share(tx, organisation_id, contact_id):
        return False
    await leaving_store.delete_contact(tx, organisation_id, contact_id)
    return True
