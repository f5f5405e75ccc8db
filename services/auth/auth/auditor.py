"""The loop that anchors the audit every hour, and counts what is sealed under which key and which organisations need a sign-in."""

from __future__ import annotations

from prometheus_client import Gauge

from auth import audit, rotation_store, store
from auth.models import State
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable

POLL_SECONDS = 60.0
SEALED = Gauge("vault_token_sets", "Token sets by the ring key that wraps them; after a rotation only the primary has any", ["key"])
ORGANISATIONS = Gauge("xero_organisations", "Organisations that count as connected at Xero, by state", ["state"])
COUNTED: tuple[State, ...] = ("connected", "needs_reauth")
log = get_logger()


class Auditor:
    """Several may run: an anchor is made by the first that finds it due."""

    name = "auditor"

    async def run(self, db: Database) -> None:
        while not db.stopping:
            try:
                await self.look(db)
            except DatabaseUnavailable:
                log.warning("auditor.database_away")
            await db.rest(POLL_SECONDS)

    async def look(self, db: Database) -> None:
        counted = await rotation_store.count_by_key(db)
        SEALED.clear()
        for key, sets in counted.items():
            SEALED.labels(key).set(sets)
        for state in COUNTED:
            ORGANISATIONS.labels(state).set(await store.count_in_state(db, state))
        await audit.anchor(db)
