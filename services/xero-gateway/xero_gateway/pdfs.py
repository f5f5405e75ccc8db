"""Xero's own PDF of an invoice for whoever holds the right to it, kept for the version of the invoice that it shows."""

from __future__ import annotations

from typing import NoReturn

from common.contracts.sharing import WantedPdf
from common.errors import NotFound
from common.identity import PdfCapability
from common.logging import get_logger
from common.mongo import Database
from xero_gateway import pdf_store, store
from xero_gateway.errors import PdfNotCurrent, PdfNotKept
from xero_gateway.xero import Xero

LARGEST_KEPT = 8 * 1024 * 1024
"""A document of the database may have 16 MB; a PDF larger than this is read anew each time."""

log = get_logger()


async def pdf_of(db: Database, xero: Xero, right: PdfCapability, *, only_kept: bool) -> bytes:
    """The PDF of exactly the version that was granted. `only_kept`: Xero is not asked, PdfNotKept is raised instead.

    Xero draws an invoice as it is now, which may be after it moved to another contact. So the invoice is read after its PDF, and only
    when it is still the granted one can the PDF show nothing else. Otherwise PdfNotCurrent is raised and the invoice looked at
    anew. Raises what reading Xero raises.
    """
    wanted = WantedPdf(invoice_id=right.invoice_id, contact_id=right.contact_id, updated_at=right.updated_at)
    kept = await pdf_store.find_pdf(db, right.organisation_id, wanted)
    if kept is not None:
        return kept
    if only_kept:
        raise PdfNotKept
    try:
        pdf = await xero.pdf(db, right.organisation_id, right.invoice_id)
        now = (await xero.invoice(db, right.organisation_id, right.invoice_id)).invoice
    except NotFound:
        await _look_again(db, right)
    if (now.contact_id, now.updated_at) != (right.contact_id, right.updated_at):
        await _look_again(db, right)
    if len(pdf) <= LARGEST_KEPT:
        await pdf_store.keep_pdf(db, right.organisation_id, wanted, pdf)
    return pdf


async def _look_again(db: Database, right: PdfCapability) -> NoReturn:
    log.info("pdf.not_current", organisation_id=right.organisation_id, invoice_id=right.invoice_id)
    await store.add_marks(db, [(right.organisation_id, "INVOICE", right.invoice_id)])
    db.notify()
    raise PdfNotCurrent
