"""Xero's tokens in use: handed out while good, refreshed by one process at a time, saved before use, given up only when Xero is sure.

Between api and refresher, which both need it, and the Xero client: read, call, write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from prometheus_client import Counter
from pydantic import SecretStr

from auth import connections, store, vault
from auth.audit import ChainClosed
from auth.audit_models import Use
from auth.errors import GrantRefused, XeroNeedsReauth, XeroUnavailable
from auth.models import TokenSet, XeroTokens, organisations_of
from auth.vault import Vault
from auth.xero import Unauthorised, Xero
from common.clock import utc_now
from common.correlation import correlated, correlation_id
from common.crypto import Unreadable
from common.deadlines import deadline, remaining
from common.errors import NotFound
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable, Document, Tx
from common.telemetry import from_zero

REFRESH_SECONDS = 40.0
WAIT_SECONDS = 7.0
POLL_SECONDS = 0.1
SAVE_AGAIN_SECONDS = 0.5
REFUSED_AGAIN_SECONDS = 0.5
T = TypeVar("T")
log = get_logger()
UNREADABLE = Counter("vault_unreadable_total", "Sealed tokens that could not be opened; look at the ring")
REFRESHES = from_zero(
    Counter("xero_refreshes_total", "Refreshes of tokens by what became of them", ["outcome"]), ("refreshed", "refused", "failed")
)


@dataclass(frozen=True)
class Access:
    """An access token that may be used until `expires_at`. `grant` names the token set and the generation it came from."""

    token: SecretStr
    expires_at: datetime
    token_set: TokenSet

    @property
    def grant(self) -> str:
        return f"{self.token_set.id}.{self.token_set.generation}"


class Dead(Exception):
    """A token set that works no more."""


class Tokens:
    """Access tokens of every token set. A refresh runs to its end whoever stops waiting for it."""

    def __init__(self, xero: Xero, vault: Vault) -> None:
        self._xero = xero
        self._vault = vault
        self._running: dict[str, asyncio.Task[None]] = {}

    async def aclose(self) -> None:
        """Waits for refreshes under way: an answer that is not saved would cost the connection its next token."""
        await asyncio.gather(*self._running.values(), return_exceptions=True)

    async def for_organisation(self, db: Database, organisation_id: str) -> Access:
        """A good access token of any provider's live connection. Raises NotFound, XeroNeedsReauth, XeroUnavailable."""
        organisation = await store.find_organisation(db, organisation_id)
        if organisation is None:
            raise NotFound
        away, use = False, Use(service="xero-gateway", purpose="access-token", organisation_id=organisation_id)
        for connection in await store.list_connections_to(db, organisation_id):
            if connection.state == "live":
                try:
                    access = await self.usable(db, connection.token_set_id, use)
                except Dead:
                    continue
                except XeroUnavailable:
                    away = True
                    continue
                await store.note_use(db, connection.token_set_id)
                return access
        if away:
            raise XeroUnavailable("Xero does not give a new token right now.")
        raise XeroNeedsReauth("Somebody has to sign in with Xero again.")

    async def usable(self, db: Database, token_set_id: str, use: Use) -> Access:
        """An access token that is good. Past 70% of its life a refresh begins, for which nobody waits while it is good.

        Raises Dead, XeroUnavailable.
        """
        token_set = await self._live(db, token_set_id)
        if not token_set.fresh and token_set.valid:
            self._refreshing(db, token_set)
        elif not token_set.fresh:
            token_set = await self.renewed(db, token_set)
        return Access(await self._opened(db, token_set, "access", use), token_set.expires_at, token_set)

    async def renewed(self, db: Database, token_set: TokenSet) -> TokenSet:
        """The token set with a generation after `token_set`'s, whoever refreshed it. Raises Dead, XeroUnavailable."""
        try:
            await asyncio.wait_for(asyncio.shield(self._refreshing(db, token_set)), remaining(WAIT_SECONDS))
        except TimeoutError as error:
            raise XeroUnavailable("Xero takes long to give a new token.") from error
        return await self._live(db, token_set.id)

    async def follow_connections(self, db: Database, token_set_id: str) -> None:
        """Reads what Xero lists for a login and ends or renames accordingly; Xero away changes nothing. Raises as `usable`."""
        access = await self.usable(db, token_set_id, vault.FOLLOW)
        try:
            listed = await self._xero.connections(access.token)
        except Unauthorised:
            try:
                access = await self._again(db, access.token_set)
                listed = await self._xero.connections(access.token)
            except Unauthorised as error:
                raise XeroUnavailable("Xero refuses a new token.") from error
        await db.transact(connections.follow_xero, access.token_set, organisations_of(listed), utc_now())

    async def _again(self, db: Database, token_set: TokenSet) -> Access:
        renewed = await self.renewed(db, token_set)
        return Access(await self._opened(db, renewed, "access", vault.FOLLOW), renewed.expires_at, renewed)

    async def _live(self, db: Database, token_set_id: str) -> TokenSet:
        token_set = await store.find_token_set(db, token_set_id)
        if token_set is None or token_set.state == "dead":
            raise Dead
        return token_set

    async def _opened(self, db: Database, token_set: TokenSet, field: vault.Field, use: Use) -> SecretStr:
        """An unreadable token is no refusal of Xero's: nothing is given up, an alarm is raised."""
        try:
            return await self._vault.open(db, token_set, field, use)
        except ChainClosed:
            raise Dead from None
        except Unreadable as error:
            UNREADABLE.inc()
            log.error("vault.unreadable", grant_id=token_set.id, field=field, reason=str(error))
            raise XeroUnavailable("The stored Xero tokens cannot be opened.") from error

    def _refreshing(self, db: Database, token_set: TokenSet) -> asyncio.Task[None]:
        """The one refresh of a token set in this process, in a context of its own so that no caller's deadline cuts it."""
        if running := self._running.get(token_set.id):
            return running
        work = _in_background(self._refresh(db, token_set), correlation_id())
        task = asyncio.get_running_loop().create_task(work, context=Context())
        self._running[token_set.id] = task
        task.add_done_callback(lambda done: self._forget(token_set.id, done))
        return task

    def _forget(self, token_set_id: str, task: asyncio.Task[None]) -> None:
        """Whoever still waits gets the error raised; nobody may be waiting, so it is logged."""
        self._running.pop(token_set_id, None)
        error = None if task.cancelled() else task.exception()
        if error:
            if not isinstance(error, Dead):
                REFRESHES.labels("failed").inc()
            log.warning("xero.not_refreshed", grant_id=token_set_id, reason=type(error).__name__)

    async def _refresh(self, db: Database, token_set: TokenSet) -> None:
        """Returns when the stored generation is past `token_set`'s: by our refresh, or by that of the process holding the lease."""
        while True:
            fence = await store.take_lease(db, token_set, store.LEASE_SECONDS)
            if fence:
                return await self._refresh_leased(db, token_set, fence)
            if (await self._live(db, token_set.id)).generation != token_set.generation:
                return None
            if remaining(REFRESH_SECONDS) < 1:
                raise XeroUnavailable("Another process is still refreshing.")
            await asyncio.sleep(POLL_SECONDS)

    async def _refresh_leased(self, db: Database, token_set: TokenSet, fence: str) -> None:
        try:
            refresh = await self._opened(db, token_set, "refresh", vault.REFRESH)
            tokens = await self._granted(db, token_set, refresh)
        except GrantRefused:
            if await db.transact(connections.lose_grant, token_set, fence, utc_now()):
                REFRESHES.labels("refused").inc()
                log.warning("xero.grant_refused", grant_id=token_set.id, generation=token_set.generation)
                raise Dead from None
        except BaseException:
            await store.release_lease(db, token_set, fence)
            raise
        else:
            await self._saved(db, token_set, fence, tokens, refresh)

    async def _granted(self, db: Database, token_set: TokenSet, refresh: SecretStr) -> XeroTokens:
        """New tokens. A refusal gets a second and last try: with the previous refresh token while Xero still takes it, else, after a
        moment, with the same one. Raises GrantRefused, at once when the stored tokens are no longer these.
        """
        try:
            return await self._xero.refresh(refresh)
        except GrantRefused:
            log.warning("xero.refused_once", grant_id=token_set.id, generation=token_set.generation)
        now = await self._live(db, token_set.id)
        if now.generation != token_set.generation:
            raise GrantRefused
        if now.in_grace:
            return await self._xero.refresh(await self._opened(db, token_set, "previous", vault.REFRESH))
        await asyncio.sleep(REFUSED_AGAIN_SECONDS)
        return await self._xero.refresh(refresh)

    async def _saved(self, db: Database, token_set: TokenSet, fence: str, tokens: XeroTokens, refresh: SecretStr) -> None:
        """Stores what Xero gave, again and again while the database is away: Xero has already moved on.

        `refresh` is the refresh token that was exchanged for them.
        """
        generation = token_set.generation + 1
        seal = {
            "access": self._sealed(tokens.access_token, token_set, "access", generation),
            "refresh": self._sealed(tokens.refresh_token, token_set, "refresh", generation),
        }
        previous = self._sealed(refresh, token_set, "previous", generation)
        stored = store.new_tokens(generation, tokens.expires_in, seal, tokens.scope)
        while True:
            try:
                kept = await db.transact(keep_refreshed, token_set, fence, stored, previous)
                break
            except DatabaseUnavailable:
                if remaining(REFRESH_SECONDS) < 1:
                    raise
                await asyncio.sleep(SAVE_AGAIN_SECONDS)
        REFRESHES.labels("refreshed").inc()
        log.info("xero.refreshed" if kept else "xero.refresh_overtaken", grant_id=token_set.id, generation=generation)

    def _sealed(self, token: SecretStr, token_set: TokenSet, field: vault.Field, generation: int) -> dict[str, Any]:
        return vault.seal_token(self._vault.ring, token, token_set.id, token_set.owner, field, generation)


async def keep_refreshed(tx: Tx, token_set: TokenSet, fence: str, tokens: Document, previous: Document) -> bool:
    """Stores the next generation and the audit's link about it; False when the lease was lost."""
    kept = await store.save_refreshed(tx, token_set, fence, tokens, previous)
    if kept:
        await vault.record_seal(tx, token_set.id, ("access", "refresh", "previous"), token_set.generation + 1, vault.REFRESH)
    return kept


async def _in_background(work: Coroutine[Any, Any, T], correlation: str) -> T:
    with correlated(correlation), deadline(REFRESH_SECONDS):
        return await work
