"""The loop that goes on with leaving: what a process that died left undone, and what had to wait for Xero."""

from __future__ import annotations

from auth import leaving_store
from auth.departures import LEASE_SECONDS, Departures
from common.claims import LeaseLost
from common.correlation import correlated
from common.deadlines import deadline
from common.ids import new_id
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable

POLL_SECONDS = 2.0
FAILED_SECONDS = 60.0
log = get_logger()


class Leaver:
    """Takes the steps that are due until it is cancelled. Several may run: each row is leased to one."""

    name = "leaver"

    def __init__(self, departures: Departures) -> None:
        self._departures = departures

    async def run(self, db: Database) -> None:
        while not db.stopping:
            try:
                while await self.go_on_with_one(db):
                    pass
            except DatabaseUnavailable:
                log.warning("leaver.database_away")
            await db.changed(within=POLL_SECONDS)

    async def go_on_with_one(self, db: Database) -> bool:
        """Goes on with one who leaves; False when nobody is due."""
        rows = await leaving_store.claim_leavings(db, LEASE_SECONDS)
        for row in rows:
            try:
                with correlated(new_id("cor")), deadline(LEASE_SECONDS / 2):
                    await self._departures.go_on(db, row)
            except LeaseLost:
                log.warning("leaver.lease_lost", leaving_id=row["_id"])
            except DatabaseUnavailable:
                raise
            except Exception as error:  # whatever it is, the row must neither be lost nor stop the others
                log.error("leaver.failed", leaving_id=row["_id"], exc_info=error)
                await leaving_store.go_on_later(db, row, FAILED_SECONDS)
        return bool(rows)
