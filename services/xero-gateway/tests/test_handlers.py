"""Events in any order, and twice, leave one end."""

from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime
from itertools import permutations
from typing import Any

import pytest

from common.contracts.auth import OrganisationConnected, OrganisationDisconnected, OrganisationNeedsReauth, OrganisationUpdated
from common.contracts.sharing import ShareCreated, ShareEnded
from common.events import EventData, new_event
from common.ids import new_id
from common.testing import ORGANISATION, Harness, HarnessFactory
from xero_gateway import organisations, store
from xero_gateway.main import create_app
from xero_gateway.settings import Settings
from xero_gateway.testing import WEBHOOK_KEY, an_id

NOW = datetime(2026, 6, 18, tzinfo=UTC)
CONTACT = an_id("contact")
HELD = (store.ORGANISATIONS, store.SHARES, store.LOADS)


@pytest.fixture
async def gateway(harness: HarnessFactory) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings, xero_webhook_key=WEBHOOK_KEY) as service:
        yield service


async def end_of(gateway: Harness, order: Sequence[EventData]) -> Any:
    """What is stored after these events, each delivered twice."""
    await gateway.empty()
    events = [new_event("test", "subject", data, correlation=new_id("cor")) for data in order]
    for event in [*events, *events]:
        await gateway.deliver_event(event)
    for data in order:
        await gateway.deliver(data)
    return {name: await gateway.db.collection(name).find({}, sort=[("_id", 1)]) for name in HELD}


async def all_ends(gateway: Harness, events: Sequence[EventData]) -> list[Any]:
    return [await end_of(gateway, order) for order in permutations(events)]


async def test_an_organisations_events_in_any_order_leave_its_newest_facts(gateway: Harness) -> None:
    connected = OrganisationConnected(version=1, organisation_id=ORGANISATION, tenant_id="t", name="Old", time_zone=None)
    renamed = OrganisationUpdated(version=2, organisation_id=ORGANISATION, name="New", time_zone="Europe/London")
    waits = OrganisationNeedsReauth(version=3, organisation_id=ORGANISATION, name="New", cause="x", since=NOW, people=[])
    first, *others = await all_ends(gateway, [connected, renamed, waits])
    assert all(other == first for other in others)
    (row,) = first[store.ORGANISATIONS]
    assert (row["name"], row["time_zone"], row["state"]) == ("New", "Europe/London", "needs_reauth")


async def test_a_reconnection_ends_what_a_disconnection_began(gateway: Harness) -> None:
    left = OrganisationDisconnected(version=4, organisation_id=ORGANISATION, name="N", since=NOW)
    back = OrganisationConnected(version=5, organisation_id=ORGANISATION, tenant_id="t", name="N", time_zone=None)
    for end in await all_ends(gateway, [left, back]):
        assert end[store.ORGANISATIONS][0]["state"] == "connected"
    await end_of(gateway, [left])
    assert await organisations.state_of(gateway.db, ORGANISATION) == "disconnected"


def created(share: str, version: int = 1, load: str | None = None) -> ShareCreated:
    return ShareCreated(version=version, share_id=share, organisation_id=ORGANISATION, contact_id=CONTACT, load_id=load)


def ended(share: str) -> ShareEnded:
    return ShareEnded(version=9, share_id=share, organisation_id=ORGANISATION, contact_id=CONTACT, reason="revoked", ended_at=NOW)


def watched_and_load(end: Any) -> tuple[bool, list[str]]:
    return any(row["live"] for row in end[store.SHARES]), [row["state"] for row in end[store.LOADS]]


async def test_a_share_that_ended_watches_nothing_in_whatever_order_it_is_told(gateway: Harness) -> None:
    first, other = await all_ends(gateway, [created("shr_1", load="lod_1"), ended("shr_1")])
    assert watched_and_load(first) == watched_and_load(other) == (False, ["cancelled"])


async def test_a_load_goes_on_while_another_share_counts_on_it(gateway: Harness) -> None:
    events = [created("shr_1", load="lod_1"), created("shr_2"), ended("shr_1")]
    for end in await all_ends(gateway, events):
        assert watched_and_load(end) == (True, ["pending"])


async def test_the_last_share_to_end_cancels_the_load(gateway: Harness) -> None:
    events = [created("shr_1", load="lod_1"), created("shr_2"), ended("shr_1"), ended("shr_2")]
    for end in [await end_of(gateway, order) for order in (events, events[::-1], events[2:] + events[:2])]:
        assert watched_and_load(end) == (False, ["cancelled"])


async def test_being_told_again_of_a_share_does_not_begin_its_load_anew(gateway: Harness) -> None:
    await gateway.deliver(created("shr_1", load="lod_1"))
    done = {"$set": {"state": "complete", "stored": 7, "batches": 2}}
    await gateway.db.collection(store.LOADS).update_one({"_id": "lod_1"}, done)
    await gateway.deliver(created("shr_1", load="lod_1"))
    await gateway.deliver(ended("shr_1"))
    load = await store.find_load(gateway.db, ORGANISATION, "lod_1")
    assert load is not None
    assert (load.state, load.stored) == ("complete", 7)


async def test_a_reconnection_ends_every_wait_at_once(gateway: Harness) -> None:
    await gateway.deliver(created("shr_1", load="lod_1"))
    later = datetime(2100, 1, 1, tzinfo=UTC)
    for name in (store.LOADS, store.RECONCILIATIONS):
        await gateway.db.collection(name).update_many({}, {"$set": {"due_at": later}})
    back = OrganisationConnected(version=5, organisation_id=ORGANISATION, tenant_id="t", name="N", time_zone=None)
    await gateway.deliver(back)
    for name in (store.LOADS, store.RECONCILIATIONS):
        (row,) = await gateway.db.collection(name).find({})
        assert row["due_at"] < NOW
