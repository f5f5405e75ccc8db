"""Many PDFs asked for at once: read in the background, a few at a time, and told how far that is after each few."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from common import claims
from common.contracts.sharing import WantedPdf
from common.contracts.xero_gateway import Invoice, PdfsFetched
from common.mongo import Document, Tx
from xero_gateway import pdf_store, store
from xero_gateway.errors import XeroProblem
from xero_gateway.models import wait_after

AT_ONCE = 10
"""Read together, so that one more call tells of all of them whether they are still what was wanted."""


def wanted_of(row: Document) -> list[WantedPdf]:
    """What a batch wants and Xero was not found to hold otherwise."""
    return [WantedPdf.model_validate(one) for one in row["wanted"] if one["invoice_id"] not in row["missed"]]


def unchanged(wanted: Sequence[WantedPdf], now: Sequence[Invoice]) -> set[str]:
    """The ids of those that still are in Xero what they were when they were wanted."""
    held: dict[str, tuple[str, datetime]] = {invoice.invoice_id: (invoice.contact_id, invoice.updated_at) for invoice in now}
    return {one.invoice_id for one in wanted if held.get(one.invoice_id) == (one.contact_id, one.updated_at)}


async def go_on(tx: Tx, row: Document, missed: Sequence[str]) -> None:
    """After a few: tells how far the batch is and gives it back for the next few, or ends it. Raises LeaseLost."""
    missed = [*row["missed"], *missed]
    row = {**row, "missed": missed}
    kept = len(await pdf_store.kept_among(tx, row["organisation_id"], wanted_of(row)))
    told = row["told"] + 1
    over = kept + len(missed) >= len(row["wanted"])
    changes = {"missed": missed, "told": told, "reason": None}
    update = claims.done("complete", **changes) if over else claims.later(0, counted=False, **changes)
    await claims.finish(tx, store.PDF_BATCHES, row, update)
    await _tell(tx, row, kept, told)


async def wait_for_xero(tx: Tx, row: Document, problem: XeroProblem) -> None:
    """Gives the batch back until Xero can be read again, and tells why it waits, once for each reason. Raises LeaseLost."""
    is_news = row.get("reason") != problem.code
    told = row["told"] + is_news
    update = claims.later(wait_after(problem, row["attempts"]), told=told, reason=problem.code)
    await claims.finish(tx, store.PDF_BATCHES, row, update)
    if is_news:
        kept = len(await pdf_store.kept_among(tx, row["organisation_id"], wanted_of(row)))
        await _tell(tx, row, kept, told, problem)


async def _tell(tx: Tx, row: Document, kept: int, told: int, problem: XeroProblem | None = None) -> None:
    event = PdfsFetched(
        version=told,
        download_id=row["_id"],
        organisation_id=row["organisation_id"],
        kept=kept,
        missed=len(row["missed"]),
        total=len(row["wanted"]),
        reason=problem.code if problem else None,
        limit=problem.extra.get("limit") if problem else None,
    )
    await tx.emit(row["_id"], event)
