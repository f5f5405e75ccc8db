"""Providers' sessions: what a cookie opens, and for how long."""

from __future__ import annotations

from dataclasses import dataclass

from auth import store
from auth.connections import list_openable
from auth.models import Organisation, Provider
from common.errors import NotFound, NotSignedIn
from common.mongo import Database


@dataclass(frozen=True)
class Identified:
    """Who a session belongs to and what they may work in, last used first. `organisation` is the one asked for."""

    provider: Provider
    organisations: list[Organisation]
    organisation: Organisation | None


async def identify(db: Database, session: str, organisation_id: str | None) -> Identified:
    """The person behind a session (by its hash), which thereby stays alive.

    Raises NotSignedIn, and NotFound for an organisation that is not theirs. Single writes that may be repeated: no transaction.
    """
    provider_id = await store.use_session(db, session)
    provider = await store.find_provider(db, provider_id) if provider_id else None
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
