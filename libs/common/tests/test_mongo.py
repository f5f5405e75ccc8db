"""Transactions, claims and deadlines on a real MongoDB."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from common import claims
from common.clock import utc_now
from common.deadlines import deadline, remaining
from common.mongo import INBOX, Database, DatabaseUnavailable, DuplicateKey, Index, Tx


async def test_concurrent_transactions_on_one_document_all_take_effect(database: Database) -> None:
    await database.prepare({"counters": [Index(("n", 1))]})
    await database.collection("counters").insert_one({"_id": "c", "n": 0})

    async def raise_by_one(tx: Tx) -> None:
        counter = await tx.collection("counters").find_one({"_id": "c"})
        assert counter is not None
        await tx.collection("counters").update_one({"_id": "c"}, {"$set": {"n": counter["n"] + 1}})

    await asyncio.gather(*(database.transact(raise_by_one) for _ in range(30)))
    assert await database.collection("counters").find_one({"_id": "c"}) == {"_id": "c", "n": 30}


async def test_replicas_that_start_at_the_same_moment_make_their_collections_together(database: Database) -> None:
    wanted = {f"things-{number}": [Index(("name", 1), unique=True)] for number in range(10)}
    await asyncio.gather(*(database.prepare(wanted) for _ in range(8)))
    assert set(wanted) <= set(await database.client[database._database.name].list_collection_names())


async def test_a_unique_violation_names_its_fields_and_rolls_back(database: Database) -> None:
    await database.prepare({"people": [Index(("email", 1), unique=True)], "log": []})

    async def add(tx: Tx) -> None:
        await tx.collection("log").insert_one({"_id": 1})
        await tx.collection("people").insert_one({"email": "a@b.example"})

    await database.transact(add)
    await database.collection("log").delete_many({})
    with pytest.raises(DuplicateKey) as caught:
        await database.transact(add)
    assert caught.value.keys == ("email",)
    assert await database.collection("log").count({}) == 0


async def test_many_writers_outside_transactions_do_not_stop_a_commit(database: Database) -> None:
    """200 writers wait for the document a transaction holds; the transaction's commit must still find a connection."""
    await database.prepare({"shares": []})
    await database.collection("shares").insert_one({"_id": "s", "views": 0, "ended": False})

    async def view() -> bool:
        return bool(await database.collection("shares").find_one_and_update({"_id": "s", "ended": False}, {"$inc": {"views": 1}}))

    async def end(tx: Tx) -> None:
        await tx.collection("shares").update_one({"_id": "s"}, {"$set": {"ended": True}})
        await asyncio.sleep(0.2)  # the viewers pile up on the document meanwhile
        await tx.collection("shares").update_one({"_id": "s"}, {"$set": {"by": "provider"}})

    ending = asyncio.create_task(database.transact(end))
    views = [asyncio.create_task(view()) for _ in range(200)]
    await asyncio.wait_for(ending, 60)
    assert await view() is False
    await asyncio.gather(*views)


async def test_a_call_without_time_left_fails_as_unavailable(database: Database) -> None:
    with deadline(0.1), pytest.raises(DatabaseUnavailable):
        await database.collection(INBOX).aggregate([{"$documents": [{}]}, {"$project": {"x": {"$function": _slow}}}])


_slow = {"body": "function() { sleep(3000); return 1; }", "args": [], "lang": "js"}


async def test_an_inner_deadline_never_outlasts_the_outer_one() -> None:
    with deadline(5), deadline(60):
        assert remaining(100) <= 5


async def test_a_row_is_claimed_by_one_and_again_when_the_lease_ran_out(database: Database) -> None:
    rows = database.collection(INBOX)
    for number in range(10):
        await rows.insert_one({"_id": str(number), "state": "pending", "due_at": claims.IMMEDIATELY, "attempts": 0, "reported": 0})
    both = await asyncio.gather(*(claims.claim(database, INBOX, limit=10, lease=60) for _ in range(2)))
    taken = [row["_id"] for claimed in both for row in claimed]
    assert len(taken) == len(set(taken)) == 10
    assert await claims.claim(database, INBOX, limit=10, lease=60) == []

    await rows.update_one({"_id": "3"}, {"$set": {"lease_until": utc_now() - timedelta(seconds=1)}})
    (again,) = await claims.claim(database, INBOX, limit=10, lease=60)
    assert (again["_id"], again["attempts"]) == ("3", 2)
    stale = next(row for claimed in both for row in claimed if row["_id"] == "3")
    assert not (await rows.update_one(claims.mine(stale), claims.done("done"))).matched, "the first holder is fenced off"
    assert (await rows.update_one(claims.mine(again), claims.done("done"))).matched


async def test_a_text_that_looks_like_an_operator_is_stored_as_it_is(database: Database) -> None:
    rows = database.collection(INBOX)
    await rows.insert_one({"_id": "1", "state": "pending", "due_at": claims.IMMEDIATELY, "attempts": 0, "reported": 0})
    (row,) = await claims.claim(database, INBOX, limit=1, lease=60)
    await rows.update_one(claims.mine(row), claims.later(0, reason="$attempts"))
    assert (await rows.find({}))[0]["reason"] == "$attempts"


async def test_a_commit_wakes_who_waits_for_a_change(database: Database) -> None:
    waiting = asyncio.create_task(database.changed(within=60))
    await asyncio.sleep(0)

    async def nothing(tx: Tx) -> None:
        await tx.collection(INBOX).count({})

    await database.transact(nothing)
    await asyncio.wait_for(waiting, 60)
