"""A drawing board for one organisation's books: demo files say what happened, this makes the documents by the books' own rules."""

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from xero_simulator import books
from xero_simulator.documents import Contact, Credit, Invoice, Line, Organisation, Payment, Tracking

FIRST_NAMESPACE = uuid.UUID("6f1ad0a6-5d0b-4c55-9c1e-2f4f6d7f0d11")
TAXES = {
    "NZ": {"15": "OUTPUT2", "0": "ZERORATEDOUTPUT", "none": "NONE"},
    "GB": {"20": "OUTPUT2", "5": "RROUTPUT", "0": "ZERORATEDOUTPUT", "none": "NONE"},
}
Row = tuple[str, str, str, str]  # description, quantity, unit price, tax in per cent or "none"


def demo_id(seed: int, kind: str, key: str) -> str:
    """The id of a demo thing: `demo_id(1, "contact", "kowhai/C-001")`."""
    return str(uuid.uuid5(FIRST_NAMESPACE, f"{seed}:{kind}:{key}"))


class Plan:
    """Collects the documents of one organisation. Days are counted from the anchor day: -3 is three days before."""

    def __init__(self, organisation: Organisation, seed: int, anchor: date) -> None:
        self.organisation = organisation
        self.seed = seed
        self.anchor = anchor
        self.contacts: dict[str, Contact] = {}
        self.invoices: dict[str, Invoice] = {}
        self.credits: dict[str, Credit] = {}
        self.payments: list[Payment] = []
        self._paid: Counter[str] = Counter()
        self._zone = ZoneInfo(organisation.zone)

    def id(self, kind: str, key: str) -> str:
        return demo_id(self.seed, kind, f"{self.organisation.key}/{key}")

    def day(self, offset: int) -> date:
        return self.anchor + timedelta(days=offset)

    def moment(self, offset: int, key: str) -> datetime:
        """An instant of office hours on that day, different for each key, and never later than the anchor day's first minute."""
        spread = uuid.uuid5(FIRST_NAMESPACE, key).int
        local = datetime.combine(self.day(min(offset, -1)), time(8, spread % 60, spread // 60 % 60), self._zone)
        return (local + timedelta(hours=spread // 3600 % 10, milliseconds=spread // 36000 % 1000)).astimezone(UTC)

    def contact(self, number: str, name: str, email: str = "", **more: Any) -> Contact:
        updated = self.moment(-780, f"contact {number}")
        made = Contact(
            id=self.id("contact", number), organisation=self.organisation.id, number=number, name=name, email=email, updated=updated, **more
        )
        self.contacts[number] = made
        return made

    def invoice(
        self,
        number: str,
        contact: str,
        rows: Sequence[Row],
        issued: int,
        due: int | date | None,
        status: str = "AUTHORISED",
        **more: Any,
    ) -> Invoice:
        """A priced document; `more` sets further fields of Invoice. `key` distinguishes documents that share a number."""
        key = more.pop("key", number)
        updated = self.moment(issued, f"invoice {key}")
        made = Invoice(
            id=self.id("invoice", key),
            organisation=self.organisation.id,
            number=number,
            contact=self.contacts[contact].id,
            date=self.day(issued),
            due=self.day(due) if isinstance(due, int) else due,
            currency=more.pop("currency", self.organisation.currency),
            lines=[self._line(f"{key}/{place}", row) for place, row in enumerate(rows, 1)],
            sent=more.pop("sent", status in ("AUTHORISED", "VOIDED")),
            updated=updated,
            **more,
        )
        books.price(made)
        made.status = status
        if status in ("VOIDED", "DELETED"):
            made.due_amount = Decimal("0.00")
            books.touch(made, self.moment(issued + 6, f"void {key}"))
        elif status == "AUTHORISED" and made.total == 0:
            made.status, made.paid_on = "PAID", made.date
        if status not in ("DRAFT", "DELETED", "SUBMITTED"):
            books.mark_traded(self.contacts[contact], made)
        self.invoices[key] = made
        return made

    def _line(self, key: str, row: Row) -> Line:
        description, quantity, unit, tax = row
        rate = Decimal(0) if tax == "none" else Decimal(tax)
        kind = TAXES[self.organisation.country][tax]
        return Line(
            id=self.id("line", key), description=description, quantity=Decimal(quantity), unit=Decimal(unit), tax_type=kind, tax_rate=rate
        )

    def track(self, invoice: Invoice, name: str, options: Sequence[str]) -> None:
        """Gives the lines tracking options, one after the other."""
        for place, line in enumerate(invoice.lines):
            option = options[place % len(options)]
            ids = {"category_id": self.id("tracking", name), "option_id": self.id("option", option)}
            line.tracking = [Tracking(name=name, option=option, **ids)]

    def pay(self, invoice: Invoice, on: int, amount: str | None = None, reference: str = "") -> Payment:
        """A payment on a day; all that is due when no amount is given."""
        self._paid[invoice.id] += 1
        key = f"{invoice.id}/{self._paid[invoice.id]}"
        money = Decimal(amount) if amount else invoice.due_amount
        made = Payment(
            id=self.id("payment", key),
            organisation=self.organisation.id,
            type="ACCRECPAYMENT" if invoice.type == "ACCREC" else "ACCPAYPAYMENT",
            invoice=invoice.id,
            date=self.day(on),
            amount=money,
            bank_amount=books.rounded(money / invoice.rate),
            rate=invoice.rate,
            reference=reference,
            reconciled=True,
            updated=self.moment(on, key),
        )
        books.pay(invoice, made, self.moment(on, key))
        self.payments.append(made)
        return made

    def credit(self, number: str, contact: str, rows: Sequence[Row], issued: int, **more: Any) -> Credit:
        """A credit note, or with `kind` an overpayment or prepayment (which carry no number)."""
        kind = more.get("kind", "credit_note")
        made = Credit(
            id=self.id("credit", number),
            organisation=self.organisation.id,
            number=number if kind == "credit_note" else None,
            contact=self.contacts[contact].id,
            date=self.day(issued),
            currency=more.pop("currency", self.organisation.currency),
            lines=[self._line(f"{number}/{place}", row) for place, row in enumerate(rows, 1)],
            updated=self.moment(issued, f"credit {number}"),
            **more,
        )
        books.price(made)
        self.credits[number] = made
        return made

    def allocate(self, invoice: Invoice, credit: Credit, on: int, amount: str | None = None) -> None:
        """Sets credit off; as much as fits when no amount is given."""
        money = Decimal(amount) if amount else min(invoice.due_amount, credit.remaining)
        key = f"{credit.id}/{len(credit.allocations)}"
        books.allocate(invoice, credit, money, self.day(on), self.id("allocation", key), self.moment(on, key))
