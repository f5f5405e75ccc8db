"""The routes auth calls when a provider leaves."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from common.http import Db, caller
from common.identity import CallerIdentity
from sharing import endings
from sharing.endings import Accesses, Departure

router = APIRouter(prefix="/internal/departures")
Auth = Annotated[CallerIdentity, Depends(caller("auth"))]


class AskedOrganisations(BaseModel):
    organisation_ids: Annotated[list[str], Field(max_length=1000)]


class AccessesOf(BaseModel):
    """By organisation id."""

    accesses: dict[str, Accesses]


@router.post("/look")
async def look_at_accesses(asked: AskedOrganisations, _auth: Auth, db: Db) -> AccessesOf:
    return AccessesOf(accesses=await endings.look_at_accesses(db, asked.organisation_ids))


@router.post("", status_code=204)
async def begin_departure(departure: Departure, _auth: Auth, db: Db) -> Response:
    """When this has answered, no access of the organisations in `ending` opens anything. May be called again."""
    await db.transact(endings.begin_departure, departure)
    return Response(status_code=204)
