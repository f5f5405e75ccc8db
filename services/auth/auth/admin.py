"""What an operator may ask auth on its health port: how every connection is, turning the vault's key, verifying its audit."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from auth import audit_store, rotation, rotation_store, store
from auth.audit_verifier import Report, in_words, verify
from auth.models import State
from common.addresses import masked
from common.admin import FromOperator
from common.crypto import KeyRing
from common.http import Db, kept
from common.mongo import Database

TOLD_EVERY_SECONDS = 0.5
VaultRing = Annotated[KeyRing, kept("ring")]
router = APIRouter(prefix="/internal/admin")


class ConnectionRow(BaseModel):
    """One provider's way into one organisation. `cause`: why the organisation has none that works; `login`: the address, masked.

    `idle_days`: whole days since its tokens were used last, by anybody; None, as `refreshed_at`, when they are gone.
    """

    id: str
    organisation_id: str
    organisation_name: str
    organisation_state: State
    cause: str | None
    provider_id: str
    login: str
    state: Literal["live", "needs_reauth", "ended"]
    refreshed_at: datetime | None
    idle_days: int | None


class ConnectionRows(BaseModel):
    """`after` is where the next page begins; None on the last."""

    connections: list[ConnectionRow]
    after: str | None


class Wrapped(BaseModel):
    """`primary`: the key this process wraps with; `keys`: how many token sets each key wraps; `left`: those another key still wraps."""

    primary: str
    keys: dict[str, int]
    left: int


class Known(BaseModel):
    """Hashes of anchors as the log told them, by number."""

    known: dict[int, str] = {}


@router.get("/connections")
async def list_connections(
    _operator: FromOperator,
    db: Db,
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 200,
    state: Literal["live", "needs_reauth", "ended"] | None = None,
) -> ConnectionRows:
    """A page of all connections, the oldest first; one question for each kind of thing, however many there are."""
    found = await store.list_all_connections(db, state, after, limit)
    organisations = await store.list_organisations(db, sorted({each.organisation_id for each in found}))
    logins = {each.id: each.email for each in await store.list_providers(db, sorted({each.provider_id for each in found}))}
    uses = await store.list_uses(db, sorted({each.token_set_id for each in found}))
    now = await db.now()
    rows = []
    for each in found:
        organisation, used = organisations[each.organisation_id], uses.get(each.token_set_id)
        rows.append(
            ConnectionRow(
                id=each.id,
                organisation_id=each.organisation_id,
                organisation_name=organisation.name,
                organisation_state=organisation.state,
                cause=organisation.cause if organisation.state != "connected" else None,
                provider_id=each.provider_id,
                login=masked(logins.get(each.provider_id, "")),
                state=each.state,
                refreshed_at=used and used.refreshed_at,
                idle_days=used and (now - used.used_at).days,
            )
        )
    return ConnectionRows(connections=rows, after=found[-1].id if len(found) == limit else None)


@router.get("/vault")
async def show_vault(_operator: FromOperator, ring: VaultRing, db: Db) -> Wrapped:
    return Wrapped(primary=ring.primary, keys=await rotation_store.count_by_key(db), left=await rotation.needing(db, ring))


@router.get("/vault/{key}")
async def count_needing(_operator: FromOperator, db: Db, key: str) -> dict[str, int]:
    """How many token sets cannot be opened without this key."""
    return {"needed": await rotation_store.count_wrapped_by(db, [key])}


@router.post("/vault/rewrap")
async def rewrap(_operator: FromOperator, ring: VaultRing, db: Db) -> Response:
    """Wraps every token set by the primary key of this process's ring: lines of JSON, {done, total} until the last, {left, unreadable}.

    Whoever stops listening stops it; asked again, it goes on with what is left.
    """
    at = {"done": 0, "total": 0}

    async def work() -> dict[str, Any]:
        left, unreadable = await rotation.rewrap_all(db, ring, lambda done, total: at.update(done=done, total=total))
        return {"left": left, "unreadable": sorted(unreadable)}

    return StreamingResponse(_told(work(), lambda: at), media_type="application/x-ndjson")


@router.post("/audit/verify")
async def verify_audit(_operator: FromOperator, db: Db, asked: Known) -> Response:
    """Reads the whole audit: lines of JSON, {done, total} in links until the last, {broken, lines}: how many chains are, and the report."""
    report, total = Report(), await audit_store.estimate_links(db)
    lines = _told(_verified(db, asked.known, report), lambda: {"done": report.links, "total": total})
    return StreamingResponse(lines, media_type="application/x-ndjson")


async def _verified(db: Database, known: dict[int, str], report: Report) -> dict[str, Any]:
    await verify(db, known, report)
    return {"broken": len(report.broken), "lines": list(in_words(report))}


async def _told(work: Coroutine[Any, Any, dict[str, Any]], at: Callable[[], dict[str, int]]) -> AsyncIterator[str]:
    """How far work is, again and again, then what it answers; it ends with whoever listens."""
    task = asyncio.ensure_future(work)
    try:
        while not (await asyncio.wait({task}, timeout=TOLD_EVERY_SECONDS))[0]:
            yield f"{json.dumps(at())}\n"
        yield f"{json.dumps(task.result())}\n"
    finally:
        task.cancel()
