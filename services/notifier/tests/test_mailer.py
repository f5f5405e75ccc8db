"""Sending: what the mail server does to us, and what people are told about it."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiosmtpd.smtp import SMTP
from aiosmtplib import SMTPResponseException

from common.contracts.notifier import EmailFailed, EmailSent
from common.crypto import KeyRing
from common.testing import ADDRESSES, Harness
from inbox_simulator.faults import Mode
from local.processes import free_ports
from notifier import mails, store
from notifier.mailer import FAULTS, MOST_SURPRISES, Mailer, judged
from notifier.main import create_app
from notifier.settings import Settings
from notifier.testing import YOU, Events, weather

Send = Callable[[], Awaitable[None]]


async def mail(notifier: Harness) -> dict[str, Any]:
    (row,) = await notifier.db.collection("mails").find({})
    return row


async def make_due(notifier: Harness) -> None:
    await notifier.db.collection("mails").update_many({"state": "pending"}, [{"$set": {"due_at": "$$NOW"}}, {"$unset": ["lease_until"]}])


async def test_a_mail_taken_is_told_to_sharing(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    event = await notifier.deliver(events.invited(number=3))
    await send()
    (arrived,) = inbox.mails
    assert (arrived.mail_from, arrived.rcpt_to) == ("mail@invoices.example", [YOU])
    assert dict(arrived.headers)["Message-ID"] == f"<{event.id}@invoices.example>"
    (told,) = await notifier.published(EmailSent)
    assert (told.share_id, told.version) == ("shr_1", 3)
    row = await mail(notifier)
    assert row["state"] == "sent"
    assert "sealed" not in row


async def test_what_becomes_of_mails_is_counted(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    def counted() -> list[float]:
        ended = [mails.ENDED.labels(outcome)._value.get() for outcome in ("sent", "failed", "expired")]
        return [*ended, FAULTS._value.get()]

    before = counted()
    await notifier.deliver(events.invited("shr_sent"))
    await send()
    inbox.fails(Mode.REJECT, 1)
    await notifier.deliver(events.invited("shr_refused"))
    await send()
    await notifier.deliver(events.invited("shr_late"))
    await notifier.db.collection("mails").update_one({"share_id": "shr_late"}, [{"$set": {"expires_at": "$$NOW"}}])
    await send()
    await notifier.deliver(events.invited("shr_strange", email="o hara@demo.example"))
    await send()
    assert [after - was for after, was in zip(counted(), before, strict=True)] == [1, 1, 1, 1]


async def test_sign_in_mails_are_told_to_nobody(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    await notifier.deliver(events.sign_in())
    await send()
    assert len(inbox.mails) == 1
    assert await notifier.published(EmailSent) == []


async def test_a_sign_in_mail_leaves_before_invitations_that_waited(notifier: Harness, events: Events) -> None:
    for number in range(9):
        await notifier.deliver(events.invited(f"shr_{number}"))
    await notifier.deliver(events.sign_in())
    rows = await store.claim_mails(notifier.db, store.ALL_KINDS, 2)
    assert [row["kind"] for row in rows] == ["sign_in", "invitation"]


@pytest.mark.parametrize("mode", [Mode.DOWN, Mode.GREYLIST])
async def test_a_server_that_cannot_now_gets_the_mail_later(notifier: Harness, events: Events, inbox: Any, send: Send, mode: Mode) -> None:
    await notifier.deliver(events.invited())
    inbox.fails(mode, 2)
    for attempts in (1, 2):
        await send()
        row = await mail(notifier)
        assert (row["state"], row["attempts"]) == ("pending", attempts)
        assert 0 < (row["due_at"] - await notifier.db.now()).total_seconds() <= 2**attempts
        await make_due(notifier)
    await send()
    assert len(inbox.mails) == 1
    assert await notifier.published(EmailFailed) == []


async def test_a_server_that_is_not_there_gets_the_mail_later(harness: Any, settings: dict[str, Any], events: Events, inbox: Any) -> None:
    async with harness(create_app, Settings, **{**settings, "smtp_port": free_ports(1)[0]}) as service:
        await service.deliver(events.invited())
        await service.app.state.mailer.send_due(service.db)
        assert (await mail(service))["state"] == "pending"


async def test_a_refused_address_is_told_in_words_and_not_tried_again(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    await notifier.deliver(events.invited(number=2))
    inbox.fails(Mode.REJECT, 1)
    await send()
    await make_due(notifier)
    await send()
    assert inbox.mails == []
    (told,) = await notifier.published(EmailFailed)
    assert (told.share_id, told.version, told.reason) == ("shr_1", 2, "mailbox unknown")
    assert (await mail(notifier))["state"] == "failed"


async def test_a_mail_cut_off_after_data_goes_again_under_the_same_id(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    await notifier.deliver(events.invited())
    inbox.fails(Mode.CUT_AFTER_DATA, 1)
    await send()
    assert (await mail(notifier))["state"] == "pending"
    await make_due(notifier)
    await send()
    ids = [dict(arrived.headers)["Message-ID"] for arrived in inbox.mails]
    assert len(ids) == 2
    assert len(set(ids)) == 1
    assert len(await notifier.published(EmailSent)) == 1


async def test_a_sign_in_mail_is_never_sent_after_its_link_expired(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    await notifier.deliver(events.sign_in())
    await notifier.db.collection("mails").update_one({}, [{"$set": {"expires_at": "$$NOW"}}])
    await send()
    assert inbox.mails == []
    assert (await mail(notifier))["state"] == "expired"


async def test_an_invitation_not_taken_for_a_day_is_told_as_failed(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    await notifier.deliver(events.invited())
    await notifier.db.collection("mails").update_one({}, [{"$set": {"expires_at": "$$NOW"}}])
    inbox.fails(Mode.DOWN)
    await send()
    assert inbox.mails == []
    (told,) = await notifier.published(EmailFailed)
    assert told.reason == "the mail server did not take it for a day"


async def test_nothing_is_sent_for_a_share_that_ended(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    await notifier.deliver(events.invited())
    await notifier.deliver(events.sign_in(share_id="shr_1"))
    await notifier.deliver(events.ended())
    await send()
    assert inbox.mails == []


async def test_a_share_that_ends_while_its_mail_is_under_way_to_the_server(notifier: Harness, events: Events, inbox: Any) -> None:
    """The mail is leased and the server is being greeted when the end arrives: nothing is handed over."""
    await notifier.deliver(events.invited())
    (row,) = await store.claim_mails(notifier.db, store.ALL_KINDS, 1)
    await notifier.deliver(events.ended())
    await notifier.app.state.mailer._send(notifier.db, row)
    assert inbox.mails == []
    assert await notifier.published(EmailSent) == []
    assert (await mail(notifier))["state"] == "dropped"


class EndsTheShare:
    """A mail server that is told of the end of a share while it says hello."""

    def __init__(self, notifier: Harness, events: Events) -> None:
        self.notifier, self.events, self.taken = notifier, events, 0

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> list[str]:
        session.host_name = hostname
        await self.notifier.deliver(self.events.ended())
        return responses

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.taken += 1
        return "250 OK"


async def test_a_share_that_ends_while_the_server_says_hello(notifier: Harness, settings: dict[str, Any], events: Events) -> None:
    handler = EndsTheShare(notifier, events)
    server = await asyncio.get_running_loop().create_server(lambda: SMTP(handler), "127.0.0.1", 0)
    ring = KeyRing.load(notifier.runtime.settings.keys_dir / "rings" / "event-seal.json")
    mailer = Mailer(Settings(**{**settings, "smtp_port": server.sockets[0].getsockname()[1]}), ring)
    await notifier.deliver(events.invited())
    await mailer.send_due(notifier.db)
    server.close()
    assert handler.taken == 0
    assert await notifier.published(EmailSent) == []


@pytest.mark.parametrize("address", sorted(set(ADDRESSES.values())))
async def test_unusual_addresses_get_their_mail_at_exactly_that_address(
    notifier: Harness, events: Events, inbox: Any, send: Send, address: str
) -> None:
    await notifier.deliver(events.invited(email=address))
    await send()
    assert [arrived.rcpt_to for arrived in inbox.mails] == [[address]]


async def test_two_mailers_send_every_mail_once(notifier: Harness, events: Events, inbox: Any, second: Mailer) -> None:
    for number in range(30):
        await notifier.deliver(events.invited(f"shr_{number}", email=f"client{number}@demo.example"))

    async def all_due(mailer: Mailer) -> None:
        for _ in range(30):
            await mailer.send_due(notifier.db)

    await asyncio.gather(all_due(notifier.app.state.mailer), all_due(second), all_due(second))
    assert sorted(arrived.rcpt_to[0] for arrived in inbox.mails) == sorted(f"client{number}@demo.example" for number in range(30))
    assert len(await notifier.published(EmailSent)) == 30


async def test_through_every_trouble_each_mail_arrives_or_is_reported_and_only_cuts_make_doubles(
    notifier: Harness, events: Events, inbox: Any, second: Mailer
) -> None:
    """A tenth of the count of tests/prove/test_mails.py."""
    left = await weather(notifier, inbox, events, [notifier.app.state.mailer, second], 12)
    assert left.mailed | left.reported == {f"client{number}@demo.example" for number in range(12)}
    assert left.doubles + len(left.mailed & left.reported) <= left.cuts


async def test_a_stop_waits_for_the_mail_being_sent(notifier: Harness, events: Events, inbox: Any) -> None:
    await notifier.deliver(events.invited())
    sending = asyncio.create_task(notifier.app.state.mailer.send_due(notifier.db))
    while (await mail(notifier)).get("lease") is None:
        await notifier.db.changed(within=0.005)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert (await mail(notifier))["state"] == "sent"
    assert len(inbox.mails) == 1


async def test_the_loop_sends_what_arrives(notifier: Harness, events: Events, inbox: Any) -> None:
    loop = asyncio.create_task(notifier.app.state.mailer.run(notifier.db))
    await notifier.deliver(events.sign_in())
    async with asyncio.timeout(60):
        while not inbox.mails:
            await notifier.db.changed(within=0.02)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


async def test_a_secret_that_cannot_be_opened_fails_the_mail_and_says_nothing(
    notifier: Harness, events: Events, inbox: Any, send: Send, capsys: pytest.CaptureFixture[str]
) -> None:
    await notifier.deliver(events.invited(sealed=events.invited("shr_2").sealed))
    await send()
    assert inbox.mails == []
    (told,) = await notifier.published(EmailFailed)
    assert told.reason == "it could not be written"
    assert "cii_secret" not in capsys.readouterr().out


async def test_what_nobody_foresaw_fails_this_mail_alone(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    """An address that can be written in a letter but in no command is found out only when the mail is handed over."""
    await notifier.deliver(events.invited(number=2, email="o hara@demo.example"))
    await notifier.deliver(events.invited("shr_2", email="other@demo.example"))
    for _ in range(MOST_SURPRISES):
        assert (await notifier.db.collection("mails").find_one({"number": 2}) or {})["state"] == "pending"
        await send()
        await make_due(notifier)
    assert [arrived.rcpt_to for arrived in inbox.mails] == [["other@demo.example"]]
    (told,) = await notifier.published(EmailFailed)
    assert (told.share_id, told.version, told.reason) == ("shr_1", 2, "it could not be written")
    failed = await notifier.db.collection("mails").find({"state": "failed"})
    assert [("sealed" in row, row["reason"]) for row in failed] == [(False, "it could not be written")]


async def test_what_nobody_foresaw_may_pass(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    await notifier.deliver(events.invited(email="o hara@demo.example"))
    await send()
    assert (await mail(notifier))["reason"] != ""
    await notifier.db.collection("mails").update_one({}, {"$set": {"email": YOU, "sealed": events.invited().sealed}})
    await make_due(notifier)
    await send()
    assert [arrived.rcpt_to for arrived in inbox.mails] == [[YOU]]
    assert await notifier.published(EmailFailed) == []


async def test_a_mail_whose_key_the_ring_lacks_waits_for_it(notifier: Harness, events: Events, inbox: Any, send: Send) -> None:
    event = events.invited()
    await notifier.deliver(event.model_copy(update={"sealed": {**event.sealed, "kid": "k2"}}))
    await send()
    waiting = await mail(notifier)
    assert (waiting["state"], waiting["reason"]) == ("pending", "ring event-seal has no usable key k2")
    await notifier.db.collection("mails").update_one({}, {"$set": {"sealed.kid": "k1"}})
    await make_due(notifier)
    await send()
    assert len(inbox.mails) == 1


async def test_secrets_stand_in_the_mail_alone(notifier: Harness, events: Events, inbox: Any, send: Send, capsys: Any) -> None:
    await notifier.deliver(events.invited())
    await notifier.deliver(events.sign_in())
    inbox.fails(Mode.GREYLIST, 1)
    await send()
    await make_due(notifier)
    await send()
    assert len(inbox.mails) == 2
    dump = capsys.readouterr().out
    for name in notifier.runtime.indexes:
        dump += str(await notifier.db.collection(name).find({}))
    for secret in ("cii_secret", "cil_secret", "123456", "123 456"):
        assert secret not in dump


@pytest.mark.parametrize(
    ("code", "message", "told"),
    [
        (550, "5.1.1 <you@demo.example> unknown", "mailbox unknown"),
        (552, "5.2.2 full", "mailbox full"),
        (554, "go away", "refused by the mail server"),
        (550, "", "refused by the mail server"),
    ],
)
def test_a_refusal_is_told_without_the_servers_own_words(code: int, message: str, told: str) -> None:
    assert str(judged(SMTPResponseException(code, message))) == told


async def test_starttls_required_never_falls_back_to_plain_text(harness: Any, settings: dict[str, Any], events: Events, inbox: Any) -> None:
    async with harness(create_app, Settings, **{**settings, "smtp_starttls": "required"}) as service:
        await service.deliver(events.invited())
        await service.app.state.mailer.send_due(service.db)
        assert (await mail(service))["state"] == "pending"
        assert inbox.mails == []
