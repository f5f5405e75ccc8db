"""Which contacts are watched: those with a live share. A share that ended stays as a tombstone, so events may come in any order."""

from __future__ import annotations

from common.mongo import Tx
from xero_gateway import store


async def begin_watching(tx: Tx, organisation_id: str, contact_id: str, share_id: str, load_id: str | None) -> None:
    """A share exists. Its load runs while any share of the contact lives; a share without one counts on a load of another."""
    if await store.find_share(tx, share_id) is None:
        await store.save_share(tx, organisation_id, contact_id, share_id, live=True)
    lives = bool(await store.watched_among(tx, organisation_id, [contact_id]))
    if load_id:
        await store.add_load(tx, organisation_id, contact_id, load_id, "pending" if lives else "cancelled")
    elif lives:
        await store.change_loads(tx, organisation_id, contact_id, state="cancelled", to="pending")
    if lives:
        await store.add_reconciliation(tx, organisation_id, await tx.now())


async def end_watching(tx: Tx, organisation_id: str, contact_id: str, share_id: str) -> None:
    """A share ended, for good. With the contact's last one its unfinished load ends too."""
    await store.save_share(tx, organisation_id, contact_id, share_id, live=False)
    if not await store.watched_among(tx, organisation_id, [contact_id]):
        await store.change_loads(tx, organisation_id, contact_id, state="pending", to="cancelled")
