"""What a client takes away of a sender's list as it is narrowed on its page: all rows as CSV."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from gettext import gettext as _

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from common.errors import Unprocessable
from web.client_models import SenderInvoices
from web.pages.client_visit import services_of
from web.pages.portal import Client, ClientRoute, filters_of
from web.papers import CSV, csv_of, disposition, exact, file_name

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
