"""Client identities and signed-in browsers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from common.crypto import digest
from common.errors import NotSignedIn
from common.ids import new_id, new_secret
from common.mongo import Database, Tx
from portal import store
from portal.models import SESSION_DAYS, SESSION_IDLE_HOURS, Browser, Client, Goal, Session
from portal.settings import Rings
from portal.sign_in_requests import browser_key


@dataclass(frozen=True)
class SignedIn:
    """A new session's secret, known to nobody but this browser from now on, and where it wanted to go."""

    session: str
    goal: Goal


async def start_session(tx: Tx, email: str, browser: Browser, goal: Goal, rings: Rings) -> SignedIn:
    """Signs a browser in as an address; the first time gives the address its identity."""
    now = await tx.now()
    client = await store.find_client(tx, email)
    if client is None:
        client = Client(id=new_id("cli"), email=email, since=now, look_at=now)
        await store.add_client(tx, client)
    await store.use_client(tx, client.id, now)
    secret = new_secret("cis")
    session = Session(
        id=digest(secret),
        client_id=client.id,
        email=email,
        agent=browser.agent,
        signed_in_at=now,
        idle_until=now + timedelta(hours=SESSION_IDLE_HOURS),
        ends_at=now + timedelta(days=SESSION_DAYS),
    )
    await store.add_session(tx, session)
    await store.remember_browser(tx, browser_key(rings, browser.id, email), client.id)
    return SignedIn(secret, goal)


async def identify(db: Database, secret: str) -> Session:
    """Whose session this is; using it begins its idle time anew. One document, one update, hence no transaction.

    Raises NotSignedIn.
    """
    session = await store.touch_session(db, digest(secret))
    if session is None:
        raise NotSignedIn
    return session


async def list_sessions(db: Database, secret: str) -> tuple[Session, list[Session]]:
    """This session, and every live one of its client, used last first. Raises NotSignedIn."""
    own = await store.find_session(db, digest(secret))
    if own is None:
        raise NotSignedIn
    return own, await store.list_sessions(db, own.client_id)


async def end_other_session(tx: Tx, secret: str, other: str) -> None:
    """Ends one session, by its id, of the same client; one of somebody else is as unknown as any. Raises NotSignedIn."""
    own = await store.find_session(tx, digest(secret))
    if own is None:
        raise NotSignedIn
    await store.delete_session_of(tx, own.client_id, other)


async def end_session(tx: Tx, secret: str, *, everywhere: bool) -> None:
    """Signs a browser out, or every browser of its client; ending what has ended already is fine.

    Only a live session ends the others: an old cookie proves nothing any more.
    """
    session = await store.find_session(tx, digest(secret)) if everywhere else None
    if session:
        await store.delete_sessions_of(tx, session.client_id)
    await store.delete_session(tx, digest(secret))
