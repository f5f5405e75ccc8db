"""Whether the mail server takes mails at all. Told to portal when it lasts, so that the pages can say so to everybody."""

from __future__ import annotations

from common.contracts.notifier import MailServerChanged
from common.crypto import digest
from common.mongo import Database, Document, Tx
from notifier import store

LASTS_SECONDS = 5.0
"""One failure is nothing to trouble people with; two tries of one mail without a success between are."""


PUT_OFF = 3
"""When mails to so many different addresses were put off and none was taken between, the server puts everybody off."""


async def note_failure(tx: Tx) -> None:
    """It took nothing, and would have taken nothing whoever the mail was for."""
    await _tell(tx, await store.note_server_failure(tx, LASTS_SECONDS))


async def note_put_off(tx: Tx, address: str) -> None:
    """It answered that it would take a mail to this address later. Said to one, that is about this address; said to all, about all."""
    if await store.note_put_off(tx, digest(address), PUT_OFF) >= PUT_OFF:
        await _tell(tx, await store.note_server_failure(tx, LASTS_SECONDS, "$put_off_since"))


async def takes_mails_again(db: Database) -> bool:
    """What it means when a failed server answers well: nothing, while it puts everybody off and there are mails to try it with."""
    return not (await store.puts_everybody_off(db, PUT_OFF) and await store.has_pending(db))


async def _tell(tx: Tx, found: Document) -> None:
    if found["tell"]:
        await tx.emit(store.SERVER, MailServerChanged(version=found["version"], failing_since=found["since"]))


async def note_success(tx: Tx) -> None:
    """It took a mail, or would have."""
    found = await store.note_server_success(tx)
    if found and found["tell"]:
        await tx.emit(store.SERVER, MailServerChanged(version=found["version"], failing_since=None))
