"""Whether the mail server takes mails at all. Told to portal when it lasts, so that the pages can say so to everybody."""

from __future__ import annotations

from common.contracts.notifier import MailServerChanged
from common.mongo import Tx
from notifier import store

LASTS_SECONDS = 5.0
"""One failure is nothing to trouble people with; two tries of one mail without a success between are."""


async def note_failure(tx: Tx) -> None:
    """It took nothing, and would have taken nothing whoever the mail was for."""
    found = await store.note_server_failure(tx, LASTS_SECONDS)
    if found["tell"]:
        await tx.emit(store.SERVER, MailServerChanged(version=found["version"], failing_since=found["since"]))


async def note_success(tx: Tx) -> None:
    """It took a mail, or would have."""
    found = await store.note_server_success(tx)
    if found and found["tell"]:
        await tx.emit(store.SERVER, MailServerChanged(version=found["version"], failing_since=None))
