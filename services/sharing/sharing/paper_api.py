"""The routes for what a client takes away of a sender at once."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter
from pydantic import BaseModel

from common.http import CurrentClient, Db, Now
from sharing import downloads, papers
from sharing.api import DefaultTimeZone
from sharing.client_api import ContactChoice, Narrowed
from sharing.client_views import SenderInvoices
from sharing.downloads import DownloadView
from sharing.models import Doing
from sharing.papers import Statement
from sharing.statements import Period

router = APIRouter(prefix="/internal/client")


class NewDownload(BaseModel):
    """The id of a download that was asked for."""

    id: str


class Downloads(BaseModel):
    downloads: list[DownloadView]


@router.get("/senders/{organisation_id}/list")
async def show_list(
    organisation_id: str,
    client: CurrentClient,
    db: Db,
    now: Now,
    time_zone: DefaultTimeZone,
    wanted: Narrowed,
    contact: ContactChoice = None,
) -> SenderInvoices:
    """Every row at once, which is recorded as a download of the list."""
    return await papers.show_list(db, client.email, organisation_id, contact or None, wanted, now, time_zone)


@router.get("/senders/{organisation_id}/statement")
async def show_statement(
    organisation_id: str,
    client: CurrentClient,
    db: Db,
    now: Now,
    time_zone: DefaultTimeZone,
    period: Period = "last_3_months",
    contact: ContactChoice = None,
    date_from: date | None = None,
    date_to: date | None = None,
    doing: Doing = "opened",
) -> Statement:
    """Dates go before a named period."""
    between = (date_from, date_to)
    return await papers.show_statement(db, client.email, organisation_id, contact or None, period, between, doing, now, time_zone)


@router.post("/senders/{organisation_id}/downloads")
async def ask_for_pdfs(
    organisation_id: str,
    client: CurrentClient,
    db: Db,
    now: Now,
    time_zone: DefaultTimeZone,
    wanted: Narrowed,
    contact: ContactChoice = None,
) -> NewDownload:
    """The PDFs of every row at once; what counts as downloaded is what is taken away of them later."""
    return NewDownload(id=await downloads.ask_for_pdfs(db, client.email, organisation_id, contact or None, wanted, now, time_zone))


@router.get("/downloads")
async def list_downloads(client: CurrentClient, db: Db, time_zone: DefaultTimeZone) -> Downloads:
    return Downloads(downloads=await downloads.list_downloads(db, client.email, time_zone))


@router.get("/downloads/{download_id}")
async def show_download(download_id: str, client: CurrentClient, db: Db, time_zone: DefaultTimeZone) -> DownloadView:
    return await downloads.show_download(db, client.email, download_id, time_zone)
