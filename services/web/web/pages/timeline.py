"""The timeline of a client: what was shared, mailed, opened, paid and changed, as a page and as a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal
from gettext import gettext as _
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from common.clock import local_date
from common.errors import Conflict, Unavailable
from web.client_models import Happening, TimelineEntry
from web.clients import Behind, Services
from web.papers import CSV, csv_of, disposition, exact, file_name, kind_of
from web.rendering import reader_of, render
from web.visits import ContactId, CurrentVisit, Visit

router = APIRouter()
PAGE = "/o/{org}/clients/{contact}/timeline"
KINDS = ("shares", "mails", "openings", "payments", "changes")
ROWS_AT_ONCE = 500
MOST_ROWS = 5000


@router.get(PAGE)
async def timeline(
    request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, kind: str = "", before: str = "", too_many: str = ""
) -> Response:
    """One page of what happened, the newest first; `kind` narrows it, `before` is where it begins."""
    kind = kind if kind in KINDS else ""
    found = await services.sharing.timeline(visit.sharing_token, visit.org, contact, kind=kind, before=before)
    return render(
        request,
        "provider/timeline.html",
        **visit.frame(),
        section="clients",
        contact_id=contact,
        name=found.contact_name or await _name(services, visit, contact),
        found=found,
        kind=kind,
        begun=not before,
        too_many=MOST_ROWS if too_many else None,
    )


@router.get(f"{PAGE}.csv")
async def timeline_csv(request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, kind: str = "") -> Response:
    """Everything of this kind, or of all. Too much leads back to the page, which says so."""
    kind = kind if kind in KINDS else ""
    entries: list[TimelineEntry] = []
    before: str | None = ""
    name: str | None = None
    while before is not None:
        found = await services.sharing.timeline(visit.sharing_token, visit.org, contact, kind=kind, before=before, limit=ROWS_AT_ONCE)
        entries += found.entries
        before, name = found.next, found.contact_name
        if len(entries) > MOST_ROWS:
            narrowed = f"kind={kind}&" if kind else ""
            return RedirectResponse(f"{request.url.path.removesuffix('.csv')}?{narrowed}too_many=csv", 303)
    reader = reader_of(request, visit.organisation.time_zone)
    today = local_date(reader.now, reader.time_zone).isoformat()
    whose = name or await _name(services, visit, contact)
    rows = csv_of(_head(), _rows(entries, ZoneInfo(reader.time_zone)))
    return StreamingResponse(rows, media_type=CSV, headers=disposition("attachment", file_name(whose, _("timeline"), today, ending="csv")))


async def _name(services: Services, visit: Visit, contact: str) -> str:
    """Of a client never shared with, as Xero has it; “” when it cannot be asked. Raises NotFound when Xero has no such contact."""
    try:
        return (await services.gateway.contact(visit.gateway_token, visit.org, contact)).name
    except (Unavailable, Conflict):
        return ""


def _head() -> list[str]:
    about = [_("Time"), _("What"), _("Address"), _("By"), _("Invoice"), _("Dated")]
    return [*about, _("Currency"), _("Amount"), _("To pay"), _("Detail")]


def _rows(entries: Sequence[TimelineEntry], zone: ZoneInfo) -> Iterator[list[str | Decimal]]:
    for entry in entries:
        moment = entry.at.astimezone(zone).isoformat(timespec="seconds")
        by = (entry.by.name or entry.by.email or _("a former colleague")) if entry.by else ""
        yield [moment, _what(entry), entry.email or "", by, _invoice(entry), *_figures(entry), _detail(entry)]


def _what(entry: TimelineEntry) -> str:
    words = {
        "shared": _("Access given"),
        "ended": _("Access ended"),
        "queued": _("Invitation queued"),
        "sent": _("Invitation handed to the mail server"),
        "failed": _("Invitation not delivered"),
        "returned": _("Invitation returned"),
        "pressed": _("Invitation opened"),
        "signed_in": _("Signed in for the first time"),
        "opened": _("Opened"),
        "downloaded": _("Downloaded"),
    }
    if entry.happening:
        return _happened(entry.happening)
    return words.get(entry.access or entry.mail or entry.doing or "", entry.kind)


def _happened(happening: Happening) -> str:
    words = {
        "issued": _("Issued"),
        "awaiting": _("Written, awaiting approval"),
        "approved": _("Approved"),
        "voided": _("Voided, nothing to pay"),
        "settled": kind_of(happening.settlement or "payment"),
        "unsettled": _("%(part)s taken back") % {"part": kind_of(happening.settlement or "payment")},
    }
    return words.get(happening.kind, _("Changed"))


def _invoice(entry: TimelineEntry) -> str:
    papers = {"list": _("The list of invoices"), "statement": _("A statement")}
    if entry.invoice_id is None:
        return ""
    return entry.number or papers.get(entry.invoice_id) or _("an invoice no longer stored")


def _figures(entry: TimelineEntry) -> list[str | Decimal]:
    happening = entry.happening
    if happening is None:
        return [""] * 4
    amounts = ["" if amount is None else exact(amount) for amount in (happening.amount, happening.left)]
    return [happening.on.isoformat() if happening.on else "", entry.currency or "", *amounts]


def _detail(entry: TimelineEntry) -> str:
    reasons = {
        "expired": _("ran out"),
        "declined": _("closed by the client as not meant for them"),
        "closed": _("ended with all others"),
        "carried": _("carried over to %(client)s") % {"client": (entry.carried_to and entry.carried_to.name) or _("another client")},
    }
    if entry.ended_reason:
        return reasons.get(entry.ended_reason, "")
    if entry.happening:
        return "; ".join(_changed(part.field, part.before, part.after) for part in entry.happening.changes)
    return entry.mail_reason or ""


def _changed(field: str, before: str, after: str) -> str:
    """Amounts as exact decimals, dates in ISO form."""
    names = {
        "total": _("Total"),
        "due_date": _("Due"),
        "date": _("Date"),
        "number": _("Number"),
        "reference": _("Reference"),
        "contact_name": _("To"),
        "currency": _("Currency"),
        "lines": _("Lines"),
    }
    values = [str(exact(int(value))) if field == "total" else value or _("none") for value in (before, after)]
    return _("%(field)s: %(before)s, now %(after)s") % {"field": names.get(field, field), "before": values[0], "after": values[1]}
