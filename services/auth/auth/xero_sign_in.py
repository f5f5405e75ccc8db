"""Signing in with Xero: one browser-bound, single-use record from the start to the callback, then everything in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from auth import connections, store, vault
from auth.models import Goal, Identity, SignIn, XeroConnection, XeroTokens
from common.crypto import KeyRing
from common.ids import new_id
from common.mongo import Tx


@dataclass(frozen=True)
class NewSession:
    """A session to open: its hash, the hash of the one this browser had, which ends, and what the browser calls itself."""

    id: str
    replaces: str | None
    agent: str


async def begin_sign_in(tx: Tx, sign_in: SignIn, browser: str) -> None:
    """Remembers a sign-in for ten minutes. `browser` is the hash of the cookie the browser was given."""
    await store.add_sign_in(tx, sign_in, browser)


async def use_sign_in(tx: Tx, id: str, browser: str) -> SignIn | None:
    """Takes the record, once and in its own browser only; None for unknown, used, expired and foreign ones alike."""
    return await store.use_sign_in(tx, id, browser)


async def complete_sign_in(
    tx: Tx,
    ring: KeyRing,
    identity: Identity,
    tokens: XeroTokens,
    listed: Sequence[XeroConnection],
    opened: str | None,
    session: NewSession,
    now: datetime,
) -> bool:
    """Keeps the person, their sealed tokens and their connections, and opens a session in the organisation `opened`.

    False, and no session, for a login with no organisation at Xero, unless an organisation that was theirs alone is still to be
    looked after here.
    """
    if opened is None and await store.find_provider_by(tx, identity) is None:
        return False
    provider = await store.save_provider(tx, identity)
    token_set_id = await _keep_tokens(tx, ring, provider.id, f"{identity.issuer}|{identity.subject}", tokens)
    await connections.connect_organisations(tx, provider.id, token_set_id, listed, now)
    if opened is not None:
        await store.note_organisation_used(tx, provider.id, opened)
    elif not await connections.list_openable(tx, provider.id):
        return False
    if session.replaces:
        await store.delete_session(tx, session.replaces)
    await store.add_session(tx, session.id, provider.id, session.agent)
    return True


async def _keep_tokens(tx: Tx, ring: KeyRing, provider_id: str, owner: str, tokens: XeroTokens) -> str:
    """Seals the tokens as the next generation of the provider's one token set; answers its id."""
    before = await store.find_token_set_of(tx, provider_id)
    id = before.id if before else new_id("tks")
    generation, consent = (before.generation + 1, before.consent + 1) if before else (1, 1)
    sealed = {
        "access": vault.seal_token(ring, tokens.access_token, id, owner, "access", generation),
        "refresh": vault.seal_token(ring, tokens.refresh_token, id, owner, "refresh", generation),
    }
    await vault.record_seal(tx, id, ("access", "refresh"), generation, vault.SIGN_IN)
    await store.save_consent(tx, id, provider_id, owner, consent, store.new_tokens(generation, tokens.expires_in, sealed, tokens.scope))
    return id


def destination(goal: Goal, opened: str | None) -> str:
    """The path a sign-in ends at, built from names alone; the page of a contact only in the organisation it was asked for."""
    if goal.page == "organisations" or opened is None:
        return "/organisations"
    if goal.page == "share" and goal.contact_id and goal.organisation_id == opened:
        return f"/o/{opened}/clients/{goal.contact_id}/share"
    return f"/o/{opened}/clients"
