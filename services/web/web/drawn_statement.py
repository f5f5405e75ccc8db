"""A statement as a PDF and as CSV rows."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from gettext import gettext as _
from typing import Any

from web import statement_words
from web.client_models import Account, Entry, Statement
from web.formats import Reader
from web.papers import compiled, exact, isolated, kind_of, money


def draw(found: Statement, reader: Reader) -> bytes:
    """The PDF. Takes up to seconds of processor time, so call it in a thread."""
    return compiled("statement", contents(found, reader))


def contents(found: Statement, reader: Reader) -> dict[str, Any]:
    """Every text of the document, in the order of its places."""
    as_of = reader.moment(found.sender.as_of or reader.now)
    return {
        "language": reader.language.partition("-")[0],
        "title": statement_words.title(found),
        "foot": _("%(org)s, drawn by Client Invoices as of %(time)s") % {"org": isolated(found.sender.name), "time": as_of},
        "facts": [(_("From"), found.sender.name), (_("Period"), statement_words.period(found, reader)), (_("As of"), as_of)],
        "heads": [_("Date"), _("What"), _("Amount"), _("Balance")],
        "empty": _("No movement in this period."),
        "cut": _("There are too many movements to list; a shorter period lists them."),
        "too_long": found.too_long,
        "accounts": [_account(account, reader) for account in found.accounts],
        "notes": statement_words.left_out(found, reader),
    }


def csv_head() -> list[str]:
    """The columns of `csv_rows`."""
    return [_("To"), _("Currency"), _("Date"), _("What"), _("Number"), _("Reference"), _("Due"), _("Amount"), _("Balance")]


def csv_rows(found: Statement) -> Iterator[list[str | Decimal]]:
    """Each account from its opening balance to its closing one."""
    for account in found.accounts:
        named = [account.contact_name, account.currency]
        first = "" if found.first is None else found.first.isoformat()
        yield [*named, first, _("Opening balance"), "", "", "", "", exact(account.opening)]
        for entry in account.entries:
            kind = _("Invoice") if entry.kind == "invoice" else kind_of(entry.kind)
            due = entry.due_date.isoformat() if entry.due_date else ""
            told = [entry.day.isoformat(), kind, entry.number, entry.reference, due]
            yield [*named, *told, exact(entry.amount), exact(entry.balance)]
        yield [*named, found.last.isoformat(), _("Closing balance"), "", "", "", "", exact(account.closing)]


def _account(account: Account, reader: Reader) -> dict[str, Any]:
    return {
        "name": f"{account.contact_name} · {account.currency}",
        "opening": [_("Opening balance"), money(reader, account.opening, account.currency)],
        "entries": [_entry(entry, account.currency, reader) for entry in account.entries],
        "closing": [_("Closing balance"), money(reader, account.closing, account.currency)],
        "ageing": [(name, money(reader, amount, account.currency)) for name, amount in statement_words.ageing(account)],
    }


def _entry(entry: Entry, currency: str, reader: Reader) -> list[str]:
    words = [reader.day(entry.day), statement_words.what(entry), statement_words.about(entry, reader)]
    return [*words, reader.figures(entry.amount, currency), reader.figures(entry.balance, currency)]
