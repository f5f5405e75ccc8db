"""Providers' sessions: what a cookie opens, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from auth import store
from auth.connections import list_openable
from auth.errors import SessionIdle, SessionOver
from auth.models import Organisation, Provider, Session
from common.errors import NotFound, NotSignedIn
from common.mongo import Database, Tx


@dataclass(frozen=True)
class Identified:
    """Who a session belongs to and what they may work in, last used first. `organisation` is the one asked for."""

    provider: Provider
    organisations: list[Organisation]
    organisation: Organisation | None


async def identify(db: Database, session: str, organisation_id: str | None) -> Identified:
    """The person behind a session (by its hash), which thereby stays alive.

    Raises NotSignedIn (SessionIdle or SessionOver while that is known), and NotFound for an organisation that is not theirs.
    Single writes that may be repeated: no transaction.
    """
    provider_id = await store.use_session(db, session)
    if provider_id is None:
        raise await _why_ended(db, session)
    provider = await store.find_provider(db, provider_id)
    if provider is None:
        raise NotSignedIn
    theirs = await list_openable(db, provider.id)
    if organisation_id is None:
        return Identified(provider, theirs, None)
    asked = next((organisation for organisation in theirs if organisation.id == organisation_id), None)
    if asked is None:
        raise NotFound
    if asked != theirs[0]:
        await store.note_organisation_used(db, provider.id, asked.id)
    return Identified(provider, theirs, asked)


async def list_sessions(db: Database, session: str) -> list[Session]:
    """Every browser signed in as the same provider, used last first. Raises NotSignedIn."""
    own = await store.find_session(db, session)
    if own is None:
        raise NotSignedIn
    return await store.list_sessions(db, own.provider_id)


async def end_session(tx: Tx, session: str, *, everywhere: bool) -> None:
    """Signs a browser out, or every browser of its provider; ending what has ended already is fine.

    Only a live session ends the others: an old cookie proves nothing any more.
    """
    own = await store.find_session(tx, session) if everywhere else None
    if own:
        await store.delete_sessions_of(tx, own.provider_id)
    await store.delete_session(tx, session)


async def end_other_session(tx: Tx, session: str, other: str) -> None:
    """Ends one session, by its id, of the same provider; somebody else's is as unknown as any. Raises NotSignedIn."""
    own = await store.find_session(tx, session)
    if own is None:
        raise NotSignedIn
    await store.delete_session_of(tx, own.provider_id, other)


async def _why_ended(db: Database, session: str) -> NotSignedIn:
    idle = await store.was_idle(db, session)
    return NotSignedIn() if idle is None else SessionIdle() if idle else SessionOver()
