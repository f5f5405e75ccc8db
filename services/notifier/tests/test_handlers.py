"""What arrives becomes a mail in the queue once, in whatever order it arrives."""

from itertools import permutations
from typing import Any

import pytest

from common.contracts.auth import Person
from common.events import EventData, new_event
from common.http import admitted
from common.ids import new_id
from common.testing import Harness
from notifier.testing import MERE, Events


async def waiting(notifier: Harness) -> list[dict[str, Any]]:
    return await notifier.db.collection("mails").find({"state": "pending"}, sort=[("_id", 1)])


async def deliver(notifier: Harness, *events: EventData) -> None:
    for event in events:
        await notifier.deliver(event)


def test_nobody_may_call_the_notifier(notifier: Harness) -> None:
    assert admitted(notifier.app) == {}


async def test_an_invitation_waits_with_its_secret_still_sealed(notifier: Harness, events: Events) -> None:
    await deliver(notifier, events.invited())
    (row,) = await waiting(notifier)
    assert (row["kind"], row["email"], row["number"]) == ("invitation", "you@demo.example", 1)
    assert (row["expires_at"] - row["queued_at"]).total_seconds() == 24 * 3600
    assert "cii_secret" not in str(row)


async def test_a_sign_in_mail_is_worth_nothing_once_its_link_is(notifier: Harness, events: Events) -> None:
    asked = events.sign_in()
    await deliver(notifier, asked)
    (row,) = await waiting(notifier)
    assert (row["kind"], row["expires_at"]) == ("sign_in", asked.expires_at)
    assert "cil_secret" not in str(row)
    assert "123456" not in str(row)


async def test_an_event_delivered_twice_is_one_mail(notifier: Harness, events: Events) -> None:
    for event in (events.invited(), events.sign_in(), events.lost()):
        envelope = new_event("test", "subject", event, correlation=new_id("cor"))
        await notifier.deliver_event(envelope)
        await notifier.deliver_event(envelope)
        await notifier.deliver(event)
    assert len(await waiting(notifier)) == 3


async def test_a_newer_invitation_takes_the_place_of_one_still_waiting(notifier: Harness, events: Events) -> None:
    await deliver(notifier, events.invited(number=1), events.invited(number=2))
    assert [row["number"] for row in await waiting(notifier)] == [2]


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("order", list(permutations(range(4))))
async def test_every_order_and_twice_ends_the_same(notifier: Harness, events: Events, order: tuple[int, ...], times: int) -> None:
    """Two invitations and a sign-in from one, then the end of the share; another share is untouched."""
    of_share = [events.invited(number=1), events.invited(number=2), events.sign_in(share_id="shr_1"), events.ended()]
    await deliver(notifier, events.invited("shr_2"), *[of_share[place] for place in order] * times)
    assert [row["share_id"] for row in await waiting(notifier)] == ["shr_2"]
    (share,) = await notifier.db.collection("shares").find({"_id": "shr_1"})
    assert (share["ended"], share["invitation_number"]) == (True, 2)


@pytest.mark.parametrize("order", list(permutations(range(2))))
async def test_invitations_in_every_order_leave_the_newest(notifier: Harness, events: Events, order: tuple[int, ...]) -> None:
    both = [events.invited(number=1), events.invited(number=2)]
    await deliver(notifier, *(both[place] for place in order), *(both[place] for place in order))
    assert [row["number"] for row in await waiting(notifier)] == [2]


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_nobody_is_asked_to_reconnect_what_is_well_again(notifier: Harness, events: Events, order: tuple[int, ...]) -> None:
    both = [events.lost(2), events.found_again(3), events.found_again(1)]
    await deliver(notifier, *(both[place] for place in order))
    assert await waiting(notifier) == []


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_a_connection_lost_again_is_mailed_about(notifier: Harness, events: Events, order: tuple[int, ...]) -> None:
    story = [events.lost(2), events.found_again(3), events.lost(4)]
    await deliver(notifier, *(story[place] for place in order))
    assert [row["_id"] for row in await waiting(notifier) if ".4." in row["_id"]]


async def test_a_dropped_mail_keeps_no_secret(notifier: Harness, events: Events) -> None:
    await deliver(notifier, events.invited(), events.ended())
    (row,) = await notifier.db.collection("mails").find({})
    assert row["state"] == "dropped"
    assert "sealed" not in row


async def test_a_sign_in_from_elsewhere_survives_the_end_of_a_share(notifier: Harness, events: Events) -> None:
    await deliver(notifier, events.ended(), events.sign_in())
    assert len(await waiting(notifier)) == 1


async def test_everybody_who_can_reconnect_is_told_once_for_each_loss(notifier: Harness, events: Events) -> None:
    tane = Person(name="Tāne Pike", email="tane@kowhai.example")
    await deliver(notifier, events.lost(4, MERE, tane), events.lost(2, MERE), events.lost(4, MERE, tane))
    assert [row["email"] for row in await waiting(notifier)] == ["mere@kowhai.example", "tane@kowhai.example"]
    await deliver(notifier, events.lost(6, MERE))
    assert len(await waiting(notifier)) == 3
