"""An invoice drawn from what is stored, for when Xero does not answer. It says so on its face, and is not the sender's own layout."""

from __future__ import annotations

import json
from gettext import gettext as _
from pathlib import Path
from typing import Any

import typst

from web.client_models import OneInvoice
from web.formats import Reader
from web.pages.invoice_figures import InvoiceFigures, LineFigures, figures_of

SOURCE = Path(__file__).parent / "typst" / "invoice.typ"


def draw(found: OneInvoice, reader: Reader) -> bytes:
    """The PDF. Takes some tenths of a second of processor time, so call it in a thread."""
    compiled = typst.compile(SOURCE, sys_inputs={"invoice": json.dumps(contents(found, reader))})
    assert isinstance(compiled, bytes)
    return compiled


def contents(found: OneInvoice, reader: Reader) -> dict[str, Any]:
    """Every text of the document, in the order of its places."""
    invoice, figures = found.invoice, figures_of(found.invoice)
    as_of = reader.moment(found.as_of)
    facts = [(_("From"), found.sender.name), (_("To"), invoice.contact_name), (_("Reference"), invoice.reference)]
    days = [(_("Date"), invoice.date), (_("Due"), invoice.due_date)]
    return {
        "title": f"{_('Invoice')} {invoice.number}".strip(),
        "status": _status(found),
        "notice": _("Drawn from stored data as of %(time)s, because Xero did not answer. It is not %(org)s's own layout.")
        % {"time": as_of, "org": found.sender.name},
        "foot": _("Client Invoices, as of %(time)s") % {"time": as_of},
        "to_pay_label": _("To pay"),
        "to_pay": _money(reader, figures.to_pay, invoice.currency),
        "due": _("by %(day)s") % {"day": reader.day(invoice.due_date)} if figures.to_pay > 0 and invoice.due_date else "",
        "facts": [fact for fact in facts if fact[1]] + [(name, reader.day(day)) for name, day in days if day],
        "heads": [_("Description"), _amount_head(figures)],
        "lines": [_line(line, reader, invoice.currency) for line in figures.lines],
        "sums": _sums(figures, reader, invoice.currency),
    }


def _line(line: LineFigures, reader: Reader, currency: str) -> dict[str, str]:
    priced = line.quantity is not None and line.unit_amount is not None
    working = [f"{reader.number(str(line.quantity))} × {reader.number(str(line.unit_amount))}"] if priced else []
    if line.discount:
        working.append(_("%(rate)s%% off") % {"rate": reader.number(str(line.discount))})
    if line.rate is not None:
        working.append(_rate(line.rate))
    return {
        "text": line.description or line.item_code or _("Without a description"),
        "working": " · ".join(working),
        "amount": "" if line.amount is None else _money(reader, line.amount, currency),
    }


def _sums(figures: InvoiceFigures, reader: Reader, currency: str) -> list[tuple[str, str]]:
    taxed = [(_("Subtotal without tax") if figures.tax_included else _("Subtotal"), figures.sub_total)] if figures.taxed else []
    taxes = [(_("Other tax") if tax.rate is None else _rate(tax.rate), tax.tax) for tax in figures.taxes]
    reductions = [(f"{_kind(row.kind)} {reader.day(row.date) if row.date else ''}".strip(), -row.amount) for row in figures.reductions]
    rows = [*taxed, *taxes, (_("Total"), figures.total), *reductions]
    return [(name, _money(reader, amount, currency)) for name, amount in rows]


def _amount_head(figures: InvoiceFigures) -> str:
    if figures.tax_included:
        return _("Amount, tax included")
    return _("Amount, before tax") if figures.taxed else _("Amount")


def _rate(rate: Any) -> str:
    return _("No tax") if rate == 0 else _("Tax %(rate)s%%") % {"rate": rate}


def _kind(kind: str) -> str:
    names = {"payment": _("Payment"), "credit_note": _("Credit note"), "prepayment": _("Prepayment"), "overpayment": _("Overpayment")}
    return names.get(kind, _("Other payments and credits"))


def _status(found: OneInvoice) -> str:
    words = {
        "awaiting": _("Awaiting approval"),
        "due_today": _("Due today"),
        "overdue": _("Overdue"),
        "paid": _("Paid"),
        "credited": _("Settled by credit"),
        "voided": _("Voided, nothing to pay"),
    }
    return words.get(found.standing, "")


def _money(reader: Reader, amount: int, currency: str) -> str:
    return f"{currency} {reader.figures(amount, currency)}"
