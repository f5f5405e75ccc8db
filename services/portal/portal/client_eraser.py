"""The loop that forgets client identities: asks sharing once a day which addresses still hold an access."""

from __future__ import annotations

from prometheus_client import Counter

from common.correlation import correlated
from common.errors import Unavailable
from common.ids import new_id
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable
from portal import store
from portal.clients import SharingClient
from portal.identities import look_at_client

AT_A_TIME = 100
POLL_SECONDS = 60.0
CLIENTS_ERASED = Counter("clients_erased_total", "Client identities erased 30 days after their address held no access and no session")
log = get_logger()


class ClientEraser:
    """Looks at identities whose time has come. Several may run: looking twice finds the same."""

    name = "client eraser"

    def __init__(self, sharing: SharingClient) -> None:
        self._sharing = sharing

    async def run(self, db: Database) -> None:
        while not db.stopping:
            try:
                with correlated(new_id("cor")):
                    while await self.look(db):
                        pass
            except (DatabaseUnavailable, Unavailable) as error:
                log.warning("client_eraser.waits", reason=type(error).__name__)
            await db.changed(within=POLL_SECONDS)

    async def look(self, db: Database) -> int:
        """Looks at one batch; how many. Raises Unavailable when sharing does not answer: then nobody is forgotten."""
        clients = await store.list_clients_to_look_at(db, AT_A_TIME)
        holding = await self._sharing.holding([client.email for client in clients]) if clients else set()
        for client in clients:
            if await db.transact(look_at_client, client.id, holds=client.email in holding):
                CLIENTS_ERASED.inc()
        return len(clients)
