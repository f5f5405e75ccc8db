"""The routes of sharing: for providers, for clients, for portal. Each admits one kind of caller and runs one use case."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, StringConstraints

from common.addresses import InvalidAddress, canonical
from common.contracts.invoice_lists import InvoiceList, View
from common.crypto import KeyRing
from common.errors import NotFound
from common.http import CurrentClient, CurrentProvider, Db, Now, caller
from common.identity import CallerIdentity
from sharing import client_views, contacts, invitations, shares, store
from sharing.client_views import Home, OneInvoice, SenderInvoices
from sharing.contacts import SharedClients
from sharing.errors import InvalidShareAddress
from sharing.invitations import PressedInvitation
from sharing.settings import Settings
from sharing.shares import Outcome, ShareView

router = APIRouter(prefix="/internal")


async def _ring(request: Request) -> KeyRing:
    ring: KeyRing = request.app.state.event_seal
    return ring


async def _time_zone(request: Request) -> str:
    settings: Settings = request.app.state.settings
    return settings.default_time_zone


Ring = Annotated[KeyRing, Depends(_ring)]
DefaultTimeZone = Annotated[str, Depends(_time_zone)]
Portal = Annotated[CallerIdentity, Depends(caller("portal"))]
Page = Annotated[int, Query(ge=1, le=1_000_000)]
Search = Annotated[str, Query(max_length=200)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
ClientView = Literal["to_pay", "overdue", "paid", "all"]


class NewShare(BaseModel):
    """Whom to give access, and what the contact is called in Xero now."""

    email: Annotated[str, StringConstraints(max_length=1000)]
    contact_name: Name


class InviteAnswer(BaseModel):
    share: ShareView
    outcome: Outcome


class ShareCounts(BaseModel):
    counts: dict[str, int]


class SharesOfContact(BaseModel):
    shares: list[ShareView]


class LiveShares(BaseModel):
    shares: list[ShareView]
    page: int
    page_size: int
    total: int


class Address(BaseModel):
    email: Annotated[str, StringConstraints(max_length=1000)]


class KnownAddress(BaseModel):
    """known: it was invited once, whatever became of that; live: how many accesses it has now."""

    known: bool
    live: int


class Invitation(BaseModel):
    invitation: Annotated[str, StringConstraints(max_length=200)]


class InvitationSender(BaseModel):
    organisation_id: str


# ── for providers


@router.get("/organisations/{organisation_id}/share-counts")
async def count_shares(
    organisation_id: str, provider: CurrentProvider, db: Db, contact_id: Annotated[list[str] | None, Query(max_length=200)] = None
) -> ShareCounts:
    asked = contact_id or []
    live = await store.count_live_shares(db, provider.organisation_id, asked)
    return ShareCounts(counts={contact: live.get(contact, 0) for contact in asked})


@router.get("/organisations/{organisation_id}/clients")
async def list_clients(organisation_id: str, provider: CurrentProvider, db: Db, search: Search = "", page: Page = 1) -> SharedClients:
    return await contacts.list_clients(db, provider.organisation_id, search.strip(), page)


@router.get("/organisations/{organisation_id}/shares")
async def list_live_shares(organisation_id: str, provider: CurrentProvider, db: Db, page: Page = 1) -> LiveShares:
    found, total = await store.list_live_shares(db, provider.organisation_id, page)
    return LiveShares(shares=await shares.view_shares(db, found), page=page, page_size=store.PAGE_SIZE, total=total)


@router.get("/organisations/{organisation_id}/shares/{share_id}")
async def show_share(organisation_id: str, share_id: str, provider: CurrentProvider, db: Db) -> ShareView:
    return await shares.view_share(db, provider, share_id)


@router.post("/organisations/{organisation_id}/shares/{share_id}/end")
async def end_share(organisation_id: str, share_id: str, provider: CurrentProvider, db: Db) -> ShareView:
    await db.transact(shares.end_share, provider, share_id)
    return await shares.view_share(db, provider, share_id)


@router.post("/organisations/{organisation_id}/shares/{share_id}/resend")
async def resend_invitation(organisation_id: str, share_id: str, provider: CurrentProvider, db: Db, ring: Ring) -> ShareView:
    await db.transact(invitations.resend_invitation, provider.organisation_id, share_id, ring)
    return await shares.view_share(db, provider, share_id)


@router.get("/organisations/{organisation_id}/contacts/{contact_id}/shares")
async def list_shares_of_contact(organisation_id: str, contact_id: str, provider: CurrentProvider, db: Db) -> SharesOfContact:
    found = await store.list_shares_of_contact(db, provider.organisation_id, contact_id)
    return SharesOfContact(shares=await shares.view_shares(db, found))


@router.post("/organisations/{organisation_id}/contacts/{contact_id}/shares", status_code=201)
async def invite_client(
    organisation_id: str, contact_id: str, wanted: NewShare, provider: CurrentProvider, db: Db, ring: Ring, response: Response
) -> InviteAnswer:
    _require_uuid(contact_id)
    share, outcome = await db.transact(shares.invite_client, provider, contact_id, wanted.email, wanted.contact_name, ring)
    response.status_code = 201 if outcome == "invited" else 200
    return InviteAnswer(share=await shares.view_share(db, provider, share.id), outcome=outcome)


@router.get("/organisations/{organisation_id}/contacts/{contact_id}/invoices")
async def list_stored_invoices(
    organisation_id: str,
    contact_id: str,
    provider: CurrentProvider,
    db: Db,
    now: Now,
    time_zone: DefaultTimeZone,
    view: View = "unpaid",
    search: Search = "",
    page: Page = 1,
    date_from: date | None = None,
    date_to: date | None = None,
) -> InvoiceList:
    wanted = _wanted(view, search, page, date_from, date_to)
    return await contacts.list_stored_invoices(db, provider.organisation_id, contact_id, wanted, now, time_zone)


# ── for clients


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
    view: ClientView = "to_pay",
    search: Search = "",
    page: Page = 1,
    contact: Annotated[str | None, Query(max_length=100)] = None,
    date_from: date | None = None,
    date_to: date | None = None,
) -> SenderInvoices:
    wanted = _wanted(view, search, page, date_from, date_to)
    return await client_views.show_sender(db, client.email, organisation_id, contact or None, wanted, now, time_zone)


@router.get("/client/senders/{organisation_id}/invoices/{invoice_id}")
async def show_invoice(
    organisation_id: str, invoice_id: str, client: CurrentClient, db: Db, now: Now, time_zone: DefaultTimeZone
) -> OneInvoice:
    return await client_views.show_invoice(db, client.email, organisation_id, invoice_id, now, time_zone)


@router.get("/client/invitations/{token}")
async def find_sender_of_invitation(token: str, client: CurrentClient, db: Db) -> InvitationSender:
    return InvitationSender(organisation_id=await invitations.find_sender_of_invitation(db, client.email, token))


# ── for portal


@router.post("/addresses/lookup")
async def look_up_address(asked: Address, portal: Portal, db: Db) -> KnownAddress:
    try:
        email = canonical(asked.email)
    except InvalidAddress as error:
        raise InvalidShareAddress(str(error)) from error
    return KnownAddress(known=await store.was_ever_invited(db, email), live=len(await store.list_open_shares(db, email)))


@router.post("/invitations/press")
async def press_invitation(pressed: Invitation, portal: Portal, db: Db) -> PressedInvitation:
    return await db.transact(invitations.press_invitation, pressed.invitation)


def _wanted(view: View, search: str, page: int, date_from: date | None, date_to: date | None) -> dict[str, Any]:
    return {"view": view, "search": search, "page": page, "date_from": date_from, "date_to": date_to}


def _require_uuid(contact_id: str) -> None:
    """Xero's ids are UUIDs in lower case; anything else is as unknown as a contact that does not exist."""
    try:
        known = str(UUID(contact_id)) == contact_id
    except ValueError:
        known = False
    if not known:
        raise NotFound
