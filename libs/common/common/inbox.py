"""Events that arrived: stored first, then handled once, retried when a handler fails, parked when it keeps failing.

There are no retry or dead-letter queues: what waits and what is parked are rows here, and replaying them is an update.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from common import claims, tracing
from common.clock import utc_now
from common.correlation import correlated
from common.deadlines import deadline
from common.errors import Unavailable
from common.events import Event, EventData, Handlers, decode
from common.logging import get_logger
from common.mongo import INBOX, Database, DatabaseUnavailable, Document, DuplicateKey, Index, Tx
from common.telemetry import EVENTS_HANDLED, EVENTS_STORED, INBOX_PARKED, INBOX_WAITING, MEASURE_SECONDS, Often

RETRY_SECONDS = (5, 60, 600)
"""How long an event waits after its first, second and third failure; the fourth parks it."""

BATCH = 32
AT_ONCE = 8
LEASE_SECONDS = 60.0
HANDLER_SECONDS = 30.0
POLL_SECONDS = 0.2
KEPT_SECONDS = 14 * 24 * 3600
INDEXES = {
    INBOX: [
        claims.INDEX,
        Index(("finished_at", 1), expire_after=KEPT_SECONDS, where={"state": "done"}),
        Index(("state", 1), ("received_at", 1)),
        Index(("about", 1), where={"about": {"$exists": True}}),
    ]
}
WELL = {"$expr": {"$eq": ["$attempts", "$reported"]}}
SUSPECT = {"$expr": {"$gt": ["$attempts", "$reported"]}}
log = get_logger()


async def store(db: Database, body: bytes, message_id: str | None, types: Mapping[str, type[EventData]]) -> None:
    """Puts a message into the inbox, unless its id is there. What cannot be read is stored as parked with the reason."""
    try:
        event = decode(body, types)
        row = _row(event.id, event.type, body, "pending")
        row |= {"about": event.data.about} if event.data.about else {}
    except ValueError as error:
        row = _row(message_id or f"raw_{hashlib.sha256(body).hexdigest()}", "unreadable", body, "parked")
        row["reason"] = f"{type(error).__name__}: {error}"[:500]
        log.error("event.unreadable", event_id=row["_id"])
    try:
        await db.collection(INBOX).insert_one(row)
        EVENTS_STORED.labels(row["state"]).inc()
    except DuplicateKey:
        EVENTS_STORED.labels("seen").inc()
    db.notify()


class Worker:
    """Handles stored events until it is cancelled. Several may run: each row is leased to one."""

    name = "inbox worker"

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    async def run(self, db: Database) -> None:
        measured = Often(MEASURE_SECONDS)
        while not db.stopping:
            try:
                if measured.is_due():  # between two batches, so that a backlog is seen while it is worked off
                    INBOX_WAITING.set(await db.collection(INBOX).count({"state": "pending"}))
                    INBOX_PARKED.set(await db.collection(INBOX).count({"state": "parked"}))
                if await handle_pending(db, self._handlers):
                    continue
            except DatabaseUnavailable:
                await asyncio.sleep(1)
            await db.changed(within=POLL_SECONDS)


async def handle_pending(db: Database, handlers: Handlers) -> int:
    """Handles one batch of due events; answers how many were claimed.

    Lanes run side by side, the events of one lane in turn. An event whose last attempt never reported may have killed its
    process, so it is claimed alone, after the others.
    """
    rows = await claims.claim(db, INBOX, limit=BATCH, lease=LEASE_SECONDS, where=WELL)
    if not rows:
        rows = await claims.claim(db, INBOX, limit=1, lease=LEASE_SECONDS, where=SUSPECT)
    types = {kind.type: kind for kind in handlers}
    lanes: dict[str, list[tuple[Document, Event[Any]]]] = {}
    for row in rows:
        try:
            event = decode(row["body"], types)
        except ValueError as error:
            await _leave_to_others(db, row, types, error)
            continue
        lanes.setdefault(event.data.lane or event.subject, []).append((row, event))
    gate = asyncio.Semaphore(AT_ONCE)

    async def run(lane: list[tuple[Document, Event[Any]]]) -> None:
        async with gate:
            for row, event in lane:
                await _handle(db, handlers, row, event)

    await asyncio.gather(*(run(lane) for lane in lanes.values()))
    return len(rows)


async def replay(db: Database, event_id: str, types: Mapping[str, type[EventData]]) -> bool:
    """Gives a parked event its attempts anew; False when there is no such parked event, or it cannot be read by these types.

    One that an older version of the service could not read is read now.
    """
    parked = {"_id": event_id, "state": "parked"}
    row = await db.collection(INBOX).find_one(parked)
    try:
        event = decode(row["body"], types) if row else None
    except ValueError:
        return False
    if event is None:
        return False
    named = {"type": {"$literal": event.type}} | ({"about": {"$literal": event.data.about}} if event.data.about else {})
    update = [
        {"$set": {"state": "pending", "due_at": "$$NOW", "attempts": 0, "reported": 0, **named}},
        {"$unset": ["reason", "finished_at"]},
    ]
    changed = await db.collection(INBOX).update_one(parked, update)
    db.notify()
    return changed.matched == 1


async def drop(db: Database, event_id: str) -> bool:
    """Gives a parked event up; False when there is no such parked event. Its row stays a while, so that the same message is seen again."""
    given_up = [{"$set": {"state": "done", "dropped": True, "finished_at": "$$NOW"}}]
    changed = await db.collection(INBOX).update_one({"_id": event_id, "state": "parked"}, given_up)
    return changed.matched == 1


async def _handle(db: Database, handlers: Handlers, row: Document, event: Event[Any]) -> None:
    if row["attempts"] > len(RETRY_SECONDS) + 1:
        await _park(db, row, "The process ended during every attempt.")
        return
    try:
        with (
            correlated(event.correlationid, event.id),
            deadline(HANDLER_SECONDS),
            tracing.span(f"handle {event.type}", tracing.CONSUMER, parent=event.traceparent),
        ):
            await db.transact(_apply, handlers, event, row)
        EVENTS_HANDLED.labels(event.type, "done").inc()
    except claims.LeaseLost:
        EVENTS_HANDLED.labels(event.type, "lease_lost").inc()
    except DatabaseUnavailable:
        EVENTS_HANDLED.labels(event.type, "database_away").inc()
        with suppress(DatabaseUnavailable):  # then the lease runs out and the next attempt counts one too many, once
            await db.collection(INBOX).update_one(claims.mine(row), claims.later(1, counted=False))
    except Exception as error:  # the one place where any failure of a handler must be kept
        EVENTS_HANDLED.labels(event.type, "failed").inc()
        log.warning("event.failed", type=event.type, event_id=event.id, attempts=row["attempts"], exc_info=error)
        await _try_later(db, row, error)


async def _apply(tx: Tx, handlers: Handlers, event: Event[Any], row: Document) -> None:
    """The handler's effect and "done" in one transaction: both or neither."""
    await handlers[type(event.data)](tx, event)
    await claims.finish(tx, INBOX, row, claims.done("done"))


