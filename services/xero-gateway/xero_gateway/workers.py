"""Working off claimed rows: one task for each organisation, so that a slow or paused one delays no other."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from common import claims
from common.correlation import resumed
from common.errors import ServiceError
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable, Document
from xero_gateway import store

POLL_SECONDS = 0.2
FAILED_SECONDS = 60.0
LEASE_SECONDS = 20.0
"""Renewed while the work goes on, so this is how long the rows of a process wait that was killed."""

Work = Callable[[Database, list[Document]], Awaitable[None]]
log = get_logger()


async def work_off(db: Database, collection: str, work: Work, *, limit: int) -> None:
    """Claims due rows and hands them to `work`, up to `limit` of one organisation at a time, until the process stops."""
    busy: set[str] = set()

    async def run(organisation: str, rows: list[Document]) -> None:
        try:
            await _run(db, collection, work, rows)
        finally:
            busy.discard(organisation)
            db.notify()

    async with asyncio.TaskGroup() as group:
        while not db.stopping:
            rows = await _claimed(db, collection, busy, limit)
            if rows:
                organisation = str(rows[0]["organisation_id"])
                busy.add(organisation)
                group.create_task(run(organisation, rows))
            else:
                await db.changed(within=POLL_SECONDS)


async def _claimed(db: Database, collection: str, busy: set[str], limit: int) -> list[Document]:
    """As many rows as there are, up to `limit`, of the organisation whose turn it is: one call to Xero reads them together."""
    try:
        organisation = await store.next_organisation(db, collection, busy)
        if organisation is None:
            return []
        return await claims.claim(db, collection, limit=limit, lease=LEASE_SECONDS, where={"organisation_id": organisation})
    except DatabaseUnavailable:
        await asyncio.sleep(1)
        return []


async def _run(db: Database, collection: str, work: Work, rows: list[Document]) -> None:
    """Whatever goes wrong with one organisation's rows, the others go on; these are tried again later."""
    renewing = asyncio.create_task(_renew(db, collection, rows))
    try:
        with resumed(rows[0], f"work on {collection}"):
            await work(db, rows)
    except claims.LeaseLost:
        log.info("work.lease_lost", collection=collection)
    except DatabaseUnavailable:
        log.warning("work.database_away", collection=collection)
    except Exception as error:  # the one place where any failure of background work must be survived
        log.error("work.failed", collection=collection, ids=[row["_id"] for row in rows][:5], exc_info=error)
        await _give_back(db, collection, rows)
    finally:
        renewing.cancel()


async def _renew(db: Database, collection: str, rows: list[Document]) -> None:
    while True:
        await asyncio.sleep(LEASE_SECONDS / 4)
        try:
            await claims.renew(db, collection, rows, LEASE_SECONDS)
        except DatabaseUnavailable:
            log.warning("work.database_away", collection=collection)


async def _give_back(db: Database, collection: str, rows: list[Document]) -> None:
    try:
        await store.give_back(db, collection, rows, FAILED_SECONDS)
    except ServiceError:
        log.warning("work.database_away", collection=collection)
