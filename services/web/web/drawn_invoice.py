"""An invoice drawn from what is stored, for when Xero does not answer. It says so on its face, and is not the sender's own layout."""

from __future__ import annotations

from decimal import Decimal
from gettext import gettext as _
from gettext import ngettext
from typing import Any

from web.client_models import OneInvoice
from web.formats import Reader
from web.pages.invoice_figures import InvoiceFigures, LineFigures, Reduction, TaxFigures, figures_of
from web.papers import compiled, isolated, kind_of, money


def draw(found: OneInvoice, reader: Reader) -> bytes:
    """The PDF. Takes some tenths of a second of processor time, so call it in a thread."""
    return compiled("invoice", contents(found, reader))


def contents(found: OneInvoice, reader: Reader) -> dict[str, Any]:
    """Every text of the document, in the order of its places."""
    invoice, figures = found.invoice, figures_of(found.invoice)
    as_of = reader.moment(found.as_of)
    facts = [(_("From"), found.sender.name), (_("To"), invoice.contact_name), (_("Reference"), invoice.reference)]
    days = [(_("Date"), invoice.date), (_("Due"), invoice.due_date)]
    return {
        "language": reader.language.partition("-")[0],
        "title": f"{_('Invoice')} {invoice.number or _('without a number')}",
        "status": _status(found, reader),
        "notice": _("Drawn from stored data as of %(time)s, because Xero did not answer. It is not %(org)s's own layout.")
        % {"time": as_of, "org": isolated(found.sender.name)},
        "foot": _("Client Invoices, as of %(time)s") % {"time": as_of},
        "to_pay_label": _("To pay"),
        "to_pay": money(reader, figures.to_pay, invoice.currency).rstrip(),
        "due": _due(found, figures, reader),
        "facts": [fact for fact in facts if fact[1]] + [(name, reader.day(day)) for name, day in days if day],
        "heads": [_("Description"), _amount_head(figures)],
        "lines": [_line(line, reader, invoice.currency) for line in figures.lines],
        "sums": _sums(figures, reader, invoice.currency),
    }


def _line(line: LineFigures, reader: Reader, currency: str) -> dict[str, str]:
    working = []
    if line.quantity is not None and line.unit_amount is not None:
        exact = line.unit_hundredths
        price = reader.number(str(line.unit_amount)) if exact is None else reader.figures(exact, currency).strip()
        working.append(f"{reader.number(str(line.quantity))} × {price}")
    if line.discount:
        working.append(_("%(rate)s%% off") % {"rate": reader.number(str(line.discount))})
    if line.rate is not None:
        working.append(_rate(line.rate))
    return {
        "text": line.description or line.item_code or _("Without a description"),
        "working": " · ".join(working),
        "amount": "" if line.amount is None else money(reader, line.amount, currency),
    }


def _sums(figures: InvoiceFigures, reader: Reader, currency: str) -> list[tuple[str, str]]:
    taxed = [(_("Subtotal without tax") if figures.tax_included else _("Subtotal"), figures.sub_total)] if figures.taxed else []
    taxes = [(_tax(tax, figures, reader, currency), tax.tax) for tax in figures.taxes]
    rows = [*taxed, *taxes, (_("Total"), figures.total), *((_reduction(row, reader), -row.amount) for row in figures.reductions)]
    return [(name, money(reader, amount, currency)) for name, amount in rows]


def _tax(tax: TaxFigures, figures: InvoiceFigures, reader: Reader, currency: str) -> str:
    if tax.rate is None:
        return _("Other tax")
    several = len(figures.taxes) > 1
    return f"{_rate(tax.rate)} · {_('on %(net)s') % {'net': reader.figures(tax.net, currency).strip()}}" if several else _rate(tax.rate)


def _reduction(row: Reduction, reader: Reader) -> str:
    told = [kind_of(row.kind), reader.day(row.date) if row.date else "", isolated(row.reference) if row.reference else ""]
    return " · ".join(part for part in told if part)


def _amount_head(figures: InvoiceFigures) -> str:
    if figures.tax_included:
        return _("Amount, tax included")
    return _("Amount, before tax") if figures.taxed else _("Amount")


def _rate(rate: Decimal) -> str:
    return _("No tax") if rate == 0 else _("Tax %(rate)s%%") % {"rate": rate}


def _due(found: OneInvoice, figures: InvoiceFigures, reader: Reader) -> str:
    day = found.invoice.due_date
    if figures.to_pay <= 0 or day is None:
        return ""
    return (_("was due %(day)s") if found.standing == "overdue" else _("by %(day)s")) % {"day": reader.day(day)}


def _status(found: OneInvoice, reader: Reader) -> str:
    invoice = found.invoice
    words = {
        "awaiting": _("Awaiting approval"),
        "due_today": _("Due today"),
        "paid": _("Paid"),
        "credited": _("Settled by credit"),
        "voided": _("Voided, nothing to pay"),
    }
    word = words.get(found.standing, "")
    if found.standing == "overdue" and invoice.due_date:
        days = (found.today - invoice.due_date).days
        word = ngettext("Overdue %(num)s day", "Overdue %(num)s days", days) % {"num": reader.number(days)}
    parted = invoice.amount_paid + invoice.amount_credited > 0 and invoice.amount_due > 0
    return ", ".join(part for part in (word, _("part-paid") if word else _("Part-paid")) if part) if parted else word
