"""Turning the key of the vault: every data key is wrapped anew by the ring's primary key, while everything runs.

No token is opened and nothing is kept about the progress: what still names another key is what is left to do. So it may be
killed and begun again, and several may run at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from auth import audit, rotation_store, vault
from auth.audit_models import Use, an_access
from auth.rotation_store import Rewrapped
from auth.store import FIELDS
from common.crypto import KeyRing, Unreadable, rewrap
from common.logging import get_logger
from common.mongo import Database, Document

BATCH = 200
ROUNDS = 5
ROTATE = Use(service="auth", purpose="rotate")
log = get_logger()


@dataclass(frozen=True)
class Batch:
    """What one batch did: how many token sets it looked at, the last one's id, and those that no key of the ring unwraps."""

    seen: int
    last: str
    unreadable: tuple[str, ...] = ()


async def rewrap_batch(db: Database, ring: KeyRing, after: str = "") -> Batch:
    """Wraps the next token sets that need it. Call it again with `last` until it has seen none, and from the start until none needs it:
    what others read or wrote at the same moment is left for then."""
    rows = await rotation_store.list_wrapped_by(db, ring.others, after, BATCH) if ring.others else []
    wrapped, unreadable = _wrapped(ring, rows)
    generations = {row["_id"]: row["generation"] for row in rows}
    accesses = {id: an_access("rewrap", tuple(before), generations[id], ROTATE) for id, before, _ in wrapped}
    recorded = await audit.append_each(db, accesses)
    await rotation_store.save_rewrapped(db, (each for each in wrapped if each[0] in recorded))
    return Batch(len(rows), rows[-1]["_id"] if rows else after, tuple(unreadable))


async def rewrap_all(db: Database, ring: KeyRing, progress: Callable[[int, int], None]) -> tuple[int, set[str]]:
    """Wraps everything, telling (done, total) after each batch. Answers how many are left under another key, and the unreadable ones.

    More left than unreadable means that a process which was not restarted still writes with an old key.
    """
    total, done, left = await needing(db, ring), 0, 0
    unreadable: set[str] = set()
    for _ in range(ROUNDS):
        batch = Batch(1, "")
        while batch.seen:
            batch = await rewrap_batch(db, ring, batch.last)
            unreadable.update(batch.unreadable)
            done += batch.seen
            progress(min(done, total), total)
        if (left := await needing(db, ring)) <= len(unreadable):
            break
    return left, unreadable


async def needing(db: Database, ring: KeyRing) -> int:
    """How many token sets are wrapped by another key of the ring than its primary."""
    return await rotation_store.count_wrapped_by(db, ring.others) if ring.others else 0


def _wrapped(ring: KeyRing, rows: Iterable[Document]) -> tuple[list[Rewrapped], list[str]]:
    """What each token set needs wrapped, and the ids of those that cannot be unwrapped."""
    wrapped: list[Rewrapped] = []
    unreadable: list[str] = []
    for row in rows:
        before = {field: row[field] for field in FIELDS if row.get(field) and row[field]["kid"] != ring.primary}
        places = {field: vault.context(row["_id"], row["owner"], field, row["generation"]) for field in before}
        try:
            wrapped.append((row["_id"], before, {field: rewrap(ring, value, places[field]) for field, value in before.items()}))
        except Unreadable as error:
            log.error("vault.unreadable", grant_id=row["_id"], reason=str(error))
            unreadable.append(row["_id"])
    return wrapped, unreadable
