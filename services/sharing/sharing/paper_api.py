"""The routes for what a client takes away of a sender at once."""

from __future__ import annotations

from datetime import date

from fastapi import APIRouter

from common.http import CurrentClient, Db, Now
from sharing import papers
from sharing.api import DefaultTimeZone, Search, wanted_list
from sharing.client_api import ClientView, ContactChoice
from sharing.client_views import SenderInvoices
from sharing.models import Doing
from sharing.papers import Statement
from sharing.statements import Period

router = APIRouter(prefix="/internal/client/senders/{organisation_id}")


@router.get("/list")
async def show_list(
    organisation_id: str,
    client: CurrentClient,
    db: Db,
    now: Now,
    time_zone: DefaultTimeZone,
    view: ClientView = "to_pay",
    search: Search = "",
    contact: ContactChoice = None,
    date_from: date | None = None,
    date_to: date | None = None,
) -> SenderInvoices:
    """Every row at once, which is recorded as a download of the list."""
    wanted = wanted_list(view, search, 1, date_from, date_to)
    return await papers.show_list(db, client.email, organisation_id, contact or None, wanted, now, time_zone)


@router.get("/statement")
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
