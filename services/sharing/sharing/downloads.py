"""PDFs of many invoices at once: asking for them, how far they are, and which may be taken away now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import BaseModel

from common.contracts.invoice_lists import InvoiceRow
from common.contracts.sharing import PdfsWanted, WantedPdf
from common.contracts.xero_gateway import PdfsFetched
from common.errors import NotFound
from common.ids import new_id
from common.mongo import Database, Tx
from sharing import download_store, snapshot_store, store
from sharing.client_views import count_views, read_sender
from sharing.errors import NothingToDownload, TooMany
from sharing.models import Download, Share

MOST_PDFS = 200
KEPT = timedelta(days=7)
"""As long as xero-gateway keeps a PDF."""


class DownloadView(BaseModel):
    """A download for its address: of whose invoices, how many of how many are there, why the rest waits, until when it stays.

    `invoice_ids` are those that may be taken away now.
    """

    id: str
    organisation_id: str
    sender: str
    time_zone: str
    total: int
    kept: int
    missed: int
    ready: bool
    reason: str | None
    limit: str | None
    created_at: datetime
    purge_at: datetime
    invoice_ids: list[str] = []


async def ask_for_pdfs(
    db: Database,
    email: str,
    organisation_id: str,
    contact_id: str | None,
    wanted: Mapping[str, Any],
    now: datetime,
    default_time_zone: str,
) -> str:
    """The id of a new download of what a sender's list shows, narrowed as `show_sender` narrows it.

    Raises TooMany, NothingToDownload, and NotFound when nothing of this sender is open to this address.
    """
    granted = await store.list_open_shares(db, email, organisation_id)
    shares = await count_views(db, email, [share for share in granted if contact_id in (None, share.contact_id)])
    found = await read_sender(db, shares, granted, {**wanted, "page_size": MOST_PDFS}, now, default_time_zone)
    if found.total > MOST_PDFS:
        raise TooMany(most=MOST_PDFS)
    if not found.invoices:
        raise NothingToDownload
    snapshots = await snapshot_store.list_snapshots(db, organisation_id, {row.invoice_id for row in found.invoices})
    pdfs = [_wanted(row, snapshots[row.invoice_id].contact_id) for row in found.invoices if row.invoice_id in snapshots]
    return await db.transact(_add, email, organisation_id, shares, pdfs)


async def list_downloads(db: Database, email: str, default_time_zone: str) -> list[DownloadView]:
    """The newest, of senders that still share with this address what they are of."""
    downloads = await download_store.list_downloads(db, email)
    shares = await store.list_open_shares(db, email)
    open_now = {(share.organisation_id, share.contact_id) for share in shares}
    shown = [download for download in downloads if any((download.organisation_id, it) in open_now for it in download.contact_ids)]
    return await _views(db, shown, default_time_zone)


async def show_download(db: Database, email: str, download_id: str, default_time_zone: str) -> DownloadView:
    """One of them with what may be taken away of it now, after a grant check. Raises NotFound when that is nothing."""
    download = await download_store.find_download(db, email, download_id)
    if download is None:
        raise NotFound
    granted = await store.list_open_shares(db, email, download.organisation_id)
    shares = await count_views(db, email, [share for share in granted if share.contact_id in download.contact_ids])
    visible = {summary.invoice_id for summary in await snapshot_store.list_visible_summaries(db, shares)}
    ids = [invoice_id for invoice_id in download.invoice_ids if invoice_id in visible]
    if not ids:
        raise NotFound
    (view,) = await _views(db, [download], default_time_zone)
    return view.model_copy(update={"invoice_ids": ids})


async def note_progress(tx: Tx, told: PdfsFetched) -> None:
    """What xero-gateway tells of a download."""
    facts = told.model_dump(include={"kept", "missed", "reason", "limit"})
    await download_store.note_progress(tx, told.download_id, told.version, **facts)


async def _add(tx: Tx, email: str, organisation_id: str, shares: Sequence[Share], pdfs: Sequence[WantedPdf]) -> str:
    now = await tx.now()
    download = Download(
        id=new_id("dl"),
        organisation_id=organisation_id,
        email=email,
        contact_ids=tuple(sorted({share.contact_id for share in shares})),
        invoice_ids=tuple(pdf.invoice_id for pdf in pdfs),
        created_at=now,
        purge_at=now + KEPT,
    )
    await download_store.add_download(tx, download)
    await tx.emit(download.id, PdfsWanted(version=1, download_id=download.id, organisation_id=organisation_id, wanted=list(pdfs)))
    return download.id


def _wanted(row: InvoiceRow, contact_id: str) -> WantedPdf:
    return WantedPdf(invoice_id=row.invoice_id, contact_id=contact_id, updated_at=row.updated_at)


async def _views(db: Database, downloads: Sequence[Download], default_time_zone: str) -> list[DownloadView]:
    known = await store.list_organisations(db, {download.organisation_id for download in downloads})
    return [
        DownloadView(
            **download.model_dump(include={"id", "organisation_id", "kept", "missed", "reason", "limit", "created_at", "purge_at"}),
            sender=known[download.organisation_id].name,
            time_zone=known[download.organisation_id].time_zone or default_time_zone,
            total=len(download.invoice_ids),
            ready=download.is_ready,
        )
        for download in downloads
    ]
