"""A service's database goes out as it was at one moment and comes back into an empty service only, in steps that may be repeated."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from common import restores
from common.backup import Keeping
from common.bson_stream import Cutter, NoBson
from common.events import EventData, new_event
from common.mongo import INBOX, OUTBOX, Database, Index, Tx
from common.service import create_service
from common.settings import ServiceSettings
from common.testing import Harness, HarnessFactory


class Told(EventData, type="test.told.v1"):
    pass


async def settle(db: Database) -> None:
    await db.collection("things").update_many({}, {"$set": {"settled": True}})
    await db.transact(tell)


async def tell(tx: Tx) -> None:
    await tx.emit("again", Told(version=1_000_000))


KEEPING = Keeping(left_out=frozenset({"links"}), by_itself=frozenset({"anchors"}), settle=settle)
INDEXES = {"things": [Index(("name", 1), unique=True)], "links": [], "anchors": []}


def a_service(settings: ServiceSettings) -> Any:
    return create_service("portal", settings, indexes=INDEXES, keeping=KEEPING)


@pytest.fixture(scope="module")
async def first(harness: HarnessFactory) -> AsyncIterator[Harness]:
    async with harness(a_service, ServiceSettings, mongo_database="test-backup-from") as service:
        yield service


@pytest.fixture
async def second(harness: HarnessFactory) -> AsyncIterator[Harness]:
    async with harness(a_service, ServiceSettings, mongo_database="test-backup-into") as service:
        await service.db.drop_staged()
        yield service


async def ask(service: Harness, method: str, path: str, **content: Any) -> httpx.Response:
    return await service.operations.request(method, f"/internal/admin{path}", headers=service.as_service("operations"), **content)


async def filled(service: Harness, count: int = 700) -> None:
    await service.empty()
    await service.db.collection("things").insert_many({"_id": f"t{number:04}", "name": f"n{number}"} for number in range(count))
    await service.db.collection("links").insert_one({"_id": "secret"})
    for state in ("sent", "pending"):
        event = new_event("portal", "subject", Told(version=1), correlation="cor_1")
        row = {"_id": event.id, "type": Told.type, "body": event.model_dump_json(), "state": state, "created_at": event.time}
        await service.db.collection(OUTBOX).insert_one(row)


async def copied(service: Harness) -> tuple[str, dict[str, bytes]]:
    """When it was taken, and the bytes of each collection."""
    snapshot = (await ask(service, "GET", "/backup")).json()
    await service.db.collection("things").insert_one({"_id": "later", "name": "after the moment"})
    found = {}
    for each in snapshot["collections"]:
        answer = await ask(service, "GET", f"/backup/{each['name']}", params={"moment": snapshot["moment"]})
        assert answer.status_code == 200, answer.text
        found[each["name"]] = answer.content
    return snapshot["taken_at"], found


async def staged(service: Harness, taken_at: str, collections: dict[str, bytes]) -> None:
    assert (await ask(service, "POST", "/restore/begin", json={"taken_at": taken_at})).status_code == 204
    for name, content in collections.items():
        answer = await ask(service, "POST", f"/restore/collections/{name}", content=content)
        assert answer.status_code == 200, answer.text


async def state_of(service: Harness) -> str:
    return str((await ask(service, "GET", "/restore")).json()["state"])


async def test_what_comes_back_is_what_was_there_at_the_moment_put_right_and_told_again(first: Harness, second: Harness) -> None:
    await filled(first)
    taken_at, collections = await copied(first)
    assert "links" not in collections
    assert await state_of(second) == "empty"
    await second.db.collection("anchors").insert_one({"_id": "made by itself"})
    await staged(second, taken_at, collections)
    await staged(second, taken_at, collections)  # broken off and begun again
    assert await second.db.collection("things").count({}) == 0
    for _ in range(2):
        assert (await ask(second, "POST", "/restore/finish")).status_code == 204
        assert await state_of(second) == "held"
    assert await second.db.collection(OUTBOX).count({}) == 0
    assert (await ask(second, "POST", "/restore/release")).json() == {"changed": 1}
    things = await second.db.collection("things").find({}, sort=[("_id", 1)])
    assert [row["_id"] for row in things] == [f"t{number:04}" for number in range(700)]
    assert all(row["settled"] for row in things)
    assert {row["state"] for row in await second.db.collection(OUTBOX).find({})} == {"pending"}
    assert await second.db.collection(OUTBOX).count({}) == 3
    plan = await second.db.client[second.db._database.name].command({"explain": {"count": "things", "query": {"name": "n5"}}})
    assert "COLLSCAN" not in str(plan)
    assert (await state_of(second), await restores.find_restored_at(second.db) is None) == ("done", False)
    assert (await ask(second, "POST", "/restore/begin", json={"taken_at": taken_at})).status_code == 409


async def test_what_is_put_right_beside_wakes_no_loop_of_the_service(second: Harness) -> None:
    """A wake that nobody takes back would have every loop of the process run without a pause."""
    await second.db.staged().prepare({OUTBOX: []})
    await second.db.staged().transact(tell)
    assert not second.db._change.is_set()
    second.db.notify()
    assert not second.db._change.is_set()


async def test_nothing_is_restored_into_a_service_in_use(first: Harness, second: Harness) -> None:
    await filled(first, 3)
    taken_at, collections = await copied(first)
    await staged(second, taken_at, collections)
    await second.db.collection("things").insert_one({"_id": "mine", "name": "mine"})
    refused = await ask(second, "POST", "/restore/finish")
    assert (refused.status_code, refused.json()["code"]) == (409, "not_empty")
    assert "it holds things" in refused.json()["detail"]
    assert [row["_id"] for row in await second.db.collection("things").find({})] == ["mine"]
    assert (await ask(second, "POST", "/restore/release")).json()["code"] == "out_of_order"


async def test_a_collection_that_is_not_kept_and_bytes_that_are_no_documents_are_refused(second: Harness) -> None:
    await staged(second, "2026-06-01T00:00:00Z", {})
    for name in ("links", "unknown", "restores"):
        assert (await ask(second, "POST", f"/restore/collections/{name}", content=b"")).status_code == 404
        assert (await ask(second, "GET", f"/backup/{name}", params={"moment": "1.1"})).status_code == 404
    for content in (b"\x04\x00\x00\x00", b"\xff\xff\xff\x7f", b"\x10\x00\x00\x00\x00"):
        assert (await ask(second, "POST", "/restore/collections/things", content=content)).json()["code"] == "bad_request"
    assert await second.db.collection(INBOX).count({}) == 0


def test_documents_are_cut_out_of_any_pieces() -> None:
    documents = [bytes([length, 0, 0, 0]) + bytes(length - 4) for length in (5, 9, 200, 6)]
    stream, chance = b"".join(documents), random.Random(1)
    for _ in range(50):
        cutter, found, start = Cutter(), [], 0
        while start < len(stream):
            end = start + chance.randrange(1, 40)
            found += cutter.cut(stream[start:end])
            start = end
        cutter.end()
        assert found == documents
    cutter = Cutter()
    cutter.cut(stream[:-1])
    with pytest.raises(NoBson, match="not complete"):
        cutter.end()
