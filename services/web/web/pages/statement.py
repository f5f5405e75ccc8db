"""A client's statement of account: the page, and the same as a PDF and as CSV."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import date

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse, StreamingResponse

from common.errors import NotFound
from web import drawn_statement, statement_words
from web.client_models import Statement
from web.pages.client_visit import services_of
from web.pages.portal import LONGEST_SEARCH, Client, ClientRoute, date_of
from web.papers import CSV, csv_of, disposition, file_name
from web.rendering import reader_of, render

PERIODS = ("this_month", "last_month", "last_3_months", "last_12_months", "all")
DEFAULT = "last_3_months"
router = APIRouter(route_class=ClientRoute)


@router.get("/invoices/{organisation_id}/statement")
async def statement(request: Request, organisation_id: str, client: Client) -> Response:
    """The statement over a period. No access (any more) leads home, as the sender's page does."""
    try:
        found = await _read(request, organisation_id, client.token, "opened")
    except NotFound:
        return RedirectResponse("/invoices", 303)
    reader = reader_of(request, found.sender.time_zone)
    chosen = _wanted(request.query_params)
    return render(
        request,
        "client/statement.html",
        time_zone=found.sender.time_zone,
        client=client,
        sender=found.sender,
        found=found,
        words=statement_words,
        title=statement_words.title(found),
        period=statement_words.period(found, reader),
        left_out=statement_words.left_out(found, reader),
        chosen_contact=chosen.get("contact"),
        current=None if {"date_from", "date_to"} & chosen.keys() else chosen["period"],
    )


@router.get("/invoices/{organisation_id}/statement.pdf")
async def statement_pdf(request: Request, organisation_id: str, client: Client) -> Response:
    """The same statement as a PDF."""
    found = await _read(request, organisation_id, client.token, "downloaded")
    content = await asyncio.to_thread(drawn_statement.draw, found, reader_of(request, found.sender.time_zone))
    return Response(content, media_type="application/pdf", headers=disposition("inline", _name(found, "pdf")))


@router.get("/invoices/{organisation_id}/statement.csv")
async def statement_csv(request: Request, organisation_id: str, client: Client) -> Response:
    """The same statement as CSV."""
    found = await _read(request, organisation_id, client.token, "downloaded")
    rows = csv_of(drawn_statement.csv_head(), drawn_statement.csv_rows(found))
    return StreamingResponse(rows, media_type=CSV, headers=disposition("attachment", _name(found, "csv")))


async def _read(request: Request, organisation_id: str, token: str, doing: str) -> Statement:
    wanted = {**_wanted(request.query_params), "doing": doing}
    return await services_of(request).sharing.client_statement(token, organisation_id, wanted)


def _wanted(query: Mapping[str, str]) -> dict[str, str]:
    """What is asked for in the address, as sharing takes it; what cannot be understood there counts as absent."""
    days: dict[str, date | None] = {name: date_of(query.get(name, "")) for name in ("date_from", "date_to")}
    period = query.get("period", "")
    contact = query.get("contact", "")[:LONGEST_SEARCH]
    return {
        "period": period if period in PERIODS else DEFAULT,
        **({"contact": contact} if contact else {}),
        **{name: day.isoformat() for name, day in days.items() if day},
    }


def _name(found: Statement, ending: str) -> str:
    first = f"{found.first.isoformat()} to" if found.first else "up to"
    return file_name(found.sender.name, statement_words.title(found), first, found.last.isoformat(), ending=ending)
