"""Events in: what portal does when others have done something."""

from __future__ import annotations

from common.contracts.notifier import MailServerChanged
from common.events import Event, Handlers
from common.mongo import Tx
from portal import mail_server


async def note_mail_server(tx: Tx, event: Event[MailServerChanged]) -> None:
    await mail_server.note_mail_server(tx, event.data)


HANDLERS: Handlers = {MailServerChanged: note_mail_server}
