"""First loads: every shareable invoice of a contact, published in numbered batches, one transaction for each page."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from common import claims
from common.contracts.xero_gateway import Invoice, InvoicesFetched
from common.mongo import Database, Document, Tx
from xero_gateway import store
from xero_gateway.errors import XeroProblem
from xero_gateway.marks import report_faults
from xero_gateway.models import InvoicesPage, Load, batches_of, page_after, published, wait_after

UNTROUBLED: dict[str, Any] = {"reason": None, "limit": None, "waiting_since": None, "attempts": 0, "reported": 0}


async def take_page(tx: Tx, row: Document, contact_name: str, page: InvoicesPage) -> None:
    """Publishes what is new on a page and keeps the progress with it. Raises LeaseLost when the load is somebody else's now."""
    load = Load.model_validate(row).model_copy(update={"contact_name": contact_name})
    fresh, known = await _fresh(tx, load, page)
    stored = load.stored + sum(invoice.invoice_id not in known for invoice in fresh)
    total = page.total if load.phase == "pages" else load.total
    batches = load.batches
    for batch in batches_of(fresh):
        batches += 1
        await _publish(tx, load, page, batch, version=batches, stored=stored, total=max(total or 0, stored))
    await _remember(tx, load, fresh)
    await report_faults(tx, load.organisation_id, page.faults)
    progress = {"contact_name": contact_name, "batches": batches, "stored": stored, "began_at": load.began_at or page.read_at}
    await _go_on(tx, row, load.model_copy(update=progress), page)


async def wait_for_xero(db: Database, row: Document, problem: XeroProblem) -> None:
    """Gives the load back until Xero can be read again; people are told why and since when."""
    since = row.get("waiting_since") or await db.now()
    wait = wait_after(problem, row["attempts"])
    limit = problem.extra.get("limit")
    await store.give_back(db, store.LOADS, [row], wait, reason=problem.code, limit=limit, waiting_since=since)


async def halve_pages(tx: Tx, row: Document) -> bool:
    """Makes pages half as large from here on; False when one holds a single invoice already. Raises LeaseLost."""
    load = Load.model_validate(row).halved
    if load is None:
        return False
    update = claims.later(0, counted=False, page_size=load.page_size, next_page=load.next_page)
    await claims.finish(tx, store.LOADS, row, update)
    return True


async def _fresh(tx: Tx, load: Load, page: InvoicesPage) -> tuple[list[Invoice], set[str]]:
    """The page's invoices that this load has to publish, and the ids of those it published before.

    The pass over what changed also tells of published ones that may not be shared any more.
    """
    rows = await store.published_among(tx, load.organisation_id, [invoice.invoice_id for invoice in page.invoices])
    known = {key: row for key, row in rows.items() if row.load_id == load.id}
    fresh = [
        invoice
        for invoice in page.invoices
        if (invoice.is_shareable and invoice.invoice_id not in known)
        or (invoice.invoice_id in known and known[invoice.invoice_id].updated_at < invoice.updated_at)
    ]
    return fresh, set(known)


async def _go_on(tx: Tx, row: Document, load: Load, page: InvoicesPage) -> None:
    """Saves the progress: the next page, then the pass over what changed meanwhile, then the end."""
    following = page_after(load, page) if load.phase == "pages" else _following(load, page)
    saved: dict[str, Any] = UNTROUBLED | load.model_dump(include={"contact_name", "batches", "stored", "began_at"})
    if following is not None:
        total = page.total if load.phase == "pages" else load.total
        update = claims.later(0, **saved, next_page=following, total=total)
    elif load.phase == "pages":
        update = claims.later(0, **saved, phase="changes", next_page=1, total=load.stored)
    else:
        last = load.batches + 1
        await _publish(tx, load, page, [], version=last, stored=load.stored, total=load.stored, batches=last)
        await store.ask_for_reconciliation(tx, load.organisation_id, load.changes_since)
        update = claims.done("complete", **{**saved, "batches": last, "total": load.stored})
    await claims.finish(tx, store.LOADS, row, update)


def _following(load: Load, page: InvoicesPage) -> int | None:
    return load.next_page + 1 if load.next_page < page.pages else None


async def _publish(
    tx: Tx, load: Load, page: InvoicesPage, batch: Sequence[Invoice], *, version: int, stored: int, total: int, batches: int | None = None
) -> None:
    event = InvoicesFetched(
        version=version,
        load_id=load.id,
        organisation_id=load.organisation_id,
        contact_id=load.contact_id,
        contact_name=load.contact_name or "",
        read_at=page.read_at,
        invoices=list(batch),
        stored=stored,
        total=total,
        batches=batches,
    )
    await tx.emit(load.id, event)


async def _remember(tx: Tx, load: Load, fresh: Sequence[Invoice]) -> None:
    await store.save_published(tx, load.organisation_id, [published(invoice, load.id) for invoice in fresh])
