"""What an operator sees of Xero's limits, and asking Xero now."""

from __future__ import annotations

from typing import Any

from xero_gateway import store
from xero_gateway.budget_store import BUDGETS


async def operator(working: Any, method: str, path: str, **content: Any) -> Any:
    headers = working.service.as_service("operations")
    answer = await working.service.operations.request(method, f"/internal/admin/{path}", headers=headers, **content)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_an_operator_has_xero_asked_now_and_sees_when_it_was(working: Any, eventually: Any) -> None:
    await working.loaded("C-001")
    await working.quiet()
    asked = await operator(working, "POST", "reconciliations", json={"organisation_id": working.kowhai})
    assert asked["organisations"] == 1

    async def left() -> dict[str, Any]:
        found: dict[str, Any] = await operator(working, "GET", "reconciliations", params={"since": asked["since"]})
        return found

    async def done() -> bool:
        return bool((await left())["now"] == 0)

    await eventually(done)
    assert await left() == {"now": 0, "later": 0, "later_at": None, "not_connected": 0}
    row = await working.db.collection(store.RECONCILIATIONS).find_one({"_id": working.kowhai})
    assert row["passed_at"].isoformat() >= asked["since"].replace("Z", "+00:00")


async def test_who_cannot_be_asked_now_is_told_apart(working: Any) -> None:
    await working.loaded("C-001")
    await working.quiet()
    future = {"since": "2100-01-01T00:00:00+00:00", "organisation_id": working.kowhai}
    rows = working.db.collection(store.RECONCILIATIONS)
    await rows.update_one({}, [{"$set": {"due_at": {"$dateAdd": {"startDate": "$$NOW", "unit": "hour", "amount": 1}}}}])
    left = await operator(working, "GET", "reconciliations", params=future)
    assert (left["now"], left["later"], bool(left["later_at"])) == (0, 1, True)
    await working.db.collection(store.ORGANISATIONS).update_one({"_id": working.kowhai}, {"$set": {"state": "needs_reauth"}})
    assert (await operator(working, "GET", "reconciliations", params=future))["not_connected"] == 1
    nobody = await operator(working, "POST", "reconciliations", json={"organisation_id": "org_unknown"})
    assert nobody["organisations"] == 0


async def test_an_operator_sees_the_calls_left_of_each_organisation(working: Any) -> None:
    await working.loaded("C-001")
    await working.quiet()
    (row,) = (await operator(working, "GET", "budgets"))["budgets"]
    assert row["organisation_id"] == working.kowhai
    assert row["organisation_name"].startswith("Kōwhai")
    assert 0 < row["day_left"] < row["a_day"] == 5000
    assert 0 <= row["minute_left"] < 60
    assert (row["in_flight"], row["paused_until"], row["broken_until"]) == (0, None, None)
    await working.db.collection(BUDGETS).update_one(
        {"_id": working.kowhai},
        [
            {
                "$set": {
                    "paused_until": {"$add": ["$$NOW", 60_000]},
                    "paused_for": "minute",
                    "calls": [{"id": "x", "until": {"$add": ["$$NOW", 60_000]}}],
                }
            }
        ],
    )
    (row,) = (await operator(working, "GET", "budgets"))["budgets"]
    assert (row["in_flight"], row["minute_left"], row["paused_for"]) == (1, 59, "minute")
