"""The loop that ends shares past their end: by then they show nothing any more, this writes it down and tells others."""

from __future__ import annotations

from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable
from sharing import store
from sharing.shares import expire_share

BATCH = 100
POLL_SECONDS = 5.0
log = get_logger()


class Expirer:
    """Looks every few seconds. Several may run: each share is ended by one conditional update."""

    name = "expirer"

    async def run(self, db: Database) -> None:
        while not db.stopping:
            try:
                while await self.expire_due(db) == BATCH:
                    pass
            except DatabaseUnavailable as error:
                log.warning("expirer.waits", reason=str(error))
            await db.rest(POLL_SECONDS)

    async def expire_due(self, db: Database) -> int:
        """Ends one batch, each share in its own transaction; how many were due."""
        due = await store.list_run_out_shares(db, BATCH)
        for share in due:
            await db.transact(expire_share, share)
        return len(due)
