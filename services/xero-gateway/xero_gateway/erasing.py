"""Erasing an organisation nobody has connected any more: what was read from its Xero, and what was known of it."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from common.mongo import Database
from xero_gateway import store


async def forget(db: Database, id: str, _asked_at: datetime) -> None:
    """Everything of an organisation but the ids that keep late events harmless. One that is shared again keeps all: it is read anew.

    Of a provider nothing is known here beside events.
    """
    if id.startswith("org_"):
        with suppress(store.StillWatched):
            await db.transact(store.delete_work_of, id)
            await store.delete_rest_of(db, id)
