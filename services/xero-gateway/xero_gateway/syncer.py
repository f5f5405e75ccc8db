"""The loops that keep snapshots true: what was marked, first loads, and asking Xero from time to time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

from prometheus_client import Counter, Gauge

from common import claims
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable, Document
from xero_gateway import loads, marks, organisations, reconciliations, store, webhooks
from xero_gateway.call_limits import BACKGROUND
from xero_gateway.errors import XERO_PROBLEMS, XeroNeedsReauth, XeroTooLarge
from xero_gateway.models import IDS_AT_ONCE, SILENCE, SWEEP_CALLS, SWEEP_PAGE, Findings, Load, wait_after
from xero_gateway.workers import LEASE_SECONDS, POLL_SECONDS, work_off
from xero_gateway.xero import Xero

WEBHOOKS_AT_ONCE = 100
WATCH_SECONDS = 10.0
ALARM_SECONDS = 3600.0
MISSING = Counter("xero_webhook_events_missing_total", "Events whose webhook never came, by Xero's own numbers")
DRIFT = Counter("xero_drift_total", "What no webhook had told, by what found it; mended at once", ["found_by"])
SILENT = Gauge("xero_webhook_silence_seconds", "Time since the last webhook; 0 when none ever came")
log = get_logger()


class Webhooks:
    """Marks what webhooks told of, many at a time: a change that is told ten times is looked at once."""

    name = "webhooks"

    async def run(self, db: Database) -> None:
        while not db.stopping:
            try:
                while rows := await claims.claim(db, store.WEBHOOKS, limit=WEBHOOKS_AT_ONCE, lease=LEASE_SECONDS):
                    await webhooks.take(db, rows)
            except DatabaseUnavailable:
                await asyncio.sleep(1)
            await db.changed(within=POLL_SECONDS)


class WebhookWatch:
    """Asks Xero where webhooks are missing, and raises the alarm when none comes any more."""

    name = "webhook watch"

    async def run(self, db: Database) -> None:
        alarmed_at = -ALARM_SECONDS
        while not db.stopping:
            with suppress(DatabaseUnavailable):
                silent = await self.look(db)
                if silent > SILENCE.total_seconds() and time.monotonic() - alarmed_at >= ALARM_SECONDS:
                    log.error("webhooks.silent", hours=round(silent / 3600))
                    alarmed_at = time.monotonic()
            await db.rest(WATCH_SECONDS)

    async def look(self, db: Database) -> float:
        """Seconds since the last webhook; 0 where none ever came, for not every installation can be reached."""
        if missing := await webhooks.give_up_gaps(db):
            MISSING.inc(missing)
            log.warning("webhooks.missing", events=missing)
        last_at = (await store.find_arrivals(db)).last_at
        silent = (await db.now() - last_at).total_seconds() if last_at else 0.0
        SILENT.set(silent)
        return silent


class Changes:
    """Looks at what was marked, at most 40 things at a time for an organisation, and publishes what became of it."""

    name = "changes"

    def __init__(self, xero: Xero) -> None:
        self._xero = xero

    async def run(self, db: Database) -> None:
        await work_off(db, store.MARKS, self.look, limit=IDS_AT_ONCE)

    async def look(self, db: Database, rows: list[Document]) -> None:
        """One organisation's claimed marks. What Xero does not let us read now is tried again later."""
        organisation = str(rows[0]["organisation_id"])
        state = await organisations.state_of(db, organisation)
        if state is None or not await marks.is_of_interest(db, organisation):
            await db.transact(marks.drop_marks, organisation, rows)
            return
        try:
            if state != "connected":
                raise XeroNeedsReauth
            await self._look(db, organisation, rows)
        except XERO_PROBLEMS as problem:
            await store.give_back(db, store.MARKS, rows, wait_after(problem, max(row["attempts"] for row in rows)))

    async def _look(self, db: Database, organisation: str, rows: list[Document]) -> None:
        invoices = [row for row in rows if row["category"] == "INVOICE"]
        contacts = [row for row in rows if row["category"] == "CONTACT"]
        credits = [row for row in rows if row["category"] not in ("INVOICE", "CONTACT")]
        if invoices:
            page = await self._xero.invoices_by_ids(db, organisation, [row["resource_id"] for row in invoices])
            await db.transact(marks.apply_invoices, organisation, invoices, page)
        if contacts:
            found = await self._xero.contacts_by_ids(db, organisation, [row["resource_id"] for row in contacts])
            heirs = {contact.merged_to for contact in found.contacts if contact.merged_to}
            gained = await self._gained(db, organisation, heirs)
            await db.transact(marks.apply_contacts, organisation, contacts, found, gained)
        if credits:
            await db.transact(marks.apply_credits, organisation, credits)

    async def _gained(self, db: Database, organisation: str, contacts: set[str]) -> set[str]:
        """Invoices that watched contacts have by now and that were not published as theirs."""
        found: set[str] = set()
        for contact in await store.watched_among(db, organisation, contacts):
            async for page in every_page(partial(self._xero.heads_of_contact, db, organisation, contact)):
                found |= await reconciliations.news_among(db, organisation, page.heads)
        return found


