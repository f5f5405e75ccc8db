"""What xero-gateway publishes: invoices and contacts as they are in Xero, in exact money."""

from __future__ import annotations

import datetime as dt
from typing import Literal

from pydantic import BaseModel, ConfigDict

from common.events import EventData

Standing = Literal["draft", "awaiting", "open", "due_today", "overdue", "paid", "credited", "voided", "deleted"]
"""What an invoice means to people today; ux.md section 7 has the words and shapes."""

SHAREABLE = frozenset({"AUTHORISED", "SUBMITTED", "PAID"})
"""Statuses of a sales invoice that may be shared for the first time. VOIDED stays when it was shared before."""

OUTSTANDING: frozenset[Standing] = frozenset({"open", "due_today", "overdue"})


class Shape(BaseModel):
    """Read from outside, so unknown fields are ignored; never changed once read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Line(Shape):
    """One line. Quantity, unit price and discount rate are decimal texts as Xero gave them (up to 4 places); amounts are hundredths."""

    line_item_id: str
    description: str
    quantity: str | None
    unit_amount: str | None
    discount_rate: str | None
    tax_type: str | None
    tax_amount: int
    line_amount: int
    item_code: str | None = None
    tracking: list[str] = []


class Settlement(Shape):
    """Something that reduced what is due: a payment, an allocated credit note, prepayment or overpayment. Amount in hundredths."""

    id: str
    kind: Literal["payment", "credit_note", "prepayment", "overpayment"]
    date: dt.date | None
    amount: int
    reference: str = ""


class InvoiceSummary(Shape):
    """An invoice without its lines. Money in hundredths of `currency`; type and status in Xero's own words, kept as plain text
    because Xero adds values."""

    invoice_id: str
    type: str
    number: str
    reference: str
    status: str
    contact_id: str
    contact_name: str
    currency: str
    line_amount_types: str
    date: dt.date | None
    due_date: dt.date | None
    fully_paid_on: dt.date | None
    sub_total: int
    total_tax: int
    total: int
    amount_due: int
    amount_paid: int
    amount_credited: int
    payments: list[Settlement]
    updated_at: dt.datetime

    @property
    def is_sale(self) -> bool:
        """A sales invoice (money owed to the organisation), never a bill."""
        return self.type == "ACCREC"

    @property
    def is_shareable(self) -> bool:
        """May be shared with a client for the first time: a finalised sales invoice."""
        return self.is_sale and self.status in SHAREABLE

    def standing(self, today: dt.date) -> Standing:
        """What this invoice means on `today`, the date in the organisation's time zone. Without a due date it is open."""
        if self.status in _BY_STATUS:
            return _BY_STATUS[self.status]
        if self.status == "PAID" or self.amount_due <= 0:
            return "credited" if self.amount_paid == 0 and self.amount_credited > 0 else "paid"
        if self.due_date is None or self.due_date > today:
            return "open"
        return "due_today" if self.due_date == today else "overdue"


class Invoice(InvoiceSummary):
    """An invoice with its lines."""

    lines: list[Line]

    def summary(self) -> InvoiceSummary:
        """The same without lines, for lists."""
        return InvoiceSummary.model_validate(self.model_dump(exclude={"lines"}))


_BY_STATUS: dict[str, Standing] = {"DRAFT": "draft", "SUBMITTED": "awaiting", "VOIDED": "voided", "DELETED": "deleted"}


class InvoicesFetched(EventData, type="xero-gateway.invoices.fetched.v1"):
    """One batch of a contact's first load, at most 100 invoices; batches may arrive in any order.

    `version` numbers the batches from 1. The load is complete when `batches` (known in the last one, else None) of them
    were applied. `read_at` is the database's time when the request to Xero began. `total` counts all batches' invoices.
    """

    load_id: str
    organisation_id: str
    contact_id: str
    contact_name: str
    read_at: dt.datetime
    invoices: list[Invoice]
    stored: int
    total: int | None
    batches: int | None

    @property
    def lane(self) -> str:
        return self.contact_id


class InvoicesChanged(EventData, type="xero-gateway.invoices.changed.v1"):
    """Invoices of one contact as they are now, at most 100 and 1 MiB: of a contact that is shared, or published before as another's.

    Each invoice is ordered by its own (updated_at, read_at); `version` is the newest updated_at among them in ms. `read_at` is
    the database's time when the request to Xero began.
    """

    organisation_id: str
    contact_id: str
    read_at: dt.datetime
    invoices: list[Invoice]

    @property
    def lane(self) -> str:
        return self.contact_id


class OrganisationChecked(EventData, type="xero-gateway.organisation.checked.v1"):
    """Xero was asked at `checked_at` for everything that changed, and nothing was found that had not been told before.

    `version` = checked_at in ms.
    """

    organisation_id: str
    checked_at: dt.datetime


class ContactChanged(EventData, type="xero-gateway.contact.changed.v1"):
    """A shared contact as it is now in Xero: renamed, archived or merged into another."""

    organisation_id: str
    contact_id: str
    name: str
    status: str
    merged_to: str | None
    read_at: dt.datetime

    @property
    def lane(self) -> str:
        return self.contact_id


class PdfsFetched(EventData, type="xero-gateway.pdfs.fetched.v1"):
    """How far the PDFs of a download are: `kept` can be had at once, of `missed` Xero holds another version or none.

    `reason` says why the rest waits, if it does; with `limit` Xero's limit of a minute or a day.
    """

    download_id: str
    organisation_id: str
    kept: int
    missed: int
    total: int
    reason: str | None
    limit: str | None
