"""Events in: what portal does when others have done something."""

from __future__ import annotations

from common.contracts.auth import ProviderDeleted
from common.contracts.notifier import MailServerChanged
from common.erasure import ask_for_erasure
from common.events import Event, Handlers
from common.mongo import Tx
from portal import mail_server


async def note_mail_server(tx: Tx, event: Event[MailServerChanged]) -> None:
    await mail_server.note_mail_server(tx, event.data)


async def forget_organisations(tx: Tx, event: Event[ProviderDeleted]) -> None:
    """Of the provider themselves portal knows nothing."""
    for id in event.data.organisation_ids:
        await ask_for_erasure(tx, id)


HANDLERS: Handlers = {MailServerChanged: note_mail_server, ProviderDeleted: forget_organisations}