class FirstLoads:
    """Loads the invoices of contacts that were shared for the first time, a page at a time, in turn for each organisation."""

    name = "first loads"

    def __init__(self, xero: Xero) -> None:
        self._xero = xero

    async def run(self, db: Database) -> None:
        await work_off(db, store.LOADS, self.load, limit=1)

    async def load(self, db: Database, rows: list[Document]) -> None:
        """One page of each claimed load."""
        for row in rows:
            try:
                await self._load_page(db, row)
            except XeroTooLarge as problem:
                if not await db.transact(loads.halve_pages, row):
                    await loads.wait_for_xero(db, row, problem)
            except XERO_PROBLEMS as problem:
                await loads.wait_for_xero(db, row, problem)

    async def _load_page(self, db: Database, row: Document) -> None:
        load = Load.model_validate(row)
        organisation, contact, number = load.organisation_id, load.contact_id, load.next_page
        name = load.contact_name or (await self._xero.contact(db, organisation, contact, BACKGROUND)).name
        if load.phase == "pages":
            page = await self._xero.shareable_invoices(db, organisation, contact, number, load.page_size)
        else:
            page = await self._xero.invoices_changed(db, organisation, contact, load.changes_since, number, load.page_size)
        await db.transact(loads.take_page, row, name, page)


class Reconciliation:
    """Asks Xero what changed: at the start, after a reconnection or a first load, and every `every_seconds`."""

    name = "reconciliation"

    def __init__(self, xero: Xero, every_seconds: float, calls_a_day: int) -> None:
        self._xero = xero
        self._every_seconds = every_seconds
        self._calls_a_day = calls_a_day

    async def run(self, db: Database) -> None:
        await store.ask_for_all_reconciliations(db)
        await work_off(db, store.RECONCILIATIONS, self.ask, limit=1)

    async def ask(self, db: Database, rows: list[Document]) -> None:
        """One pass for each claimed organisation."""
        for row in rows:
            organisation = row["organisation_id"]
            try:
                if not await store.watches_any(db, organisation):
                    await db.transact(reconciliations.rest, row)
                    continue
                if await organisations.state_of(db, organisation) != "connected":
                    raise XeroNeedsReauth
                arrivals = await store.find_arrivals(db)
                if reconciliations.may_wait(row, arrivals, await db.now(), self._every_seconds):
                    await store.give_back(db, store.RECONCILIATIONS, [row], self._every_seconds)
                    continue
                found = await self._look(db, row)
                drift = await db.transact(reconciliations.finish_pass, row, found, self._every_seconds, self._calls_a_day)
                _report(organisation, drift)
            except XERO_PROBLEMS as problem:
                await store.give_back(db, store.RECONCILIATIONS, [row], wait_after(problem, row["attempts"]))

    async def _look(self, db: Database, row: Document) -> Findings:
        organisation, since = row["organisation_id"], reconciliations.changes_since(row)
        read_at, calls = await db.now(), 0
        invoices: set[str] = set()
        async for heads in every_page(partial(self._xero.heads_changed, db, organisation, since)):
            invoices |= await reconciliations.news_among(db, organisation, heads.heads)
            calls += 1
        contacts: set[str] = set()
        async for page in every_page(partial(self._xero.contacts_changed, db, organisation, since)):
            contacts |= await reconciliations.contacts_of_interest(db, organisation, page.contacts)
            calls += 1
        found = Findings(read_at=read_at, invoice_ids=frozenset(invoices), contact_ids=frozenset(contacts), calls=calls)
        return await self._sweep(db, row, found)

    async def _sweep(self, db: Database, row: Document, found: Findings) -> Findings:
        """Goes on with the round over everything, a few pages at a time."""
        organisation, sweep = row["organisation_id"], await reconciliations.next_sweep(db, row, found.read_at)
        swept: set[str] = set()
        calls = 0
        while sweep and sweep.contact_id and calls < SWEEP_CALLS:
            page = await self._xero.shareable_invoices(db, organisation, sweep.contact_id, sweep.page, SWEEP_PAGE)
            wrong, sweep = await reconciliations.take_swept(db, organisation, sweep, page)
            swept |= wrong
            calls += 1
        return found.model_copy(update={"swept_ids": frozenset(swept), "sweep": sweep, "calls": found.calls + calls})


def _report(organisation: str, drift: Mapping[str, int]) -> None:
    for found_by, number in drift.items():
        DRIFT.labels(found_by).inc(number)
    if drift:
        log.warning("reconciliation.drift", organisation_id=organisation, **drift)


class Paged(Protocol):
    """An answer that is one of several."""

    @property
    def pages(self) -> int: ...


P = TypeVar("P", bound=Paged)


async def every_page(read: Callable[[int], Awaitable[P]]) -> AsyncIterator[P]:
    """Reads page by page to the last one."""
    number, pages = 1, 1
    while number <= pages:
        page = await read(number)
        yield page
        number, pages = number + 1, page.pages
