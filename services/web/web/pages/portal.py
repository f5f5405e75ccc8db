"""What a client sees: home, one sender, one invoice. Every page asks sharing what this person may see now."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.datastructures import FormData

from common.errors import Conflict, NotFound, NotSignedIn, Unavailable
from web.client_models import Due, Sender, SenderInvoices
from web.drawn_invoice import draw
from web.models import InvoiceRow
from web.pages.client_visit import Visitor, services_of, visitor
from web.pages.invoice_figures import figures_of
from web.papers import disposition, file_name
from web.rendering import reader_of, render
from web.security import form_of, is_unseen

VIEWS = ("to_pay", "overdue", "paid", "all")
PAGE_SIZE = 50
LONGEST_SEARCH = 100


class ClientSignedOut(NotSignedIn):
    """A client's page without a live session."""


class ClientRoute(APIRoute):
    """Leads whoever is not signed in to the sign-in page, and shows nothing to whom nobody would see: that would count as an opening.

    A browser that fetches ahead asks again when somebody presses (425: too early); every opening counted was somebody's.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_or_lead_to_sign_in(request: Request) -> Response:
            if is_unseen(request):
                return Response(status_code=425)
            try:
                return await answer(request)
            except ClientSignedOut:
                return RedirectResponse("/sign-in", 303)

        return answer_or_lead_to_sign_in


@dataclass(frozen=True)
class Filters:
    """What a sender's page is narrowed to, as it stands in the address; what cannot be understood there counts as absent."""

    view: str
    search: str
    contact: str
    date_from: date | None
    date_to: date | None
    page: int

    @property
    def narrowed(self) -> bool:
        """Something beside the view hides invoices."""
        return bool(self.search or self.contact or self.date_from or self.date_to)

    def query(self) -> dict[str, str]:
        """As sharing takes it."""
        return {**self.narrowing(), "page": str(self.page)}

    def narrowing(self) -> dict[str, str]:
        """The same of all pages at once."""
        values: dict[str, object] = {
            "view": self.view, "search": self.search, "contact": self.contact, "date_from": self.date_from, "date_to": self.date_to,
        }  # fmt: skip
        return {name: str(value) for name, value in values.items() if value not in (None, "")}

    def address(self, path: str, **more: str) -> str:
        """`path` with these filters, on the first page."""
        kept = {name: value for name, value in self.narrowing().items() if (name, value) != ("view", VIEWS[0])} | more
        return f"{path}?{urlencode(kept)}" if kept else path


@dataclass(frozen=True)
class Group:
    """Invoices that stand together; `name` is that of their contact where a sender has several for one address."""

    name: str | None
    rows: list[InvoiceRow]


def by_contact(rows: Sequence[InvoiceRow], sender: Sender) -> list[Group]:
    """The rows in their order, under their contacts' names where there are several."""
    if len(sender.contacts) < 2:
        return [Group(None, list(rows))]
    names = dict.fromkeys(row.contact_name for row in rows)
    return [Group(name, [row for row in rows if row.contact_name == name]) for name in names]


def dues_of(found: SenderInvoices) -> list[Due]:
    """What is to pay of a sender's invoices, in the currencies in which anything is."""
    return [Due(currency=total.currency, overdue=total.overdue, to_pay=total.unpaid) for total in found.totals if total.unpaid]


def filters_of(query: Mapping[str, str]) -> Filters:
    """The filters in an address."""
    page = query.get("page", "")
    return Filters(
        view=query.get("view", "") if query.get("view") in VIEWS else VIEWS[0],
        search=query.get("search", "").strip()[:LONGEST_SEARCH],
        contact=query.get("contact", "")[:LONGEST_SEARCH],
        date_from=date_of(query.get("date_from", "")),
        date_to=date_of(query.get("date_to", "")),
        page=int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 7 and int(page) else 1,
    )


async def signed_in_client(request: Request) -> Visitor:
    """The signed-in client. Raises ClientSignedOut."""
    known = await visitor(request, "sharing")
    if known is None:
        raise ClientSignedOut
    return known


Client = Annotated[Visitor, Depends(signed_in_client)]
PressedForm = Annotated[FormData, Depends(form_of("client"))]
router = APIRouter(route_class=ClientRoute)


