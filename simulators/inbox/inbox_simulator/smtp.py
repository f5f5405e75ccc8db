"""The mail server: takes every mail for every address, unless a fault is set."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiosmtpd.smtp import SMTP, Envelope, Session

from inbox_simulator.faults import Faults, Mode
from inbox_simulator.store import Store

LARGEST = 10_000_000  # bytes of one mail


class MailServer(SMTP):
    """One connection of a client."""

    def __init__(self, store: Store, faults: Faults) -> None:
        super().__init__(
            Mailboxes(store, faults), hostname="inbox.simulator", ident="Inbox simulator", data_size_limit=LARGEST, enable_SMTPUTF8=True
        )
        self._faults = faults

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if self._faults.strikes(Mode.DOWN) and isinstance(transport, asyncio.Transport):
            transport.abort()
        else:
            super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self.transport is not None:  # a connection we dropped ourselves never began
            super().connection_lost(error)


class Mailboxes:
    """Decides about recipients and keeps mails; the method names are those aiosmtpd calls."""

    def __init__(self, store: Store, faults: Faults) -> None:
        self._store = store
        self._faults = faults

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        if self._faults.strikes(Mode.GREYLIST):
            return "451 4.7.1 Greylisted, try again later"
        if self._faults.strikes(Mode.REJECT):
            return "550 5.1.1 Mailbox unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        number = self._store.add(envelope.mail_from or "", list(envelope.rcpt_tos), envelope.original_content or b"")
        if self._faults.strikes(Mode.CUT_AFTER_DATA) and isinstance(server.transport, asyncio.Transport):
            server.transport.abort()
        return f"250 2.0.0 Kept as {number}"


@asynccontextmanager
async def listening(host: str, port: int, store: Store, faults: Faults) -> AsyncIterator[None]:
    """Take mail while the block runs."""
    server = await asyncio.get_running_loop().create_server(lambda: MailServer(store, faults), host, port)
    try:
        yield
    finally:
        server.close()
        await server.wait_closed()
