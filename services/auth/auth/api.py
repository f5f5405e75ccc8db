"""Calls of other services: who is this, sign out, an access token for Xero, and what Xero thought of it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Response
from pydantic import BaseModel, Field

from auth import connections, sessions, store
from auth.errors import XeroUnavailable
from auth.models import Connection, Organisation, Provider, Session, State, TokenSet
from auth.settings import Settings
from auth.tokens import Dead, Tokens
from common.crypto import digest
from common.errors import NotFound
from common.http import Db, caller, kept
from common.identity import CallerIdentity, Signer
from common.logging import get_logger
from common.mongo import Database

Audience = Literal["xero-gateway", "sharing"]
FromWeb = Annotated[CallerIdentity, Depends(caller("web"))]
FromGateway = Annotated[CallerIdentity, Depends(caller("xero-gateway"))]
TokensOf = Annotated[Tokens, kept("tokens")]
Secret = Annotated[str, Field(min_length=1, max_length=200)]
router = APIRouter(prefix="/internal")
log = get_logger()


class WhoIs(BaseModel):
    """A provider's cookie, the organisation in the address of the page, and the services the page will call."""

    session: Secret
    organisation_id: str | None = None
    audiences: list[Audience] = []


class Login(BaseModel):
    id: str
    name: str
    email: str


class OrganisationRow(BaseModel):
    id: str
    name: str
    state: State
    since: datetime | None


class OrganisationView(OrganisationRow):
    """`cause` is grant_refused or connection_ended while it is not connected; `time_zone` is None without Xero's settings scope."""

    cause: str | None
    time_zone: str | None


class Identified(BaseModel):
    """`tokens` speak of the one organisation asked for, so there are none without."""

    provider: Login
    organisations: list[OrganisationRow]
    organisation: OrganisationView | None
    tokens: dict[Audience, str]


@router.post("/identify")
async def identify(_caller: FromWeb, asked: WhoIs, signer: Annotated[Signer, kept("signer")], db: Db) -> Identified:
    """401 `not_signed_in`, `session_idle` after an hour without use, `session_over` after twelve hours.

    404 for an organisation this login does not have.
    """
    found = await sessions.identify(db, digest(asked.session), asked.organisation_id)
    opened = found.organisation
    return Identified(
        provider=Login(**found.provider.model_dump(include={"id", "name", "email"})),
        organisations=[OrganisationRow.model_validate(each.model_dump()) for each in found.organisations],
        organisation=OrganisationView.model_validate(opened.model_dump()) if opened else None,
        tokens=_tokens(signer, found.provider, opened, asked.audiences) if opened else {},
    )


def _tokens(signer: Signer, provider: Provider, organisation: Organisation, audiences: list[Audience]) -> dict[Audience, str]:
    who = {"id": provider.id, "name": provider.name, "email": provider.email, "organisation_id": organisation.id}
    return {audience: signer.provider_token(audience, **who) for audience in audiences}


class OwnSession(BaseModel):
    """A provider's cookie."""

    session: Secret


class EndedSession(OwnSession):
    everywhere: bool = False


class OtherSession(OwnSession):
    """`other`: the id of a session of the same provider."""

    other: Secret


class SessionView(BaseModel):
    """A signed-in browser. `agent`: its User-Agent header; `current`: the one that asks."""

    id: str
    agent: str
    signed_in_at: datetime
    last_seen_at: datetime
    current: bool


class Sessions(BaseModel):
    sessions: list[SessionView]


@router.post("/sessions/list")
async def list_sessions(_caller: FromWeb, asked: OwnSession, db: Db) -> Sessions:
    """Every browser signed in as the same provider, used last first; 50 at most. 401 `not_signed_in`."""
    own = digest(asked.session)
    return Sessions(sessions=[_session_view(one, own) for one in await sessions.list_sessions(db, own)])


def _session_view(one: Session, own: str) -> SessionView:
    return SessionView(
        id=one.id,
        agent=one.agent,
        signed_in_at=one.created_at,
        last_seen_at=one.last_seen_at or one.created_at,
        current=one.id == own,
    )


@router.post("/sessions/end", status_code=204)
async def end_session(_caller: FromWeb, ended: EndedSession, db: Db) -> Response:
    """Signs out, here or everywhere. Ending an unknown session answers the same."""
    await db.transact(sessions.end_session, digest(ended.session), everywhere=ended.everywhere)
    return Response(status_code=204)


