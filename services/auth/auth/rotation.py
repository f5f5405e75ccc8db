"""Turning the key of the vault: every data key is wrapped anew by the ring's primary key, while everything runs.

No token is opened and nothing is kept about the progress: what still names another key is what is left to do. So it may be
killed and begun again, and several may run at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from auth import rotation_store, vault
from auth.audit import ChainClosed
from auth.audit_models import Use, an_access
from auth.store import FIELDS
from auth.vault import Vault
from common.crypto import Unreadable, rewrap
from common.logging import get_logger
from common.mongo import Database, Document

BATCH = 200
AT_ONCE = 16
ROTATE = Use(service="auth", purpose="rotate")
log = get_logger()


@dataclass(frozen=True)
class Batch:
    """What one batch did: how many token sets it looked at, the last one's id, and those that no key of the ring unwraps."""

    seen: int
    last: str
    unreadable: tuple[str, ...] = ()


async def rewrap_batch(db: Database, vault: Vault, after: str = "") -> Batch:
    """Wraps the next token sets that need it. Call it again with `last` until it has seen none, then once more from the start."""
    rows = await rotation_store.list_wrapped_by(db, vault.ring.others, after, BATCH) if vault.ring.others else []
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(row: Document) -> str | None:
        async with gate:
            return await _rewrapped(db, vault, row)

    unreadable = await asyncio.gather(*(one(row) for row in rows))
    return Batch(len(rows), rows[-1]["_id"] if rows else after, tuple(id for id in unreadable if id))


async def rewrap_all(db: Database, vault: Vault, progress: Callable[[int, int], None]) -> tuple[int, set[str]]:
    """Wraps everything, telling (done, total) after each batch. Answers how many are left under another key, and the unreadable ones.

    More left than unreadable means that a process which was not restarted still writes with an old key.
    """
    total, done, left = await needing(db, vault), 0, 0
    unreadable: set[str] = set()
    for _ in range(3):  # what was written under an old key behind our back comes in the next round
        batch = Batch(1, "")
        while batch.seen:
            batch = await rewrap_batch(db, vault, batch.last)
            unreadable.update(batch.unreadable)
            done += batch.seen
            progress(min(done, total), total)
        if (left := await needing(db, vault)) <= len(unreadable):
            break
    return left, unreadable


async def needing(db: Database, vault: Vault) -> int:
    """How many token sets are wrapped by another key of the ring than its primary."""
    return await rotation_store.count_wrapped_by(db, vault.ring.others) if vault.ring.others else 0


async def _rewrapped(db: Database, keeper: Vault, row: Document) -> str | None:
    """The id of a token set that cannot be unwrapped; None when it is done, or somebody else wrote it meanwhile."""
    before = {field: row[field] for field in FIELDS if row.get(field) and row[field]["kid"] != keeper.ring.primary}
    try:
        after = {
            field: rewrap(keeper.ring, value, vault.context(row["_id"], row["owner"], field, row["generation"]))
            for field, value in before.items()
        }
        await keeper.record(db, row["_id"], an_access("rewrap", tuple(before), row["generation"], ROTATE))
    except ChainClosed:
        return None  # deleted since it was read
    except Unreadable as error:
        log.error("vault.unreadable", grant_id=row["_id"], reason=str(error))
        return str(row["_id"])
    await rotation_store.save_rewrapped(db, row["_id"], before, after)
    return None
