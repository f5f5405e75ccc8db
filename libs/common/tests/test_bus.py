"""Events from one service's transaction to another's, on a real broker and a real database: two toy services, left and right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aio_pika
import httpx
import pytest
from aiormq.exceptions import ChannelAccessRefused

from common import inbox, outbox
from common.bus import QUEUE_ARGUMENTS, Bus, definitions
from common.claims import IMMEDIATELY
from common.events import EventData, Handlers
from common.ids import new_id
from common.mongo import INBOX, OUTBOX, Database, Index, Tx
from common.telemetry import INBOX_WAITING, OUTBOX_LAG, OUTBOX_WAITING


class Happened(EventData, type="left.thing.happened.v1"):
    name: str

    @property
    def lane(self) -> str | None:
        return self.name[0] if self.name[1:].isdigit() else None


class Unheard(EventData, type="left.thing.unheard.v1"):
    pass


@dataclass
class Toy:
    """Two services without HTTP: what left emits, right handles."""

    left: Database
    right: Database
    broker: Any
    vhost: str
    passwords: dict[str, str]
    seen: list[str] = field(default_factory=list)
    failing: dict[str, Exception] = field(default_factory=dict)

    @property
    def handlers(self) -> Handlers:
        async def note(tx: Tx, event: Any) -> None:
            if error := self.failing.get(event.data.name):
                raise error
            self.seen.append(event.data.name)
            await tx.collection("notes").update_one({"_id": event.data.name}, {"$inc": {"times": 1}}, upsert=True)

        return {Happened: note}

    def url(self, user: str) -> str:
        return str(replace(self.broker, passwords=self.passwords).amqp_url(user, self.vhost))

    async def emit(self, *names: str) -> None:
        async def say(tx: Tx) -> None:
            for name in names:
                await tx.emit(name, Happened(name=name, version=1))

        await self.left.transact(say)

    async def notes(self) -> dict[str, int]:
        return {row["_id"]: row["times"] for row in await self.right.collection("notes").find({})}

    async def management(self, method: str, path: str, **content: Any) -> Any:
        async with httpx.AsyncClient(base_url=self.broker.management_url, auth=self.broker.admin) as client:
            answer = await client.request(method, f"/api{path}", **content)
            answer.raise_for_status()
            return answer.json() if answer.content else None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Bus]:
        """Relay of left, consumer and worker of right; gives right's bus."""
        sender, receiver = Bus(self.url("left"), "left"), Bus(self.url("right"), "right")
        tasks = [
            asyncio.create_task(work)
            for work in (
                _relay(sender, self.left),
                receiver.consume(self.right, self.handlers),
                inbox.Worker(self.handlers).run(self.right),
            )
        ]
        try:
            yield receiver
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await sender.close()
            await receiver.close()


async def _relay(bus: Bus, db: Database) -> None:
    await bus.connect_publisher()
    await outbox.Relay(bus).run(db)


async def eventually(check: Callable[[], Awaitable[bool]], what: str) -> None:
    """Waits until it is so; a bound only against hanging for ever."""
    for _ in range(1200):
        if await check():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"never happened: {what}")


@pytest.fixture
async def toy(mongo_url: str, rabbitmq: Any) -> AsyncIterator[Toy]:
    vhost = f"test-{new_id('v')}"
    passwords = {**rabbitmq.passwords, "left": "left-password", "right": "right-password"}
    async with AsyncExitStack() as stack:
        left = Database(mongo_url, "left", f"test-{new_id('l')}")
        right = Database(mongo_url, "right", f"test-{new_id('r')}")
        toy = Toy(left, right, rabbitmq, vhost, passwords)
        for db in (left, right):
            await db.prepare({**outbox.INDEXES, **inbox.INDEXES, "notes": [Index(("times", 1))]})
            stack.callback(db.close)
            stack.push_async_callback(db.drop)
        body = definitions({"right": toy.handlers}, passwords=passwords, vhost=vhost, publishers=("left",))
        await toy.management("POST", "/definitions", json=body)
        stack.push_async_callback(toy.management, "DELETE", f"/vhosts/{vhost}")
        yield toy


DUE = {"$set": {"due_at": IMMEDIATELY}}


async def parked(toy: Toy) -> list[str]:
    return [row["_id"] for row in await toy.right.collection(INBOX).find({"state": "parked"})]


async def test_an_event_emitted_in_a_transaction_has_its_effect_once(toy: Toy) -> None:
    async with toy.running():
        await toy.emit("one")
        await eventually(lambda: _is(toy, {"one": 1}), "the effect")


async def test_a_rolled_back_transaction_leaves_no_event(toy: Toy) -> None:
    async def fail(tx: Tx) -> None:
        await tx.emit("x", Happened(name="never", version=1))
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await toy.left.transact(fail)
    assert await toy.left.collection(OUTBOX).count({}) == 0


