"""The routes for clients: what was shared with their address. Each asks for what is open to it now."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from common.http import CurrentClient, Db, Now, kept
from common.identity import Signer
from sharing import client_views, invitations
from sharing.api import DefaultTimeZone, Page, Search, wanted_list
from sharing.client_views import Home, OneInvoice, SenderInvoices

router = APIRouter(prefix="/internal")

ClientView = Literal["to_pay", "overdue", "paid", "all"]


Signing = Annotated[Signer, kept("signer")]
ContactChoice = Annotated[str | None, Query(max_length=100)]


async def _narrowed(
    view: ClientView = "to_pay", search: Search = "", date_from: date | None = None, date_to: date | None = None
) -> Mapping[str, Any]:
    return wanted_list(view, search, 1, date_from, date_to)


Narrowed = Annotated[Mapping[str, Any], Depends(_narrowed)]
"""Which rows of a sender's list are meant, from the first one on."""


class InvitationSender(BaseModel):
    organisation_id: str


class PdfGrant(BaseModel):
    """`token` is for xero-gateway and good for a minute; `shown` is what to draw while Xero is away."""

    token: str
    shown: OneInvoice


class Declined(BaseModel):
    """How many accesses ended."""

    declined: int


@router.get("/client/home")
async def show_home(client: CurrentClient, db: Db, now: Now, time_zone: DefaultTimeZone) -> Home:
    return await client_views.show_home(db, client.email, now, time_zone)


@router.get("/client/senders/{organisation_id}")
async def show_sender(
    organisation_id: str,
    client: CurrentClient,
    db: Db,
    now: Now,
    time_zone: DefaultTimeZone,
    narrowed: Narrowed,
    page: Page = 1,
    contact: ContactChoice = None,
) -> SenderInvoices:
    wanted = {**narrowed, "page": page}
    return await client_views.show_sender(db, client.email, organisation_id, contact or None, wanted, now, time_zone)


@router.get("/client/senders/{organisation_id}/invoices/{invoice_id}")
async def show_invoice(
    organisation_id: str, invoice_id: str, client: CurrentClient, db: Db, now: Now, time_zone: DefaultTimeZone
) -> OneInvoice:
    return await client_views.show_invoice(db, client.email, organisation_id, invoice_id, "opened", now, time_zone)


@router.post("/client/senders/{organisation_id}/invoices/{invoice_id}/pdf")
async def grant_pdf(
    organisation_id: str, invoice_id: str, client: CurrentClient, db: Db, now: Now, time_zone: DefaultTimeZone, signer: Signing
) -> PdfGrant:
    """Counts a download and gives the right to Xero's PDF of exactly the version that is stored, beside that version."""
    found = await client_views.show_invoice(db, client.email, organisation_id, invoice_id, "downloaded", now, time_zone)
    token = signer.pdf_token(
        "xero-gateway",
        organisation_id=organisation_id,
        contact_id=found.invoice.contact_id,
        invoice_id=invoice_id,
        updated_at=found.invoice.updated_at,
    )
    return PdfGrant(token=token, shown=found)


@router.get("/client/invitations/{token}")
async def find_sender_of_invitation(token: str, client: CurrentClient, db: Db) -> InvitationSender:
    return InvitationSender(organisation_id=await invitations.find_sender_of_invitation(db, client.email, token))


@router.post("/client/senders/{organisation_id}/decline")
async def decline_shares(organisation_id: str, client: CurrentClient, db: Db, contact: ContactChoice = None) -> Declined:
    """Nothing of this sender, or of one contact of it, was meant for this address."""
    return Declined(declined=await client_views.decline_shares(db, client.email, organisation_id, contact or None))