@router.post("/sessions/end-other", status_code=204)
async def end_other_session(_caller: FromWeb, ended: OtherSession, db: Db) -> Response:
    """Signs another browser of the same provider out; answers alike for one that is not there. 401 `not_signed_in`."""
    await db.transact(sessions.end_other_session, digest(ended.session), ended.other)
    return Response(status_code=204)


class LoginView(BaseModel):
    """Somebody whose login reaches an organisation; `works` is False when they have to sign in again."""

    name: str
    email: str
    works: bool
    you: bool


class ConnectionView(BaseModel):
    """An organisation's connection as Settings shows it.

    `scopes` is what Xero granted the login that asks, empty when that is not known. The cap is the installation's, over all
    organisations.
    """

    scopes: list[str]
    logins: list[LoginView]
    connections_used: int
    connections_cap: int


@router.post("/organisations/{organisation_id}/connection")
async def show_connection(
    _caller: FromWeb, organisation_id: str, asked: OwnSession, settings: Annotated[Settings, kept("settings")], db: Db
) -> ConnectionView:
    """401 `not_signed_in`; 404 for an organisation this login does not have."""
    me = (await sessions.identify(db, digest(asked.session), organisation_id)).provider
    own = await store.find_token_set_of(db, me.id)
    return ConnectionView(
        scopes=own.scope.split() if own else [],
        logins=[
            LoginView(name=each.name, email=each.email, works=connection.state == "live", you=each.id == me.id)
            for connection, each in await connections.logins_of(db, organisation_id)
        ],
        connections_used=await store.count_connected(db),
        connections_cap=settings.xero_connections_cap,
    )


class AccessToken(BaseModel):
    """`grant` names which login's token this is and its generation, for a refusal to come back to."""

    access_token: str
    tenant_id: str
    expires_at: datetime
    grant: str


@router.post("/organisations/{organisation_id}/access-token")
async def access_token(_caller: FromGateway, organisation_id: str, tokens: TokensOf, db: Db) -> AccessToken:
    """404 unknown organisation, 409 `xero_needs_reauth`, 503 `xero_unavailable`."""
    access = await tokens.for_organisation(db, organisation_id)
    organisation = await _organisation(db, organisation_id)
    return AccessToken(
        access_token=access.token.get_secret_value(),
        tenant_id=organisation.tenant_id,
        expires_at=access.expires_at,
        grant=access.grant,
    )


class Refusal(BaseModel):
    """What Xero answered to the token of `grant`."""

    grant: Annotated[str, Field(pattern=r"^tks_[0-9A-Z]{26}\.[0-9]{1,9}$")]
    status: Literal[401, 403]


class Standing(BaseModel):
    state: State


@router.post("/organisations/{organisation_id}/refusals")
async def refuse(_caller: FromGateway, organisation_id: str, refusal: Refusal, tokens: TokensOf, db: Db) -> Standing:
    """Judges a refusal: 401 refreshes once, 403 reads the connections again. Xero away: nothing changes.

    A login that has left meanwhile is not judged: what counts is how the organisation stands without it. 404 unknown organisation.
    """
    token_set_id, _, generation = refusal.grant.partition(".")
    connection = await store.find_connection(db, organisation_id, token_set_id)
    token_set = await store.find_token_set(db, token_set_id)
    if connection and token_set and connection.state == "live" and token_set.generation == int(generation):
        try:
            await _judge(tokens, db, connection, token_set, refusal.status)
        except Dead:
            log.warning("xero.refused_for_good", organisation_id=organisation_id)
        except XeroUnavailable:
            log.warning("xero.refusal_not_judged", organisation_id=organisation_id, status=refusal.status)
    return Standing(state=(await _organisation(db, organisation_id)).state)


async def _judge(tokens: Tokens, db: Database, connection: Connection, token_set: TokenSet, status: int) -> None:
    """A token that is a minute old and refused with 401 is not helped by another one, so it is judged like a 403."""
    if status == 401 and not token_set.just_refreshed:
        await tokens.renewed(db, token_set)
        return
    await tokens.follow_connections(db, token_set.id)
    await store.note_refusal(db, connection.id)


async def _organisation(db: Database, organisation_id: str) -> Organisation:
    organisation = await store.find_organisation(db, organisation_id)
    if organisation is None:
        raise NotFound
    return organisation
