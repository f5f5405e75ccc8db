"""One invoice and one access for the provider: what happened, who opened it, and the other side as the client sees it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response

from common.errors import Conflict, NotFound, ServiceError, Unavailable
from web.client_models import StoredInvoice, XeroInvoice
from web.clients import Behind, Services
from web.models import Share
from web.pages.invoice_figures import figures_of
from web.pages.portal import by_contact, dues_of, filters_of
from web.rendering import render
from web.visits import ContactId, CurrentVisit, InvoiceId, ShareId, Visit

router = APIRouter()

ACCESS = "/o/{org}/clients/{contact}/shares/{share}"


@router.get("/o/{org}/clients/{contact}/invoices/{invoice}")
async def invoice(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, invoice: InvoiceId) -> Response:
    """As Xero holds it now, or as it is stored with the reason why; history and openings as far as it was shared."""
    now, stored = await asyncio.gather(_from_xero(services, visit, contact, invoice), _stored(services, visit, contact, invoice))
    if isinstance(now, ServiceError) and stored is None:
        raise now
    shown: XeroInvoice | StoredInvoice = now if isinstance(now, XeroInvoice) else stored  # type: ignore[assignment]
    reason = now.code if isinstance(now, ServiceError) else None
    return render(
        request,
        "provider/invoice.html",
        **visit.frame(reason),
        section="clients",
        contact_id=contact,
        invoice=shown.invoice,
        figures=figures_of(shown.invoice),
        found={**dict(shown), "timeline": stored.timeline if stored else []},
        link=now.link if isinstance(now, XeroInvoice) else None,
        reason=reason,
        retry_after=now.retry_after if isinstance(now, ServiceError) else None,
        stored=stored is not None,
        viewings=stored.viewings if stored else [],
    )


@router.get("/o/{org}/clients/{contact}/invoices/{invoice}/online")
async def online(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, invoice: InvoiceId) -> Response:
    """Xero's own public page of an invoice, with what has to be known before its address is given to anybody."""
    found = await services.gateway.invoice(visit.gateway_token, visit.org, invoice)
    if found.invoice.contact_id != contact or not found.invoice.is_sale:
        raise NotFound
    address: str | None = None
    with contextlib.suppress(NotFound):
        address = await services.gateway.online_invoice(visit.gateway_token, visit.org, invoice)
    return render(
        request, "provider/online.html", **visit.frame(), section="clients", contact_id=contact, invoice=found.invoice, address=address
    )


@router.get(ACCESS)
async def access(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, share: ShareId) -> Response:
    """One access: how it stands, and what was opened through it."""
    found, viewings = await asyncio.gather(
        services.sharing.share(visit.sharing_token, visit.org, share), services.sharing.viewings(visit.sharing_token, visit.org, share)
    )
    return render(request, "provider/one_access.html", **visit.frame(), section="clients", share=found, viewings=viewings)


@router.get(f"{ACCESS}/as-client")
async def as_client(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, share: ShareId) -> Response:
    """The client's list as this access shows it."""
    filters = filters_of(request.query_params)
    wanted = {name: value for name, value in filters.query().items() if name != "contact"}
    shown, found = await asyncio.gather(
        services.sharing.share(visit.sharing_token, visit.org, share),
        services.sharing.preview_sender(visit.sharing_token, visit.org, share, wanted),
    )
    return render(
        request,
        "provider/as_client.html",
        **visit.frame(),
        section="clients",
        **_looking(visit, shown),
        path=request.url.path,
        sender=found.sender,
        found=found,
        groups=by_contact(found.invoices, found.sender),
        totals=dues_of(found),
        filters=filters,
        last_paid=None,
    )


@router.get(f"{ACCESS}/as-client/{{invoice}}")
async def invoice_as_client(
    request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, share: ShareId, invoice: InvoiceId
) -> Response:
    """One invoice as this access shows it."""
    shown, found = await asyncio.gather(
        services.sharing.share(visit.sharing_token, visit.org, share),
        services.sharing.preview_invoice(visit.sharing_token, visit.org, share, invoice),
    )
    return render(
        request,
        "provider/as_client.html",
        **visit.frame(),
        section="clients",
        **_looking(visit, shown),
        path=request.url.path.rpartition("/")[0],
        sender=found.sender,
        found=found,
        invoice=found.invoice,
        figures=figures_of(found.invoice),
    )


def _looking(visit: Visit, share: Share) -> dict[str, Any]:
    """What the page says around the client's: whose it is, and the way back to the access."""
    return {"seen_by": share.email, "back": f"/o/{visit.org}/clients/{share.contact_id}/shares/{share.id}"}


async def _from_xero(services: Services, visit: Visit, contact: str, invoice: str) -> XeroInvoice | ServiceError:
    """What Xero holds, or why it could not be read. An invoice of another contact, and a bill, are as unknown as one that is not there."""
    try:
        found = await services.gateway.invoice(visit.gateway_token, visit.org, invoice)
    except (Unavailable, Conflict, NotFound) as error:
        return error
    return found if found.invoice.contact_id == contact and found.invoice.is_sale else NotFound()


async def _stored(services: Services, visit: Visit, contact: str, invoice: str) -> StoredInvoice | None:
    try:
        return await services.sharing.stored_invoice(visit.sharing_token, visit.org, contact, invoice)
    except NotFound:
        return None
