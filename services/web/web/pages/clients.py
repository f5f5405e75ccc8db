"""The clients of an organisation: its contacts in Xero, or the shared ones while Xero is away."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.errors import Conflict, ServiceError, Unavailable
from web.clients import Behind, Services
from web.rendering import render
from web.visits import RETURN_COOKIE, CurrentVisit, PageNumber, Search, Visit, organisation_of, remembered_page

router = APIRouter()


@router.get("/o/{org}/clients")
async def clients(request: Request, visit: CurrentVisit, services: Behind, search: Search = "", page: PageNumber = 1) -> Response:
    """Find a client. After signing in again this is where auth lands, so it leads back to the page somebody was on."""
    back = remembered_page(request)
    if back and organisation_of(back) == visit.org:
        response: Response = RedirectResponse(back, 303)
        response.delete_cookie(RETURN_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
        return response
    search = search.strip()
    try:
        return await _from_xero(request, visit, services, search, page)
    except (Unavailable, Conflict) as error:
        return await _from_stored(request, visit, services, search, page, error)


async def _from_xero(request: Request, visit: Visit, services: Services, search: str, page: int) -> Response:
    found = await services.gateway.contacts(visit.gateway_token, visit.org, search=search, page=page)
    counts = await services.sharing.share_counts(visit.sharing_token, visit.org, [contact.id for contact in found.contacts])
    return render(
        request,
        "provider/clients.html",
        **visit.frame(),
        section="clients",
        search=search,
        found=found,
        counts=counts,
        contacts_url=request.app.state.settings.xero_contacts_url,
    )


async def _from_stored(request: Request, visit: Visit, services: Services, search: str, page: int, error: ServiceError) -> Response:
    found = await services.sharing.clients(visit.sharing_token, visit.org, search=search, page=page)
    as_of = min((client.as_of for client in found.clients if client.as_of), default=None)
    return render(
        request,
        "provider/clients_stored.html",
        **visit.frame(error.code),
        section="clients",
        search=search,
        found=found,
        stored_as_of=as_of,
        reason=error.code,
        retry_after=error.retry_after,
    )
