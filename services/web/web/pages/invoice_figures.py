"""The figures of one invoice in the order people add them up: lines, tax by rate, what reduced it, what remains."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from common.contracts.xero_gateway import Invoice, Line, Settlement
from common.money import NotMoney, hundredths

HUNDREDTH = Decimal("0.01")


@dataclass(frozen=True)
class LineFigures:
    """One line as it is read. `rate` is a percentage derived from the figures, None when the line carries no tax figure at all."""

    description: str
    item_code: str | None
    quantity: Decimal | None
    unit_amount: Decimal | None
    discount: Decimal | None
    rate: Decimal | None
    amount: int | None

    @property
    def unit_hundredths(self) -> int | None:
        """The unit price in hundredths, None when it is finer than that."""
        try:
            return None if self.unit_amount is None else hundredths(self.unit_amount)
        except NotMoney:
            return None


@dataclass(frozen=True)
class TaxFigures:
    """The tax of all lines of one rate, in hundredths. `rate` is None for what the lines do not explain."""

    rate: Decimal | None
    net: int
    tax: int


@dataclass(frozen=True)
class Reduction:
    """A payment or credit. `kind` is that of a settlement; `date` None and kind `other` stand for what no settlement explains."""

    kind: str
    date: date | None
    reference: str
    amount: int


@dataclass(frozen=True)
class InvoiceFigures:
    """Everything under an invoice's head. `sub_total` + the taxes = `total`; `total` - the reductions = `to_pay`. Hundredths."""

    lines: list[LineFigures]
    tax_included: bool
    taxed: bool
    sub_total: int
    taxes: list[TaxFigures]
    total: int
    reductions: list[Reduction]
    to_pay: int


def figures_of(invoice: Invoice) -> InvoiceFigures:
    """The figures of an invoice, each group completed so that every column adds up to the figure printed below it."""
    included = invoice.line_amount_types.lower() == "inclusive"
    rates = _rates_by_type(invoice.lines, included)
    taxed = invoice.line_amount_types.lower() != "notax"
    return InvoiceFigures(
        lines=[_line(line, rates if taxed else {}) for line in invoice.lines],
        tax_included=included,
        taxed=taxed,
        sub_total=invoice.sub_total,
        taxes=_taxes(invoice, rates, included) if taxed else [],
        total=invoice.total,
        reductions=_reductions(invoice),
        to_pay=invoice.amount_due,
    )


def rate_of(net: int, tax: int, lines: int) -> Decimal:
    """The percentage that explains `tax` on `net` when each of `lines` lines was rounded to a hundredth: the one with fewest decimals.

    15 % on 25.06 is 3.76 on the invoice, which divides back to 15.004 %; people must read 15.
    """
    if net == 0 or tax == 0:
        return Decimal(0)
    exact = Decimal(tax) * 100 / Decimal(net)
    slack = Decimal(lines) / 2 + HUNDREDTH
    for step in (Decimal(1), Decimal("0.5"), Decimal("0.1"), HUNDREDTH):
        rate = (exact / step).to_integral_value() * step
        if abs(rate * net / 100 - tax) <= slack:
            return _plain(rate)
    return _plain(exact.quantize(HUNDREDTH))


def _line(line: Line, rates: dict[str, Decimal]) -> LineFigures:
    priced = line.quantity is not None or line.unit_amount is not None or line.line_amount != 0
    discount = _decimal(line.discount_rate)
    return LineFigures(
        description=line.description,
        item_code=line.item_code,
        quantity=_decimal(line.quantity),
        unit_amount=_decimal(line.unit_amount),
        discount=discount or None,
        rate=rates.get(_group(line)) if priced else None,
        amount=line.line_amount if priced else None,
    )


def _taxes(invoice: Invoice, rates: dict[str, Decimal], included: bool) -> list[TaxFigures]:
    """One row a rate, highest first; a rate of nothing is shown only beside others; a rest that no line explains is its own row."""
    sums: dict[Decimal, tuple[int, int]] = {}
    for line in invoice.lines:
        rate = rates[_group(line)]
        net, tax = sums.get(rate, (0, 0))
        sums[rate] = (net + _net(line, included), tax + line.tax_amount)
    rows = [TaxFigures(rate, net, tax) for rate, (net, tax) in sorted(sums.items(), reverse=True) if net or tax]
    rest = invoice.total_tax - sum(row.tax for row in rows)
    return [*rows, TaxFigures(None, 0, rest)] if rest else rows


def _reductions(invoice: Invoice) -> list[Reduction]:
    """Credits first, then payments, each by date, then what the settlements do not explain."""
    rows = [Reduction(item.kind, item.date, item.reference, item.amount) for item in sorted(invoice.payments, key=_credit_first)]
    rest = invoice.total - invoice.amount_due - sum(row.amount for row in rows)
    return [*rows, Reduction("other", None, "", rest)] if rest and invoice.status not in ("VOIDED", "DELETED") else rows


def _credit_first(item: Settlement) -> tuple[bool, date]:
    return item.kind == "payment", item.date or date.min


def _rates_by_type(lines: Iterable[Line], included: bool) -> dict[str, Decimal]:
    """Xero gives a tax type a line and no rate; the sums of all lines of a type tell its rate better than any single line."""
    groups: dict[str, list[Line]] = {}
    for line in lines:
        groups.setdefault(_group(line), []).append(line)
    return {name: _rate_of_group(group, included) for name, group in groups.items()}


def _rate_of_group(lines: list[Line], included: bool) -> Decimal:
    """Of a group that cancels out (a charge and its reversal) the largest line tells the rate."""
    net = sum(_net(line, included) for line in lines)
    if net == 0:
        lines = [max(lines, key=lambda line: abs(line.line_amount))]
        net = _net(lines[0], included)
    return rate_of(net, sum(line.tax_amount for line in lines), len(lines))


def _group(line: Line) -> str:
    return line.tax_type or f"untyped {line.line_item_id}"


def _net(line: Line, included: bool) -> int:
    return line.line_amount - line.tax_amount if included else line.line_amount


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _plain(rate: Decimal) -> Decimal:
    """Without trailing zeros and without an exponent: 15.00 is 15, 20 stays 20."""
    return rate.quantize(Decimal(1)) if rate == rate.to_integral_value() else rate.normalize()
