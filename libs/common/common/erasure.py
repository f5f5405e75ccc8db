"""Erasing somebody who left: what a service keeps about them, and the events about them in its outbox and inbox.

Who is erased is an id: a provider's or an organisation's. Consumers of `auth.provider.deleted` ask for it in their transaction; the loop
then erases, and comes again later for what was still on its way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from common import claims
from common.ids import first_id
from common.logging import get_logger
from common.mongo import INBOX, OUTBOX, Database, DatabaseUnavailable, Document, Filter, Index, Tx
from common.telemetry import ERASURES_WAITING

ERASURES = "erasures"
AGAIN_SECONDS = (60, 3600, 24 * 3600)
"""When it comes again. A transaction that began before the erasure lives at most a minute; a consumer may be away for hours."""

BATCH = 500
LEASE_SECONDS = 60.0
FAILED_SECONDS = 60.0
POLL_SECONDS = 2.0
KEPT_SECONDS = 30 * 24 * 3600
INDEXES = {ERASURES: [claims.INDEX, Index(("finished_at", 1), expire_after=KEPT_SECONDS)]}
Forget = Callable[[Database, str, datetime], Awaitable[None]]
log = get_logger()


async def ask_for_erasure(tx: Tx, id: str) -> None:
    """Everything about this provider or organisation is to go. Asked again, it begins again."""
    row = {"state": "pending", "due_at": claims.IMMEDIATELY, "attempts": 0, "reported": 0, "passes": 0, "asked_at": "$$NOW"}
    anew = [{"$set": row}, {"$unset": ["lease", "lease_until", "finished_at"]}]
    await tx.collection(ERASURES).update_one({"_id": id}, anew, upsert=True)


class Eraser:
    """Erases until it is cancelled. Several may run: each row is leased to one, and erasing twice is erasing once."""

    name = "eraser"

    def __init__(self, forget: Forget) -> None:
        """`forget(db, id, asked_at)` deletes the service's own data about an id from before that moment, in small steps.

        It may be run again from its beginning. An organisation may be connected anew meanwhile: what is newer stays.
        """
        self._forget = forget

    async def run(self, db: Database) -> None:
        while not db.stopping:
            try:
                while await self.erase_one(db):
                    pass
                ERASURES_WAITING.set(await db.collection(ERASURES).count({"state": "pending"}))
            except DatabaseUnavailable:
                log.warning("eraser.database_away")
            await db.changed(within=POLL_SECONDS)

    async def erase_one(self, db: Database) -> bool:
        """One pass over what is due; False when nothing is."""
        rows = await claims.claim(db, ERASURES, limit=1, lease=LEASE_SECONDS)
        for row in rows:
            try:
                await self._forget(db, row["_id"], row["asked_at"])
                await erase_events(db, row["_id"], row["asked_at"])
            except DatabaseUnavailable:
                raise
            except Exception as error:  # whatever it is, the row must neither be lost nor stop the others
                log.error("erasure.failed", erased=row["_id"], exc_info=error)
                await db.collection(ERASURES).update_one(claims.mine(row), claims.later(FAILED_SECONDS))
            else:
                await db.collection(ERASURES).update_one(claims.mine(row), _after(row))
        return bool(rows)


async def erase_events(db: Database, id: str, asked_at: datetime) -> None:
    """Deletes sent events about this id and empties those that were handled or set aside; their ids stay, for doubles.

    An event made since and set aside may belong to an organisation that was connected anew: an operator still has to see it.
    """
    sent = {"about": id, "state": "sent"}
    await in_batches(db, OUTBOX, sent, lambda batch: db.collection(OUTBOX).delete_many(batch))
    settled = [{"state": "done"}, {"state": "parked", "_id": {"$lt": first_id("evt", asked_at)}}]
    handled = {"about": id, "$or": settled, "body": {"$ne": ""}}
    emptied = {"$set": {"body": "", "state": "done"}, "$unset": {"reason": ""}}
    await in_batches(db, INBOX, handled, lambda batch: db.collection(INBOX).update_many(batch, emptied))


async def in_batches(db: Database, collection: str, where: Filter, change: Callable[[Filter], Awaitable[object]]) -> None:
    """Calls `change` with a filter for some of the documents that match, until none does; it must end their matching."""
    while found := await db.collection(collection).find(where, projection={"_id": 1}, limit=BATCH):
        await change({"_id": {"$in": [row["_id"] for row in found]}})


def _after(row: Document) -> list[Document]:
    passes = row["passes"]
    if passes == len(AGAIN_SECONDS):
        return claims.done("done")
    return claims.later(AGAIN_SECONDS[passes], passes=passes + 1)
