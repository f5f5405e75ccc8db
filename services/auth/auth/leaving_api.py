"""Calls of web about leaving: what each way would end, how far one under way is, and choosing one."""

from __future__ import annotations

import contextlib
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from auth import leaving_store, leavings, sessions, store
from auth.clients import Accesses, SharingClient
from auth.connections import list_openable
from auth.departures import Departures
from auth.leavings import Affected
from auth.models import LeavingKind
from common.crypto import digest
from common.errors import NotFound, Unavailable
from common.http import Db, caller, kept
from common.identity import CallerIdentity
from common.mongo import Database

FromWeb = Annotated[CallerIdentity, Depends(caller("web"))]
Secret = Annotated[str, Field(min_length=1, max_length=200)]
router = APIRouter(prefix="/internal/leavings")


class AskedOrganisation(BaseModel):
    """An account can be deleted without an organisation: then `organisation_id` is None."""

    session: Secret
    organisation_id: str | None = None


class Choice(AskedOrganisation):
    """`end`: organisations whose accesses end with the account although a colleague works in them."""

    kind: LeavingKind
    end: Annotated[list[str], Field(max_length=1000)] = []


class AffectedView(BaseModel):
    """An organisation, its live accesses (None while sharing cannot count them), while all are being ended how many there were at
    first, and how many colleagues work in it."""

    organisation_id: str
    name: str
    connected: bool
    accesses: int | None
    ending: int | None
    colleagues: int


class UnderWay(BaseModel):
    """`tells_xero`: everything here is done, and Xero has yet to answer."""

    kind: LeavingKind
    since: datetime
    tells_xero: bool


class LeavingView(BaseModel):
    """The organisation asked for, all of the account, the one asked for among them, and what is under way."""

    organisation: AffectedView | None
    account: list[AffectedView]
    under_way: UnderWay | None


class Left(BaseModel):
    """`opens`: the organisation's pages still open for this login, as they do for who disconnected it last."""

    opens: bool


@router.post("/look")
async def look(_caller: FromWeb, asked: AskedOrganisation, sharing: Annotated[SharingClient, kept("sharing")], db: Db) -> LeavingView:
    """401, 404 as identify. Without sharing everything but the accesses is told."""
    found = await sessions.identify(db, digest(asked.session), asked.organisation_id)
    affected = await leavings.affected_by(db, found.provider.id, found.organisations)
    accesses: dict[str, Accesses] = {}
    if affected:
        with contextlib.suppress(Unavailable):
            accesses = await sharing.look([each.organisation.id for each in affected])
    views = [_view(each, accesses.get(each.organisation.id)) for each in affected]
    rows = await leaving_store.list_under_way(db, found.provider.id)
    here = next((row for row in rows if row["kind"] == "delete" or row["organisation_id"] == asked.organisation_id), None)
    return LeavingView(
        organisation=next((view for view in views if view.organisation_id == asked.organisation_id), None),
        account=views,
        under_way=UnderWay(kind=here["kind"], since=here["began_at"], tells_xero=here["step"] == "xero") if here else None,
    )


@router.post("")
async def leave(_caller: FromWeb, choice: Choice, departures: Annotated[Departures, kept("departures")], db: Db) -> Left:
    """All that ends here has ended when this answers. 503 when sharing cannot be reached: then nothing was done.

    409 `leaving_under_way` when it is not done yet and goes on by itself.
    """
    found = await sessions.identify(db, digest(choice.session), choice.organisation_id)
    if found.organisation is None and choice.kind != "delete":
        raise NotFound
    opened = found.organisation.id if found.organisation else ""
    concerned = found.organisations if choice.kind == "delete" else [it for it in found.organisations if it.id == opened]
    affected = await leavings.affected_by(db, found.provider.id, concerned)
    own = await leaving_store.find_own_connection(db, found.provider.id, opened)
    tokens = await store.find_token_set_of(db, found.provider.id)
    held = (own[0].id if own else None, tokens.id if tokens else None)
    await departures.begin(db, leavings.leaving_of(choice.kind, found.provider, opened, held, affected, choice.end))
    return Left(opens=choice.kind != "delete" and await _opens(db, found.provider.id, opened))


async def _opens(db: Database, provider_id: str, organisation_id: str) -> bool:
    return organisation_id in {organisation.id for organisation in await list_openable(db, provider_id)}


def _view(affected: Affected, accesses: Accesses | None) -> AffectedView:
    return AffectedView(
        organisation_id=affected.organisation.id,
        name=affected.organisation.name,
        connected=affected.organisation.state != "disconnected",
        accesses=accesses and accesses.live,
        ending=accesses and accesses.ending,
        colleagues=affected.colleagues,
    )
