"""What an operator may ask xero-gateway on its health port: what is left of Xero's limits, and to ask Xero what changed now."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AwareDatetime, BaseModel

from common.admin import FromOperator
from common.http import Db, kept
from xero_gateway import budget_store, store
from xero_gateway.call_limits import PER_MINUTE
from xero_gateway.settings import Settings

router = APIRouter(prefix="/internal/admin")


class BudgetRow(BaseModel):
    """Calls to Xero of one organisation. `day_left` is None before its first call; `day_resets_at` where Xero told.

    Until `broken_until` nobody calls because Xero failed several times in a row; until `paused_until` because of its limit `paused_for`.
    """

    organisation_id: str
    organisation_name: str
    minute_left: int
    day_left: int | None
    a_day: int
    day_resets_at: datetime | None
    in_flight: int
    broken_until: datetime | None
    paused_until: datetime | None
    paused_for: str | None


class BudgetRows(BaseModel):
    """`after` is where the next page begins; None on the last."""

    budgets: list[BudgetRow]
    after: str | None


class Wanted(BaseModel):
    """One organisation, or all."""

    organisation_id: str | None = None


class Asked(BaseModel):
    """How many organisations were asked for; a pass that began at `since` or later answers it."""

    organisations: int
    since: datetime


class Progress(BaseModel):
    """Organisations without a pass since then: `now` is under way; `later` may go on at `later_at`; the last ones have no login."""

    now: int
    later: int
    later_at: datetime | None
    not_connected: int


@router.get("/budgets")
async def list_budgets(
    _operator: FromOperator,
    db: Db,
    settings: Annotated[Settings, kept("settings")],
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
) -> BudgetRows:
    """A page of the organisations whose Xero was ever asked, by id."""
    found = await budget_store.list_budgets(db, after, limit)
    names = await store.list_names(db, [row["_id"] for row in found])
    rows = [_budget(row, names.get(row["_id"], ""), settings.xero_calls_a_day) for row in found]
    return BudgetRows(budgets=rows, after=found[-1]["_id"] if len(found) == limit else None)


@router.post("/reconciliations")
async def ask_xero(_operator: FromOperator, db: Db, wanted: Wanted) -> Asked:
    """Every organisation that shares something, or the one named if it does, is asked what changed, now."""
    since = await db.now()
    asked = await store.ask_for_all_reconciliations(db, wanted.organisation_id)
    db.notify()
    return Asked(organisations=asked, since=since)


@router.get("/reconciliations")
async def how_far(_operator: FromOperator, db: Db, since: AwareDatetime, organisation_id: str | None = None) -> Progress:
    """What is left of what was asked for at `since`."""
    found = {row["_id"]: row for row in await store.list_passes_wanted(db, since, organisation_id)}
    left = {reason: found.get(reason, {"organisations": 0})["organisations"] for reason in ("now", "later", "not_connected")}
    return Progress(**left, later_at=found["later"]["due_at"] if "later" in found else None)


def _budget(row: dict[str, Any], name: str, a_day: int) -> BudgetRow:
    return BudgetRow(
        organisation_id=row["_id"],
        organisation_name=name,
        minute_left=max(0, PER_MINUTE - row["minute_used"]),
        day_left=row.get("day_left"),
        a_day=a_day,
        day_resets_at=row.get("day_resets_at"),
        in_flight=row["in_flight"],
        broken_until=row["broken_until"],
        paused_until=row["paused_until"],
        paused_for=row.get("paused_for") if row["paused_until"] else None,
    )
