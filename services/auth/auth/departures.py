"""Leaving, step by step: sharing ends access, then it ends here, then Xero is told and the tokens are destroyed.

Between api and the loop, which both take steps: read, call, write. Each step may be taken again, so whoever dies is followed by another.
"""

from __future__ import annotations

from pydantic import SecretStr

from auth import leaving_store, leavings, store, vault
from auth.clients import SharingClient, never_left
from auth.errors import LeavingUnderWay, XeroUnavailable
from auth.models import Leaving, TokenSet
from auth.tokens import Dead, Tokens
from auth.vault import Vault
from auth.xero import Unauthorised, Xero
from common.claims import LeaseLost
from common.clock import utc_now
from common.crypto import Unreadable
from common.deadlines import deadline
from common.errors import Unavailable
from common.logging import get_logger
from common.mongo import Database, Document

LEASE_SECONDS = 60.0
SHARING_SECONDS = 5.0
"""So long sharing may take while a person waits; the rest is for saying what came of it."""
SHARING_AGAIN_SECONDS = 5.0
XERO_AGAIN_SECONDS = 30.0
GIVE_UP_SECONDS = 7 * 24 * 3600
"""So long Xero is asked to take its tokens back; then ours are destroyed all the same, and nobody has them."""

log = get_logger()


class Departures:
    """Takes the steps of those who leave."""

    def __init__(self, tokens: Tokens, xero: Xero, sharing: SharingClient, keeper: Vault) -> None:
        self._tokens = tokens
        self._xero = xero
        self._sharing = sharing
        self._vault = keeper

    async def begin(self, db: Database, leaving: Leaving) -> None:
        """When this has returned access has ended, and so has the connection or the account; Xero is told by the loop.

        Raises Unavailable when sharing cannot be reached: then nothing was done. Raises LeavingUnderWay when it goes on by itself:
        another request is at it, or nobody knows what sharing did.
        """
        added = await leaving_store.add_leaving(db, leaving, LEASE_SECONDS)
        if added is None:
            raise LeavingUnderWay("It goes on by itself.")
        row, before = added
        if row["step"] == "access":
            await self._end_access(db, row, before)
        try:
            await db.transact(leavings.leave_here, row, utc_now())
        except LeaseLost:  # chosen again meanwhile, and begun again
            raise LeavingUnderWay("It goes on by itself.") from None
        await leaving_store.go_on_later(db, row, 0)
        db.notify()

    async def _end_access(self, db: Database, row: Document, before: Document | None) -> None:
        """Takes back only what sharing cannot have heard of."""
        try:
            with deadline(SHARING_SECONDS):
                await self._sharing.depart(Leaving.model_validate(row))
        except Unavailable as error:
            if never_left(error) and await leaving_store.withdraw_leaving(db, row, before):
                raise
            await leaving_store.go_on_later(db, row, SHARING_AGAIN_SECONDS)
            raise LeavingUnderWay("It goes on by itself.") from error

    async def go_on(self, db: Database, row: Document) -> None:
        """Every step that is left. What does not answer is asked again later. Raises LeaseLost."""
        leaving = Leaving.model_validate(row)
        try:
            if leaving.step == "access":
                await self._sharing.depart(leaving)
            if leaving.step != "xero":
                await db.transact(leavings.leave_here, row, utc_now())
            await self._tell_xero(db, row, leaving)
        except XeroUnavailable:
            if not await leaving_store.began_before(db, row, GIVE_UP_SECONDS):
                await leaving_store.go_on_later(db, row, XERO_AGAIN_SECONDS)
                return
            log.error("leaving.xero_never_told", leaving_id=leaving.id)
            await self._finish(db, row, await self._token_set(db, leaving))
        except Unavailable as error:
            log.warning("leaving.waits", leaving_id=leaving.id, reason=error.code)
            await leaving_store.go_on_later(db, row, SHARING_AGAIN_SECONDS)

    async def _tell_xero(self, db: Database, row: Document, leaving: Leaving) -> None:
        token_set = await self._token_set(db, leaving)
        if token_set is None:
            await self._finish(db, row, None)
        elif leaving.kind == "delete":
            await self._revoke(db, row, token_set)
        else:
            await self._disconnect(db, row, leaving, token_set)

    async def _disconnect(self, db: Database, row: Document, leaving: Leaving, token_set: TokenSet) -> None:
        """Ends the connection at Xero, unless its person has made it anew by signing in; a dead login cannot say anything there."""
        found = await leaving_store.find_own_connection(db, leaving.provider_id, leaving.organisation_id)
        if found and found[0].state == "ended":
            try:
                await self._end_at_xero(db, token_set.id, found[1])
            except Dead:
                log.warning("leaving.dead_login", leaving_id=leaving.id)
        await self._finish(db, row, await self._token_set(db, leaving))

    async def _end_at_xero(self, db: Database, token_set_id: str, xero_id: str) -> None:
        access = await self._tokens.usable(db, token_set_id, vault.LEAVE)
        try:
            await self._xero.end_connection(access.token, xero_id)
        except Unauthorised:
            await self._tokens.renewed(db, access.token_set)
            access = await self._tokens.usable(db, token_set_id, vault.LEAVE)
            try:
                await self._xero.end_connection(access.token, xero_id)
            except Unauthorised as error:
                raise XeroUnavailable("Xero refuses a new token.") from error

    async def _revoke(self, db: Database, row: Document, token_set: TokenSet) -> None:
        """Xero ends everything of this login with us. Not when the same person has signed in anew: that would end the new account too."""
        if await leaving_store.is_refreshed_now(db, token_set.id):
            raise XeroUnavailable("A refresh is still under way.")
        if not await leaving_store.has_returned(db, token_set.owner):
            token = await self._opened(db, token_set)
            if token:
                await self._xero.revoke(token)
        await self._finish(db, row, token_set)

    async def _opened(self, db: Database, token_set: TokenSet) -> SecretStr | None:
        try:
            return await self._vault.open(db, token_set, "refresh", vault.LEAVE)
        except Unreadable as error:  # nobody can use what nobody can open
            log.error("vault.unreadable", grant_id=token_set.id, field="refresh", reason=str(error))
            return None

    async def _token_set(self, db: Database, leaving: Leaving) -> TokenSet | None:
        return await store.find_token_set(db, leaving.token_set_id) if leaving.token_set_id else None

    async def _finish(self, db: Database, row: Document, token_set: TokenSet | None) -> None:
        if not await db.transact(leavings.finish, row, token_set.generation if token_set else None):
            raise XeroUnavailable("There are newer tokens.")
        log.info("leaving.done", leaving_id=row["_id"], kind=row["kind"], provider_id=row["provider_id"])
