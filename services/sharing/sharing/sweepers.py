"""The loops that go on after an access ended: one ends the rest of an organisation's, one erases what nobody may see any more."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from prometheus_client import Counter, Gauge

from common import claims
from common.correlation import correlated
from common.ids import new_id
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable, Document
from sharing import endings, erasing, leaving_store

ENDER_POLL_SECONDS = 1.0
CONTACTS_POLL_SECONDS = 60.0
LEASE_SECONDS = 30.0
AT_A_TIME = 200
"""So much is done under one lease; then the row is given back, due again at once."""

SETTLE_SECONDS = 5.0
FAILED_SECONDS = 60.0
SHARES_TO_END = Gauge("shares_to_end", "Live shares of organisations whose accesses are all being ended; closed to clients already")
CONTACTS_TO_ERASE = Gauge("contacts_to_erase", "Contacts whose last access ended within 30 days, or whose erasure is under way")
SNAPSHOTS_ERASED = Counter("snapshots_erased_total", "Snapshots erased 30 days after the last access to their contact ended")
log = get_logger()


class Ender:
    """Ends the shares of organisations that are flagged, one transaction each, and lifts the flag at the end."""

    name = "ender"

    async def run(self, db: Database) -> None:
        await _sweep(db, leaving_store.ENDINGS, self.work, self.measure, ENDER_POLL_SECONDS)

    async def work(self, db: Database, row: Document) -> None:
        ids = (await leaving_store.list_live_ids(db, row["_id"]))[:AT_A_TIME]
        for share_id in ids:
            await db.transact(endings.end_one, row, share_id)
        if ids or not await db.transact(endings.finish, row):
            wait = 0 if ids else SETTLE_SECONDS
            await db.collection(leaving_store.ENDINGS).update_one(claims.mine(row), claims.later(wait, attempts=0, reported=0))
        else:
            log.info("ending.finished", organisation_id=row["_id"], shares=row["total"])

    async def measure(self, db: Database) -> None:
        SHARES_TO_END.set(await leaving_store.count_to_end(db))


class ContactEraser:
    """Erases the snapshots of contacts whose last access ended 30 days ago."""

    name = "contact eraser"

    async def run(self, db: Database) -> None:
        await _sweep(db, leaving_store.CLOSED_CONTACTS, self.work, self.measure, CONTACTS_POLL_SECONDS)

    async def work(self, db: Database, row: Document) -> None:
        while erased := await db.transact(erasing.erase_some, row):
            SNAPSHOTS_ERASED.inc(erased)

    async def measure(self, db: Database) -> None:
        CONTACTS_TO_ERASE.set(await db.collection(leaving_store.CLOSED_CONTACTS).count({"state": "pending"}))


async def _sweep(
    db: Database,
    collection: str,
    work: Callable[[Database, Document], Awaitable[None]],
    measure: Callable[[Database], Awaitable[None]],
    poll: float,
) -> None:
    while not db.stopping:
        try:
            while await sweep_one(db, collection, work):
                pass
            await measure(db)
        except DatabaseUnavailable:
            log.warning("sweeper.database_away", collection=collection)
        await db.changed(within=poll)


async def sweep_one(db: Database, collection: str, work: Callable[[Database, Document], Awaitable[None]]) -> bool:
    """Works on one due row; False when there is none. A lease that ran out means that another process goes on with it."""
    rows = await claims.claim(db, collection, limit=1, lease=LEASE_SECONDS)
    for row in rows:
        try:
            with correlated(new_id("cor")):
                await work(db, row)
        except claims.LeaseLost:
            log.info("sweeper.lease_lost", collection=collection)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # whatever it is, the row must neither be lost nor stop the others
            log.error("sweeper.failed", collection=collection, id=row["_id"], exc_info=error)
            await db.collection(collection).update_one(claims.mine(row), claims.later(FAILED_SECONDS))
    return bool(rows)
