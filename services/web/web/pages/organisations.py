"""The organisations of a login: pick one, or connect another."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from web.rendering import render
from web.visits import CurrentAccount, Search

router = APIRouter()

SEARCHABLE_FROM = 8


@router.get("/organisations")
async def organisations(request: Request, account: CurrentAccount, search: Search = "", done: str = "") -> Response:
    """The list, last used first; searchable when it is long."""
    sought = search.strip().casefold()
    found = [organisation for organisation in account.organisations if sought in organisation.name.casefold()]
    return render(
        request,
        "provider/organisations.html",
        **account.frame(),
        found=found,
        search=search,
        left=done if done in ("disconnect", "end-access") else None,
        searchable=len(account.organisations) >= SEARCHABLE_FROM,
    )
