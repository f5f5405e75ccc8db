"""What an operator may ask auth on its health port: how every connection is."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel

from auth import store
from auth.models import State
from common.addresses import masked
from common.admin import FromOperator
from common.http import Db

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
