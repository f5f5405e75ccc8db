"""The loop that keeps connections alive and true: it renews tokens before people wait for it and follows what Xero lists."""

from __future__ import annotations

from auth import store
from auth.errors import XeroUnavailable
from auth.tokens import Dead, Tokens
from common.correlation import correlated
from common.deadlines import deadline
from common.ids import new_id
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable

POLL_SECONDS = 15.0
CHECK_SECONDS = 30.0
log = get_logger()


class Refresher:
    """Looks at token sets in use every 20 minutes, at all others once a week. Several may run: each look is claimed."""

    name = "refresher"

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def run(self, db: Database) -> None:
        while True:
            try:
                while await self.check_one(db):
                    pass
            except DatabaseUnavailable:
                log.warning("refresher.database_away")
            await db.changed(within=POLL_SECONDS)

    async def check_one(self, db: Database) -> bool:
        """Looks at one token set that is due; False when none is. Xero away: it comes again in two minutes."""
        token_set_id = await store.claim_check(db)
        if token_set_id is None:
            return False
        with correlated(new_id("cor")), deadline(CHECK_SECONDS):
            try:
                await self._tokens.follow_connections(db, token_set_id)
            except (XeroUnavailable, Dead) as reason:
                log.warning("refresher.not_checked", grant_id=token_set_id, reason=type(reason).__name__)
        return True
