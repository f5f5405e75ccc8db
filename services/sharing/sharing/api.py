"""The routes for providers and for portal. Each admits one kind of caller and runs one use case; client_api has those for clients."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, datetime
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, Field, StringConstraints

from common.contracts.invoice_lists import MOST_PICKED, InvoiceList, View
from common.crypto import KeyRing
from common.errors import NotFound, ServiceError, Unprocessable
from common.http import CurrentProvider, Db, Now, caller, kept
from common.identity import CallerIdentity, ProviderIdentity
from common.mongo import Database
from sharing import contacts, invitations, merges, share_views, shares, store, timelines
from sharing.contacts import SharedClients
from sharing.errors import InvalidShareAddress
from sharing.invitations import PressedInvitation
from sharing.models import Policy, Share
from sharing.settings import Settings
from sharing.share_views import AddressUse, ShareView, StoredInvoice, ViewingView
from sharing.shares import Outcome, Terms
from sharing.timeline_store import Place, VersionPlace
from sharing.timelines import Kind, Timeline

router = APIRouter(prefix="/internal")


async def _time_zone(request: Request) -> str:
    settings: Settings = request.app.state.settings
    return settings.default_time_zone


async def _below(before: Annotated[str, Query(max_length=300)] = "") -> Place | None:
    """A place in a timeline, as `next` named it."""
    try:
        below = Place.read(before) if before else None
        if below:
            VersionPlace.read(below)
    except ValueError as error:
        raise Unprocessable("That names no place in a timeline.") from error
    return below


Ring = Annotated[KeyRing, kept("event_seal")]
DefaultTimeZone = Annotated[str, Depends(_time_zone)]
Portal = Annotated[CallerIdentity, Depends(caller("portal"))]
Page = Annotated[int, Query(ge=1, le=1_000_000)]
Search = Annotated[str, Query(max_length=200)]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
Typed = Annotated[str, StringConstraints(max_length=1000)]
ShareIds = Annotated[list[Annotated[str, StringConstraints(max_length=40)]], Field(min_length=1, max_length=store.PAGE_SIZE)]
SomeIds = Annotated[list[str] | None, Query(max_length=store.PAGE_SIZE)]
MOST_ADDRESSES = 20
MOST_ENTRIES = 500
"""Of a timeline at once: a file is read in larger pieces than a page."""


class NewShares(Policy):
    """Whom to give access to what, until which day, and what the contact is called in Xero now."""

    emails: Annotated[list[Typed], Field(min_length=1, max_length=MOST_ADDRESSES)]
    contact_name: Name
    ends_on: date | None = None


class Invited(BaseModel):
    """What became of one address as it was typed; `reason` is the code of a refusal, `share` missing with it."""

    email: str
    outcome: Outcome | Literal["refused"]
    reason: str | None = None
    share: ShareView | None = None


class InviteAnswer(BaseModel):
    results: list[Invited]


class Awaiting(BaseModel):
    """Whether clients see no invoice that awaits approval."""

    hidden: bool


class SharesToEnd(BaseModel):
    share_ids: ShareIds


class Ended(BaseModel):
    """What became of one share: `ended_at` is None when there is no such share or it could not be ended now, and `reason` says which."""

    share_id: str
    ended_at: datetime | None = None
    reason: str | None = None


class EndedShares(BaseModel):
    results: list[Ended]


class NewName(BaseModel):
    """What the contact that gains the accesses is called in Xero now."""

    contact_name: Name


class Carried(BaseModel):
    """The accesses that go on with the other contact."""

    shares: list[ShareView]


class Viewings(BaseModel):
    viewings: list[ViewingView]


class AddressUses(BaseModel):
    uses: list[AddressUse]


class ShareCounts(BaseModel):
    counts: dict[str, int]


class SharesOfContact(BaseModel):
    shares: list[ShareView]


class Shares(BaseModel):
    shares: list[ShareView]
    page: int
    page_size: int
    total: int


class Address(BaseModel):
    email: Typed


class Addresses(BaseModel):
    """In canonical form."""

    emails: Annotated[list[Typed], Field(max_length=100)]


class Holding(BaseModel):
    """Those of the addresses asked for that hold any live access."""

    holding: list[str]


class KnownAddress(BaseModel):
    """known: it was invited once, whatever became of that; live: how many accesses it has now."""

    known: bool
    live: int


class Invitation(BaseModel):
    invitation: Annotated[str, StringConstraints(max_length=200)]


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
async def list_shares(organisation_id: str, provider: CurrentProvider, db: Db, page: Page = 1, id: SomeIds = None) -> Shares:
    """Every live access, page by page; or those with these ids, live or ended."""
    if id:
        found = await store.list_shares(db, provider.organisation_id, id)
        total = len(found)
    else:
        found, total = await store.list_live_shares(db, provider.organisation_id, page)
    return Shares(shares=await share_views.view_shares(db, found), page=page, page_size=store.PAGE_SIZE, total=total)


@router.get("/organisations/{organisation_id}/awaiting")
async def show_awaiting(organisation_id: str, provider: CurrentProvider, db: Db) -> Awaiting:
    return Awaiting(hidden=bool(await store.list_hiding(db, [provider.organisation_id])))


@router.post("/organisations/{organisation_id}/awaiting", status_code=204)
async def hide_awaiting(organisation_id: str, wanted: Awaiting, provider: CurrentProvider, db: Db, ring: Ring) -> None:
    """Shown again, they may be what somebody waits for: those are invited, contact by contact, each in its own transaction."""
    await db.transact(store.hide_awaiting, provider.organisation_id, wanted.hidden)
    after = ""
    while not wanted.hidden and (waiting := await store.list_waiting_contact_ids(db, provider.organisation_id, after)):
        for contact_id in waiting:
            await db.transact(invitations.invite_waiting_of, provider.organisation_id, contact_id, ring)
        after = waiting[-1]


@router.get("/organisations/{organisation_id}/shares/{share_id}")
async def show_share(organisation_id: str, share_id: str, provider: CurrentProvider, db: Db) -> ShareView:
    return await share_views.view_share(db, provider, share_id)


@router.post("/organisations/{organisation_id}/shares/{share_id}/end")
async def revoke_share(organisation_id: str, share_id: str, provider: CurrentProvider, db: Db) -> ShareView:
    await db.transact(shares.revoke_share, provider, share_id)
    return await share_views.view_share(db, provider, share_id)


@router.post("/organisations/{organisation_id}/shares/end")
async def revoke_shares(organisation_id: str, wanted: SharesToEnd, provider: CurrentProvider, db: Db) -> EndedShares:
    """Each in its own transaction, so that one that cannot be ended keeps no other from ending."""
    return EndedShares(results=[await _revoked(db, provider, share_id) for share_id in dict.fromkeys(wanted.share_ids)])


@router.get("/organisations/{organisation_id}/address-uses")
async def list_uses(
    organisation_id: str, provider: CurrentProvider, db: Db, email: Annotated[list[str], Query(max_length=MOST_ADDRESSES)]
) -> AddressUses:
    """Where these addresses have access already; what is no address has none."""
    known = [address for address in (_address_or_none(text) for text in email) if address]
    return AddressUses(uses=await share_views.list_uses(db, provider, known))


@router.post("/organisations/{organisation_id}/shares/{share_id}/resend")
async def resend_invitation(organisation_id: str, share_id: str, provider: CurrentProvider, db: Db, ring: Ring) -> ShareView:
    await db.transact(invitations.resend_invitation, provider.organisation_id, share_id, ring)
    return await share_views.view_share(db, provider, share_id)


@router.get("/organisations/{organisation_id}/contacts/{contact_id}/shares")
async def list_shares_of_contact(organisation_id: str, contact_id: str, provider: CurrentProvider, db: Db) -> SharesOfContact:
    found = await store.list_shares_of_contact(db, provider.organisation_id, contact_id)
    return SharesOfContact(shares=await share_views.view_shares(db, found))


@router.post("/organisations/{organisation_id}/contacts/{contact_id}/shares")
async def invite_clients(
    organisation_id: str,
    contact_id: str,
    wanted: NewShares,
    provider: CurrentProvider,
    db: Db,
    ring: Ring,
    time_zone: DefaultTimeZone,
) -> InviteAnswer:
    """Each address in its own transaction, with a result of its own. What stops the first one is the answer to all."""
    require_uuid(contact_id)
    policy = Policy(from_date=wanted.from_date, invoice_ids=wanted.invoice_ids)
    terms = Terms(policy, wanted.ends_on, time_zone)
    results: dict[str, Invited] = {}
    for email in wanted.emails:
        known = _address_or_none(email) or email
        if known not in results:
            invite = partial(db.transact, shares.invite_client, provider, contact_id, email, wanted.contact_name, terms, ring)
            results[known] = await _invited(db, email, invite, is_first=not results)
    return InviteAnswer(results=list(results.values()))


@router.post("/organisations/{organisation_id}/contacts/{contact_id}/carry-over")
async def carry_over(
    organisation_id: str, contact_id: str, wanted: NewName, provider: CurrentProvider, db: Db, ring: Ring, time_zone: DefaultTimeZone
) -> Carried:
    """Every live access of a contact that was merged into another, each in its own transaction. Pressed again it does the rest."""
    found = await merges.list_to_carry(db, provider.organisation_id, contact_id)
    carried = [await db.transact(merges.carry_over, provider, share.id, wanted.contact_name, time_zone, ring) for share in found]
    return Carried(shares=await share_views.view_shares(db, [share for share in carried if share is not None]))


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
    shared_from: date | None = None,
    picked: Annotated[list[str] | None, Query(max_length=MOST_PICKED)] = None,
) -> InvoiceList:
    """`shared_from` and `picked`: what a share would show is counted beside the rows."""
    wanted = wanted_list(view, search, page, date_from, date_to)
    policy = Policy(from_date=shared_from, invoice_ids=tuple(picked) if picked else None)
    return await contacts.list_stored_invoices(db, provider.organisation_id, contact_id, policy, wanted, now, time_zone)


@router.get("/organisations/{organisation_id}/contacts/{contact_id}/invoices/{invoice_id}")
async def show_stored_invoice(
    organisation_id: str, contact_id: str, invoice_id: str, provider: CurrentProvider, db: Db, now: Now, time_zone: DefaultTimeZone
) -> StoredInvoice:
    return await share_views.show_stored_invoice(db, provider, contact_id, invoice_id, now, time_zone)


@router.get("/organisations/{organisation_id}/shares/{share_id}/viewings")
async def list_viewings(organisation_id: str, share_id: str, provider: CurrentProvider, db: Db) -> Viewings:
    return Viewings(viewings=await share_views.list_viewings(db, provider, share_id))


@router.get("/organisations/{organisation_id}/contacts/{contact_id}/timeline")
async def show_timeline(
    organisation_id: str,
    contact_id: str,
    provider: CurrentProvider,
    db: Db,
    kind: Kind | None = None,
    below: Annotated[Place | None, Depends(_below)] = None,
    limit: Annotated[int, Query(ge=1, le=MOST_ENTRIES)] = store.PAGE_SIZE,
) -> Timeline:
    """Newest first; `next` of an answer is `before` of the following page. A foreign or unknown contact has nothing."""
    return await timelines.show_timeline(db, provider.organisation_id, contact_id, kind, below, limit)


# ── for portal


@router.post("/addresses/lookup")
async def look_up_address(asked: Address, portal: Portal, db: Db) -> KnownAddress:
    email = shares.address_of(asked.email)
    return KnownAddress(known=await store.was_ever_invited(db, email), live=len(await store.list_open_shares(db, email)))


@router.post("/addresses/holding")
async def list_holding(asked: Addresses, portal: Portal, db: Db) -> Holding:
    return Holding(holding=await store.list_holding(db, asked.emails))


@router.post("/invitations/press")
async def press_invitation(pressed: Invitation, portal: Portal, db: Db) -> PressedInvitation:
    return await db.transact(invitations.press_invitation, pressed.invitation)


def wanted_list(view: View, search: str, page: int, date_from: date | None, date_to: date | None) -> dict[str, Any]:
    """As `list_invoices` takes it."""
    return {"view": view, "search": search, "page": page, "date_from": date_from, "date_to": date_to}


async def _invited(db: Database, email: str, invite: Callable[[], Awaitable[tuple[Share, Outcome]]], *, is_first: bool) -> Invited:
    try:
        share, outcome = await invite()
    except InvalidShareAddress as error:
        return Invited(email=email, outcome="refused", reason=error.code)
    except ServiceError as error:
        if is_first:
            raise
        return Invited(email=email, outcome="refused", reason=error.code)
    (view,) = await share_views.view_shares(db, [share])
    return Invited(email=email, outcome=outcome, share=view)


async def _revoked(db: Database, provider: ProviderIdentity, share_id: str) -> Ended:
    try:
        share = await db.transact(shares.revoke_share, provider, share_id)
    except ServiceError as error:
        return Ended(share_id=share_id, reason=error.code)
    return Ended(share_id=share_id, ended_at=share.ended_at)


def _address_or_none(text: str) -> str | None:
    try:
        return shares.address_of(text)
    except InvalidShareAddress:
        return None


def require_uuid(contact_id: str) -> None:
    """Xero's ids are UUIDs in lower case; anything else is as unknown as a contact that does not exist."""
    try:
        known = str(UUID(contact_id)) == contact_id
    except ValueError:
        known = False
    if not known:
        raise NotFound
