"""The audit of the vault: a link is written before the access it tells of, so there may be a link too many and never one too few.

Two processes that write to one chain at once want the same number; the database lets one have it, the other takes the next.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from auth import audit_store
from auth.audit_models import Access, Link, Use, an_access, next_anchor, next_link
from common.clock import utc_now
from common.crypto import Unreadable
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable, DuplicateKey, Reader, Tx

TRIES = 20
READS_AT_ONCE = 16
ANCHOR_EVERY = timedelta(hours=1)
LOOK_BACK = timedelta(minutes=30)
"""How far clocks of processes may differ: links up to this old are looked at again by the next anchor."""
HEADS_PER_ANCHOR = 5000
log = get_logger()


class ChainClosed(Unreadable):
    """The token set was destroyed; nothing may touch it any more."""


@dataclass(eq=False)
class _Waiting:
    access: Access
    written: bool = False


@dataclass
class _Turn:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: list[_Waiting] = field(default_factory=list)


class Journal:
    """Writes the links of one process. Accesses of one token set that come while a link is being written share the next."""

    def __init__(self) -> None:
        self._turns: dict[str, _Turn] = {}

    async def record(self, db: Database, chain: str, access: Access) -> None:
        """Returns when the access is in the chain. Raises ChainClosed, DatabaseUnavailable."""
        turn = self._turns.setdefault(chain, _Turn())
        mine = _Waiting(access)
        turn.waiting.append(mine)
        try:
            async with turn.lock:
                if not mine.written:
                    together = list(turn.waiting)
                    await _added(db, chain, [each.access for each in together])
                    for each in together:
                        each.written = True
        finally:
            turn.waiting = [each for each in turn.waiting if not each.written and each is not mine]
            if not turn.waiting and not turn.lock.locked() and self._turns.get(chain) is turn:
                del self._turns[chain]


async def append(tx: Reader, chain: str, accesses: Sequence[Access]) -> Link:
    """The next link of a chain, in the transaction that changes the token set. Raises ChainClosed; DuplicateKey outside of one."""
    last = await audit_store.find_last_link(tx, chain)
    if last and last.closed:
        raise ChainClosed(f"the chain of {chain} is closed")
    link = next_link(last, chain, accesses, utc_now())
    await audit_store.add_link(tx, link)
    return link


async def append_each(db: Database, accesses: Mapping[str, Access]) -> set[str]:
    """One access in each of many chains. Answers the chains that have it now: those closed, or written to by others meanwhile, have not."""
    gate = asyncio.Semaphore(READS_AT_ONCE)

    async def last_of(chain: str) -> Link | None:
        async with gate:
            return await audit_store.find_last_link(db, chain)

    lasts = await asyncio.gather(*(last_of(chain) for chain in accesses))
    open_chains = [(chain, last) for chain, last in zip(accesses, lasts, strict=True) if not (last and last.closed)]
    return await audit_store.add_links(db, [next_link(last, chain, [accesses[chain]], utc_now()) for chain, last in open_chains])


async def close(tx: Tx, chain: str, use: Use) -> None:
    """The last link of a chain, in the transaction that deletes its token set: from then on verifying wants the token set gone."""
    last = await audit_store.find_last_seal(tx, chain)
    await append(tx, chain, [an_access("close", (), last or 0, use)])


async def anchor(db: Database) -> int:
    """Anchors the heads of all chains that grew since the last anchor; answers how many anchors were made, none within the hour."""
    last = await audit_store.find_last_anchor(db)
    now = await db.now()
    if last and now < last.at + ANCHOR_EVERY:
        return 0
    grown = await audit_store.list_heads(db, last.at - LOOK_BACK if last else datetime.fromtimestamp(0, UTC))
    parts = [grown[start : start + HEADS_PER_ANCHOR] for start in range(0, len(grown), HEADS_PER_ANCHOR)] or [[]]
    for made, part in enumerate(parts):
        heads = audit_store.heads_of(part, await audit_store.hashes_of(db, part))
        last = next_anchor(last, heads, now)
        try:
            await audit_store.add_anchor(db, last)
        except DuplicateKey:
            return made  # another process is at it
        log.info("audit.anchored", number=last.number, hash=last.hash, chains=len(heads))
    return len(parts)


async def _added(db: Database, chain: str, accesses: Sequence[Access]) -> Link:
    for _ in range(TRIES):
        try:
            return await append(db, chain, accesses)
        except DuplicateKey:
            await asyncio.sleep(random.uniform(0, 0.01))
    raise DatabaseUnavailable("The audit of this token set is busy.")
