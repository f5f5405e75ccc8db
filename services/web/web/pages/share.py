"""Sharing a client's invoices with addresses: which, until when, what that would show, and sending the invitations."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from common.errors import Conflict, ServiceError, Unavailable, Unprocessable
from web.clients import Behind, Services
from web.drafts import MOST_ADDRESSES, Draft
from web.hints import addresses_in, hints_for, is_address
from web.models import AddressUse, Contact, Invited, query
from web.pages.client import Books, read_books
from web.rendering import render
from web.visits import ContactId, CurrentVisit, OrganisationId, ProviderForm, Visit, visit_of

router = APIRouter()

SHARE = "/o/{org}/clients/{contact}/share"
REFUSED = 422
TOLD_AS = {"invited": "share", "resent": "again", "known": "known"}
"""By what became of it: the parameter in which the client's page is told of an access."""


async def _asked(request: Request) -> Draft:
    return Draft.of(request.query_params)


AskedFor = Annotated[Draft, Depends(_asked)]


async def _typing(request: Request, services: Behind, org: OrganisationId, contact: ContactId, asked: AskedFor) -> Visit:
    """Whoever was signed out while typing finds the form as it is now after signing in."""
    return await visit_of(request, services, org, come_back=f"/o/{org}/clients/{contact}/share?{asked.query()}")


TypingVisit = Annotated[Visit, Depends(_typing)]


@router.get(SHARE)
async def form(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, asked: AskedFor) -> Response:
    """The form, filled in with the contact's address or what is given, beside what would be shared."""
    return await _page(request, visit, services, contact, asked)


@router.get("/o/{org}/clients/{contact}/share/hints")
async def hints(request: Request, visit: TypingVisit, services: Behind, contact: ContactId, asked: AskedFor) -> Response:
    """The lines under the addresses for what is typed now."""
    known, uses = await asyncio.gather(_contact_or_none(services, visit, contact), _uses(services, visit, asked.emails))
    found = hints_for(asked.emails, known, visit.me.email, uses, contact)
    return render(request, "provider/share_hints.html", hints=found, contact=known)


@router.get("/o/{org}/clients/{contact}/share/preview")
async def preview(request: Request, visit: TypingVisit, services: Behind, contact: ContactId, asked: AskedFor) -> Response:
    """What would be shared by what is chosen now."""
    books = await _books(services, visit, contact, asked)
    frame = visit.frame(books.reason)
    return render(request, "provider/share_preview.html", **frame, contact_id=contact, books=books, draft=asked)


@router.post(f"{SHARE}/pick")
async def pick(request: Request, services: Behind, form: ProviderForm, org: OrganisationId, contact: ContactId) -> Response:
    """The form with another part of the invoices to pick from; what is picked stays picked. Sends nothing."""
    draft = replace(Draft.of(form), what="picked")
    visit = await visit_of(request, services, org, come_back=f"/o/{org}/clients/{contact}/share?{draft.query()}")
    return await _page(request, visit, services, contact, draft)


@router.post(SHARE)
async def send(request: Request, services: Behind, form: ProviderForm, org: OrganisationId, contact: ContactId) -> Response:
    """Gives the addresses access. A signed-out sender finds the form as it was after signing in."""
    draft = Draft.of(form)
    visit = await visit_of(request, services, org, come_back=f"/o/{org}/clients/{contact}/share?{draft.query()}")
    if draft.find != str(form.get("found", "")).strip():  # Enter in the search field searches, whatever button comes first
        return await _page(request, visit, services, contact, draft)
    if faults := draft.faults():
        return await _page(request, visit, services, contact, draft, status=REFUSED, faults=faults)
    try:
        name = await _contact_name(services, visit, contact)
        results = await services.sharing.invite(visit.sharing_token, visit.org, contact, draft.wanted(name))
    except Unprocessable as error:
        faults = [("ends_on", "over")] if error.code == "end_date_over" else [("email", "missing")]
        return await _page(request, visit, services, contact, draft, status=REFUSED, faults=faults)
    except (Unavailable, Conflict) as error:
        return await _page(request, visit, services, contact, draft, status=error.status, not_sent=True)
    refused = [result for result in results if result.outcome == "refused"]
    if refused:
        rest = replace(draft, email=", ".join(result.email for result in refused))
        faults = [("email", "refused")] if any(result.reason == "invalid_address" for result in refused) else [("email", "not_now")]
        return await _page(request, visit, services, contact, rest, status=REFUSED, faults=faults, results=results)
    return RedirectResponse(f"/o/{visit.org}/clients/{contact}?{_what_happened(results)}", 303)


def _what_happened(results: list[Invited]) -> str:
    """One address keeps its own words; of several each is named."""
    told = [(TOLD_AS[result.outcome], result.share.id) for result in results if result.share]
    if len(told) == 1:
        return urlencode({"done": results[0].outcome, "share": told[0][1]})
    return urlencode([("done", "shared"), *told])


async def _page(
    request: Request,
    visit: Visit,
    services: Services,
    contact: str,
    draft: Draft,
    *,
    status: int = 200,
    faults: list[tuple[str, str]] | None = None,
    not_sent: bool = False,
    results: list[Invited] | None = None,
) -> Response:
    books, uses = await asyncio.gather(_books(services, visit, contact, draft), _uses(services, visit, draft.emails))
    known = books.contact
    usable = known.email if known.email and is_address(known.email) else None
    if usable and not draft.email and status == 200 and request.method == "GET":
        draft = replace(draft, email=usable)
        uses = await _uses(services, visit, draft.emails)
    return render(
        request,
        "provider/share.html",
        status=status,
        **visit.frame(books.reason),
        section="clients",
        contact=known,
        books=books,
        draft=draft,
        suggestions=_suggestions(known, draft),
        unusable=known.email if known.email and not usable else None,
        hints=hints_for(draft.emails, known if not books.reason else None, visit.me.email, uses, contact),
        faults=faults or [],
        results=[result for result in results or [] if result.outcome != "refused"],
        not_sent=not_sent,
        stored_as_of=books.invoices.as_of if books.invoices and books.reason else None,
        can_send=_can_send(books),
    )


async def _books(services: Services, visit: Visit, contact: str, draft: Draft) -> Books:
    """The invoices that can be picked, and what is chosen counted over all of them. Whether clients see what awaits approval is
    asked first: without an answer nothing can be sent either."""
    hides = False
    with contextlib.suppress(ServiceError):
        hides = await services.sharing.hides_awaiting(visit.sharing_token, visit.org)
    wanted = query(view="shareable", search=draft.find, page=draft.page, hides_awaiting="true" if hides else None)
    return await read_books(services, visit, contact, {**wanted, **draft.chosen()})


def _can_send(books: Books) -> bool:
    """Nothing is sent unseen: without Xero only what is stored already may be shared further."""
    return books.invoices is not None


def _suggestions(contact: Contact, draft: Draft) -> list[tuple[str, str, str]]:
    """(address, name, the field with it added) of the contact and its persons: who can be written to and is not in the field."""
    known = {contact.email: contact.name, **{person.email: person.name for person in contact.persons}}
    there = addresses_in(draft.emails)
    return [
        (address, name, ", ".join([*draft.emails, address]))
        for address, name in known.items()
        if address and is_address(address) and not set(addresses_in([address])) & set(there)
    ]


async def _uses(services: Services, visit: Visit, emails: list[str]) -> list[AddressUse]:
    """Where the addresses are in use already; without an answer the hint is left out."""
    known = addresses_in(emails)[:MOST_ADDRESSES]
    if not known:
        return []
    try:
        return await services.sharing.uses(visit.sharing_token, visit.org, known)
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
