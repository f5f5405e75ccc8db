"""Xero's limits, kept by all processes together: whoever wants to call asks first, people go before background work.

One call costs two updates of the organisation's document, one before and one after it; the app's minute is taken in blocks.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from prometheus_client import Counter, Histogram

from common.ids import new_id
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable
from common.telemetry import from_zero
from xero_gateway import budget_store
from xero_gateway.call_limits import Asking, CallsLeft, Denial, Patience, Told
from xero_gateway.errors import XeroBusy, XeroUnavailable

APP_BLOCK = 20
POLL_SECONDS = 0.1
LEASE_SPARE_SECONDS = 5.0
"""Over the time a call may take: what is in flight longer belongs to a process that died."""

DENIED = from_zero(
    Counter("xero_calls_denied_total", "Calls our own budget did not allow at once", ["who", "why"]),
    ("people", "background"),
    ("day", "app"),
)
WAITED = Histogram("xero_budget_wait_seconds", "Time a call waited for its turn", ["who"])
log = get_logger()


@dataclass
class Call:
    """A call that was granted at `at`, by the database's clock. Whoever makes it sets what Xero told."""

    at: datetime
    told: Told = field(default_factory=Told)


class Budget:
    """The calls an organisation and the app have left. Of each process one person's call and one of background ask at a time."""

    def __init__(self, calls_a_day: int) -> None:
        self._a_day = calls_a_day
        self._queues: dict[tuple[str, bool], asyncio.Lock] = defaultdict(asyncio.Lock)
        self._app_left = 0
        self._app_until = 0.0

    @asynccontextmanager
    async def call(self, db: Database, organisation_id: str, patience: Patience) -> AsyncIterator[Call]:
        """Waits for a turn, and ends the call with the block.

        Raises XeroBusy when there is no turn within `patience.turn`, at once when that is certain, XeroUnavailable while the
        breaker is open, and DatabaseUnavailable. Everybody waits in line within the process, so only the first keeps asking.
        """
        began = time.monotonic()
        key = new_id("xcl")
        queue = self._queues[organisation_id, patience.people]
        await _in_line(queue, patience.turn)
        try:
            at = await self._granted(db, organisation_id, key, patience, began + patience.turn)
        finally:
            queue.release()
        WAITED.labels(_who(patience)).observe(time.monotonic() - began)
        call = Call(at)
        try:
            yield call
        finally:
            await _end(db, organisation_id, key, call.told)

    async def limited(self, db: Database, organisation_id: str, problem: str, seconds: float) -> None:
        """Xero refused a call for its limit: nobody calls for that organisation, or for any when the app's limit is meant."""
        if problem == "appminute":
            self._app_left = 0
            organisation_id = budget_store.APP
        await budget_store.pause(db, organisation_id, seconds, problem)

    async def calls_left(self, db: Database, organisation_id: str) -> CallsLeft:
        """What is known of the organisation's day."""
        found = await budget_store.find_budget(db, organisation_id)
        return CallsLeft.model_validate({"a_day": self._a_day, **(found or {})})

    async def _granted(self, db: Database, organisation_id: str, key: str, patience: Patience, until: float) -> datetime:
        asking = Asking(patience.people, self._a_day, int((patience.seconds + LEASE_SPARE_SECONDS) * 1000))
        await self._app_turn(db, patience, until)
        while True:
            try:
                found = await budget_store.ask(db, organisation_id, key, asking)
            except asyncio.CancelledError:
                await _end(db, organisation_id, key, Told())  # it may have been granted
                raise
            if found["denied"] is None:
                at: datetime = found["asked_at"]
                return at
            denial = Denial.model_validate(found)
            DENIED.labels(_who(patience), denial.limit if denial.limit == "day" else denial.denied).inc()
            await _wait(denial, patience, until)

    async def _app_turn(self, db: Database, patience: Patience, until: float) -> None:
        while self._app_left <= 0 or time.monotonic() > self._app_until:
            if await budget_store.take_of_app(db, APP_BLOCK, people=patience.people):
                self._app_left, self._app_until = APP_BLOCK, time.monotonic() + budget_store.BUCKET_SECONDS
                continue
            DENIED.labels(_who(patience), "app").inc()
            if time.monotonic() + 1 > until:
                raise XeroBusy("The app's own limit at Xero is used up for now.", retry_after=5)
            await asyncio.sleep(1)
        self._app_left -= 1


def _who(patience: Patience) -> str:
    return "people" if patience.people else "background"


async def _in_line(queue: asyncio.Lock, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await queue.acquire()
    except TimeoutError:
        raise XeroBusy("Too many requests are waiting for Xero.", retry_after=seconds) from None


async def _wait(denial: Denial, patience: Patience, until: float) -> None:
    """Sleeps until it is worth asking again. Raises when that is too late."""
    if denial.denied == "broken":
        raise XeroUnavailable(retry_after=denial.seconds(people=patience.people))
    seconds = denial.seconds(people=patience.people) or POLL_SECONDS
    if time.monotonic() + seconds > until:
        raise XeroBusy(retry_after=max(1.0, seconds), limit=denial.limit)
    await asyncio.sleep(seconds)


async def _end(db: Database, organisation_id: str, key: str, told: Told) -> None:
    """What cannot be told to the database now ends by itself with its lease."""
    try:
        await budget_store.end(db, organisation_id, key, told)
    except DatabaseUnavailable:
        log.warning("budget.not_ended", organisation_id=organisation_id)
