"""Claiming rows of work with a lease and a fence, so that several processes share one queue and a dead one blocks nothing.

A row is `{state: "pending", due_at, attempts, reported}`. A claim writes `lease` (the fence, new for every claim) and
`lease_until` by the database's clock and raises `attempts`, so an attempt that kills its process still counts. Whoever
finishes writes only where `lease` is still theirs, and sets `reported` to `attempts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common.ids import new_id
from common.mongo import IMMEDIATELY as IMMEDIATELY
from common.mongo import Database, Document, Filter, Index, Tx

DUE = {"$expr": {"$and": [{"$lte": ["$due_at", "$$NOW"]}, {"$lt": [{"$ifNull": ["$lease_until", 0]}, "$$NOW"]}]}}
ORDER = [("due_at", 1), ("_id", 1)]
INDEX = Index(*ORDER, where={"state": "pending"})
"""The index every collection of claimable rows needs."""


async def claim(
    db: Database, collection: str, *, limit: int, lease: float, where: Filter | None = None, sort: Any = None
) -> list[Document]:
    """Up to `limit` due rows, now leased to the caller for `lease` seconds; each has `lease`, the fence for `mine`.

    Empty while the process stops: they are left to others.
    """
    if db.stopping:
        return []
    rows = db.collection(collection)
    due = {"$and": [{"state": "pending"}, DUE, where or {}]}
    found = await rows.find(due, projection={"_id": 1}, limit=limit, sort=sort or ORDER)
    if not found:
        return []
    fence = new_id("lse")
    until = {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": int(lease * 1000)}}
    taken = {"$set": {"lease": fence, "lease_until": until, "attempts": {"$add": ["$attempts", 1]}}}
    await rows.update_many({"$and": [{"_id": {"$in": [row["_id"] for row in found]}}, due]}, [taken])
    return await rows.find({"_id": {"$in": [row["_id"] for row in found]}, "lease": fence}, sort=sort or ORDER)


async def renew(db: Database, collection: str, rows: Sequence[Document], lease: float) -> None:
    """Rows claimed together stay the caller's for `lease` seconds from now; one that was lost meanwhile stays lost."""
    held = {"_id": {"$in": [row["_id"] for row in rows]}, "lease": rows[0]["lease"], "state": "pending"}
    until = {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": int(lease * 1000)}}
    await db.collection(collection).update_many(held, [{"$set": {"lease_until": until}}])


def mine(row: Document) -> Document:
    """The filter that finds this row only while the lease taken with it still holds."""
    return {"_id": row["_id"], "lease": row["lease"], "state": "pending"}


def later(seconds: float, *, counted: bool = True, **changes: Any) -> list[Document]:
    """The update that gives a row back, due again in `seconds`; an attempt that is not `counted` is taken back."""
    due = {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": int(seconds * 1000)}}
    attempts: Any = "$attempts" if counted else {"$max": [0, {"$subtract": ["$attempts", 1]}]}
    literals = {name: {"$literal": value} for name, value in changes.items()}
    return [
        {"$set": {"due_at": due, "attempts": attempts, "reported": attempts, **literals}},
        {"$unset": ["lease", "lease_until"]},
    ]


def done(state: str, **changes: Any) -> list[Document]:
    """The update that ends a row's work in `state`, with the database's time in `finished_at`."""
    literals = {name: {"$literal": value} for name, value in changes.items()}
    return [
        {"$set": {"state": state, "finished_at": "$$NOW", "reported": "$attempts", **literals}},
        {"$unset": ["lease", "lease_until"]},
    ]


class LeaseLost(Exception):
    """Another process took the row meanwhile; what this one did must not be kept."""


async def finish(tx: Tx, collection: str, row: Document, update: list[Document]) -> None:
    """Writes the end of a row's work inside a transaction. Raises LeaseLost, which rolls everything back."""
    if not (await tx.collection(collection).update_one(mine(row), update)).matched:
        raise LeaseLost(row["_id"])
