"""The routes: what providers read of Xero, and the webhook."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request, Response
from prometheus_client import Counter
from pydantic import BaseModel

from common.contracts.invoice_lists import MOST_PICKED, Chosen, InvoiceList, View, list_as_client, list_invoices
from common.contracts.xero_gateway import Invoice, Standing
from common.errors import NotFound, Unavailable
from common.http import CurrentPdf, CurrentProvider, Db, Now, kept
from common.logging import get_logger
from xero_gateway import organisations, pdfs, store
from xero_gateway.budget import Budget
from xero_gateway.call_limits import Limit
from xero_gateway.connection_check import Outcome, try_connection
from xero_gateway.invoice_reader import InvoiceReader
from xero_gateway.models import ContactPerson
from xero_gateway.settings import Settings
from xero_gateway.webhooks import LARGEST_BODY, is_signed, read_webhook
from xero_gateway.xero import LONGEST_SEARCH, PDF, Xero

PAGE_SIZE = 50
WEBHOOKS = Counter("xero_webhooks_total", "Webhooks by what became of them", ["outcome"])
router = APIRouter()
log = get_logger()

Page = Annotated[int, Query(ge=1, le=1_000_000)]
Search = Annotated[str, Query(max_length=LONGEST_SEARCH)]


XeroOf = Annotated[Xero, kept("xero")]
BudgetOf = Annotated[Budget, kept("budget")]
InvoicesOf = Annotated[InvoiceReader, kept("invoice_reader")]
SettingsOf = Annotated[Settings, kept("settings")]


async def _chosen(
    shared_from: date | None = None, picked: Annotated[list[str] | None, Query(max_length=MOST_PICKED)] = None, hides_awaiting: bool = False
) -> Chosen:
    return Chosen(shared_from, None if picked is None else frozenset(picked), hides_awaiting)


ChosenInvoices = Annotated[Chosen, Depends(_chosen)]


class ContactRow(BaseModel):
    """A contact in a list."""

    id: str
    name: str
    email: str | None
    number: str | None
    is_customer: bool
    is_supplier: bool


class ContactList(BaseModel):
    contacts: list[ContactRow]
    page: int
    page_size: int
    total: int


class ContactView(BaseModel):
    """One contact with the further persons Xero holds for it; status in Xero's words."""

    id: str
    name: str
    email: str | None
    number: str | None
    status: str
    persons: list[ContactPerson]


class InvoiceView(BaseModel):
    """One invoice or bill in full, as it was in Xero at `as_of`; `link` leads to it in Xero."""

    invoice: Invoice
    standing: Standing
    today: date
    as_of: datetime
    link: str


class OnlineInvoiceView(BaseModel):
    """The public address Xero gives an invoice. Whoever has it sees the invoice, so it is for providers only."""

    url: str


class CallsView(BaseModel):
    """Calls to Xero left today, of those a day has; None before the first call. `resets_at` where it is known.

    `paused` names the limit because of which Xero is not asked until `paused_until`.
    """

    left: int | None
    a_day: int
    resets_at: datetime | None
    paused: Limit | None
    paused_until: datetime | None


class LoadView(BaseModel):
    """How far a first load is: invoices stored of total, and why it waits, if it does.

    When it waits for a limit of Xero's, `limit` names it and `continues_at` says about when it goes on, where that is known.
    """

    state: Literal["loading", "waiting", "complete", "cancelled"]
    stored: int
    total: int | None
    waiting_since: datetime | None
    reason: str | None
    limit: Limit | None
    continues_at: datetime | None
    calls_a_day: int


class UpdatesView(BaseModel):
    """How changes in Xero come here. `instant`: webhooks reach this installation; the schedule is kept beside them in any case.

    `checked_at` is None before Xero was first asked what changed, and while nothing of the organisation is shared.
    """

    instant: bool
    last_webhook_at: datetime | None
    checked_at: datetime | None
    checked_every_seconds: int


@router.get("/internal/organisations/{organisation_id}/contacts")
async def get_contacts(organisation_id: str, _: CurrentProvider, db: Db, xero: XeroOf, search: Search = "", page: Page = 1) -> ContactList:
    found = await xero.find_contacts(db, organisation_id, search.strip(), page, PAGE_SIZE)
    rows = [ContactRow.model_validate(contact.model_dump()) for contact in found.contacts]
    return ContactList(contacts=rows, page=page, page_size=PAGE_SIZE, total=found.total)


@router.get("/internal/organisations/{organisation_id}/contacts/{contact_id}")
async def get_contact(organisation_id: str, contact_id: str, _: CurrentProvider, db: Db, invoices: InvoicesOf) -> ContactView:
    found = await invoices.contact_of(db, organisation_id, contact_id)
    return ContactView.model_validate(found.model_dump())


