"""The part of the control API that finds and changes contacts and invoices."""

from datetime import date as Day
from decimal import Decimal
from typing import Annotated, Literal

from fastapi import APIRouter, HTTPException
from pydantic import BaseModel, ConfigDict, Field

from xero_simulator import actions, ledger
from xero_simulator.documents import Contact, Invoice
from xero_simulator.simulator import Running, Simulator
from xero_simulator.store import fold

router = APIRouter(prefix="/control", tags=["books"])
Money = Annotated[Decimal, Field(max_digits=15, decimal_places=2)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Paid(Body):
    amount: Money | None = Field(None, description="All that is due when absent")
    reference: str = ""
    date: Day | None = None


class PaymentDeleted(Body):
    payment: str | None = Field(None, description="PaymentID; the newest when absent")


class Edited(Body):
    number: str | None = None
    reference: str | None = None
    date: Day | None = None
    due: Day | None = None
    unit: Decimal | None = Field(None, description="Unit price of the first line")
    description: str | None = Field(None, description="Text of the first line")


class Credited(Body):
    amount: Money | None = None


class Contacted(Body):
    """Another contact, by number or by id."""

    contact_number: str | None = None
    contact: str | None = None


class NewInvoice(Contacted):
    tenant: str
    unit: Money = Decimal("100.00")
    description: str = "Work"
    status: Literal["DRAFT", "SUBMITTED", "AUTHORISED"] = "AUTHORISED"
    due: Day | None = None
    number: str | None = None
    currency: str | None = None


class NewContact(Body):
    tenant: str
    name: str
    email: str = ""
    number: str | None = None


class Renamed(Body):
    name: str


class Addressed(Body):
    email: str


@router.get("/contacts")
async def list_contacts(simulator: Running, tenant: str, number: str | None = None, search: str | None = None) -> list[Contact]:
    """All contacts of an organisation, archived ones too, by name."""
    sql = """SELECT doc FROM contacts WHERE organisation = ? AND (?2 IS NULL OR number = ?2)
        AND (?3 IS NULL OR instr(search, ?3)) ORDER BY name, id"""
    rows = simulator.store.rows(sql, ledger.organisation(simulator.store, tenant).id, fold(number), fold(search))
    return [Contact.model_validate_json(row["doc"]) for row in rows]


@router.get("/invoices")
async def list_invoices(
    simulator: Running, tenant: str, contact_number: str | None = None, number: str | None = None, status: str | None = None
) -> list[Invoice]:
    """Invoices and bills of an organisation, by date; the filters narrow."""
    organisation = ledger.organisation(simulator.store, tenant)
    contact = ledger.contact_by_number(simulator.store, organisation.id, contact_number).id if contact_number is not None else None
    sql = """SELECT doc FROM invoices WHERE organisation = ? AND (?2 IS NULL OR contact = ?2)
        AND (?3 IS NULL OR number = ?3) AND (?4 IS NULL OR status = ?4) ORDER BY date, id"""
    rows = simulator.store.rows(sql, organisation.id, contact, fold(number), status)
    return [Invoice.model_validate_json(row["doc"]) for row in rows]


@router.post("/invoices")
async def create_invoice(simulator: Running, body: NewInvoice) -> Invoice:
    contact = _contact_id(simulator, ledger.organisation(simulator.store, body.tenant).id, body)
    given = body.model_dump(exclude={"tenant", "contact_number", "contact"})
    return actions.create(simulator, contact, **given)


@router.get("/invoices/{invoice_id}")
async def get_invoice(simulator: Running, invoice_id: str) -> Invoice:
    return ledger.invoice(simulator.store, invoice_id)


@router.post("/invoices/{invoice_id}/pay")
async def pay(simulator: Running, invoice_id: str, body: Paid | None = None) -> Invoice:
    body = body or Paid()
    return actions.pay(simulator, invoice_id, body.amount, body.reference, body.date)


@router.post("/invoices/{invoice_id}/part-pay")
async def part_pay(simulator: Running, invoice_id: str) -> Invoice:
    return actions.part_pay(simulator, invoice_id)


@router.post("/invoices/{invoice_id}/delete-payment")
async def delete_payment(simulator: Running, invoice_id: str, body: PaymentDeleted | None = None) -> Invoice:
    return actions.delete_payment(simulator, invoice_id, body.payment if body else None)


@router.post("/invoices/{invoice_id}/submit")
async def submit(simulator: Running, invoice_id: str) -> Invoice:
    return actions.set_status(simulator, invoice_id, "SUBMITTED")


@router.post("/invoices/{invoice_id}/approve")
async def approve(simulator: Running, invoice_id: str) -> Invoice:
    return actions.set_status(simulator, invoice_id, "AUTHORISED")


@router.post("/invoices/{invoice_id}/void")
async def void(simulator: Running, invoice_id: str) -> Invoice:
    return actions.set_status(simulator, invoice_id, "VOIDED")


@router.post("/invoices/{invoice_id}/delete")
async def delete(simulator: Running, invoice_id: str) -> Invoice:
    return actions.set_status(simulator, invoice_id, "DELETED")


@router.post("/invoices/{invoice_id}/edit")
async def edit(simulator: Running, invoice_id: str, body: Edited) -> Invoice:
    return actions.edit(simulator, invoice_id, **body.model_dump())


@router.post("/invoices/{invoice_id}/edit-twice")
async def edit_twice(simulator: Running, invoice_id: str) -> Invoice:
    return actions.edit_twice(simulator, invoice_id)


@router.post("/invoices/{invoice_id}/credit")
async def credit(simulator: Running, invoice_id: str, body: Credited | None = None) -> Invoice:
    return actions.credit(simulator, invoice_id, body.amount if body else None)


@router.post("/invoices/{invoice_id}/move")
async def move(simulator: Running, invoice_id: str, body: Contacted) -> Invoice:
    organisation = ledger.invoice(simulator.store, invoice_id).organisation
    return actions.move(simulator, invoice_id, _contact_id(simulator, organisation, body))


@router.post("/contacts")
async def create_contact(simulator: Running, body: NewContact) -> Contact:
    organisation = ledger.organisation(simulator.store, body.tenant)
    return actions.add_contact(simulator, organisation.id, body.name, body.email, body.number)


@router.get("/contacts/{contact_id}")
async def get_contact(simulator: Running, contact_id: str) -> Contact:
    return ledger.contact(simulator.store, contact_id)


@router.post("/contacts/{contact_id}/rename")
async def rename(simulator: Running, contact_id: str, body: Renamed) -> Contact:
    return actions.rename(simulator, contact_id, body.name)


@router.post("/contacts/{contact_id}/set-email")
async def set_email(simulator: Running, contact_id: str, body: Addressed) -> Contact:
    return actions.set_email(simulator, contact_id, body.email)


@router.post("/contacts/{contact_id}/archive")
async def archive(simulator: Running, contact_id: str) -> Contact:
    return actions.archive(simulator, contact_id)


@router.post("/contacts/{contact_id}/restore")
async def restore(simulator: Running, contact_id: str) -> Contact:
    return actions.restore(simulator, contact_id)


@router.post("/contacts/{contact_id}/merge")
async def merge(simulator: Running, contact_id: str, body: Contacted) -> Contact:
    """Merges this contact into the one in the body."""
    organisation = ledger.contact(simulator.store, contact_id).organisation
    return actions.merge(simulator, contact_id, _contact_id(simulator, organisation, body))


def _contact_id(simulator: Simulator, organisation: str, body: Contacted) -> str:
    if body.contact_number is not None:
        return ledger.contact_by_number(simulator.store, organisation, body.contact_number).id
    if body.contact is None:
        raise HTTPException(422, "contact_number or contact is needed")
    return ledger.contact(simulator.store, body.contact).id
