"""Every query of Xero's PDFs, each kept for the version of the invoice that it shows, and of batches of them that were asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from common.contracts.sharing import WantedPdf
from common.mongo import Database, Document, Reader, Tx
from xero_gateway.models import key_of
from xero_gateway.store import NEW_WORK, PDF_BATCHES, PDFS

KEPT = timedelta(days=7)


async def find_pdf(reader: Reader, organisation_id: str, wanted: WantedPdf) -> bytes | None:
    """The PDF of this version of the invoice, of this contact."""
    found = await reader.collection(PDFS).find_one(_of(organisation_id, wanted), projection={"pdf": 1})
    return bytes(found["pdf"]) if found else None


async def kept_among(reader: Reader, organisation_id: str, wanted: Sequence[WantedPdf]) -> set[str]:
    """The ids of those invoices whose PDF is kept as it is wanted."""
    if not wanted:
        return set()
    where = {"$or": [_of(organisation_id, one) for one in wanted]}
    found = await reader.collection(PDFS).find(where, projection={"_id": 1})
    return {str(row["_id"]).removeprefix(key_of(organisation_id, "")) for row in found}


async def keep_pdf(db: Database, organisation_id: str, wanted: WantedPdf, pdf: bytes) -> None:
    """In place of the version kept before."""
    about = {"organisation_id": organisation_id, "contact_id": wanted.contact_id, "updated_at": wanted.updated_at}
    row = {**about, "pdf": pdf, "purge_at": await db.now() + KEPT}
    await db.collection(PDFS).replace_one({"_id": key_of(organisation_id, wanted.invoice_id)}, row, upsert=True)


async def add_batch(tx: Tx, organisation_id: str, download_id: str, wanted: Sequence[WantedPdf]) -> None:
    """Does nothing when it is there."""
    row: Document = {**NEW_WORK, "organisation_id": organisation_id, "missed": [], "told": 0}
    row |= {"wanted": [one.model_dump() for one in wanted], "purge_at": await tx.now() + KEPT}
    await tx.collection(PDF_BATCHES).update_one({"_id": download_id}, {"$setOnInsert": row}, upsert=True)


def _of(organisation_id: str, wanted: WantedPdf) -> Document:
    return {"_id": key_of(organisation_id, wanted.invoice_id), "contact_id": wanted.contact_id, "updated_at": wanted.updated_at}