async def test_the_same_message_twice_has_one_effect(toy: Toy) -> None:
    async with toy.running():
        await toy.emit("one")
        await eventually(lambda: _is(toy, {"one": 1}), "the first effect")
        assert await outbox.replay(toy.left, IMMEDIATELY) == 1
        await eventually(lambda: _outbox_sent(toy, 1), "sent again")
        await toy.emit("two")
        await eventually(lambda: _is(toy, {"one": 1, "two": 1}), "only the new one has an effect")


async def test_a_failing_handler_heals_and_its_neighbours_go_on(toy: Toy) -> None:
    toy.failing["bad"] = RuntimeError("not today")
    async with toy.running():
        await toy.emit("bad", "good")
        await eventually(lambda: _is(toy, {"good": 1}), "the neighbour")
        await eventually(lambda: _inbox_failed_once(toy), "the failure is written down")
        toy.failing.clear()
        await toy.right.collection(INBOX).update_many({}, DUE)
        await eventually(lambda: _is(toy, {"good": 1, "bad": 1}), "healed")


async def test_poison_parks_after_four_attempts_with_its_reason_and_can_be_replayed(toy: Toy) -> None:
    toy.failing["poison"] = RuntimeError("always")
    await _store(toy, "poison")
    for _ in range(4):
        assert await inbox.handle_pending(toy.right, toy.handlers) == 1
        await toy.right.collection(INBOX).update_many({"state": "pending"}, DUE)
    (row,) = await toy.right.collection(INBOX).find({})
    assert (row["state"], row["reason"], row["attempts"]) == ("parked", "RuntimeError: always", 4)
    assert await inbox.handle_pending(toy.right, toy.handlers) == 0
    toy.failing.clear()
    assert await inbox.replay(toy.right, row["_id"], EventData.registry)
    await inbox.handle_pending(toy.right, toy.handlers)
    assert await toy.notes() == {"poison": 1}


async def test_broken_json_and_unknown_types_park_at_once(toy: Toy) -> None:
    async with toy.running() as bus:
        await eventually(lambda: _consumes(bus), "the consumer")
        await _publish_raw(toy, b"{not json", "m1")
        await _publish_raw(toy, b'{"specversion":"1.0"}', "m2")
        await toy.emit("good")
        await eventually(lambda: _is(toy, {"good": 1}), "the neighbour")
        await eventually(lambda: _parked(toy, {"m1", "m2"}), "both parked")


async def test_an_event_that_kills_its_process_counts_runs_alone_and_parks(toy: Toy) -> None:
    """A killed process never reports: the lease runs out with `attempts` ahead of `reported`."""
    await _store(toy, "killer")
    dead = {"$set": {"attempts": 3, "reported": 0}}
    await toy.right.collection(INBOX).update_many({}, dead)
    await _store(toy, "good")
    assert await inbox.handle_pending(toy.right, toy.handlers) == 1
    assert toy.seen == ["good"], "the suspect is not claimed together with others"
    await toy.right.collection(INBOX).update_many({"state": "pending"}, {"$set": {"attempts": 4}})
    assert await inbox.handle_pending(toy.right, toy.handlers) == 1
    (row,) = await toy.right.collection(INBOX).find({"state": "parked"})
    assert row["reason"] == "The process ended during every attempt."
    assert toy.seen == ["good"]


async def test_events_of_one_lane_are_handled_in_turn_and_lanes_side_by_side(toy: Toy) -> None:
    for name in ("a1", "a2", "b1"):
        await _store(toy, name)
    order: list[str] = []

    async def slow(tx: Tx, event: Any) -> None:
        order.append(f"{event.data.name} begins")
        await asyncio.sleep(0.1)
        order.append(f"{event.data.name} ends")

    await inbox.handle_pending(toy.right, {Happened: slow})
    assert order.index("a1 ends") < order.index("a2 begins")
    assert order.index("b1 begins") < order.index("a1 ends")


async def test_a_lost_lease_rolls_the_effect_back(toy: Toy) -> None:
    await _store(toy, "slow")
    handlers = toy.handlers

    async def slow(tx: Tx, event: object) -> None:
        await handlers[Happened](tx, event)  # type: ignore[arg-type]
        await toy.right.collection(INBOX).update_many({}, {"$set": {"lease": "another process"}})

    await inbox.handle_pending(toy.right, {Happened: slow})
    assert await toy.notes() == {}


async def test_an_event_nobody_is_bound_to_waits_and_others_go_on(toy: Toy) -> None:
    async def say(tx: Tx) -> None:
        await tx.emit("x", Unheard(version=1))
        await tx.emit("y", Happened(name="heard", version=1))

    await toy.left.transact(say)
    async with toy.running():
        await eventually(lambda: _is(toy, {"heard": 1}), "the other one")
    (row,) = await toy.left.collection(OUTBOX).find({"type": Unheard.type})
    assert row["state"] == "pending"
    assert row["attempts"] >= 1


