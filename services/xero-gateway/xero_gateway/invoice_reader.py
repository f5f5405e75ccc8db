"""A contact and all its invoices for people: as kept, else from Xero; a list is read once however many ask at the same time."""

from __future__ import annotations

import asyncio
import contextvars
from datetime import datetime

from common.contracts.xero_gateway import InvoiceSummary
from common.deadlines import deadline, remaining
from common.logging import get_logger
from common.mongo import Database
from common.turns import outside
from xero_gateway.errors import XeroBusy, XeroTooLarge, XeroUnavailable
from xero_gateway.kept_lists import begin_list, find_kept_contact, find_kept_list, keep_contact, keep_list
from xero_gateway.models import Contact, SummariesPage
from xero_gateway.xero import LARGEST_PAGE, Xero

PEOPLE_SECONDS = 7.0
READING_SECONDS = 120.0
SMALLEST_PAGE = 50
PAGES_AT_ONCE = 3
"""Of the five calls an organisation may have in flight, so that other pages still open meanwhile."""

Listed = tuple[datetime, list[InvoiceSummary]]
log = get_logger()


class InvoiceReader:
    """Reads and keeps lists. A reading goes on when the person who waited for it gave up, so that the next one finds it."""

    def __init__(self, xero: Xero) -> None:
        self._xero = xero
        self._readings: dict[tuple[str, str], asyncio.Task[Listed]] = {}

    async def list_of(self, db: Database, organisation: str, contact: str) -> Listed:
        """When Xero was read, and all invoices and bills of the contact.

        Raises what Xero's reading raises, and XeroBusy when it takes longer than a person waits.
        """
        kept = await find_kept_list(db, organisation, contact)
        if kept is not None:
            return kept
        key = (organisation, contact)
        if key not in self._readings:
            reading = self._read(db, organisation, contact)
            task = asyncio.create_task(reading, context=contextvars.Context())
            task.add_done_callback(lambda done: self._ended(key, done))
            self._readings[key] = task
        task = self._readings[key]
        async with outside():
            await asyncio.wait({task}, timeout=remaining(PEOPLE_SECONDS))
        if not task.done():
            raise XeroBusy("There are many invoices; they are still being read.", retry_after=3)
        return task.result()

    async def contact_of(self, db: Database, organisation: str, contact: str) -> Contact:
        """The contact, kept or from Xero. Raises what Xero's reading raises, NotFound among it."""
        kept = await find_kept_contact(db, organisation, contact)
        if kept is not None:
            return kept
        generation = await begin_list(db, organisation, contact)
        found = await self._xero.contact(db, organisation, contact)
        await keep_contact(db, organisation, found, generation)
        return found

    async def aclose(self) -> None:
        for task in self._readings.values():
            task.cancel()
        await asyncio.gather(*self._readings.values(), return_exceptions=True)

    def _ended(self, key: tuple[str, str], task: asyncio.Task[Listed]) -> None:
        self._readings.pop(key, None)
        if not task.cancelled():
            task.exception()  # looked at, so that a reading nobody waits for any more is not reported as forgotten

    async def _read(self, db: Database, organisation: str, contact: str) -> Listed:
        with deadline(READING_SECONDS):
            generation = await begin_list(db, organisation, contact)
            pages = await self._pages(db, organisation, contact)
            if not pages[0].total:
                await self._xero.contact(db, organisation, contact)
            found = {invoice.invoice_id: invoice for page in pages for invoice in page.invoices}
            faults = [fault for page in pages for fault in page.faults]
            if faults:
                log.error("invoices.unreadable", organisation_id=organisation, faults=[fault.model_dump() for fault in faults])
                raise XeroUnavailable("Xero sent an amount that cannot be read exactly, so no list is shown.")
            if len(found) != pages[0].total:
                raise XeroBusy("The invoices changed while they were read.", retry_after=1)
            invoices, as_of = list(found.values()), min(page.read_at for page in pages)
            await keep_list(db, organisation, contact, generation, as_of, invoices)
            return as_of, invoices

    async def _pages(self, db: Database, organisation: str, contact: str) -> list[SummariesPage]:
        """All pages, smaller ones when Xero's answers are too large."""
        size = LARGEST_PAGE
        while True:
            try:
                return await self._pages_of(db, organisation, contact, size)
            except XeroTooLarge:
                if size <= SMALLEST_PAGE:
                    raise
                size //= 2

    async def _pages_of(self, db: Database, organisation: str, contact: str, size: int) -> list[SummariesPage]:
        first = await self._xero.summaries(db, organisation, contact, 1, size)
        gate = asyncio.Semaphore(PAGES_AT_ONCE)

        async def one(page: int) -> SummariesPage:
            async with gate:
                return await self._xero.summaries(db, organisation, contact, page, size)

        return [first, *await asyncio.gather(*(one(page) for page in range(2, first.pages + 1)))]
