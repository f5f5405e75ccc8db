"""The loop that keeps connections alive and true: it renews tokens before people wait for it and follows what Xero lists."""

from __future__ import annotations

import asyncio

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
AT_ONCE = 16
"""One slow answer of Xero must not hold up thousands of other logins."""

log = get_logger()


class Refresher:
    """Looks at token sets in use every 20 minutes, at all others once a week. Several may run: each look is claimed."""

    name = "refresher"

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    async def run(self, db: Database) -> None:
        while not db.stopping:
            try:
                while await self.check_due(db):
                    pass
            except DatabaseUnavailable:
                log.warning("refresher.database_away")
            await db.changed(within=POLL_SECONDS)

    async def check_due(self, db: Database) -> int:
        """Looks at a few token sets that are due; how many. Xero away: they come again within two minutes."""
        due: list[str] = []
        while not db.stopping and len(due) < AT_ONCE and (token_set_id := await store.claim_check(db)):
            due.append(token_set_id)
        await asyncio.gather(*(self._check(db, token_set_id) for token_set_id in due))
        return len(due)

    async def _check(self, db: Database, token_set_id: str) -> None:
        with correlated(new_id("cor")), deadline(CHECK_SECONDS):
            try:
                await self._tokens.follow_connections(db, token_set_id)
            except (XeroUnavailable, Dead) as reason:
                log.warning("refresher.not_checked", grant_id=token_set_id, reason=type(reason).__name__)