@router.get("/internal/organisations/{organisation_id}/contacts/{contact_id}/invoices")
async def get_invoices(
    organisation_id: str,
    contact_id: str,
    _: CurrentProvider,
    db: Db,
    now: Now,
    invoices: InvoicesOf,
    settings: SettingsOf,
    chosen: ChosenInvoices,
    view: View = "unpaid",
    search: Search = "",
    page: Page = 1,
    date_from: date | None = None,
    date_to: date | None = None,
    as_client: bool = False,
) -> InvoiceList:
    """`as_client`: what a client would see of what is chosen, instead of everything with what is chosen counted beside it."""
    as_of, found = await invoices.list_of(db, organisation_id, contact_id)
    today = await organisations.today_of(db, organisation_id, now, settings.default_time_zone)
    wanted: dict[str, Any] = {"view": view, "search": search, "page": page, "date_from": date_from, "date_to": date_to, "as_of": as_of}
    if as_client:
        return list_as_client(found, today, chosen, **wanted)
    return list_invoices(found, today, **wanted, chosen=chosen, link=lambda it: settings.xero_deep_link.format(invoice_id=it.invoice_id))


@router.get("/internal/organisations/{organisation_id}/invoices/{invoice_id}")
async def get_invoice(
    organisation_id: str, invoice_id: str, _: CurrentProvider, db: Db, now: Now, xero: XeroOf, settings: SettingsOf
) -> InvoiceView:
    found = await xero.invoice(db, organisation_id, invoice_id)
    today = await organisations.today_of(db, organisation_id, now, settings.default_time_zone)
    link = settings.xero_deep_link.format(invoice_id=found.invoice.invoice_id)
    standing = found.invoice.standing(today)
    return InvoiceView(invoice=found.invoice, standing=standing, today=today, as_of=found.read_at, link=link)


@router.get("/internal/organisations/{organisation_id}/invoices/{invoice_id}/online")
async def get_online_invoice(organisation_id: str, invoice_id: str, _: CurrentProvider, db: Db, xero: XeroOf) -> OnlineInvoiceView:
    return OnlineInvoiceView(url=await xero.online_invoice(db, organisation_id, invoice_id))


@router.get("/internal/invoice-pdf")
async def get_pdf(right: CurrentPdf, db: Db, xero: XeroOf, kept: bool = False) -> Response:
    """The PDF the capability names; `kept`: only if no call to Xero is needed. Nothing else of the request is looked at."""
    return Response(await pdfs.pdf_of(db, xero, right, only_kept=kept), media_type=PDF)


@router.get("/internal/organisations/{organisation_id}/calls")
async def get_calls(organisation_id: str, _: CurrentProvider, db: Db, budget: BudgetOf) -> CallsView:
    found = await budget.calls_left(db, organisation_id)
    until = found.paused_until if found.paused else None
    return CallsView(left=found.day_left, a_day=found.a_day, resets_at=found.day_resets_at, paused=found.paused, paused_until=until)


class CheckView(BaseModel):
    """What a test of the connection found."""

    outcome: Outcome


@router.post("/internal/organisations/{organisation_id}/connection-test")
async def check_connection(organisation_id: str, _: CurrentProvider, db: Db, xero: XeroOf) -> CheckView:
    return CheckView(outcome=await try_connection(db, xero, organisation_id))


@router.get("/internal/organisations/{organisation_id}/loads/{load_id}")
async def get_load(organisation_id: str, load_id: str, _: CurrentProvider, db: Db, budget: BudgetOf) -> LoadView:
    load = await store.find_load(db, organisation_id, load_id)
    if load is None:
        raise NotFound
    left = await budget.calls_left(db, organisation_id)
    return LoadView(
        state=load.shown_state,
        stored=load.stored,
        total=load.total,
        waiting_since=load.waiting_since,
        reason=load.reason,
        limit=load.limit,
        continues_at={"day": left.day_resets_at, "minute": load.due_at}.get(load.limit or ""),
        calls_a_day=left.a_day,
    )


@router.get("/internal/organisations/{organisation_id}/updates")
async def get_updates(organisation_id: str, _: CurrentProvider, db: Db, settings: SettingsOf) -> UpdatesView:
    arrivals = await store.find_arrivals(db)
    return UpdatesView(
        instant=arrivals.reach_us(await db.now()),
        last_webhook_at=arrivals.last_at,
        checked_at=await store.find_last_pass(db, organisation_id),
        checked_every_seconds=settings.reconcile_seconds,
    )


@router.post("/webhooks/xero")
async def receive_webhook(request: Request, db: Db, settings: SettingsOf) -> Response:
    """Checks the signature of the raw bytes, then stores what it tells in one write. Every answer is empty.

    200 taken, 401 not signed by Xero, 413 too large to be a webhook, 503 could not be stored: Xero sends it again.
    """
    body = await _limited_body(request)
    if body is None:
        return _answered("too_large", 413)
    if not is_signed(body, request.headers.get("x-xero-signature", ""), settings.webhook_keys):
        return _answered("not_signed", 401)
    try:
        webhook = read_webhook(body)
    except ValueError:
        log.error("webhook.unreadable", size=len(body))
        return _answered("unreadable", 200)
    try:
        await store.add_webhook(db, webhook)
    except Unavailable:
        return _answered("not_stored", 503)
    db.notify()
    return _answered("taken", 200)


def _answered(outcome: str, status: int) -> Response:
    WEBHOOKS.labels(outcome).inc()
    return Response(status_code=status)


async def _limited_body(request: Request) -> bytes | None:
    """None when it is larger than a webhook may be: refused before reading where the length is told, else while reading."""
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > LARGEST_BODY:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST_BODY:
            return None
    return bytes(body)
