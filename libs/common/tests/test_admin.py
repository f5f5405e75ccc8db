"""What an operator sees and does on a service's health port."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest

from common import inbox
from common.events import Event, EventData, new_event
from common.http import admitted
from common.mongo import INBOX, Tx
from common.service import create_service, operations
from common.settings import ServiceSettings
from common.testing import Harness, HarnessFactory


class Told(EventData):
    type: ClassVar[str] = "test.told.v1"
    email: str
    fails: bool


async def hear(tx: Tx, event: Event[Told]) -> None:
    if event.data.fails:
        raise RuntimeError(f"cannot hear {event.data.email}")
    await tx.collection("heard").insert_one({"_id": event.id})


@pytest.fixture(scope="module")
async def toy(harness: HarnessFactory) -> AsyncIterator[Harness]:
    def create_app(settings: ServiceSettings) -> Any:
        return create_service("portal", settings, handlers={Told: hear})

    async with harness(create_app, ServiceSettings) as service:
        yield service


async def parked(toy: Harness) -> str:
    """An event that was given up."""
    await toy.empty()
    event = new_event("test", "subject", Told(version=1, email="mere@kowhai.example", fails=True), correlation="cor_1")
    await inbox.store(toy.db, event.model_dump_json().encode(), event.id, {Told.type: Told})
    await toy.db.collection(INBOX).update_one({"_id": event.id}, {"$set": {"attempts": 3, "reported": 3}})
    await inbox.handle_pending(toy.db, toy.runtime.handlers)
    return event.id


@pytest.fixture
def operator(toy: Harness) -> dict[str, str]:
    return toy.as_service("operations")


async def test_nobody_but_the_operators_command_is_admitted(toy: Harness) -> None:
    routes = admitted(operations(toy.runtime))
    asked = {route: who for route, who in routes.items() if route[1].startswith("/internal/")}
    assert len(asked) == 14
    assert set(asked.values()) == {frozenset({"service:operations"})}
    for method, path in asked:
        answer = await toy.operations.request(
            method, path.format(event_id="evt_1", name="things"), headers=toy.as_service("web"), json={"since": "x"}
        )
        assert answer.status_code == 403
        assert (await toy.operations.request(method, path.format(event_id="evt_1", name="things"))).status_code == 401


async def test_the_routes_are_not_on_the_port_that_others_call(toy: Harness, operator: dict[str, str]) -> None:
    assert (await toy.http.get("/internal/admin/status", headers=operator)).status_code == 404


async def test_the_status_counts_what_waits_and_what_was_parked(toy: Harness, operator: dict[str, str]) -> None:
    await parked(toy)
    event = new_event("test", "subject", Told(version=2, email="a@b.example", fails=False), correlation="cor_1")
    await inbox.store(toy.db, event.model_dump_json().encode(), event.id, {Told.type: Told})
    status = (await toy.operations.get("/internal/admin/status", headers=operator)).json()
    assert (status["inbox"]["waiting"], status["parked"], status["outbox"]) == (1, 1, {"waiting": 0, "oldest": None})
    assert status["inbox"]["oldest"]


async def test_a_parked_event_is_listed_and_shown_without_addresses(toy: Harness, operator: dict[str, str]) -> None:
    event_id = await parked(toy)
    listed = (await toy.operations.get("/internal/admin/parked", headers=operator)).json()
    assert ([row["id"] for row in listed["events"]], listed["total"]) == ([event_id], 1)
    shown = await toy.operations.get(f"/internal/admin/parked/{event_id}", headers=operator)
    assert shown.json()["body"]["data"] == {"version": 1, "email": "[hidden]", "fails": True}
    assert "mere@kowhai" not in shown.text + str(listed)


async def test_a_replayed_event_is_handled_again(toy: Harness, operator: dict[str, str]) -> None:
    event_id = await parked(toy)
    assert (await toy.operations.post(f"/internal/admin/parked/{event_id}/replay", headers=operator)).status_code == 204
    row = await toy.db.collection(INBOX).find_one({"_id": event_id})
    assert row
    assert (row["state"], row["attempts"]) == ("pending", 0)


async def test_an_event_of_a_newer_version_is_read_once_that_version_runs(toy: Harness, operator: dict[str, str]) -> None:
    await toy.empty()
    event = new_event("test", "subject", Told(version=1, email="a@b.example", fails=False), correlation="cor_1")
    await inbox.store(toy.db, event.model_dump_json().encode(), event.id, {})
    row = await toy.db.collection(INBOX).find_one({"_id": event.id})
    assert row
    assert (row["state"], row["type"]) == ("parked", "unreadable")
    assert (await toy.operations.post(f"/internal/admin/parked/{event.id}/replay", headers=operator)).status_code == 204
    assert await inbox.handle_pending(toy.db, toy.runtime.handlers) == 1
    assert await toy.db.collection("heard").find_one({"_id": event.id})


async def test_an_event_of_an_unknown_type_waits_and_stops_nothing(toy: Harness) -> None:
    await toy.empty()
    for version in (1, 2):
        event = new_event("test", f"subject {version}", Told(version=version, email="a@b.example", fails=False), correlation="cor_1")
        await inbox.store(toy.db, event.model_dump_json().encode(), event.id, {Told.type: Told})
    await toy.db.collection(INBOX).update_one(
        {"_id": event.id}, {"$set": {"type": "test.newer.v1", "body": event.model_dump_json().replace(Told.type, "test.newer.v1")}}
    )
    assert await inbox.handle_pending(toy.db, toy.runtime.handlers) == 2
    states = {row["type"]: (row["state"], row["attempts"]) for row in await toy.db.collection(INBOX).find({})}
    assert states == {Told.type: ("done", 1), "test.newer.v1": ("pending", 0)}


async def test_what_waits_is_counted_by_an_index(toy: Harness) -> None:
    plan = await toy.db.client[toy.db._database.name].command({"explain": {"count": "outbox", "query": {"state": "pending"}}})
    assert "COLLSCAN" not in str(plan)


async def test_a_dropped_event_stays_seen(toy: Harness, operator: dict[str, str]) -> None:
    event_id = await parked(toy)
    path = f"/internal/admin/parked/{event_id}"
    assert (await toy.operations.post(f"{path}/drop", headers=operator)).status_code == 204
    assert await inbox.handle_pending(toy.db, toy.runtime.handlers) == 0
    for answer in (await toy.operations.post(f"{path}/drop", headers=operator), await toy.operations.get(path, headers=operator)):
        assert answer.status_code == 404


async def test_a_time_without_a_zone_is_refused(toy: Harness, operator: dict[str, str]) -> None:
    when = datetime(2026, 6, 1, tzinfo=UTC)
    path = "/internal/admin/outbox/replay"
    assert (await toy.operations.post(path, headers=operator, json={"since": "2026-06-01T00:00:00"})).status_code == 422
    assert (await toy.operations.post(path, headers=operator, json={"since": when.isoformat()})).json() == {"changed": 0}
