"""What happened to an invoice, told from its versions: issued, approved, changed, paid in part or whole, voided. Pure.

sharing tells it from what is stored, web from what Xero holds, where nothing is shared yet.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from itertools import pairwise
from typing import Any, Literal

from pydantic import BaseModel

from common.contracts.xero_gateway import Invoice, Settlement

Kind = Literal["issued", "awaiting", "approved", "changed", "settled", "unsettled", "voided"]
TOLD = ("number", "date", "due_date", "reference", "currency", "total", "contact_name")
"""Fields whose change is told with both values, as their JSON texts: dates in ISO form, money in hundredths."""

LINE = ("description", "quantity", "unit_amount", "discount_rate", "tax_amount", "line_amount", "item_code")


class Change(BaseModel):
    """A field before and after. `lines` tells how many there were and are."""

    field: str
    before: str
    after: str


class Happening(BaseModel):
    """One thing that happened. `at` is when Xero held it, None for what lay before the first version; `on` is Xero's own date of it.

    settled and unsettled: a payment or credit of `amount` came or was taken back, after which `left` is to pay (None: not known).
    """

    kind: Kind
    at: datetime | None = None
    on: date | None = None
    settlement: Literal["payment", "credit_note", "prepayment", "overpayment"] | None = None
    amount: int | None = None
    left: int | None = None
    changes: list[Change] = []


def timeline(versions: Sequence[Invoice]) -> list[Happening]:
    """The oldest first. `versions` in the order in which Xero held them."""
    if not versions:
        return []
    told = begun(versions[0])
    for before, after in pairwise(versions):
        told += between(before, after)
    return told


def begun(invoice: Invoice) -> list[Happening]:
    """What the first version says of the time before it."""
    submitted = invoice.status == "SUBMITTED"
    begun = [Happening(kind="awaiting" if submitted else "issued", on=invoice.date)]
    paid = [_settled("settled", part) for part in sorted(invoice.payments, key=lambda part: part.date or date.min)]
    if paid:
        paid[-1] = paid[-1].model_copy(update={"left": invoice.amount_due})
    voided = [Happening(kind="voided", at=invoice.updated_at)] if invoice.status == "VOIDED" else []
    return begun + paid + voided


def between(before: Invoice, after: Invoice) -> list[Happening]:
    """In the order people expect: what the invoice became, what was paid, what ended it."""
    at = after.updated_at
    changes = list(_changes(before, after))
    told = [Happening(kind="changed", at=at, changes=changes)] if changes else []
    if before.status == "SUBMITTED" and after.status in ("AUTHORISED", "PAID"):
        told.append(Happening(kind="approved", at=at))
    had, has = _parts(before), _parts(after)
    told += [_settled("unsettled", had[key], at, after.amount_due) for key in had if key not in has and after.status != "VOIDED"]
    told += [_settled("settled", has[key], at, after.amount_due) for key in has if key not in had]
    if after.status == "VOIDED" and before.status != "VOIDED":
        told.append(Happening(kind="voided", at=at))
    return told


def _parts(invoice: Invoice) -> dict[tuple[str, int], Settlement]:
    """A payment whose amount was corrected counts as taken back and made again."""
    return {(part.id, part.amount): part for part in invoice.payments}


def _settled(kind: Kind, part: Settlement, at: datetime | None = None, left: int | None = None) -> Happening:
    return Happening(kind=kind, at=at, on=part.date, settlement=part.kind, amount=part.amount, left=left)


def _changes(before: Invoice, after: Invoice) -> Iterable[Change]:
    old, new = before.model_dump(mode="json"), after.model_dump(mode="json")
    for name in TOLD:
        if old[name] != new[name]:
            yield Change(field=name, before=_text(old[name]), after=_text(new[name]))
    if _lines(old) != _lines(new):
        yield Change(field="lines", before=str(len(before.lines)), after=str(len(after.lines)))


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _lines(invoice: dict[str, Any]) -> list[list[Any]]:
    return [[line[name] for name in LINE] for line in invoice["lines"]]
