"""What an app may send to the writing side of the accounting API; names are Xero's, unknown ones are left out."""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from xero_simulator.clock import from_ms
from xero_simulator.query import dashed

MICROSOFT_DATE = re.compile(r"/Date\((-?\d+)(?:[+-]\d{4})?\)/")


def _xero_name(name: str) -> str:
    """`line_item_id` is LineItemID on the wire."""
    return "".join(part.upper() if part == "id" else part.capitalize() for part in name.split("_"))


def _as_day(value: Any) -> Any:
    """A day of any form that is seen: 2026-10-01, 2026-10-01T00:00:00, /Date(1539993600000+0000)/."""
    if isinstance(value, str) and (found := MICROSOFT_DATE.fullmatch(value)):
        return from_ms(int(found[1])).date()
    if isinstance(value, str) and "T" in value:
        moment = datetime.fromisoformat(value)
        return (moment.astimezone(UTC) if moment.tzinfo else moment).date()
    return value


Day = Annotated[date, BeforeValidator(_as_day)]
Guid = Annotated[str, BeforeValidator(lambda value: dashed(value) if isinstance(value, str) else value)]
Amount = Annotated[Decimal, Field(max_digits=19, allow_inf_nan=False)]


class Given(BaseModel):
    """`model_fields_set` tells what was sent from what was left out."""

    model_config = ConfigDict(alias_generator=_xero_name, extra="ignore", coerce_numbers_to_str=True)


class GivenPerson(Given):
    first_name: str = ""
    last_name: str = ""
    email_address: str = ""
    include_in_emails: bool = False


class GivenContact(Given):
    contact_id: Guid | None = None
    contact_number: Annotated[str, Field(max_length=50)] | None = None
    contact_status: str | None = None
    name: str | None = None
    first_name: Annotated[str, Field(max_length=255)] | None = None
    last_name: Annotated[str, Field(max_length=255)] | None = None
    email_address: Annotated[str, Field(max_length=255)] | None = None
    company_number: Annotated[str, Field(max_length=50)] | None = None
    default_currency: str | None = None
    contact_persons: Annotated[list[GivenPerson], Field(max_length=5)] | None = None


class GivenTracking(Given):
    tracking_category_id: Guid | None = None
    tracking_option_id: Guid | None = None
    name: str = ""
    option: str = ""


class GivenLine(Given):
    line_item_id: Guid | None = None
    description: Annotated[str, Field(max_length=4000)] = ""
    quantity: Amount | None = None
    unit_amount: Amount | None = None
    line_amount: Amount | None = None
    discount_rate: Amount | None = None
    tax_type: str | None = None
    account_code: str | None = None
    tracking: Annotated[list[GivenTracking], Field(max_length=2)] = []


class GivenDocument(Given):
    """What invoices and credit notes have in common."""

    type: str | None = None
    contact: GivenContact | None = None
    line_items: list[GivenLine] | None = None
    date: Day | None = None
    due_date: Day | None = None
    line_amount_types: str | None = None
    reference: Annotated[str, Field(max_length=255)] | None = None
    currency_code: str | None = None
    currency_rate: Amount | None = None
    status: str | None = None
    total: Amount | None = None


class GivenInvoice(GivenDocument):
    invoice_id: Guid | None = None
    invoice_number: Annotated[str, Field(max_length=255)] | None = None
    sent_to_contact: bool | None = None


class GivenCreditNote(GivenDocument):
    credit_note_id: Guid | None = None
    credit_note_number: Annotated[str, Field(max_length=255)] | None = None


class InvoiceReference(Given):
    invoice_id: Guid | None = None
    invoice_number: str | None = None


class GivenPayment(Given):
    invoice: InvoiceReference | None = None
    account: dict[str, Any] | None = None
    code: str | None = None
    date: Day | None = None
    amount: Amount | None = None
    reference: str = ""
    status: str | None = None


class GivenAllocation(Given):
    invoice: InvoiceReference
    amount: Amount
    date: Day | None = None
