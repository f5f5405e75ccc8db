"""When the mail server takes nothing, others are told once it lasts, and once it is over."""

from typing import Any

import pytest

from common.contracts.notifier import MailServerChanged
from common.testing import Harness
from inbox_simulator.faults import Mode
from notifier import store
from notifier.mailer import SERVER_FAILING, Mailer
from notifier.testing import Events


async def pass_time(notifier: Harness, seconds: int) -> None:
    """Moves what is stored into the past, and makes every mail due."""
    for moment in ("since", "put_off_since"):
        past = {"$dateSubtract": {"startDate": f"${moment}", "unit": "second", "amount": seconds}}
        await notifier.db.collection(store.SERVER).update_many({moment: {"$ne": None}}, [{"$set": {moment: past}}])
    await notifier.db.collection(store.MAILS).update_many(
        {"state": "pending"}, [{"$set": {"due_at": "$$NOW"}}, {"$unset": ["lease_until"]}]
    )


async def told(notifier: Harness) -> list[tuple[int, bool]]:
    return [(event.version, event.failing_since is not None) for event in await notifier.published(MailServerChanged)]


@pytest.fixture
def mailer(notifier: Harness) -> Mailer:
    mailer: Mailer = notifier.app.state.mailer
    return mailer


async def test_a_server_that_stays_away_is_told_once_and_its_return_too(
    notifier: Harness, events: Events, inbox: Any, mailer: Mailer
) -> None:
    await notifier.deliver(events.sign_in())
    inbox.fails(Mode.DOWN)
    await mailer.send_due(notifier.db)
    assert await told(notifier) == []
    for _ in range(3):
        await pass_time(notifier, 6)
        await mailer.send_due(notifier.db)
    assert await told(notifier) == [(1, True)]
    inbox.fails(Mode.OK)
    await pass_time(notifier, 6)
    await mailer.send_due(notifier.db)
    assert await told(notifier) == [(1, True), (2, False)]


async def test_how_long_it_fails_is_measured_until_it_is_well(notifier: Harness, events: Events, inbox: Any, mailer: Mailer) -> None:
    await notifier.deliver(events.sign_in())
    inbox.fails(Mode.DOWN)
    await mailer.send_due(notifier.db)
    await pass_time(notifier, 600)
    await mailer.measure(notifier.db)
    assert SERVER_FAILING._value.get() >= 600
    inbox.fails(Mode.OK)
    await mailer.send_due(notifier.db)
    await mailer.measure(notifier.db)
    assert SERVER_FAILING._value.get() == 0


async def test_a_short_failure_troubles_nobody(notifier: Harness, events: Events, inbox: Any, mailer: Mailer) -> None:
    await notifier.deliver(events.sign_in())
    inbox.fails(Mode.DOWN, 1)
    for _ in range(2):
        await mailer.send_due(notifier.db)
        await pass_time(notifier, 2)
    assert len(inbox.mails) == 1
    assert await told(notifier) == []


@pytest.mark.parametrize("mode", [Mode.GREYLIST, Mode.REJECT])
async def test_what_is_said_about_one_address_is_no_failure_for_everybody(
    notifier: Harness, events: Events, inbox: Any, mailer: Mailer, mode: Mode
) -> None:
    await notifier.deliver(events.invited())
    inbox.fails(mode)
    for _ in range(3):
        await mailer.send_due(notifier.db)
        await pass_time(notifier, 6)
    assert await told(notifier) == []


async def test_a_server_that_puts_everybody_off_is_told_although_it_answers(
    notifier: Harness, events: Events, inbox: Any, mailer: Mailer
) -> None:
    inbox.fails(Mode.GREYLIST)
    for number, expected in ((1, []), (2, []), (3, [(1, True)])):
        await notifier.deliver(events.sign_in(f"lnk_{number}", f"client{number}@demo.example"))
        for _ in range(2):
            await mailer.send_due(notifier.db)
            await pass_time(notifier, 6)
        assert await told(notifier) == expected
    await mailer.probe(notifier.db)
    assert await told(notifier) == [(1, True)], "that it answers says nothing while mails wait"
    inbox.fails(Mode.OK)
    await mailer.send_due(notifier.db)
    assert await told(notifier) == [(1, True), (2, False)]
    inbox.fails(Mode.GREYLIST)
    await notifier.deliver(events.sign_in("lnk_4", "client4@demo.example"))
    await mailer.send_due(notifier.db)
    await pass_time(notifier, 6)
    assert await told(notifier) == [(1, True), (2, False)], "it counts anew"


async def test_a_server_that_put_everybody_off_is_well_when_nothing_waits_and_it_answers(
    notifier: Harness, events: Events, inbox: Any, mailer: Mailer
) -> None:
    inbox.fails(Mode.GREYLIST)
    for number in range(3):
        await notifier.deliver(events.sign_in(f"lnk_{number}", f"client{number}@demo.example"))
    for _ in range(2):
        await mailer.send_due(notifier.db)
        await pass_time(notifier, 6)
    assert await told(notifier) == [(1, True)]
    await notifier.db.collection(store.MAILS).delete_many({})
    await mailer.probe(notifier.db)
    assert await told(notifier) == [(1, True), (2, False)]


async def test_with_nothing_left_to_send_a_look_at_the_server_ends_the_failure(
    notifier: Harness, events: Events, inbox: Any, mailer: Mailer
) -> None:
    await mailer.probe(notifier.db)
    await notifier.deliver(events.sign_in())
    inbox.fails(Mode.DOWN)
    for _ in range(2):
        await mailer.send_due(notifier.db)
        await pass_time(notifier, 6)
    await notifier.deliver(events.ended())
    await notifier.db.collection(store.MAILS).delete_many({})
    await mailer.probe(notifier.db)
    assert await told(notifier) == [(1, True)]
    inbox.fails(Mode.OK)
    await mailer.probe(notifier.db)
    assert await told(notifier) == [(1, True), (2, False)]
    assert inbox.mails == []


async def test_two_mailers_tell_it_once(notifier: Harness, events: Events, inbox: Any, mailer: Mailer, second: Mailer) -> None:
    for number in range(8):
        await notifier.deliver(events.sign_in(f"lnk_{number}"))
    inbox.fails(Mode.DOWN)
    for _ in range(2):
        for one in (mailer, second):
            await one.send_due(notifier.db)
        await pass_time(notifier, 6)
    assert await told(notifier) == [(1, True)]
