"""Forgetting client identities: an address that has held no access and no session for 30 days leaves no trace here."""

from __future__ import annotations

from datetime import timedelta

from common.mongo import Tx
from portal import store

KEPT = timedelta(days=30)
LOOK_EVERY = timedelta(days=1)


async def look_at_client(tx: Tx, client_id: str, *, holds: bool) -> bool:
    """Notes what was seen of a client, `holds` being whether the address holds any access; True when it was forgotten with that."""
    client = await store.find_client_by_id(tx, client_id)
    if client is None:
        return False
    now = await tx.now()
    if holds or await store.list_sessions(tx, client.id):
        await store.save_look(tx, client.model_copy(update={"idle_since": None, "look_at": now + LOOK_EVERY}))
        return False
    idle_since = client.idle_since or now
    if now >= idle_since + KEPT:
        await store.delete_client(tx, client.id)
        return True
    look_at = min(now + LOOK_EVERY, idle_since + KEPT)
    await store.save_look(tx, client.model_copy(update={"idle_since": idle_since, "look_at": look_at}))
    return False
