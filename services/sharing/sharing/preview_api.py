"""The routes for providers who look at the client's side: through a share, or by terms nothing was shared with yet."""

from __future__ import annotations

from datetime import date
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field, StringConstraints

from common.contracts.invoice_lists import View
from common.http import CurrentProvider, Db, Now
from common.identity import ProviderIdentity
from common.mongo import Database
from sharing import previews, store
from sharing.api import DefaultTimeZone, Page, Search, require_uuid, wanted_list
from sharing.client_views import OneInvoice, SenderInvoices
from sharing.models import Policy

router = APIRouter(prefix="/internal")


class Imagined(Policy):
    """What a share would show, and which part of the client's page is looked at."""

    view: View = "to_pay"
    search: Annotated[str, StringConstraints(max_length=200)] = ""
    page: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    date_from: date | None = None
    date_to: date | None = None


class WouldSee(BaseModel):
    """`shown` is None when nothing is stored of the contact; Xero has to be read then, and `hides_awaiting` heeded."""

    hides_awaiting: bool
    shown: SenderInvoices | None = None


class WouldSeeInvoice(BaseModel):
    """The same of one invoice."""

    hides_awaiting: bool
    shown: OneInvoice | None = None


@router.get("/organisations/{organisation_id}/shares/{share_id}/preview")
async def preview_sender(
    organisation_id: str,
    share_id: str,
    provider: CurrentProvider,
    db: Db,
    now: Now,
    time_zone: DefaultTimeZone,
    view: View = "to_pay",
    search: Search = "",
    page: Page = 1,
    date_from: date | None = None,
    date_to: date | None = None,
) -> SenderInvoices:
    wanted = wanted_list(view, search, page, date_from, date_to)
    return await previews.preview_sender(db, provider, share_id, wanted, now, time_zone)


@router.get("/organisations/{organisation_id}/shares/{share_id}/preview/{invoice_id}")
async def preview_invoice(
    organisation_id: str, share_id: str, invoice_id: str, provider: CurrentProvider, db: Db, now: Now, time_zone: DefaultTimeZone
) -> OneInvoice:
    return await previews.preview_invoice(db, provider, share_id, invoice_id, now, time_zone)


@router.post("/organisations/{organisation_id}/contacts/{contact_id}/preview")
async def preview_terms(
    organisation_id: str, contact_id: str, terms: Imagined, provider: CurrentProvider, db: Db, now: Now, time_zone: DefaultTimeZone
) -> WouldSee:
    """The client's page as a share of these terms would show it, before there is one. The look is written down."""
    require_uuid(contact_id)
    wanted = wanted_list(terms.view, terms.search, terms.page, terms.date_from, terms.date_to)
    shown = await previews.preview_terms(db, provider, contact_id, terms, wanted, now, time_zone)
    return WouldSee(hides_awaiting=await _hides(db, provider), shown=shown)


@router.post("/organisations/{organisation_id}/contacts/{contact_id}/preview/{invoice_id}")
async def preview_invoice_of_terms(
    organisation_id: str,
    contact_id: str,
    invoice_id: str,
    terms: Imagined,
    provider: CurrentProvider,
    db: Db,
    now: Now,
    time_zone: DefaultTimeZone,
) -> WouldSeeInvoice:
    """One invoice as a share of these terms would show it. 404 when something of the contact is stored and this is not shown."""
    require_uuid(contact_id)
    shown = await previews.preview_invoice_of_terms(db, provider, contact_id, invoice_id, terms, now, time_zone)
    return WouldSeeInvoice(hides_awaiting=await _hides(db, provider), shown=shown)


async def _hides(db: Database, provider: ProviderIdentity) -> bool:
    return bool(await store.list_hiding(db, [provider.organisation_id]))
