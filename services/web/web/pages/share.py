"""Sharing a client's invoices with an address: what would be shared, and sending the invitation."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.errors import Conflict, ServiceError, Unavailable, Unprocessable
from web.clients import Behind, Services
from web.hints import hints_for, is_address
from web.models import Contact, Share, query
from web.pages.client import Books, read_books
from web.rendering import render
from web.visits import ContactId, CurrentVisit, OrganisationId, ProviderForm, Visit, page_address, visit_of

router = APIRouter()

SHARE = "/o/{org}/clients/{contact}/share"


@router.get(SHARE)
async def form(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, email: str = "") -> Response:
    """The form, filled in with the contact's address or the one given, beside what would be shared."""
    return await _page(request, visit, services, contact, email=email.strip()[:320])


@router.get("/o/{org}/clients/{contact}/share/hints")
async def hints(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, email: str = "") -> Response:
    """The lines under the address for what is typed now."""
    known, shares = await asyncio.gather(_contact_or_none(services, visit, contact), _org_shares(services, visit))
    found = hints_for(email.strip()[:320], known, visit.me.email, shares, contact)
    return render(request, "provider/share_hints.html", hints=found, contact=known)


@router.post(SHARE)
async def send(request: Request, services: Behind, form: ProviderForm, org: OrganisationId, contact: ContactId) -> Response:
    """Gives the address access. A signed-out sender finds the typed address again after signing in."""
    email = str(form.get("email", "")).strip()[:320]
    filled_in = f"{page_address(request)}?{urlencode({'email': email})}"
    visit = await visit_of(request, services, org, come_back=filled_in)
    try:
        name = await _contact_name(services, visit, contact)
        result = await services.sharing.invite(visit.sharing_token, visit.org, contact, email=email, contact_name=name)
    except Unprocessable:
        return await _page(request, visit, services, contact, email=email, status=422, refused=True)
    except (Unavailable, Conflict) as error:
        return await _page(request, visit, services, contact, email=email, status=error.status, not_sent=True)
    return RedirectResponse(f"/o/{visit.org}/clients/{contact}?done={result.outcome}&share={result.share.id}", 303)


async def _page(
    request: Request,
    visit: Visit,
    services: Services,
    contact: str,
    *,
    email: str,
    status: int = 200,
    refused: bool = False,
    not_sent: bool = False,
) -> Response:
    books, shares = await asyncio.gather(read_books(services, visit, contact, query(view="all", page=1)), _org_shares(services, visit))
    known = books.contact
    usable = known.email if known.email and is_address(known.email) else None
    typed = email or (usable or "" if status == 200 else "")
    return render(
        request,
        "provider/share.html",
        status=status,
        **visit.frame(books.reason),
        section="clients",
        contact=known,
        books=books,
        email=typed,
        suggestions=_suggestions(known, typed),
        unusable=known.email if known.email and not usable else None,
        hints=hints_for(typed, known if not books.reason else None, visit.me.email, shares, contact),
        refused=refused,
        not_sent=not_sent,
        stored_as_of=books.invoices.as_of if books.invoices and books.reason else None,
        can_send=_can_send(books),
    )


def _can_send(books: Books) -> bool:
    """Nothing is sent unseen: without Xero only what is stored already may be shared further."""
    return books.invoices is not None


def _suggestions(contact: Contact, typed: str) -> list[tuple[str, str]]:
    """(address, name) of the contact and its persons, those that can be written to and are not in the field."""
    known = {contact.email: contact.name, **{person.email: person.name for person in contact.persons}}
    return [(address, name) for address, name in known.items() if address and is_address(address) and address != typed]


async def _org_shares(services: Services, visit: Visit) -> list[Share]:
    """The organisation's latest accesses, to say when an address is in use for another client; without them the hint is left out."""
    try:
        return (await services.sharing.shares(visit.sharing_token, visit.org, page=1)).shares
    except ServiceError:
        return []


async def _contact_or_none(services: Services, visit: Visit, contact: str) -> Contact | None:
    try:
        return await services.gateway.contact(visit.gateway_token, visit.org, contact)
    except (Unavailable, Conflict):
        return None


async def _contact_name(services: Services, visit: Visit, contact: str) -> str:
    """The contact's name in Xero, or as it was shared before. Raises Unavailable when neither is known."""
    known = await _contact_or_none(services, visit, contact)
    if known:
        return known.name
    shares = await services.sharing.shares_of(visit.sharing_token, visit.org, contact)
    if not shares:
        raise Unavailable(code="xero_unavailable")
    return shares[0].contact_name
