"""The loop that hands mails to the mail server. The secret of a mail is opened here, for the moment of sending, and nowhere else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from email.message import EmailMessage

import aiosmtplib
from aiosmtplib import (
    SMTP,
    SMTPException,
    SMTPNotSupported,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)
from prometheus_client import Counter, Gauge

from common import claims
from common.clock import utc_now
from common.correlation import resumed
from common.crypto import KeyMissing, KeyRing, Unreadable, unseal
from common.deadlines import deadline
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable, Document
from notifier import mail_server, mails, store
from notifier.errors import Never, NotNow, PutOff, ServerFails
from notifier.letters import letter
from notifier.models import Kind, Mail, Secret, backoff, reason_for
from notifier.settings import Settings

AT_ONCE = 4
POLL_SECONDS = 0.5
SEND_SECONDS = 60.0
ANSWER_SECONDS = 20.0
PROBE_SECONDS = 15.0
UNWRITABLE = "it could not be written"
MOST_SURPRISES = 5
MAILS_WAITING = Gauge("mails_waiting", "Mails queued and not yet handed to the mail server")
SERVER_FAILING = Gauge("mail_server_failing_seconds", "How long the mail server has taken no mail of anybody's; 0 while it does")
FAULTS = Counter("mail_faults_total", "Mails that could not be written or sent for a fault that is ours; look at the ring event-seal")

log = get_logger()


class Mailer:
    """Sends what is queued until it is cancelled. Several may run: each mail is leased to one.

    Two lanes: one for everything in order of urgency, one for sign-in mails alone, so that slow invitations never hold one up.
    """

    name = "mailer"

    def __init__(self, settings: Settings, ring: KeyRing) -> None:
        self._settings = settings
        self._ring = ring

    async def run(self, db: Database) -> None:
        async with asyncio.TaskGroup() as lanes:
            lanes.create_task(self._lane(db, store.SIGN_IN_KINDS))
            lanes.create_task(self._lane(db, store.ALL_KINDS))
            lanes.create_task(self._watch(db))

    async def _lane(self, db: Database, kinds: tuple[Kind, ...]) -> None:
        while not db.stopping:
            try:
                while await self.send_due(db, kinds):
                    pass
            except DatabaseUnavailable:
                await asyncio.sleep(1)
            await db.changed(within=POLL_SECONDS)

    async def _watch(self, db: Database) -> None:
        while not db.stopping:
            with suppress(DatabaseUnavailable):
                await self.measure(db)
                await self.probe(db)
            await db.rest(PROBE_SECONDS)

    async def measure(self, db: Database) -> None:
        MAILS_WAITING.set(await store.count_waiting(db))
        since = await store.find_failing_since(db)
        SERVER_FAILING.set((await db.now() - since).total_seconds() if since else 0.0)

    async def probe(self, db: Database) -> None:
        """Looks whether a mail server that failed takes mails again, for when there is nothing left to try."""
        if not await store.find_failing_since(db):
            return
        with deadline(SEND_SECONDS):
            try:
                async with self._connected() as server:
                    await _greet(server, self._settings.mail_from)
            except NotNow:
                await db.transact(mail_server.note_failure)
            else:
                if await mail_server.takes_mails_again(db):
                    await db.transact(mail_server.note_success)

    async def send_due(self, db: Database, kinds: tuple[Kind, ...] = store.ALL_KINDS) -> int:
        """Tries a few due mails at once; answers how many were tried. What was begun ends before a stop, or it would go out twice."""
        batch = asyncio.ensure_future(self._batch(db, kinds))
        try:
            return await asyncio.shield(batch)
        except asyncio.CancelledError:
            await batch
            raise

    async def _batch(self, db: Database, kinds: tuple[Kind, ...]) -> int:
        rows = await store.claim_mails(db, kinds, AT_ONCE)
        await asyncio.gather(*(self._send(db, row) for row in rows))
        return len(rows)

    async def _send(self, db: Database, row: Document) -> None:
        """One try of one mail. A mail that is no longer ours was dropped, or another process took over: nothing is recorded then."""
        mail = Mail.model_validate(row)
        with resumed(row, f"send {mail.kind} mail"), deadline(SEND_SECONDS), suppress(claims.LeaseLost, DatabaseUnavailable):
            try:
                sent = await self._try(db, row, mail)
            except NotNow as reason:
                log.warning("mail.postponed", mail_id=mail.id, kind=mail.kind, attempts=row["attempts"], reason=str(reason))
                await store.postpone_mail(db, row, backoff(mail.kind, row["attempts"]), str(reason))
                if isinstance(reason, ServerFails):
                    await db.transact(mail_server.note_failure)
                elif isinstance(reason, PutOff):
                    await db.transact(mail_server.note_put_off, mail.email)
            except Never as reason:
                log.warning("mail.failed", mail_id=mail.id, kind=mail.kind, reason=str(reason))
                await db.transact(mails.mark_failed, row, mail, str(reason), utc_now())
                mails.ENDED.labels("failed").inc()
            except (claims.LeaseLost, DatabaseUnavailable):
                raise
            except Exception as error:  # whatever it is, it must not stop the other mails; it may hold a secret: its type alone is told
                FAULTS.inc()
                log.error("mail.cannot_be_sent", mail_id=mail.id, kind=mail.kind, reason=type(error).__name__)
                await self._put_aside(db, row, mail, type(error).__name__)
            else:
                log.info("mail.sent" if sent else "mail.expired", mail_id=mail.id, kind=mail.kind, attempts=row["attempts"])
                await db.transact(mails.mark_sent if sent else mails.mark_expired, row, mail, utc_now())
                mails.ENDED.labels("sent" if sent else "expired").inc()

    async def _put_aside(self, db: Database, row: Document, mail: Mail, reason: str) -> None:
        """What nobody foresaw may pass: tried again like the others, until it has happened to this mail too often."""
        surprises = row.get("surprises", 0) + 1
        if surprises < MOST_SURPRISES:
            await store.postpone_mail(db, row, backoff(mail.kind, row["attempts"]), reason, surprises=surprises)
        else:
            await db.transact(mails.mark_failed, row, mail, UNWRITABLE, utc_now())
            mails.ENDED.labels("failed").inc()

    async def _try(self, db: Database, row: Document, mail: Mail) -> bool:
        """Hands the mail over; False when its time is over. Raises NotNow, Never, and LeaseLost when it was dropped meanwhile.

        Whether it is still wanted is asked when the server is ready to take it, at the last moment there is.
        """
        if not await self._is_wanted(db, row):
            return False
        async with self._connected() as server:
            if not await self._is_wanted(db, row):
                return False
            await _hand_over(server, self._settings.return_path(mail.return_token), mail.email, self._written(mail))
        return True

    async def _is_wanted(self, db: Database, row: Document) -> bool:
        """False when it expired; raises LeaseLost when it is not ours any more."""
        if await store.is_wanted(db, row):
            return True
        if not await store.is_ours(db, row):
            raise claims.LeaseLost(row["_id"])
        return False

    def _written(self, mail: Mail) -> EmailMessage:
        """The letter, of which every part can be serialised: what cannot fails here. Raises NotNow and Never."""
        try:
            message = letter(mail, self._opened(mail), self._settings.public_url, self._settings.mail_from)
            message.as_bytes()
            return message
        except KeyMissing as error:  # the ring here is behind the one it was sealed with; a restart with the right one sends it
            FAULTS.inc()
            log.error("mail.key_missing", mail_id=mail.id, kind=mail.kind, reason=str(error))
            raise NotNow(str(error)) from None
        except (Unreadable, ValueError) as error:  # the error may hold what was sealed: its type alone is told
            FAULTS.inc()
            log.error("mail.cannot_be_written", mail_id=mail.id, kind=mail.kind, reason=type(error).__name__)
        raise Never(UNWRITABLE)

    def _opened(self, mail: Mail) -> Secret:
        if mail.sealed is None or mail.seal is None:
            return Secret()
        return Secret.model_validate_json(unseal(self._ring, mail.sealed, (*mail.seal, mail.email)))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[SMTP]:
        """A connection, encrypted and signed in as set. Whatever goes wrong up to here says nothing about a mail: ServerFails."""
        settings = self._settings
        server = SMTP(
            hostname=settings.smtp_host,
            port=settings.smtp_port,
            timeout=ANSWER_SECONDS,
            use_tls=False,
            start_tls={"required": True, "off": False, "on": None}[settings.smtp_starttls],
            username=settings.smtp_username,
            password=settings.smtp_password.get_secret_value() if settings.smtp_password else None,
        )
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await server.connect()
                await server.ehlo()
        except (SMTPException, OSError, TimeoutError, ValueError) as error:
            server.close()
            raise ServerFails(_reason(error)) from error
        try:
            yield server
        finally:
            with suppress(SMTPException, OSError, TimeoutError):
                await server.quit(timeout=2)
            server.close()


async def _hand_over(server: aiosmtplib.SMTP, sender: str, recipient: str, message: EmailMessage) -> None:
    """MAIL, RCPT, DATA. Raises Never when this address or mail is refused for good, NotNow otherwise.

    A connection lost after DATA leaves open whether the mail was taken: it goes again under the same Message-ID.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS * 2):
            await server.send_message(message, sender=sender, recipients=[recipient])
    except SMTPRecipientsRefused as error:
        refusal: SMTPResponseException = error.recipients[0]
        raise judged(refusal) from error
    except SMTPSenderRefused as error:  # our own address or account: a matter of settings, not of this mail
        raise ServerFails(_reason(error)) from error
    except SMTPResponseException as error:
        raise judged(error) from error
    except SMTPNotSupported as error:
        raise Never("the mail server cannot write to this address") from error
    except (SMTPException, OSError, TimeoutError) as error:
        raise ServerFails(_reason(error)) from error


async def _greet(server: aiosmtplib.SMTP, sender: str) -> None:
    """MAIL alone, as far as one gets without a mail. Raises ServerFails."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await server.mail(sender)
            await server.rset()
    except (SMTPException, OSError, TimeoutError) as error:
        raise ServerFails(_reason(error)) from error


def judged(error: SMTPResponseException) -> Never | PutOff:
    """5xx is for good, anything else may pass. Source: RFC 5321 section 4.2.1."""
    if not 500 <= error.code <= 599:
        return PutOff(_reason(error))
    status = str(error.message).split(maxsplit=1)[0] if error.message else ""
    return Never(reason_for(status) or "refused by the mail server")


def _reason(error: BaseException) -> str:
    """For the log: servers repeat addresses in their texts, so the code alone."""
    return f"{type(error).__name__} {error.code}" if isinstance(error, SMTPResponseException) else type(error).__name__
