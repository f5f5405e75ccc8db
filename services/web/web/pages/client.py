"""A client of an organisation: the invoices, what they add up to, and who may see them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from common.errors import Conflict, NotFound, ServiceError, Unavailable
from web.clients import Behind, Services
from web.models import Contact, InvoiceList, Load, Share, query
from web.rendering import render
from web.visits import ContactId, CurrentVisit, PageNumber, Search, Visit

router = APIRouter()

VIEWS = ("unpaid", "overdue", "open", "paid", "all")
DONE = frozenset({"invited", "resent", "known", "mailed_again", "ended", "shared", "carried", "rests"})
MOST_LOADS = 5


@dataclass(frozen=True)
class Asked:
    """Which invoices are asked for; the dates are as typed, left out of the query unless they are dates."""

    view: str
    search: str
    page: int
    date_from: str
    date_to: str

    def query(self) -> dict[str, str]:
        """As the services want it."""
        return query(view=self.view, search=self.search, page=self.page, date_from=_day(self.date_from), date_to=_day(self.date_to))

    @property
    def narrowed(self) -> bool:
        """Whether anything beside the view narrows the list."""
        return bool(self.search or _day(self.date_from) or _day(self.date_to))


@dataclass(frozen=True)
class Books:
    """A contact's invoices and where they came from. `reason` says why Xero was not read; `invoices` is None when nothing is stored."""

    contact: Contact
    invoices: InvoiceList | None
    reason: str | None = None
    retry_after: float | None = None


@dataclass(frozen=True)
class Merge:
    """The client was merged into another in Xero, while these accesses live. Without a name of the other nothing can be carried over."""

    contact_id: str
    name: str | None
    shares: list[Share]


DateText = Annotated[str, Query(max_length=20)]
Names = Annotated[Sequence[str], Query(max_length=50)]


@router.get("/o/{org}/clients/{contact}")
async def client(
    request: Request,
    visit: CurrentVisit,
    services: Behind,
    contact: ContactId,
    view: str = "unpaid",
    search: Search = "",
    page: PageNumber = 1,
    date_from: DateText = "",
    date_to: DateText = "",
    done: str = "",
    share: Names = (),
    again: Names = (),
    known: Names = (),
) -> Response:
    """The client's page. `done` names what has just happened, `share`, `again` and `known` with what, to say so once at the top."""
    asked = Asked(view if view in VIEWS else "unpaid", search.strip(), page, date_from, date_to)
    books, shares = await asyncio.gather(
        read_books(services, visit, contact, asked.query()), services.sharing.shares_of(visit.sharing_token, visit.org, contact)
    )
    return render(
        request,
        "provider/client.html",
        **visit.frame(books.reason),
        section="clients",
        contact=books.contact,
        books=books,
        asked=asked,
        shares=in_reading_order(shares),
        loads=await _loads(services, visit, shares),
        merge=await find_merge(services, visit, shares),
        stored_as_of=books.invoices.as_of if books.invoices and books.reason else None,
        happened=done if done in DONE else None,
        told=[one for one in shares if one.id in share],
        told_again=[one for one in shares if one.id in again],
        told_known=[one for one in shares if one.id in known],
    )


@router.get("/o/{org}/clients/{contact}/shares")
async def shared_with(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId) -> Response:
    """The list “Shared with” alone, asked for again while something in it is being prepared."""
    if "hx-request" not in request.headers:
        return RedirectResponse(f"/o/{visit.org}/clients/{contact}#shared-with", 303)
    shares = await services.sharing.shares_of(visit.sharing_token, visit.org, contact)
    return render(
        request,
        "provider/shared_with.html",
        **visit.frame(),
        contact_id=contact,
        shares=in_reading_order(shares),
        loads=await _loads(services, visit, shares),
        merge=await find_merge(services, visit, shares),
    )


async def find_merge(services: Services, visit: Visit, shares: Sequence[Share]) -> Merge | None:
    """What has to be asked about these accesses of one client; None for one that was not merged. Xero is asked for a name alone."""
    merged = [share for share in shares if share.merged_to]
    if not merged:
        return None
    other = merged[0].merged_to
    assert other is not None
    name = other.name
    if not name:
        with contextlib.suppress(Unavailable, Conflict, NotFound):
            name = (await services.gateway.contact(visit.gateway_token, visit.org, other.contact_id)).name
    return Merge(other.contact_id, name, merged)


async def read_books(services: Services, visit: Visit, contact: str, wanted: Mapping[str, Any]) -> Books:
    """Contact and invoices from Xero, or the stored ones with the reason why. Raises NotFound for a contact that is not there."""
    found, invoices = await asyncio.gather(
        services.gateway.contact(visit.gateway_token, visit.org, contact),
        services.gateway.invoices(visit.gateway_token, visit.org, contact, wanted),
        return_exceptions=True,
    )
    failed = next((result for result in (found, invoices) if isinstance(result, BaseException)), None)
    if failed is None:
        assert isinstance(found, Contact)
        assert isinstance(invoices, InvoiceList)
        return Books(found, invoices)
    if not isinstance(failed, Unavailable | Conflict):
        raise failed
    return await _stored_books(services, visit, contact, wanted, found if isinstance(found, Contact) else None, failed)


async def _stored_books(
    services: Services, visit: Visit, contact: str, wanted: Mapping[str, Any], found: Contact | None, failed: ServiceError
) -> Books:
    stored, shares = await asyncio.gather(
        _stored(services, visit, contact, wanted), services.sharing.shares_of(visit.sharing_token, visit.org, contact)
    )
    names = [share.contact_name for share in shares] + [row.contact_name for row in (stored.invoices if stored else ())]
    return Books(found or Contact(id=contact, name=next(filter(None, names), "")), stored, failed.code, failed.retry_after)


async def _stored(services: Services, visit: Visit, contact: str, wanted: Mapping[str, Any]) -> InvoiceList | None:
    try:
        return await services.sharing.stored_invoices(visit.sharing_token, visit.org, contact, wanted)
    except NotFound:
        return None


async def _loads(services: Services, visit: Visit, shares: list[Share]) -> dict[str, Load]:
    """Why accesses that are being prepared wait, by load; asked only while some are. A load nobody can tell about is left out."""
    wanted = {share.load_id for share in shares if share.state == "preparing" and share.load_id}
    ids = sorted(wanted)[:MOST_LOADS]
    answers = await asyncio.gather(*(services.gateway.load(visit.gateway_token, visit.org, one) for one in ids), return_exceptions=True)
    return {one: answer for one, answer in zip(ids, answers, strict=True) if isinstance(answer, Load)}


def in_reading_order(shares: list[Share]) -> list[Share]:
    """Mail problems first, then live accesses, then ended ones; within each the newest first."""
    newest = sorted(shares, key=lambda share: share.shared_at, reverse=True)
    return sorted(newest, key=lambda share: (share.state == "ended", not share.undelivered))


def _day(text: str) -> str | None:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        return None
