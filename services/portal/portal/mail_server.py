"""Whether mails leave at all, as notifier tells it, so that the pages can say so to everybody."""

from __future__ import annotations

from datetime import datetime

from common.contracts.notifier import MailServerChanged
from common.mongo import Reader, Tx
from portal import store
from portal.models import MailServer

ID = "mail server"


async def note_mail_server(tx: Tx, told: MailServerChanged) -> None:
    """Keeps the newest word; older ones change nothing."""
    await store.save_mail_server(tx, MailServer(id=ID, version=told.version, failing_since=told.failing_since))


async def failing_since(reader: Reader) -> datetime | None:
    """Since when no mail leaves, for anybody; None while they leave, and before notifier said anything."""
    known = await store.find_mail_server(reader, ID)
    return known.failing_since if known else None