async def _try_later(db: Database, row: Document, error: Exception) -> None:
    reason = f"{type(error).__name__}: {error}"[:500]
    if row["attempts"] > len(RETRY_SECONDS):
        await _park(db, row, reason)
        return
    wait = RETRY_SECONDS[row["attempts"] - 1]
    with suppress(Unavailable):
        await db.collection(INBOX).update_one(claims.mine(row), claims.later(wait, reason=reason))


async def _leave_to_others(db: Database, row: Document, types: Mapping[str, type[EventData]], error: ValueError) -> None:
    """A type unknown here was stored by a newer version of this service, which runs beside us or soon again: it waits for that one."""
    if row["type"] in types:
        await _park(db, row, f"{type(error).__name__}: {error}"[:500])
        return
    log.warning("event.type_unknown", type=row["type"], event_id=row["_id"])
    with suppress(Unavailable):
        await db.collection(INBOX).update_one(claims.mine(row), claims.later(RETRY_SECONDS[0], counted=False))


async def _park(db: Database, row: Document, reason: str) -> None:
    log.error("event.parked", type=row["type"], event_id=row["_id"], reason=reason)
    with suppress(Unavailable):
        await db.collection(INBOX).update_one(claims.mine(row), claims.done("parked", reason=reason))


def _row(event_id: str, kind: str, body: bytes, state: str) -> Document:
    now = utc_now()
    text = body.decode("utf-8", "replace")
    return {
        "_id": event_id,
        "type": kind,
        "body": text,
        "state": state,
        "due_at": claims.IMMEDIATELY,
        "received_at": now,
        "attempts": 0,
        "reported": 0,
    }
