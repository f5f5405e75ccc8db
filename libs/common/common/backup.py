"""A service's database out as a stream and back in, for the operator's command. docs/operating.md says why that is safe.

Out: every collection as it was at one moment, documents as MongoDB stores them. In: into an empty service only, in three steps. Its
documents are staged beside the service's own collections and put right there; then they take their place; at last, when every service
stands, what its outbox has to tell is told. Until the second step nothing of the service has changed, so it may begin again.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AwareDatetime, BaseModel

from common import outbox, restores
from common.admin import Changed, FromOperator
from common.bson_stream import Cutter, NoBson
from common.errors import BadRequest, Conflict, NotFound
from common.http import Db
from common.logging import get_logger
from common.mongo import OUTBOX, Database

TOLD_AGAIN = timedelta(days=1)
"""Events made this long before a backup are sent again after a restore: what is between the backups of two services is less."""

COPIED_AT_ONCE = 200
log = get_logger()


async def nothing(_db: Database) -> None:
    """For a service that has nothing to put right."""


@dataclass(frozen=True)
class Keeping:
    """What of a service's database a backup leaves out, and what a restored one needs.

    `left_out`: collections that would be worth nothing later, or must not live again (sessions, links, codes, counters, what was kept
    for minutes). `by_itself`: collections that fill in a service nobody uses. `settle(db)` puts right what is staged; it may raise
    Conflict when the backup cannot be used here.
    """

    left_out: frozenset[str] = frozenset()
    by_itself: frozenset[str] = frozenset()
    settle: Callable[[Database], Awaitable[None]] = nothing


async def _keeping(request: Request) -> Keeping:
    keeping: Keeping = request.app.state.keeping
    return keeping


async def _kept(request: Request) -> list[str]:
    keeping = await _keeping(request)
    return sorted(set(request.app.state.indexes) - keeping.left_out - {restores.RESTORES})


KeepingOf = Annotated[Keeping, Depends(_keeping)]
Kept = Annotated[list[str], Depends(_kept)]
router = APIRouter(prefix="/internal/admin")


class CollectionSize(BaseModel):
    name: str
    documents: int


class Snapshot(BaseModel):
    """A moment every collection can be read at, for a while; `documents` is about how many there are."""

    moment: str
    taken_at: datetime
    collections: list[CollectionSize]


class Standing(BaseModel):
    """empty: may be restored into. in use: may not. placing, held: a restore was begun and has to go on. done: it was restored.

    `filled` names collections of a service in use.
    """

    state: str
    filled: list[str] = []


class Begun(BaseModel):
    """When the backup was taken."""

    taken_at: AwareDatetime


@router.get("/backup")
async def take(_operator: FromOperator, db: Db, kept: Kept) -> Snapshot:
    sizes = [CollectionSize(name=name, documents=await db.collection(name).estimate()) for name in kept]
    return Snapshot(moment=await db.moment(), taken_at=await db.now(), collections=sizes)


@router.get("/backup/{name}")
async def read(_operator: FromOperator, db: Db, kept: Kept, name: str, moment: Annotated[str, Query(pattern=r"^\d+\.\d+$")]) -> Response:
    """Documents one after the other, as mongodump writes them. A stream that breaks off was no backup: the moment is too long ago."""
    if name not in kept:
        raise NotFound
    return StreamingResponse(_documents(db, name, moment), media_type="application/octet-stream")


@router.get("/restore")
async def standing(_operator: FromOperator, db: Db, kept: Kept, keeping: KeepingOf) -> Standing:
    return await _standing(db, kept, keeping)


@router.post("/restore/begin", status_code=204)
async def begin(_operator: FromOperator, request: Request, db: Db, kept: Kept, keeping: KeepingOf, begun: Begun) -> Response:
    """Makes the staged collections, empty, with their indexes. 409 `not_empty` when the service is in use."""
    await _refuse_unless_empty(db, kept, keeping)
    await db.drop_staged()
    await db.staged().prepare({name: request.app.state.indexes[name] for name in kept})
    await restores.begin(db, begun.taken_at)
    return Response(status_code=204)


@router.post("/restore/collections/{name}")
async def load(_operator: FromOperator, request: Request, db: Db, kept: Kept, name: str) -> Changed:
    """Stages the documents of one collection. 404 for one this version of the service does not keep; 409 unless it was begun."""
    if name not in kept:
        raise NotFound
    await restores.get(db, "loading")
    staged, cutter, documents = db.staged().collection(name), Cutter(), 0
    waiting: list[bytes] = []
    try:
        async for piece in request.stream():
            waiting += cutter.cut(piece)
            if len(waiting) >= COPIED_AT_ONCE:
                await staged.insert_raw(waiting)
                documents, waiting = documents + len(waiting), []
        cutter.end()
    except NoBson as error:
        raise BadRequest(f"{name}: {error}") from None
    if waiting:
        await staged.insert_raw(waiting)
    return Changed(changed=documents + len(waiting))


@router.post("/restore/finish", status_code=204)
async def finish(_operator: FromOperator, db: Db, kept: Kept, keeping: KeepingOf) -> Response:
    """Puts the staged documents right, then in place, the outbox aside. May be repeated. 409 as `begin`, and what `settle` refuses."""
    if (await _standing(db, kept, keeping)).state not in ("placing", "held"):
        await _refuse_unless_empty(db, kept, keeping)
        await restores.get(db, "loading")
        await keeping.settle(db.staged())
        await restores.note(db, "placing")
    for name in kept:
        if name != OUTBOX:
            await db.put_in_place(name)
    await restores.note(db, "held")
    log.warning("restore.in_place")
    return Response(status_code=204)


@router.post("/restore/release")
async def release(_operator: FromOperator, db: Db) -> Changed:
    """Every service stands: tells what the outbox held, and again what was told in the day before the backup. Receivers drop doubles."""
    row = await restores.get(db, "held")
    await _move_outbox(db)
    await restores.note(db, "done")
    await db.drop_staged()
    told = await outbox.replay(db, row["taken_at"] - TOLD_AGAIN)
    log.warning("restore.done", told_again=told)
    return Changed(changed=told)


async def _documents(db: Database, name: str, moment: str) -> AsyncIterator[bytes]:
    try:
        async for rows in db.read_raw(name, moment):
            yield b"".join(rows)
    except Exception as error:
        log.error("backup.broke_off", collection=name, exc_info=error)
        raise


async def _standing(db: Database, kept: list[str], keeping: Keeping) -> Standing:
    if (state := await restores.find_state(db)) not in (None, "loading"):
        return Standing(state=state)
    filled = [name for name in kept if name not in keeping.by_itself and await db.collection(name).find_one({}, {"_id": 1})]
    return Standing(state="in use" if filled else "empty", filled=filled)


async def _refuse_unless_empty(db: Database, kept: list[str], keeping: Keeping) -> None:
    found = await _standing(db, kept, keeping)
    if found.state != "empty":
        holds = f": it holds {', '.join(found.filled)}" if found.filled else ""
        raise Conflict(f"{db.service} is not empty{holds}. A backup goes back into an empty system only.", code="not_empty")


async def _move_outbox(db: Database) -> None:
    """What is staged of the outbox, into the service's own: loops may have told something since the rest is in place."""
    staged, after = db.staged().collection(OUTBOX), ""
    while rows := await staged.find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=COPIED_AT_ONCE):
        new = ({name: value for name, value in row.items() if name != "_id"} for row in rows)
        await db.collection(OUTBOX).upsert_many(({"_id": row["_id"]}, {"$setOnInsert": rest}) for row, rest in zip(rows, new, strict=True))
        after = rows[-1]["_id"]
