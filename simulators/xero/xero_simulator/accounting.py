"""The accounting API: which resource answers which path, and with what."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from urllib.parse import unquote

from fastapi import APIRouter, Request, Response

from xero_simulator import door, ledger, pdf, shapes, wire
from xero_simulator.documents import Contact, Credit, Invoice, Organisation
from xero_simulator.lists import (
    BadQuery,
    NothingHere,
    contact_shapes,
    credit_shapes,
    find_contact,
    find_credit,
    find_invoice,
    find_payment,
    invoice_shapes,
    list_contacts,
    list_credits,
    list_invoices,
    list_payments,
    payment_shapes,
)
from xero_simulator.query import Query, dashed
from xero_simulator.simulator import Running, Simulator
from xero_simulator.store import Store
from xero_simulator.where import MethodOnNull, QueryParseError
from xero_simulator.write_contacts import write_contact
from xero_simulator.write_documents import write_credit_note, write_invoice
from xero_simulator.write_settlements import delete_payment, end_allocation, write_allocation, write_payment
from xero_simulator.writes import Element, Write, write_all

router = APIRouter()
LONGEST_KEY = 128


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
    if request.method == "GET":
        return await door.answer_tenanted(simulator, request, scopes, lambda: _answer(simulator, request, segments[3:], answer))
    body = await request.body()
    return await door.answer_tenanted(simulator, request, scopes, lambda: _write(simulator, request, segments[2:], body))


def _segments(request: Request) -> list[str]:
    """Path segments, decoded one by one, so that an encoded slash stays inside an invoice number."""
    raw = request.scope.get("raw_path") or request.url.path.encode()
    return [unquote(segment) for segment in raw.decode("ascii", "replace").split("?")[0].strip("/").split("/")]


def _answer(simulator: Simulator, request: Request, rest: list[str], answer: "Answer") -> Response:
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


def _write(simulator: Simulator, request: Request, path: list[str], body: bytes) -> Response:
    """Once for each Idempotency-Key."""
    tenant, key = request.headers["xero-tenant-id"].strip().lower(), request.headers.get("idempotency-key")
    query = Query.read(request.query_params.multi_items(), None)
    write = Write(simulator, ledger.organisation(simulator.store, tenant), request.method == "PUT", query.unit_places)
    summarise = request.query_params.get("summarizeErrors", "true").lower() != "false"
    work = partial(_written, write, request.method, [path[0].lower(), *path[1:]], body, summarise)
    if not key:
        return work()
    if len(key) > LONGEST_KEY:
        return door.api_error(400, 10, "ValidationException", f"The Idempotency-Key may have {LONGEST_KEY} characters")
    return simulator.kept_answers.answer(tenant, key, simulator.clock.now(), work)


def _written(write: Write, method: str, path: list[str], body: bytes, summarise: bool) -> Response:
    match (method, *path):
        case ("PUT" | "POST", resource) if resource in ELEMENTS:
            name, one = ELEMENTS[resource]
            return write_all(write, name, body, one, summarise)
        case ("POST", "payments", payment_id):
            return write_all(write, "Payments", body, lambda w, e: delete_payment(w, dashed(payment_id), e), True)
        case ("POST", resource, key) if resource in FINDERS:
            return _write_one(write, resource, key, body)
        case ("PUT", "creditnotes", credit_id, "Allocations" | "allocations"):
            return write_all(write, "Allocations", body, lambda w, e: write_allocation(w, dashed(credit_id), e), summarise)
        case ("DELETE", "creditnotes", credit_id, "Allocations" | "allocations", allocation_id):
            return _ended(write, dashed(credit_id), dashed(allocation_id))
        case _:
            return door.api_error(501, 20, "ApiMethodNotImplementedException", "The Api Method called is not implemented")


def _write_one(write: Write, resource: str, key: str, body: bytes) -> Response:
    """POST to a document's own path, by id or number."""
    (name, one), (id_name, find) = ELEMENTS[resource], FINDERS[resource]
    try:
        found = find(write.simulator.store, write.organisation, key)
    except NothingHere:
        return door.not_found()
    return write_all(write, name, body, lambda w, element: one(w, {**element, id_name: found.id}), True)


def _ended(write: Write, credit_id: str, allocation_id: str) -> Response:
    """The answer to an allocation's DELETE stands alone, outside any envelope."""
    try:
        return Response(wire.dumps(end_allocation(write, credit_id, allocation_id)), media_type=door.JSON)
    except ledger.NotFound:
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


def _credits(kind: str) -> "Answer":
    """Credit notes, overpayments or prepayments, which differ in their names only."""
    name = shapes.LISTS_IN[kind]

    def answer(call: Call) -> Response:
        store, query = call.simulator.store, call.query
        if not call.rest:
            found = list_credits(store, call.organisation, query, kind)
            detail = shapes.Detail(lines=query.paged, unit_places=query.unit_places)
            return call.json(name, credit_shapes(store, found.items, detail), found.pagination)
        one = find_credit(store, call.organisation, _only(call.rest), kind)
        detail = shapes.Detail(whole_contact=True, unit_places=query.unit_places)
        return call.json(name, credit_shapes(store, [one], detail))

    return answer


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
    "creditnotes": ("accounting.invoices", _credits("credit_note")),
    "overpayments": ("accounting.payments", _credits("overpayment")),
    "prepayments": ("accounting.payments", _credits("prepayment")),
    "payments": ("accounting.payments", _payments),
    "organisation": ("accounting.settings", _organisation),
    "organisations": ("accounting.settings", _organisation),
}
ELEMENTS: dict[str, tuple[str, Element]] = {
    "invoices": ("Invoices", write_invoice),
    "contacts": ("Contacts", write_contact),
    "creditnotes": ("CreditNotes", write_credit_note),
    "payments": ("Payments", write_payment),
}
FINDERS: dict[str, tuple[str, Callable[[Store, Organisation, str], Invoice | Contact | Credit]]] = {
    "invoices": ("InvoiceID", find_invoice),
    "contacts": ("ContactID", find_contact),
    "creditnotes": ("CreditNoteID", partial(find_credit, kind="credit_note")),
}
