"""What an organisation's books consist of, as kept in the store; all amounts are exact decimals in the document's currency."""

from datetime import date as Day
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from pydantic import BaseModel

ZERO = Decimal("0.00")


class Organisation(BaseModel):
    id: str
    key: str
    name: str
    short_code: str
    currency: str
    country: str
    zone: str
    xero_zone: str
    sales_tax: str
    created: datetime
    currencies: list[str] = []
    locked_until: Day | None = None

    def day_of(self, moment: datetime) -> Day:
        """The calendar day of an instant where the organisation is."""
        return moment.astimezone(ZoneInfo(self.zone)).date()


class Login(BaseModel):
    """One of the people who can sign in to the simulator."""

    id: str
    key: str
    given_name: str
    family_name: str
    email: str
    about: str


class Person(BaseModel):
    first_name: str
    last_name: str
    email: str
    include_in_emails: bool = True


class Contact(BaseModel):
    id: str
    organisation: str
    number: str | None = None
    name: str
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    company_number: str = ""
    persons: list[Person] = []
    currency: str = ""
    phone: str = ""
    city: str = ""
    country: str = ""
    status: str = "ACTIVE"
    is_customer: bool = False
    is_supplier: bool = False
    merged_into: str | None = None
    updated: datetime


class Tracking(BaseModel):
    category_id: str
    option_id: str
    name: str
    option: str


class Line(BaseModel):
    """`tax_rate` is per cent. `amount` and `tax` are computed by the books; `amount` holds the tax when the document says Inclusive."""

    id: str
    description: str
    quantity: Decimal = Decimal(1)
    unit: Decimal = ZERO
    discount: Decimal | None = None
    tax_type: str = "NONE"
    tax_rate: Decimal = Decimal(0)
    account: str = "200"
    tracking: list[Tracking] = []
    amount: Decimal = ZERO
    tax: Decimal = ZERO


class AppliedPayment(BaseModel):
    """A payment as its document shows it."""

    id: str
    date: Day
    amount: Decimal
    reference: str = ""
    rate: Decimal = Decimal(1)


class AppliedCredit(BaseModel):
    """Credit set off against an invoice, as the invoice shows it."""

    id: str
    credit: str
    kind: str
    number: str | None = None
    date: Day
    amount: Decimal


class Invoice(BaseModel):
    """A sales invoice (ACCREC) or a bill (ACCPAY)."""

    id: str
    organisation: str
    type: str = "ACCREC"
    number: str = ""
    reference: str = ""
    contact: str
    date: Day
    due: Day | None = None
    currency: str
    rate: Decimal = Decimal(1)
    amounts: str = "Exclusive"
    status: str = "DRAFT"
    lines: list[Line] = []
    subtotal: Decimal = ZERO
    tax: Decimal = ZERO
    total: Decimal = ZERO
    discount: Decimal = ZERO
    due_amount: Decimal = ZERO
    paid_amount: Decimal = ZERO
    credited_amount: Decimal = ZERO
    payments: list[AppliedPayment] = []
    credits: list[AppliedCredit] = []
    paid_on: Day | None = None
    sent: bool = False
    has_attachments: bool = False
    updated: datetime


class Allocation(BaseModel):
    """Credit set off against an invoice, as the credit shows it."""

    id: str
    invoice: str
    number: str
    amount: Decimal
    date: Day


class Credit(BaseModel):
    """A credit note, an overpayment or a prepayment of a customer; `kind` is `credit_note`, `overpayment` or `prepayment`."""

    id: str
    organisation: str
    kind: str = "credit_note"
    number: str | None = None
    reference: str = ""
    contact: str
    date: Day
    currency: str
    rate: Decimal = Decimal(1)
    amounts: str = "Exclusive"
    status: str = "AUTHORISED"
    lines: list[Line] = []
    subtotal: Decimal = ZERO
    tax: Decimal = ZERO
    total: Decimal = ZERO
    discount: Decimal = ZERO
    remaining: Decimal = ZERO
    allocations: list[Allocation] = []
    payments: list[AppliedPayment] = []
    paid_on: Day | None = None
    updated: datetime


class Payment(BaseModel):
    """Money received for an invoice (or paid for a bill); `bank_amount` is in the organisation's own currency."""

    id: str
    organisation: str
    type: str = "ACCRECPAYMENT"
    invoice: str
    date: Day
    amount: Decimal
    bank_amount: Decimal
    rate: Decimal = Decimal(1)
    reference: str = ""
    status: str = "AUTHORISED"
    reconciled: bool = False
    updated: datetime


Dated = Contact | Invoice | Credit | Payment
