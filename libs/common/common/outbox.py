"""The relay: sends what transactions stored in the outbox, and marks a row only when the broker has confirmed it."""

from __future__ import annotations

import asyncio

from aio_pika.exceptions import AMQPError, PublishError

from common import claims, tracing
from common.bus import Bus
from common.events import CONTENT_TYPE
from common.logging import get_logger
from common.mongo import OUTBOX, Database, DatabaseUnavailable, Document, Index
from common.telemetry import EVENTS_PUBLISHED, EVENTS_RETURNED, MEASURE_SECONDS, OUTBOX_LAG, OUTBOX_WAITING, Often

BATCH = 100
LEASE_SECONDS = 15.0
POLL_SECONDS = 0.2
KEPT_SECONDS = 7 * 24 * 3600
RETURNED_SECONDS = (1, 5, 30, 60)
"""How long a row waits that nobody is bound to receive: the topology is missing a binding, others go on."""

INDEXES = {
    OUTBOX: [
        claims.INDEX,
        Index(("finished_at", 1), expire_after=KEPT_SECONDS),
        Index(("state", 1), ("created_at", 1)),  # what waits is counted every few seconds, beside a week of what was sent
        Index(("type", 1), ("created_at", 1)),
        Index(("about", 1), where={"about": {"$exists": True}}),
    ]
}
log = get_logger()


class Relay:
    """Publishes pending outbox rows until it is cancelled. Several may run: each row is leased to one."""

    name = "outbox relay"

    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def run(self, db: Database) -> None:
        measured = Often(MEASURE_SECONDS)
        while not db.stopping:
            try:
                if measured.is_due():
                    await measure(db)
                if await publish_pending(db, self._bus):
                    continue
            except DatabaseUnavailable:
                await asyncio.sleep(1)
            await db.changed(within=POLL_SECONDS)


async def measure(db: Database) -> None:
    """Tells how many events wait, and for how long: under load some always do, so only their age tells of trouble."""
    waiting: Document = {"state": "pending"}
    OUTBOX_WAITING.set(await db.collection(OUTBOX).count(waiting))
    oldest = await db.collection(OUTBOX).find(waiting, sort=[("created_at", 1)], limit=1, projection={"created_at": 1})
    OUTBOX_LAG.set(max(0.0, (await db.now() - oldest[0]["created_at"]).total_seconds()) if oldest else 0.0)


async def publish_pending(db: Database, bus: Bus) -> int:
    """Publishes one batch; answers how many rows the broker confirmed."""
    if not bus.publishes:
        return 0
    rows = await claims.claim(db, OUTBOX, limit=BATCH, lease=LEASE_SECONDS)
    if not rows:
        return 0
    outcomes = await asyncio.gather(*(_publish(bus, row) for row in rows))
    outbox = db.collection(OUTBOX)
    sent = [row for row, outcome in zip(rows, outcomes, strict=True) if outcome == "sent"]
    if sent:
        held = {"_id": {"$in": [row["_id"] for row in sent]}, "lease": sent[0]["lease"], "state": "pending"}
        await outbox.update_many(held, claims.done("sent"))
    for row, outcome in zip(rows, outcomes, strict=True):
        if outcome != "sent":
            wait = RETURNED_SECONDS[min(row["attempts"], len(RETURNED_SECONDS)) - 1] if outcome == "returned" else 0.5
            await outbox.update_one(claims.mine(row), claims.later(wait, counted=outcome == "returned"))
    return len(sent)


async def _publish(bus: Bus, row: Document) -> str:
    """sent, returned (nobody is bound) or unknown (no answer: the same id goes again, the receiver's inbox drops a double)."""
    try:
        with tracing.span(f"publish {row['type']}", tracing.PRODUCER, parent=row.get("traceparent")):
            await bus.publish(row["type"], row["body"].encode(), message_id=row["_id"], content_type=CONTENT_TYPE)
    except PublishError:
        EVENTS_RETURNED.labels(row["type"]).inc()
        log.error("event.returned", type=row["type"], event_id=row["_id"], attempts=row["attempts"])
        return "returned"
    except (AMQPError, TimeoutError, RuntimeError, OSError) as error:
        log.warning("event.not_confirmed", type=row["type"], event_id=row["_id"], reason=type(error).__name__)
        return "unknown"
    EVENTS_PUBLISHED.labels(row["type"]).inc()
    return "sent"


async def replay(db: Database, since: object) -> int:
    """Sends every event created at or after `since` (a datetime) again, for a broker that lost its data. Receivers drop doubles."""
    again = [{"$set": {"state": "pending", "due_at": "$$NOW"}}, {"$unset": ["lease", "lease_until", "finished_at"]}]
    changed = await db.collection(OUTBOX).update_many({"created_at": {"$gte": since}, "state": "sent"}, again)
    db.notify()
    return changed.modified
