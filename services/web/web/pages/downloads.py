"""What a client takes away of a sender's list as it is narrowed on its page: all rows as CSV, and the PDFs of all as a ZIP."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from decimal import Decimal
from gettext import gettext as _
from math import ceil
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from common.clock import local_date
from common.deadlines import deadline_anew
from common.errors import Conflict, NotFound, Unavailable, Unprocessable
from common.turns import outside
from web.client_models import Download, SenderInvoices
from web.drawn_invoice import draw
from web.formats import Reader
from web.pages.client_visit import Visitor, services_of
from web.pages.portal import Client, ClientRoute, PressedForm, filters_of, signed_in_client
from web.papers import CSV, Zip, csv_of, disposition, exact, file_name
from web.rendering import reader_of, render

ZIP_SECONDS = 240.0
"""At most; what is there is sent in some seconds, the rest is the client's own line."""

RENEWED_SECONDS = 30.0
PDFS_A_MINUTE = 45
"""What Xero's limit of 60 calls a minute leaves, with room for other work."""

router = APIRouter(route_class=ClientRoute)


@router.get("/invoices/{organisation_id}/list.csv")
async def list_csv(request: Request, organisation_id: str, client: Client) -> Response:
    """The current filter's rows, all of them. Too many lead back to the page, which says so."""
    filters = filters_of(request.query_params)
    try:
        found = await services_of(request).sharing.client_list(client.token, organisation_id, filters.narrowing())
    except Unprocessable as error:
        if error.code != "too_many":
            raise
        return RedirectResponse(filters.address(f"/invoices/{organisation_id}", too_many="csv"), 303)
    name = file_name(found.sender.name, _("invoices"), found.today.isoformat(), ending="csv")
    return StreamingResponse(csv_of(_head(), _rows(found)), media_type=CSV, headers=disposition("attachment", name))


@router.post("/invoices/{organisation_id}/pdfs")
async def ask_for_pdfs(request: Request, organisation_id: str, form: PressedForm, client: Client) -> Response:
    """Asks for the PDFs of the current filter and leads to the page that tells how far they are."""
    filters = filters_of({name: str(value) for name, value in form.items()})
    try:
        await services_of(request).sharing.ask_for_pdfs(client.token, organisation_id, filters.narrowing())
    except Unprocessable as error:
        if error.code not in ("too_many", "nothing_to_download"):
            raise
        more = {"too_many": "pdfs"} if error.code == "too_many" else {}
        return RedirectResponse(filters.address(f"/invoices/{organisation_id}", **more), 303)
    return RedirectResponse("/downloads", 303)


@router.get("/downloads")
async def downloads(request: Request, client: Client) -> Response:
    """Everything asked for in the last days, and how far it is."""
    found = await services_of(request).sharing.downloads(client.token)
    return render(request, "client/downloads.html", client=client, downloads=found, minutes_left=_minutes_left)


@router.get("/downloads/{download_id}/zip")
async def zip_file(request: Request, download_id: str, client: Client) -> Response:
    """The PDFs as one file: Xero's own where it is here, else drawn from what is stored, which its name says.

    Access is asked for each of them when its turn comes; one that ended meanwhile is left out, and counts as no download.
    """
    found = await services_of(request).sharing.download(client.token, download_id)
    name = file_name(found.sender, _("invoices"), local_date(found.created_at, found.time_zone).isoformat(), ending="zip")
    pieces = _zip_of(request, client, found)
    return StreamingResponse(pieces, media_type="application/zip", headers=disposition("attachment", name))


async def _zip_of(request: Request, client: Visitor, found: Download) -> AsyncIterator[bytes]:
    """Takes no turn from those who read pages. The client's proof of who they are is good for a minute, so it is renewed on the way.

    What cannot be checked ends the answer unfinished, so that the browser says that the file is not whole.
    """
    reader = reader_of(request, found.time_zone)
    zipped, now, token, renewed_at = Zip(), reader.now.astimezone(ZoneInfo(found.time_zone)), client.token, time.monotonic()
    ends_at = renewed_at + ZIP_SECONDS
    async with outside():
        for invoice_id in found.invoice_ids:
            piece = b""
            with deadline_anew(ends_at - time.monotonic()), suppress(NotFound):
                if time.monotonic() - renewed_at > RENEWED_SECONDS:
                    token, renewed_at = (await signed_in_client(request)).token, time.monotonic()
                piece = zipped.add(*await _pdf_of(request, token, found.organisation_id, invoice_id, reader), now)
            yield piece
    yield zipped.end()


async def _pdf_of(request: Request, token: str, organisation_id: str, invoice_id: str, reader: Reader) -> tuple[str, bytes]:
    """One PDF under its name. Raises NotFound once it may not be seen."""
    services = services_of(request)
    granted = await services.sharing.grant_pdf(token, organisation_id, invoice_id)
    number = granted.shown.invoice.number or _("without a number")
    try:
        return file_name(number, ending="pdf"), await services.gateway.pdf(granted.token, only_kept=True)
    except (Unavailable, Conflict):
        content = await asyncio.to_thread(draw, granted.shown, reader)
        return file_name(number, _("(drawn from stored data)"), ending="pdf"), content


def _minutes_left(found: Download) -> int:
    """About how long Xero's limit of calls a minute lets the rest take; at least one."""
    return max(1, ceil((found.total - found.kept - found.missed) / PDFS_A_MINUTE))


def _head() -> list[str]:
    about = [_("Number"), _("Reference"), _("To"), _("Date"), _("Due"), _("Status"), _("Currency")]
    return [*about, _("Total"), _("Paid"), _("Credited"), _("To pay")]


def _rows(found: SenderInvoices) -> Iterator[list[str | Decimal]]:
    words = {
        "awaiting": _("Awaiting approval"),
        "open": _("Open"),
        "due_today": _("Due today"),
        "overdue": _("Overdue"),
        "paid": _("Paid"),
        "credited": _("Settled by credit"),
        "voided": _("Voided"),
    }
    for row in found.invoices:
        days = ["" if day is None else day.isoformat() for day in (row.date, row.due_date)]
        amounts = [exact(amount) for amount in (row.total, row.amount_paid, row.amount_credited, row.amount_due)]
        yield [row.number, row.reference, row.contact_name, *days, words.get(row.standing, row.standing), row.currency, *amounts]
