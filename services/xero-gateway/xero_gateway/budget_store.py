"""The shared count of calls to Xero, one document an organisation and one for the app: every question is one atomic update.

A document holds `calls`, those of the last minute: {id, until, ended}. A call without `ended` is in flight until `until`, when whoever
made it is taken for dead. It counts for the minute until 60 seconds after its end: Xero counts it somewhere between its start
and its end, so in no minute of Xero's, whenever that begins, can there be more calls than here. All by the database's clock.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from common.mongo import Database, Document, Reader
from xero_gateway.call_limits import (
    APP_PER_MINUTE,
    BREAKS_AFTER,
    FOR_PEOPLE,
    IN_FLIGHT,
    LONGEST_BREAK_SECONDS,
    MINUTE,
    PER_MINUTE,
    Asking,
    Told,
)

BUDGETS = "budgets"
APP = "app"
BUCKET_SECONDS = 5
BUCKETS = 14
"""A minute touches 13 spans of 5 seconds, and what is taken in one may be used in the next."""


def _after(milliseconds: Any) -> Document:
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": {"$toLong": milliseconds}}}


def _when(condition: Any, then: Any, otherwise: Any) -> Document:
    return {"$cond": [condition, then, otherwise]}


def _are(calls: Any, condition: Any) -> Document:
    return {"$filter": {"input": calls, "as": "call", "cond": condition}}


_ENDED = {"$ifNull": ["$$call.ended", "$$call.until"]}
_FLIES = {"$and": [{"$eq": [{"$type": "$$call.ended"}, "missing"]}, {"$gt": ["$$call.until", "$$NOW"]}]}
_FLYING = {"$size": _are("$calls", _FLIES)}
_REMEMBERED = _are({"$ifNull": ["$calls", []]}, {"$gt": [_ENDED, _after(-MINUTE // timedelta(milliseconds=1))]})


async def ask(db: Database, organisation_id: str, call: str, asking: Asking) -> Document:
    """Takes one call of the organisation's budget, or says in `denied` why not; the document after that.

    `denied` is paused, broken, concurrent, minute, people (background gives way to them) or day; null when the call was granted.
    """
    reset = {"$lte": [{"$ifNull": ["$day_resets_at", _after(1)]}, "$$NOW"]}
    begin = {
        "asked_at": "$$NOW",
        "calls": _REMEMBERED,
        "day_left": _when(reset, asking.per_day, {"$ifNull": ["$day_left", asking.per_day]}),
        "day_resets_at": _when(reset, None, "$day_resets_at"),
    }
    decide = {"denied": {"$switch": {"branches": _refusals(asking), "default": None}}}
    granted = {"$eq": ["$denied", None]}
    new = [{"id": call, "until": _after(asking.lease_ms)}]
    waits = {"$in": ["$denied", ["concurrent", "minute"]]} if asking.people else False
    finish = {
        "calls": _when(granted, {"$concatArrays": ["$calls", new]}, "$calls"),
        "day_left": _when(granted, {"$max": [0, {"$subtract": ["$day_left", 1]}]}, "$day_left"),
        "day_seen_at": _when({"$and": [granted, _is_spent(asking)]}, "$$NOW", "$day_seen_at"),
        "broken_until": _when({"$and": [granted, _BROKE]}, _after(asking.lease_ms), "$broken_until"),
        "people_until": _when(waits, _after(1000), "$people_until"),
    }
    pipeline = [{"$set": begin}, {"$set": decide}, {"$set": finish}]
    found = await db.collection(BUDGETS).find_one_and_update({"_id": organisation_id}, pipeline, upsert=True)
    assert found is not None
    return found


_BROKE = {"$gte": [{"$ifNull": ["$failures", 0]}, BREAKS_AFTER]}


def _is_spent(asking: Asking) -> Document:
    return {"$lte": ["$day_left", asking.day_reserve]}


def _refusals(asking: Asking) -> list[Document]:
    """In the order of how long they last. Background leaves some of everything to people.

    What is left of the day is known from Xero's answers alone, so once an hour a call may find out that a new day began.
    """
    spare = 0 if asking.people else 1
    cases: list[tuple[str, Any]] = [
        ("paused", {"$gt": ["$paused_until", "$$NOW"]}),
        ("broken", {"$gt": ["$broken_until", "$$NOW"]}),
        ("concurrent", {"$gte": [_FLYING, IN_FLIGHT - spare]}),
        ("minute", {"$gte": [{"$size": "$calls"}, PER_MINUTE - spare * FOR_PEOPLE]}),
    ]
    if not asking.people:
        known_lately = {"$gt": ["$day_seen_at", _after(-3_600_000)]}
        cases.append(("day", {"$and": [_is_spent(asking), known_lately]}))
        cases.append(("people", {"$gt": ["$people_until", "$$NOW"]}))
    return [{"case": case, "then": why} for why, case in cases]


async def end(db: Database, organisation_id: str, call: str, told: Told) -> None:
    """Ends a call and takes in what Xero told with its answer."""
    ended = {"$map": {"input": "$calls", "as": "call", "in": _when({"$eq": ["$$call.id", call]}, _ended_now("$$call"), "$$call")}}
    stages: list[Document] = [{"$set": {"calls": ended}}]
    if told.minute_left is not None:
        unknown = {"$subtract": [{"$subtract": [PER_MINUTE, told.minute_left]}, {"$size": "$calls"}]}
        phantoms = {"$map": {"input": {"$range": [0, {"$max": [0, unknown]}]}, "in": {"id": "unknown", "until": "$$NOW", "ended": "$$NOW"}}}
        stages.append({"$set": {"calls": {"$concatArrays": ["$calls", phantoms]}}})
    if told.day_left is not None:
        began = {"$gt": [told.day_left, {"$add": [{"$ifNull": ["$day_left", told.day_left]}, 100]}]}
        left = {"$max": [0, {"$subtract": [told.day_left, _FLYING]}]}
        resets = _when(began, _after(86_400_000), "$day_resets_at")
        stages.append({"$set": {"day_left": left, "day_seen_at": "$$NOW", "day_resets_at": resets}})
    if told.well is not None:
        stages += _judged(told.well)
    await db.collection(BUDGETS).update_one({"_id": organisation_id}, stages)


def _ended_now(call: str) -> Document:
    return {"$mergeObjects": [call, {"ended": "$$NOW"}]}


def _judged(well: bool) -> list[Document]:
    """The breaker: after some failures in a row nobody asks for 1, 2, 4 … seconds; then one call tries, and the others wait for its end."""
    if well:
        return [{"$set": {"failures": 0, "broken_until": None}}]
    beyond = {"$subtract": ["$failures", BREAKS_AFTER]}
    wait = {"$multiply": [1000, {"$min": [LONGEST_BREAK_SECONDS, {"$pow": [2, {"$max": [0, beyond]}]}]}]}
    return [
        {"$set": {"failures": {"$min": [60, {"$add": [{"$ifNull": ["$failures", 0]}, 1]}]}}},
        {"$set": {"broken_until": _when(_BROKE, _after(wait), "$broken_until")}},
    ]


async def pause(db: Database, organisation_id: str, seconds: float, problem: str) -> None:
    """No call for this organisation in the next `seconds`, whatever process would make it; a longer pause stays."""
    until = _after(int(seconds * 1000))
    changes: Document = {"paused_until": {"$max": ["$paused_until", until]}, "paused_for": {"$literal": problem}}
    if problem == "day":
        changes |= {"day_left": 0, "day_seen_at": "$$NOW", "day_resets_at": until}
    await db.collection(BUDGETS).update_one({"_id": organisation_id}, [{"$set": changes}], upsert=True)


async def take_of_app(db: Database, calls: int, *, people: bool) -> bool:
    """Takes calls of the app's own minute for this process, to be used within `BUCKET_SECONDS`; False when there are none."""
    bucket = {"$toLong": {"$floor": {"$divide": [{"$toLong": "$$NOW"}, BUCKET_SECONDS * 1000]}}}
    taken = {"$ifNull": ["$taken", []]}
    recent = {"$filter": {"input": taken, "as": "it", "cond": {"$gt": ["$$it.bucket", {"$subtract": [bucket, BUCKETS]}]}}}
    limit = APP_PER_MINUTE if people else APP_PER_MINUTE * 9 // 10
    free = {"$lte": [{"$add": [{"$sum": "$taken.calls"}, calls]}, limit]}
    fits = {"$and": [free, {"$not": [{"$gt": ["$paused_until", "$$NOW"]}]}]}
    pipeline = [
        {"$set": {"taken": recent}},
        {"$set": {"fits": fits}},
        {"$set": {"taken": _when("$fits", {"$concatArrays": ["$taken", [{"bucket": bucket, "calls": calls}]]}, "$taken")}},
    ]
    found = await db.collection(BUDGETS).find_one_and_update({"_id": APP}, pipeline, upsert=True)
    return bool(found and found["fits"])


async def find_budget(reader: Reader, organisation_id: str) -> Document | None:
    """The organisation's document with the database's time in `asked_at`; None before its first call."""
    rows = await reader.collection(BUDGETS).aggregate([{"$match": {"_id": organisation_id}}, {"$set": {"asked_at": "$$NOW"}}])
    return rows[0] if rows else None


async def list_budgets(reader: Reader, after: str, limit: int) -> list[Document]:
    """A page of the organisations' documents behind the id `after`, by id, judged by the database's clock.

    With `minute_used`, `in_flight`, and `paused_until` and `broken_until` only while they last; `day_left` as it was known last.
    """
    lasting = {name: _when({"$gt": [f"${name}", "$$NOW"]}, f"${name}", None) for name in ("paused_until", "broken_until")}
    judged = {"minute_used": {"$size": _REMEMBERED}, "in_flight": {"$size": _are({"$ifNull": ["$calls", []]}, _FLIES)}, **lasting}
    pipeline = [{"$match": {"_id": {"$gt": after, "$ne": APP}}}, {"$sort": {"_id": 1}}, {"$limit": limit}, {"$set": judged}]
    return list(await reader.collection(BUDGETS).aggregate([*pipeline, {"$unset": "calls"}]))
