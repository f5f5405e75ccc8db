"""The loop that answers requests for a sign-in mail: asks sharing whose they are, then makes the link and has it mailed.

It runs after the answer to the browser, so that the answer and its timing are the same for known and unknown addresses.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import timedelta

from common.claims import LeaseLost
from common.correlation import resumed
from common.crypto import unseal
from common.deadlines import deadline
from common.errors import Unavailable
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable, Document
from portal import store
from portal.clients import SharingClient
from portal.links import Recipient, leave_unanswered, make_link
from portal.models import LINK_MINUTES, Goal, SignInRequest
from portal.settings import Rings
from portal.sign_in_requests import seal_context

BATCH = 32
AT_ONCE = 8
LEASE_SECONDS = 30.0
WORK_SECONDS = 20.0
POLL_SECONDS = 0.2
RETRY_SECONDS = 1.0
ATTEMPTS = 5
log = get_logger()


class LinkSender:
    """Answers requests until it is cancelled. Several may run: each row is leased to one."""

    name = "link sender"

    def __init__(self, sharing: SharingClient, rings: Rings) -> None:
        self._sharing = sharing
        self._rings = rings

    async def run(self, db: Database) -> None:
        while not db.stopping:
            try:
                while await self.send_pending(db):
                    pass
            except DatabaseUnavailable:
                await asyncio.sleep(1)
            await db.changed(within=POLL_SECONDS)

    async def send_pending(self, db: Database) -> int:
        """Answers one batch of requests; how many were claimed."""
        rows = await store.claim_requests(db, limit=BATCH, lease=LEASE_SECONDS)
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(row: Document) -> None:
            async with gate:
                await self._answer(db, row)

        await asyncio.gather(*(one(row) for row in rows))
        return len(rows)

    async def _answer(self, db: Database, row: Document) -> None:
        """Answers one request, or gives it back: soon while something is away, which counts no attempt, until nobody waits for it."""
        try:
            with resumed(row, "answer sign-in request"), deadline(WORK_SECONDS):
                await self._make_or_leave(db, row)
        except LeaseLost:
            log.warning("sign_in_request.lease_lost", request_id=row["_id"])
        except Unavailable as error:
            log.warning("sign_in_request.waits", request_id=row["_id"], reason=error.code)
            await _give_back(db, row, counted=False)
        except Exception as error:  # whatever it is, the row must neither be lost nor stop the others
            log.error("sign_in_request.failed", request_id=row["_id"], attempts=row["attempts"], exc_info=error)
            await _give_back(db, row, counted=True)

    async def _make_or_leave(self, db: Database, row: Document) -> None:
        if row["attempts"] > ATTEMPTS:
            await db.transact(leave_unanswered, row, "failed")
        elif await db.now() >= row["asked_at"] + timedelta(minutes=LINK_MINUTES):
            await db.transact(leave_unanswered, row, "expired")
        elif recipient := await self._recipient(db, SignInRequest.model_validate(row)):
            await db.transact(make_link, row, recipient, self._rings)
        else:
            await db.transact(leave_unanswered, row)

    async def _recipient(self, db: Database, request: SignInRequest) -> Recipient | None:
        """Whom to write to; None for an address nothing was ever shared with, an ended invitation, or a link that is no longer known."""
        if request.invitation is not None:
            return await self._invited(unseal(self._rings.events, request.invitation, seal_context(request.id)).decode())
        if request.link is not None:
            return await self._renewing(db, request.link)
        assert request.email is not None
        known = (await self._sharing.look_up(request.email)).known
        return Recipient(request.email, Goal()) if known else None

    async def _invited(self, invitation: str) -> Recipient | None:
        press = await self._sharing.press(invitation)
        if press is None:
            return None
        goal = Goal(kind="sender", organisation_id=press.organisation_id)
        return Recipient(press.email, goal, press.share_id, press.organisation_name, press.invited_at)

    async def _renewing(self, db: Database, digest: str) -> Recipient | None:
        """The stored address alone gets the new link; it keeps the goal, and dies with the same access."""
        link = await store.find_link(db, digest)
        if link is None or link.standing == "dead":
            return None
        held = await self._sharing.look_up(link.email)
        if not held.known or (link.share_id is not None and held.live == 0):
            return None
        return Recipient(link.email, link.goal, link.share_id)


async def _give_back(db: Database, row: Document, *, counted: bool) -> None:
    with suppress(DatabaseUnavailable):  # then the lease runs out and the row is claimed again
        await store.give_back_request(db, row, seconds=RETRY_SECONDS, counted=counted)
