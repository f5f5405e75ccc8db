"""Background work: a row belongs to whoever works on it, for as long as that takes and not much longer."""

import asyncio
from typing import Any

import pytest

from common import claims
from common.mongo import Database, Document
from xero_gateway import store, workers

INVOICES = ("00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002")


async def test_work_that_outlasts_its_lease_stays_with_whoever_does_it(
    world: Any, monkeypatch: pytest.MonkeyPatch, eventually: Any
) -> None:
    monkeypatch.setattr(workers, "LEASE_SECONDS", 1.0)
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", key) for key in INVOICES])
    rows = world.db.collection(store.MARKS)
    ended, begun = asyncio.Event(), asyncio.Event()

    async def work(db: Database, claimed: list[Document]) -> None:
        begun.set()
        await ended.wait()

    task = asyncio.create_task(workers.work_off(world.db, store.MARKS, work, limit=40))
    await begun.wait()
    first = [row["lease_until"] for row in await rows.find({}, sort=[("_id", 1)])]

    async def renewed_past_the_first_lease() -> bool:
        now = await world.db.now()
        return bool(now > max(first) and all(row["lease_until"] > now for row in await rows.find({})))

    await eventually(renewed_past_the_first_lease)
    assert await claims.claim(world.db, store.MARKS, limit=40, lease=1) == []
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_rows_of_one_organisation_are_worked_on_together(world: Any, eventually: Any) -> None:
    """Their waits ended in turn, so that ordered by time alone each would have been read by a call of its own."""
    organisations = [f"org_{number}" for number in range(3)]
    for place in range(10):
        for organisation in organisations:
            await store.add_marks(world.db, [(organisation, "INVOICE", f"00000000-0000-4000-8000-{place:012d}")])
    for row in await world.db.collection(store.MARKS).find({}, sort=[("resource_id", 1), ("organisation_id", 1)]):
        await world.db.collection(store.MARKS).update_one({"_id": row["_id"]}, claims.later(0))
    batches: list[list[Document]] = []

    async def work(db: Database, claimed: list[Document]) -> None:
        batches.append(claimed)
        for row in claimed:
            await db.transact(store.clear_marks, [row])

    task = asyncio.create_task(workers.work_off(world.db, store.MARKS, work, limit=40))

    async def done() -> bool:
        return bool(await world.db.collection(store.MARKS).count({}) == 0)

    await eventually(done)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert sorted(len(batch) for batch in batches) == [10, 10, 10]
    assert all(len({row["organisation_id"] for row in batch}) == 1 for batch in batches)
