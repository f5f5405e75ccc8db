"""What portal and sharing answer about a client, as far as the pages read it. Money is in hundredths beside its currency."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from common.contracts.xero_gateway import Invoice, Standing
from web.models import Answer, InvoiceList, InvoiceRow


class Goal(Answer):
    """Where signing in leads."""

    kind: Literal["home", "sender", "invoice"] = "home"
    organisation_id: str | None = None
    invoice_id: str | None = None


class SignedIn(Answer):
    """A new session and where it wanted to go."""

    session: str
    goal: Goal


class MailServer(Answer):
    """Whether mails leave at all."""

    failing_since: datetime | None


class LinkState(Answer):
    """What a sign-in link is worth in one browser. `at`: when it was used, expired or replaced. `masked_email` is there only for the
    browser that asked."""

    state: Literal["ready_here", "ready_elsewhere", "signed_in", "signed_in_as_other", "used", "expired", "replaced", "unknown"]
    asked_here: bool = False
    masked_email: str | None = None
    signed_in_as: str | None = None
    at: datetime | None = None
    tries_left: int | None = None
    goal: Goal | None = None


class SenderContact(Answer):
    """Under which name of the sender's books these invoices run."""

    contact_id: str
    name: str


class Sender(Answer):
    """An organisation that shares invoices with this address. `as_of`: when its invoices were last true to Xero, None before the first."""

    organisation_id: str
    name: str
    contacts: list[SenderContact]
    as_of: datetime | None = None
    not_updating_since: datetime | None = None


class Due(Answer):
    """What is to pay in one currency; `overdue` is part of it."""

    currency: str
    overdue: int
    to_pay: int


class HomeSender(Sender):
    """A sender on the home page: up to five unpaid invoices, overdue first, and `count` of all. `today`: the date where it is."""

    totals: list[Due]
    unpaid: list[InvoiceRow]
    count: int
    today: date


class Home(Answer):
    """Everything shared with one address."""

    senders: list[HomeSender]
    totals: list[Due]


class SenderInvoices(InvoiceList):
    """One page of a sender's invoices. `as_of` may be missing, as it may for the sender."""

    sender: Sender


class OneInvoice(Answer):
    """One invoice in full."""

    sender: Sender
    invoice: Invoice
    standing: Standing
    today: date
    as_of: datetime
