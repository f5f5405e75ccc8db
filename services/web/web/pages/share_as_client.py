"""The client's side before anything is shared: exactly what the terms in the Share form would show, written down and counted nowhere."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from common.contracts.invoice_lists import Chosen
from common.contracts.timelines import timeline
from common.errors import NotFound
from web.client_models import OneInvoice, Sender, SenderContact, SenderInvoices, XeroInvoice
from web.clients import Behind, Services
from web.drafts import Draft
from web.models import query
from web.pages.invoice_figures import figures_of
from web.pages.portal import Filters, by_contact, dues_of, filters_of
from web.rendering import render
from web.visits import ContactId, CurrentVisit, InvoiceId, Visit

router = APIRouter()

AS_CLIENT = "/o/{org}/clients/{contact}/share/as-client"
TERMS = ("email", "what", "from_date", "ends_on", "picks")


@router.get(AS_CLIENT)
async def as_client(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId) -> Response:
    """The client's list, from what is stored, or from Xero where nothing is."""
    draft, filters = Draft.of(request.query_params), filters_of(request.query_params)
    terms = {**draft.policy(), **_part(filters)}
    found = await services.sharing.preview_terms(visit.sharing_token, visit.org, contact, terms)
    shown = found.shown or await _list_from_xero(services, visit, contact, draft, filters, hides=found.hides_awaiting)
    return render(
        request,
        "provider/as_client.html",
        **_frame(visit, contact, draft),
        path=request.url.path,
        kept=[(name, value) for name, value in request.query_params.items() if name in TERMS and value],
        sender=shown.sender,
        found=shown,
        groups=by_contact(shown.invoices, shown.sender),
        totals=dues_of(shown),
        filters=filters,
        last_paid=None,
    )


@router.get(f"{AS_CLIENT}/{{invoice}}")
async def invoice_as_client(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, invoice: InvoiceId) -> Response:
    """One invoice, the same way; one these terms would not show is the common 404."""
    draft = Draft.of(request.query_params)
    found = await services.sharing.preview_invoice_of_terms(visit.sharing_token, visit.org, contact, invoice, draft.policy())
    shown = found.shown or await _invoice_from_xero(services, visit, contact, invoice, draft, hides=found.hides_awaiting)
    return render(
        request,
        "provider/as_client.html",
        **_frame(visit, contact, draft),
        path=request.url.path.rpartition("/")[0],
        sender=shown.sender,
        found=shown,
        invoice=shown.invoice,
        figures=figures_of(shown.invoice),
    )


def _frame(visit: Visit, contact: str, draft: Draft) -> dict[str, Any]:
    """What the page says around the client's: nobody sees it yet, and the way back to the form as it was."""
    asked = f"?{draft.query()}" if draft.query() else ""
    back = f"/o/{visit.org}/clients/{contact}/share{asked}"
    return {**visit.frame(), "section": "clients", "seen_by": None, "back": back, "link_tail": asked}


async def _list_from_xero(services: Services, visit: Visit, contact: str, draft: Draft, filters: Filters, *, hides: bool) -> SenderInvoices:
    """The same list over what Xero holds now. Raises Unavailable and Conflict."""
    wanted = {**query(**_part(filters)), **draft.chosen(), "as_client": "true", "hides_awaiting": str(hides).lower()}
    found, name = await asyncio.gather(
        services.gateway.invoices(visit.gateway_token, visit.org, contact, wanted), _name(services, visit, contact)
    )
    return SenderInvoices(**dict(found), sender=_sender(visit, contact, name, found.as_of))


async def _invoice_from_xero(services: Services, visit: Visit, contact: str, invoice: str, draft: Draft, *, hides: bool) -> OneInvoice:
    """The same invoice as Xero holds it now. Raises NotFound for one these terms would not show."""
    found: XeroInvoice = await services.gateway.invoice(visit.gateway_token, visit.org, invoice)
    picked = frozenset(draft.invoices) if draft.what == "picked" else None
    if found.invoice.contact_id != contact or not Chosen(draft.shared_from, picked, hides).shows(found.invoice):
        raise NotFound
    return OneInvoice.model_validate(
        {
            **found.model_dump(exclude={"link"}),
            "sender": _sender(visit, contact, found.invoice.contact_name, found.as_of),
            "timeline": [one.model_dump() for one in timeline([found.invoice])],
        }
    )


async def _name(services: Services, visit: Visit, contact: str) -> str:
    return (await services.gateway.contact(visit.gateway_token, visit.org, contact)).name


def _sender(visit: Visit, contact: str, name: str, as_of: Any) -> Sender:
    return Sender(
        organisation_id=visit.org,
        name=visit.organisation.name,
        time_zone=visit.organisation.time_zone,
        contacts=[SenderContact(contact_id=contact, name=name)],
        as_of=as_of,
    )


def _part(filters: Filters) -> Mapping[str, Any]:
    """Which part of the list is looked at."""
    return {name: value for name, value in filters.query().items() if name != "contact"}
