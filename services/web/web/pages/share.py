"""Sharing a client's invoices with addresses: which, until when, what that would show, and sending the invitations."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response
from starlette.datastructures import FormData, QueryParams

from common.contracts.invoice_lists import Shareable, ShareableTotal
from common.contracts.xero_gateway import OUTSTANDING, SHAREABLE
from common.errors import Conflict, ServiceError, Unavailable, Unprocessable
from web.clients import Behind, Services
from web.hints import addresses_in, hints_for, is_address, split
from web.models import AddressUse, Contact, Invited, InvoiceRow, query
from web.pages.client import Books, read_books
from web.rendering import render
from web.visits import ContactId, CurrentVisit, OrganisationId, ProviderForm, Visit, page_address, visit_of

router = APIRouter()

SHARE = "/o/{org}/clients/{contact}/share"
MOST_ADDRESSES = 20
LONGEST_FIELD = 320 * MOST_ADDRESSES
REFUSED = 422


@dataclass(frozen=True)
class Draft:
    """The form as it is filled in. `what`: all, from (a date) or picked; the dates as typed."""

    email: str = ""
    what: str = "all"
    from_date: str = ""
    invoices: tuple[str, ...] = ()
    ends_on: str = ""

    @classmethod
    def of(cls, given: FormData | QueryParams) -> Draft:
        what = str(given.get("what", ""))
        return cls(
            email=str(given.get("email", "")).strip()[:LONGEST_FIELD],
            what=what if what in ("all", "from", "picked") else "all",
            from_date=str(given.get("from_date", ""))[:20],
            invoices=tuple(str(one)[:36] for one in given.getlist("invoice")[:200]),
            ends_on=str(given.get("ends_on", ""))[:20],
        )

    @property
    def emails(self) -> list[str]:
        return split(self.email)

    @property
    def shared_from(self) -> date | None:
        """The day from which invoices are shared, if that is chosen and a date."""
        return _date(self.from_date) if self.what == "from" else None

    def query(self) -> str:
        """The form in an address, to find it again after signing in."""
        what = self.what if self.what != "all" else ""
        parts = [("email", self.email), ("what", what), ("from_date", self.from_date), ("ends_on", self.ends_on)]
        return urlencode([(name, value) for name, value in parts if value] + [("invoice", one) for one in self.invoices])

    def wanted(self, contact_name: str) -> dict[str, Any]:
        """As sharing wants it."""
        ends_on = _date(self.ends_on)
        terms: dict[str, Any] = {"emails": self.emails, "contact_name": contact_name, "ends_on": ends_on and ends_on.isoformat()}
        if self.what == "picked":
            return {**terms, "invoice_ids": list(self.invoices)}
        return {**terms, "from_date": self.shared_from and self.shared_from.isoformat()}

    def faults(self) -> list[tuple[str, str]]:
        """(field, fault) of what cannot be sent as it stands; share.html has the words."""
        return [
            *([("email", "missing")] if not self.emails else []),
            *([("email", "too_many")] if len(self.emails) > MOST_ADDRESSES else []),
            *([("from_date", "no_date")] if self.what == "from" and not self.shared_from else []),
            *([("picked", "none")] if self.what == "picked" and not self.invoices else []),
            *([("ends_on", "no_date")] if self.ends_on and not _date(self.ends_on) else []),
        ]


async def _asked(request: Request) -> Draft:
    return Draft.of(request.query_params)


AskedFor = Annotated[Draft, Depends(_asked)]


@router.get(SHARE)
async def form(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, asked: AskedFor) -> Response:
    """The form, filled in with the contact's address or what is given, beside what would be shared."""
    return await _page(request, visit, services, contact, asked)


@router.get("/o/{org}/clients/{contact}/share/hints")
async def hints(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, asked: AskedFor) -> Response:
    """The lines under the addresses for what is typed now."""
    known, uses = await asyncio.gather(_contact_or_none(services, visit, contact), _uses(services, visit, asked.emails))
    found = hints_for(asked.emails, known, visit.me.email, uses, contact)
    return render(request, "provider/share_hints.html", hints=found, contact=known)


@router.get("/o/{org}/clients/{contact}/share/preview")
async def preview(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, asked: AskedFor) -> Response:
    """What would be shared by what is chosen now."""
    books = await _books(services, visit, contact, asked)
    frame = visit.frame(books.reason)
    return render(request, "provider/share_preview.html", **frame, books=books, draft=asked, shareable=_shareable(books, asked))


@router.post(SHARE)
async def send(request: Request, services: Behind, form: ProviderForm, org: OrganisationId, contact: ContactId) -> Response:
    """Gives the addresses access. A signed-out sender finds the form as it was after signing in."""
    draft = Draft.of(form)
    visit = await visit_of(request, services, org, come_back=f"{page_address(request)}?{draft.query()}")
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
    told = [("share" if result.outcome == "invited" else "again", result.share.id) for result in results if result.share]
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
    if usable and not draft.email and status == 200:
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
        pickable=_pickable(books),
        shareable=_shareable(books, draft),
        faults=faults or [],
        results=[result for result in results or [] if result.outcome != "refused"],
        not_sent=not_sent,
        stored_as_of=books.invoices.as_of if books.invoices and books.reason else None,
        can_send=_can_send(books),
    )


async def _books(services: Services, visit: Visit, contact: str, draft: Draft) -> Books:
    return await read_books(services, visit, contact, query(view="all", page=1, shared_from=draft.shared_from))


def _can_send(books: Books) -> bool:
    """Nothing is sent unseen: without Xero only what is stored already may be shared further."""
    return books.invoices is not None


def _pickable(books: Books) -> list[InvoiceRow]:
    """The newest invoices that may be shared, as many as a page of the list holds."""
    return [row for row in books.invoices.invoices if row.status in SHAREABLE] if books.invoices else []


def _shareable(books: Books, draft: Draft) -> Shareable | None:
    """What would be shared now: all of it, from a day on, or what is picked."""
    if books.invoices is None:
        return None
    if draft.what != "picked":
        return books.invoices.shareable
    picked = [row for row in _pickable(books) if row.invoice_id in draft.invoices]
    totals = [
        _total(currency, [row for row in picked if row.currency == currency]) for currency in sorted({row.currency for row in picked})
    ]
    return Shareable(count=len(picked), totals=totals)


def _total(currency: str, rows: list[InvoiceRow]) -> ShareableTotal:
    to_pay = sum(row.amount_due for row in rows if row.standing in OUTSTANDING)
    return ShareableTotal(currency=currency, total=sum(row.total for row in rows), to_pay=to_pay)


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


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
