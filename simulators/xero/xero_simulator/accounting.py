"""The read side of the accounting API: which resource answers which path, and with what."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response

from xero_simulator import door, ledger, pdf, shapes, wire
from xero_simulator.documents import Organisation
from xero_simulator.lists import (
    BadQuery,
    NothingHere,
    contact_shapes,
    credit_note_shapes,
    find_contact,
    find_credit_note,
    find_invoice,
    find_payment,
    invoice_shapes,
    list_contacts,
    list_credit_notes,
    list_invoices,
    list_payments,
    payment_shapes,
)
from xero_simulator.query import Query
from xero_simulator.simulator import Running, Simulator
from xero_simulator.where import MethodOnNull, QueryParseError

router = APIRouter()


@dataclass(frozen=True)
class Call:
    """One call that passed the door. `rest` is what follows the resource's name in the path."""

    simulator: Simulator
    organisation: Organisation
    rest: list[str]
    query: Query
    accept: str
    now: datetime

    def json(self, name: str, items: list[shapes.Json], pagination: dict[str, int] | None = None) -> Response:
        return Response(wire.dumps(wire.envelope(name, items, self.now, pagination)), media_type=door.JSON)


@router.api_route("/{api:path}", methods=["GET", "PUT", "POST", "DELETE"], include_in_schema=False)
async def accounting_api(api: str, request: Request, simulator: Running) -> Response:
    """Everything under /api.xro/2.0, names of resources in any case."""
    segments = _segments(request)
    if segments[0].lower() != "api.xro":
        return door.not_found()
    found = RESOURCES.get(segments[2].lower()) if len(segments) > 2 and segments[1] == "2.0" else None
    if found is None:
        return door.answer_nowhere(simulator, request)
    scope, answer = found
    scopes = {scope, f"{scope}.read"} if request.method == "GET" else {scope}
    return await door.answer_tenanted(simulator, request, scopes, lambda: _answer(simulator, request, segments[3:], answer))


def _segments(request: Request) -> list[str]:
    """Path segments, decoded one by one, so that an encoded slash stays inside an invoice number."""
    raw = request.scope.get("raw_path") or request.url.path.encode()
    return [unquote(segment) for segment in raw.decode("ascii", "replace").split("?")[0].strip("/").split("/")]


def _answer(simulator: Simulator, request: Request, rest: list[str], answer: "Answer") -> Response:
    if request.method != "GET":
        return door.api_error(501, 20, "ApiMethodNotImplementedException", "The Api Method called is not implemented")
    accept = request.headers.get("accept", "*/*").lower()
    if "application/json" not in accept and "application/pdf" not in accept:
        return _not_json()
    organisation = ledger.organisation(simulator.store, request.headers["xero-tenant-id"].strip())
    query = Query.read(request.query_params.multi_items(), request.headers.get("if-modified-since"))
    try:
        return answer(Call(simulator, organisation, rest, query, accept, simulator.clock.now()))
    except QueryParseError as error:
        return door.api_error(400, 16, "QueryParseException", str(error))
    except BadQuery as error:
        return door.api_error(400, 10, "ValidationException", str(error))
    except MethodOnNull:
        return door.unknown_error()
    except (NothingHere, ledger.NotFound):
        return door.not_found()


def _not_json() -> Response:
    """Xero would answer in XML here; the simulator says so instead, so that a forgotten Accept header shows."""
    note = "<Response><Note>Xero answers XML unless Accept names application/json. This simulator speaks JSON only.</Note></Response>"
    return Response(note, 406, media_type="application/xml; charset=utf-8")


def _invoices(call: Call) -> Response:
    store, query = call.simulator.store, call.query
    if not call.rest:
        found = list_invoices(store, call.organisation, query)
        detail = shapes.Detail(lines=query.paged, summary=query.summary, unit_places=query.unit_places)
        return call.json("Invoices", invoice_shapes(store, found.items, detail), found.pagination)
    invoice = find_invoice(store, call.organisation, call.rest[0])
    contact = ledger.contact(store, invoice.contact)
    if len(call.rest) == 2 and call.rest[1].lower() == "onlineinvoice":
        if invoice.type != "ACCREC" or invoice.status in ("DRAFT", "SUBMITTED", "DELETED"):
            raise BadQuery("A validation exception occurred")
        return call.json("OnlineInvoices", [{"OnlineInvoiceUrl": f"{call.simulator.settings.issuer}/online/{invoice.id}"}])
    if len(call.rest) > 1:
        raise NothingHere
    if "application/pdf" in call.accept:
        return Response(pdf.invoice(invoice, contact, call.organisation), media_type="application/pdf")
    detail = shapes.Detail(whole_contact=True, unit_places=query.unit_places)
    return call.json("Invoices", [shapes.invoice(invoice, contact, detail)])


def _contacts(call: Call) -> Response:
    store = call.simulator.store
    if not call.rest:
        found = list_contacts(store, call.organisation, call.query)
        return call.json("Contacts", contact_shapes(store, call.organisation, found.items, call.query, call.now), found.pagination)
    one = find_contact(store, call.organisation, _only(call.rest))
    whole = Query(paged=True)
    return call.json("Contacts", contact_shapes(store, call.organisation, [one], whole, call.now))


def _credit_notes(call: Call) -> Response:
    store, query = call.simulator.store, call.query
    if not call.rest:
        found = list_credit_notes(store, call.organisation, query)
        detail = shapes.Detail(lines=query.paged, unit_places=query.unit_places)
        return call.json("CreditNotes", credit_note_shapes(store, found.items, detail), found.pagination)
    one = find_credit_note(store, call.organisation, _only(call.rest))
    detail = shapes.Detail(whole_contact=True, unit_places=query.unit_places)
    return call.json("CreditNotes", credit_note_shapes(store, [one], detail))


def _payments(call: Call) -> Response:
    store = call.simulator.store
    if not call.rest:
        found = list_payments(store, call.organisation, call.query)
        return call.json("Payments", payment_shapes(store, found.items), found.pagination)
    return call.json("Payments", payment_shapes(store, [find_payment(store, call.organisation, _only(call.rest))]))


def _organisation(call: Call) -> Response:
    if call.rest:
        raise NothingHere
    return call.json("Organisations", [shapes.organisation(call.organisation)])


def _only(rest: list[str]) -> str:
    if len(rest) != 1:
        raise NothingHere
    return rest[0]


Answer = Callable[[Call], Response]
RESOURCES: dict[str, tuple[str, Answer]] = {
    "invoices": ("accounting.invoices", _invoices),
    "contacts": ("accounting.contacts", _contacts),
    "creditnotes": ("accounting.invoices", _credit_notes),
    "payments": ("accounting.payments", _payments),
    "organisation": ("accounting.settings", _organisation),
    "organisations": ("accounting.settings", _organisation),
}
