"""The loop that receives mails that come back: a small mail server for the return addresses of our own mails, and for nothing else.

It stands behind the mail server that RETURN_DOMAIN's mail is delivered to, not on the internet.
"""

from __future__ import annotations

import asyncio
import re
from contextlib import nullcontext

from aiosmtpd.smtp import SMTP, Envelope, Session

from common.clock import utc_now
from common.correlation import correlated
from common.deadlines import deadline
from common.ids import new_id
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable
from notifier import mails
from notifier.delivery_reports import reason_of
from notifier.settings import Settings

TOKEN = re.compile(r"[0-9a-f]{32}")
LARGEST = 1_000_000  # bytes: a report repeats our own short mail at most
SILENCE_SECONDS = 30.0
WORK_SECONDS = 10.0
REST_SECONDS = 3600.0
log = get_logger()


class Returns:
    """Listens where RETURN_DOMAIN's mail is delivered, until the process stops; rests where that is not set."""

    name = "returns"

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    async def run(self, db: Database) -> None:
        listens = self._settings.return_domain and self._settings.return_port
        async with await self.listen(db) if listens else nullcontext():
            while not db.stopping:
                await db.rest(REST_SECONDS)

    async def listen(self, db: Database) -> asyncio.Server:
        """The mail server, taking connections."""
        domain = (self._settings.return_domain or "").lower()
        loop = asyncio.get_running_loop()
        return await loop.create_server(lambda: _connection(db, domain), self._settings.listen_host, self._settings.return_port)


class Desk:
    """Takes what comes back for one connection; the method names are those aiosmtpd calls."""

    def __init__(self, db: Database, domain: str) -> None:
        self._db = db
        self._domain = domain

    async def handle_MAIL(self, server: SMTP, session: Session, envelope: Envelope, address: str | None, options: list[str]) -> str:
        """What comes back has no sender (RFC 5321 section 4.5.5), so that it never comes back itself."""
        if address not in (None, "", "<>"):
            return "550 5.7.1 Only reports come here"
        envelope.mail_from = "<>"  # aiosmtpd takes an empty one for none at all
        return "250 2.1.0 OK"

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]) -> str:
        """Letter case may have been lost on the way."""
        token, _, domain = address.lower().rpartition("@")
        if domain != self._domain or not TOKEN.fullmatch(token):
            return "550 5.1.1 No such address"
        envelope.rcpt_tos.append(token)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        """Every report is taken; one that says nothing final, or comes for no mail of ours, changes nothing."""
        reason = reason_of(envelope.original_content or b"")
        if reason is None:
            return "250 2.0.0 Nothing in it"
        with correlated(new_id("cor")), deadline(WORK_SECONDS):
            try:
                for token in envelope.rcpt_tos:
                    if mail := await self._db.transact(mails.mark_returned, token, reason, utc_now()):
                        mails.ENDED.labels("returned").inc()
                        log.warning("mail.returned", mail_id=mail.id, kind=mail.kind, reason=reason)
            except DatabaseUnavailable:
                return "451 4.3.0 Try again later"
        return "250 2.0.0 Noted"


def _connection(db: Database, domain: str) -> SMTP:
    desk = Desk(db, domain)
    return SMTP(desk, hostname=domain, ident="Client Invoices", data_size_limit=LARGEST, timeout=SILENCE_SECONDS)