@router.get("/invoices")
async def home(request: Request, client: Client) -> Response:
    """What there is to pay, to whom: overdue first, per sender and currency, never summed across currencies."""
    found = await services_of(request).sharing.client_home(client.token)
    groups = {sender.organisation_id: by_contact(sender.unpaid, sender) for sender in found.senders}
    today = {sender.organisation_id: sender.today for sender in found.senders}
    declined = "declined" in request.query_params
    return render(request, "client/home.html", client=client, home=found, groups=groups, today=today, declined=declined)


@router.get("/invoices/{organisation_id}")
async def sender(request: Request, organisation_id: str, client: Client) -> Response:
    """One sender's invoices. No access (any more) leads home, which says what is left."""
    filters = filters_of(request.query_params)
    try:
        found = await services_of(request).sharing.client_sender(client.token, organisation_id, filters.query())
    except NotFound:
        return RedirectResponse("/invoices", 303)
    return render(
        request,
        "client/sender.html",
        time_zone=found.sender.time_zone,
        client=client,
        sender=found.sender,
        found=found,
        groups=by_contact(found.invoices, found.sender),
        totals=dues_of(found),
        filters=filters,
        too_many=request.query_params.get("too_many"),
        last_paid=await _last_paid(request, organisation_id, client, found, filters),
    )


@router.get("/invoices/{organisation_id}/{invoice_id}/pdf")
async def pdf(request: Request, organisation_id: str, invoice_id: str, client: Client) -> Response:
    """Xero's own PDF of the stored version, which sharing has counted and granted; drawn from that version while Xero is away."""
    services = services_of(request)
    granted = await services.sharing.grant_pdf(client.token, organisation_id, invoice_id)
    try:
        content = await services.gateway.pdf(granted.token)
    except (Unavailable, Conflict):
        content = await asyncio.to_thread(draw, granted.shown, reader_of(request, granted.shown.sender.time_zone))
    name = file_name(granted.shown.invoice.number or "invoice", ending="pdf")
    return Response(content, media_type="application/pdf", headers=disposition("inline", name))


@router.get("/invoices/{organisation_id}/decline")
async def ask_before_declining(request: Request, organisation_id: str, client: Client) -> Response:
    """Asks before this address gives its access back, to everything of a sender or to one contact's invoices."""
    found = await services_of(request).sharing.client_sender(client.token, organisation_id, {})
    asked = request.query_params.get("contact")
    contact = next((one for one in found.sender.contacts if one.contact_id == asked), None)
    if asked and contact is None:  # that one ended meanwhile: pressing must not end the others
        return RedirectResponse(f"/invoices/{organisation_id}", 303)
    return render(request, "client/decline.html", client=client, sender=found.sender, contact=contact)


@router.post("/invoices/{organisation_id}/decline")
async def decline(request: Request, organisation_id: str, form: PressedForm, client: Client) -> Response:
    """Ends it before answering; pressed again it leads home the same."""
    with contextlib.suppress(NotFound):
        await services_of(request).sharing.decline(client.token, organisation_id, str(form.get("contact", ""))[:LONGEST_SEARCH])
    return RedirectResponse("/invoices?declined=1", 303)


@router.get("/invoices/{organisation_id}/{invoice_id}")
async def invoice(request: Request, organisation_id: str, invoice_id: str, client: Client) -> Response:
    """One invoice with its lines. Unknown, foreign and ended are the common 404; only arriving from a link leads home instead."""
    try:
        found = await services_of(request).sharing.client_invoice(client.token, organisation_id, invoice_id)
    except NotFound:
        if "arrived" in request.query_params:
            return RedirectResponse("/invoices", 303)
        raise
    return render(
        request,
        "client/invoice.html",
        time_zone=found.sender.time_zone,
        client=client,
        sender=found.sender,
        found=found,
        invoice=found.invoice,
        figures=figures_of(found.invoice),
    )


async def _last_paid(request: Request, organisation_id: str, client: Visitor, found: SenderInvoices, filters: Filters) -> date | None:
    """The day of the last payment when there is nothing to pay; None when one page of paid invoices cannot tell."""
    if found.invoices or filters.view != "to_pay" or filters.narrowed or not 0 < found.counts.paid <= PAGE_SIZE:
        return None
    paid = await services_of(request).sharing.client_sender(client.token, organisation_id, {"view": "paid"})
    return max((item.date for row in paid.invoices for item in row.payments if item.date), default=None)


def date_of(text: str) -> date | None:
    """A day in an address, None for what is no day."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None
