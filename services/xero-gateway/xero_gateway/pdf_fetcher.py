"""The loop that reads the PDFs of batches, within what Xero leaves to background work."""

from __future__ import annotations

from common.contracts.sharing import WantedPdf
from common.errors import NotFound
from common.mongo import Database, Document
from xero_gateway import organisations, pdf_batches, pdf_store, store
from xero_gateway.call_limits import BACKGROUND
from xero_gateway.errors import XERO_PROBLEMS, XeroNeedsReauth
from xero_gateway.pdfs import LARGEST_KEPT
from xero_gateway.workers import work_off
from xero_gateway.xero import Xero


class PdfFetcher:
    """A few PDFs of one batch at a time, in turn for each organisation."""

    name = "pdf fetcher"

    def __init__(self, xero: Xero) -> None:
        self._xero = xero

    async def run(self, db: Database) -> None:
        await work_off(db, store.PDF_BATCHES, self.fetch, limit=1)

    async def fetch(self, db: Database, rows: list[Document]) -> None:
        """The next few of each claimed batch. What Xero does not let us read now is tried again later."""
        for row in rows:
            try:
                missed = await self._fetch_some(db, row)
            except XERO_PROBLEMS as problem:
                await db.transact(pdf_batches.wait_for_xero, row, problem)
            else:
                await db.transact(pdf_batches.go_on, row, missed)
                db.notify()

    async def _fetch_some(self, db: Database, row: Document) -> list[str]:
        """Reads and keeps the next few; the ids of those of which Xero holds another version, or none, or one too large to keep."""
        organisation, wanted = str(row["organisation_id"]), pdf_batches.wanted_of(row)
        kept = await pdf_store.kept_among(db, organisation, wanted)
        some = [one for one in wanted if one.invoice_id not in kept][: pdf_batches.AT_ONCE]
        if not some:
            return []
        if await organisations.state_of(db, organisation) != "connected":
            raise XeroNeedsReauth
        read = {one.invoice_id: await self._pdf(db, organisation, one) for one in some}
        now = (await self._xero.invoices_by_ids(db, organisation, [one.invoice_id for one in some])).invoices
        same = pdf_batches.unchanged(some, now)
        for one in some:
            pdf = read[one.invoice_id]
            if one.invoice_id in same and pdf is not None:
                await pdf_store.keep_pdf(db, organisation, one, pdf)
            else:
                read[one.invoice_id] = None
        return [invoice_id for invoice_id, pdf in read.items() if pdf is None]

    async def _pdf(self, db: Database, organisation: str, wanted: WantedPdf) -> bytes | None:
        try:
            pdf = await self._xero.pdf(db, organisation, wanted.invoice_id, BACKGROUND)
        except NotFound:
            return None
        return pdf if len(pdf) <= LARGEST_KEPT else None
