"""The organisations of a login: pick one, or connect another."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from common.errors import NotSignedIn, Unavailable
from web.clients import Behind, Services
from web.rendering import render
from web.security import session
from web.visits import CurrentAccount, Search

router = APIRouter()

SEARCHABLE_FROM = 8


@router.get("/organisations")
async def organisations(request: Request, account: CurrentAccount, services: Behind, search: Search = "", done: str = "") -> Response:
    """The list, last used first, with how many addresses open its invoices; searchable when it is long."""
    sought = search.strip().casefold()
    found = [organisation for organisation in account.organisations if sought in organisation.name.casefold()]
    return render(
        request,
        "provider/organisations.html",
        **account.frame(),
        found=found,
        search=search,
        left=done if done in ("disconnect", "end-access") else None,
        accesses=await _accesses(request, services),
        searchable=len(account.organisations) >= SEARCHABLE_FROM,
    )


async def _accesses(request: Request, services: Services) -> dict[str, int | None]:
    """Live accesses by organisation, of all at once; what cannot be counted now is left out."""
    try:
        leaving = await services.auth.leaving(session(request, "provider") or "", None)
    except (Unavailable, NotSignedIn):
        return {}
    return {each.organisation_id: each.accesses for each in leaving.account}
