"""notifier's data comes back from a backup: no mail leaves a second time, and who waits for one is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from common import restores
from common.contracts.notifier import EmailFailed, MailServerChanged
from common.testing import Harness
from notifier import mail_server, mails
from notifier.testing import Events

Send = Callable[[], Awaitable[None]]


async def test_a_mail_that_waited_when_the_backup_was_taken_is_not_sent_again(
    notifier: Harness, events: Events, inbox: Any, send: Send
) -> None:
    await notifier.deliver(events.invited(number=2))
    await mails.settle_restored(notifier.db)
    await send()
    assert inbox.mails == []
    (told,) = await notifier.published(EmailFailed)
    assert (told.share_id, told.version, told.reason) == ("shr_1", 2, mails.NOT_AGAIN)
    (row,) = await notifier.db.collection("mails").find({})
    assert row["state"] == "expired"
    assert "sealed" not in row


async def test_a_mail_asked_for_before_the_data_came_back_is_not_sent_and_one_asked_for_since_is(
    notifier: Harness, events: Events, inbox: Any, send: Send
) -> None:
    await restores.begin(notifier.db, await notifier.db.now())
    await restores.note(notifier.db, "done")
    rows = notifier.db.collection(restores.RESTORES)
    await rows.update_one({}, [{"$set": {"restored_at": {"$add": ["$$NOW", 3_600_000]}}}])
    await notifier.deliver(events.sign_in("lnk_before"))
    await send()
    assert inbox.mails == []
    await rows.update_one({}, [{"$set": {"restored_at": {"$subtract": ["$$NOW", 3_600_000]}}}])
    await notifier.deliver(events.sign_in("lnk_after"))
    await send()
    assert len(inbox.mails) == 1


async def test_what_is_told_of_the_mail_server_next_is_newer_than_all_that_was_told_before(notifier: Harness) -> None:
    await notifier.db.collection("mail_server").insert_one({"_id": "mail server", "version": 4, "since": None, "told": False})
    await mails.settle_restored(notifier.db)
    await notifier.db.transact(mail_server.note_failure)
    since = [{"$set": {"since": {"$subtract": ["$$NOW", 60_000]}}}]
    await notifier.db.collection("mail_server").update_one({}, since)
    await notifier.db.transact(mail_server.note_failure)
    (told,) = await notifier.published(MailServerChanged)
    assert told.version > 1_000_000
