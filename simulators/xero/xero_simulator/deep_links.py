"""Addresses of Xero's own web pages, so that "Open in Xero" leads somewhere: a plain page of the document."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from xero_simulator import ledger
from xero_simulator.back_office import show_invoice
from xero_simulator.pages import page
from xero_simulator.simulator import Running

router = APIRouter(include_in_schema=False)


@router.get("/app/{short_code}/invoicing/view/{invoice_id}")
async def invoice_of_organisation(request: Request, simulator: Running, short_code: str, invoice_id: str) -> Response:
    """404 when the invoice is another organisation's."""
    organisation = ledger.organisation(simulator.store, short_code)
    if ledger.invoice(simulator.store, invoice_id.lower()).organisation != organisation.id:
        raise ledger.NotFound(f"{organisation.name} has no such invoice")
    return show_invoice(request, simulator, invoice_id)


@router.get("/AccountsReceivable/View.aspx")
async def invoice(request: Request, simulator: Running) -> Response:
    given = {name.lower(): value for name, value in request.query_params.items()}
    return show_invoice(request, simulator, given.get("invoiceid", ""))


@router.get("/app/{short_code}/contacts")
async def contacts_of_organisation(simulator: Running, short_code: str) -> Response:
    return RedirectResponse(f"/back-office/organisations/{ledger.organisation(simulator.store, short_code).key}", 303)


@router.get("/app/{short_code}/contacts/contact/{contact_id}")
async def contact(simulator: Running, short_code: str, contact_id: str) -> Response:
    ledger.organisation(simulator.store, short_code)
    return RedirectResponse(f"/back-office/contacts/{ledger.contact(simulator.store, contact_id.lower()).id}", 303)


@router.get("/Contacts/View/{contact_id}")
async def contact_alone(simulator: Running, contact_id: str) -> Response:
    return RedirectResponse(f"/back-office/contacts/{ledger.contact(simulator.store, contact_id.lower()).id}", 303)


@router.get("/Contacts")
async def contacts() -> Response:
    return RedirectResponse("/back-office", 303)


@router.get("/online/{invoice_id}")
async def online_invoice(request: Request, simulator: Running, invoice_id: str) -> Response:
    """What a customer of Xero sees behind an online invoice link: public, without login."""
    shown = ledger.invoice(simulator.store, invoice_id)
    values = {"invoice": shown, "contact": ledger.contact(simulator.store, shown.contact)}
    return page(request, "online.html", {**values, "organisation": ledger.organisation(simulator.store, shown.organisation)})