async def test_a_service_cannot_publish_in_anothers_name_or_declare_anything(toy: Toy) -> None:
    connection = await aio_pika.connect(toy.url("right"))
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange("events", ensure=False)
        with pytest.raises(ChannelAccessRefused):
            await exchange.publish(aio_pika.Message(b"x"), "left.thing.happened.v1", timeout=30)
        other = await connection.channel()
        with pytest.raises(ChannelAccessRefused):
            await other.declare_queue("mine", durable=True, arguments=QUEUE_ARGUMENTS)


async def test_without_the_topology_nothing_is_published_and_nothing_lost(toy: Toy) -> None:
    await toy.management("DELETE", f"/exchanges/{toy.vhost}/events")
    await toy.emit("kept")
    sender = Bus(toy.url("left"), "left")
    waiting = asyncio.create_task(sender.connect_publisher())
    await asyncio.sleep(0.6)
    assert not sender.topology_seen
    assert await outbox.publish_pending(toy.left, sender) == 0
    waiting.cancel()
    await sender.close()
    assert await toy.left.collection(OUTBOX).count({"state": "pending"}) == 1


async def test_what_waits_is_measured_although_the_broker_was_never_there(toy: Toy) -> None:
    await toy.emit("kept", "too")
    an_hour_ago = {"$dateSubtract": {"startDate": "$created_at", "unit": "hour", "amount": 1}}
    await toy.left.collection(OUTBOX).update_one({"subject": "kept"}, [{"$set": {"created_at": an_hour_ago}}])
    relaying = asyncio.create_task(outbox.Relay(Bus(toy.url("left"), "left")).run(toy.left))
    try:
        await eventually(_two_wait_for_an_hour, "what waits is told")
    finally:
        relaying.cancel()
    await toy.left.collection(OUTBOX).delete_many({})
    await outbox.measure(toy.left)
    assert (OUTBOX_WAITING._value.get(), OUTBOX_LAG._value.get()) == (0, 0)


async def _two_wait_for_an_hour() -> bool:
    return bool(OUTBOX_WAITING._value.get() == 2 and OUTBOX_LAG._value.get() >= 3600)


async def test_a_backlog_is_measured_while_it_is_worked_off(toy: Toy) -> None:
    """Workers are added by what waits, so it must be told before it is done."""
    for number in range(3):
        await _store(toy, f"a{number}")
    told: list[float] = []

    async def look(tx: Tx, event: Any) -> None:
        told.append(INBOX_WAITING._value.get())

    working = asyncio.create_task(inbox.Worker({Happened: look}).run(toy.right))
    try:
        await eventually(lambda: _all_told(told), "three were handled")
        assert told[0] == 3
    finally:
        working.cancel()


async def _all_told(told: list[float]) -> bool:
    return len(told) >= 3


async def test_everything_goes_on_after_the_broker_closed_all_connections(toy: Toy) -> None:
    async with toy.running() as bus:
        await toy.emit("before")
        await eventually(lambda: _is(toy, {"before": 1}), "the first effect")
        await eventually(lambda: _connections_known(toy), "the management API lists the connections")
        for connection in await toy.management("GET", f"/vhosts/{toy.vhost}/connections"):
            await toy.management("DELETE", f"/connections/{connection['name']}")
        await toy.emit("after")
        await eventually(lambda: _is(toy, {"before": 1, "after": 1}), "recovered")
        assert bus.consumes


async def _store(toy: Toy, name: str) -> None:
    await toy.emit(name)
    (row,) = await toy.left.collection(OUTBOX).find({"subject": name})
    await inbox.store(toy.right, row["body"].encode(), row["_id"], {Happened.type: Happened})


async def _publish_raw(toy: Toy, body: bytes, message_id: str) -> None:
    connection = await aio_pika.connect(toy.url("left"))
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange("events", ensure=False)
        await exchange.publish(aio_pika.Message(body, message_id=message_id), Happened.type, timeout=30)


async def _is(toy: Toy, notes: dict[str, int]) -> bool:
    return await toy.notes() == notes


async def _parked(toy: Toy, ids: set[str]) -> bool:
    return set(await parked(toy)) == ids


async def _outbox_sent(toy: Toy, count: int) -> bool:
    return await toy.left.collection(OUTBOX).count({"state": "sent"}) == count


async def _inbox_failed_once(toy: Toy) -> bool:
    return await toy.right.collection(INBOX).count({"state": "pending", "reported": 1, "reason": "RuntimeError: not today"}) == 1


async def _consumes(bus: Bus) -> bool:
    return bus.consumes


async def _connections_known(toy: Toy) -> bool:
    return len(await toy.management("GET", f"/vhosts/{toy.vhost}/connections")) == 2
