"""The figures on an invoice add up, and rates read as people know them."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from common.contracts.xero_gateway import Invoice
from web.client_testing import a_line, a_payment, an_invoice
from web.pages.invoice_figures import InvoiceFigures, TaxFigures, figures_of, rate_of


def figures(**changes: object) -> InvoiceFigures:
    return figures_of(Invoice.model_validate(an_invoice("INV-1", **changes)))


def test_a_rate_is_read_through_the_rounding_of_each_line() -> None:
    lines = [a_line(line_item_id=str(net), line_amount=net, tax_amount=tax) for net, tax in ((2506, 376), (2561, 384), (2563, 384))]
    found = figures(lines=lines, sub_total=7630, total_tax=1144, total=8774, amount_due=8774)
    assert found.taxes == [TaxFigures(Decimal(15), 7630, 1144)]
    assert [line.rate for line in found.lines] == [Decimal(15)] * 3


def test_two_rates_and_none_stand_on_rows_of_their_own_highest_first() -> None:
    lines = [
        a_line(line_item_id="1", tax_type="ZERORATED", line_amount=1000, tax_amount=0),
        a_line(line_item_id="2", tax_type="RROUTPUT", line_amount=2000, tax_amount=100),
        a_line(line_item_id="3", tax_type="OUTPUT2", line_amount=3000, tax_amount=600),
    ]
    found = figures(lines=lines, sub_total=6000, total_tax=700, total=6700, amount_due=6700)
    assert found.taxes == [TaxFigures(Decimal(20), 3000, 600), TaxFigures(Decimal(5), 2000, 100), TaxFigures(Decimal(0), 1000, 0)]


def test_a_rate_with_a_fraction_keeps_it() -> None:
    assert rate_of(80000, 10000, 1) == Decimal("12.5")
    assert rate_of(1000000, 88750, 1) == Decimal("8.88")


def test_tax_within_the_price_is_taken_out_before_its_rate_is_told() -> None:
    found = figures(
        lines=[a_line(line_amount=12000, tax_amount=2000)], line_amount_types="Inclusive", sub_total=10000, total_tax=2000, total=12000,
        amount_due=12000,
    )  # fmt: skip
    assert found.tax_included
    assert found.taxes == [TaxFigures(Decimal(20), 10000, 2000)]


def test_an_invoice_without_tax_names_no_rate() -> None:
    found = figures(lines=[a_line(tax_type="NONE", tax_amount=0)], line_amount_types="NoTax", total_tax=0, total=40000, amount_due=40000)
    assert found.taxes == []
    assert [line.rate for line in found.lines] == [None]


def test_a_charge_and_its_reversal_still_show_their_rate() -> None:
    lines = [a_line(line_item_id="1", line_amount=3000, tax_amount=450), a_line(line_item_id="2", line_amount=-3000, tax_amount=-450)]
    assert {line.rate for line in figures(lines=lines, sub_total=0, total_tax=0, total=0, amount_due=0).lines} == {Decimal(15)}


def test_a_line_of_words_alone_has_no_figures() -> None:
    words = a_line(quantity=None, unit_amount=None, tax_type=None, tax_amount=0, line_amount=0, description="As agreed in May")
    found = figures(lines=[a_line(), words]).lines[1]
    assert (found.amount, found.rate) == (None, None)


def test_credits_come_before_payments_and_what_no_settlement_explains_is_its_own_row() -> None:
    settled = [a_payment(10000, "2026-10-02"), a_payment(5000, "2026-10-09", "credit_note"), a_payment(2000, "2026-09-01")]
    found = figures(payments=settled, amount_due=26000, amount_paid=15000, amount_credited=5000)
    assert [(row.kind, row.amount) for row in found.reductions] == [
        ("credit_note", 5000), ("payment", 2000), ("payment", 10000), ("other", 3000),
    ]  # fmt: skip


def test_a_voided_invoice_has_no_reduction_to_explain() -> None:
    assert figures(status="VOIDED", amount_due=0).reductions == []


amounts = st.integers(-1_000_000, 10_000_000)


@given(
    nets=st.lists(st.tuples(amounts, st.sampled_from([0, 5, 15, 20])), min_size=1, max_size=8),
    adjustment=st.integers(-2, 2),
    paid=st.integers(0, 5000),
)
def test_every_column_adds_up_to_the_figure_below_it(nets: list[tuple[int, int]], adjustment: int, paid: int) -> None:
    lines = [
        a_line(line_item_id=str(n), tax_type=f"T{rate}", line_amount=net, tax_amount=round(net * rate / 100))
        for n, (net, rate) in enumerate(nets)
    ]
    sub_total = sum(net for net, _ in nets)
    tax = sum(line["tax_amount"] for line in lines) + adjustment
    total = sub_total + tax
    found = figures(lines=lines, sub_total=sub_total, total_tax=tax, total=total, amount_due=total - paid)
    assert sum(line.amount or 0 for line in found.lines) == found.sub_total
    assert found.sub_total + sum(row.tax for row in found.taxes) == found.total
    assert found.total - sum(row.amount for row in found.reductions) == found.to_pay
