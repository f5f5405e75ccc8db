"""What an operator may ask every service, on its health port: how far its queues are, and what to do with events that were parked.

Never routed from outside, and only the operator's command (operations/) is admitted, in its own name.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import AwareDatetime, BaseModel

from common import inbox, outbox
from common.crypto import held_keys
from common.errors import NotFound
from common.http import Db, caller
from common.identity import CallerIdentity
from common.logging import hidden
from common.mongo import INBOX, OUTBOX, Database, Document

FromOperator = Annotated[CallerIdentity, Depends(caller("operations"))]
router = APIRouter(prefix="/internal/admin")
rings = APIRouter(prefix="/internal/admin")
"""Beside `router` for services without a database."""


class Queue(BaseModel):
    """Rows that wait, and since when the oldest does."""

    waiting: int
    oldest: datetime | None


class Status(BaseModel):
    outbox: Queue
    inbox: Queue
    parked: int


class ParkedEvent(BaseModel):
    id: str
    type: str
    received_at: datetime
    reason: str


class ParkedEvents(BaseModel):
    """`total` counts all; the oldest come first."""

    events: list[ParkedEvent]
    total: int


class ShownEvent(ParkedEvent):
    """`body` without secrets and addresses; text when it is no JSON."""

    body: Any


class HeldRings(BaseModel):
    """By ring, the state of each key as this process read it at its start: primary, decrypt or disabled."""

    rings: dict[str, dict[str, str]]


class Since(BaseModel):
    since: AwareDatetime


class Changed(BaseModel):
    changed: int


@rings.get("/rings")
async def show_rings(_operator: FromOperator) -> HeldRings:
    """Ids and states, no keys: whether a process was restarted since a ring was changed."""
    return HeldRings(rings=held_keys())


@router.get("/status")
async def status(_operator: FromOperator, db: Db) -> Status:
    """How far outbox and inbox are."""
    return Status(
        outbox=await _queue(db, OUTBOX, "created_at"),
        inbox=await _queue(db, INBOX, "received_at"),
        parked=await db.collection(INBOX).count({"state": "parked"}),
    )


@router.get("/parked")
async def list_parked(_operator: FromOperator, db: Db, limit: Annotated[int, Query(ge=1, le=500)] = 100) -> ParkedEvents:
    rows = await db.collection(INBOX).find({"state": "parked"}, sort=[("received_at", 1)], limit=limit)
    total = await db.collection(INBOX).count({"state": "parked"})
    return ParkedEvents(events=[ParkedEvent(**_event(row)) for row in rows], total=total)


@router.get("/parked/{event_id}")
async def show_parked(_operator: FromOperator, db: Db, event_id: str) -> ShownEvent:
    """404 when no such event is parked."""
    row = await db.collection(INBOX).find_one({"_id": event_id, "state": "parked"})
    if row is None:
        raise NotFound
    try:
        body = json.loads(row["body"])
    except ValueError:
        body = row["body"]
    return ShownEvent(**_event(row), body=hidden(body))


@router.post("/parked/{event_id}/replay", status_code=204)
async def replay_parked(_operator: FromOperator, db: Db, request: Request, event_id: str) -> Response:
    """Gives an event its attempts anew; 404 when no such event is parked, or this version of the service cannot read it."""
    if not await inbox.replay(db, event_id, {kind.type: kind for kind in request.app.state.handlers}):
        raise NotFound
    return Response(status_code=204)


@router.post("/parked/{event_id}/drop", status_code=204)
async def drop_parked(_operator: FromOperator, db: Db, event_id: str) -> Response:
    """Sets an event aside for good; its row stays as seen, so that the same message is not handled later. 404 as above."""
    if not await inbox.drop(db, event_id):
        raise NotFound
    return Response(status_code=204)


@router.post("/outbox/replay")
async def replay_outbox(_operator: FromOperator, db: Db, asked: Since) -> Changed:
    """Sends every event made since then again, for a broker that lost its data; receivers drop what they have seen."""
    return Changed(changed=await outbox.replay(db, asked.since))


async def _queue(db: Database, collection: str, since: str) -> Queue:
    waiting = {"state": "pending"}
    oldest = await db.collection(collection).find(waiting, sort=[(since, 1)], limit=1, projection={since: 1})
    return Queue(waiting=await db.collection(collection).count(waiting), oldest=oldest[0][since] if oldest else None)


def _event(row: Document) -> dict[str, Any]:
    return {"id": str(row["_id"]), "type": row["type"], "received_at": row["received_at"], "reason": hidden(row.get("reason") or "")}
