"""What all papers for a client share: how amounts and names are written, how a PDF is made, how a file is named and handed over."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from gettext import gettext as _
from itertools import chain, count, islice
from pathlib import Path
from typing import Any
from urllib.parse import quote

import typst

from common.money import as_decimal
from web.formats import Reader

SOURCES = Path(__file__).parent / "typst"
CSV = "text/csv; charset=utf-8"
BYTE_ORDER_MARK = "\ufeff"
"""By which Excel knows that a file is UTF-8."""

FORMULA_STARTS = tuple("=+-@＝＋－＠\t\r")
"""What makes a spreadsheet take a cell for a formula, full-width forms included (OWASP, CSV Injection)."""

ROWS_AT_ONCE = 500
LONGEST_NAME = 120


def compiled(template: str, texts: dict[str, Any]) -> bytes:
    """A PDF from a template of the folder typst and every text of it. Takes some tenths of a second of processor time."""
    pdf = typst.compile(SOURCES / f"{template}.typ", sys_inputs={"paper": json.dumps(texts)})
    assert isinstance(pdf, bytes)
    return pdf


def money(reader: Reader, amount: int, currency: str) -> str:
    """An amount in hundredths: its currency's code, then the figures of the pages."""
    return f"{currency} {reader.figures(amount, currency)}"


def isolated(name: str) -> str:
    """Somebody else's words inside a sentence of ours, whichever way they run: between U+2068 and U+2069."""
    return f"\u2068{name}\u2069"


def kind_of(settlement: str) -> str:
    """What reduced an invoice, in words."""
    names = {"payment": _("Payment"), "credit_note": _("Credit note"), "prepayment": _("Prepayment"), "overpayment": _("Overpayment")}
    return names.get(settlement, _("Other payments and credits"))


def csv_of(head: Sequence[str], rows: Iterable[Sequence[str | Decimal]]) -> Iterator[bytes]:
    """A CSV file (RFC 4180) piece by piece. Texts that a spreadsheet would take for a formula get an apostrophe before them."""
    yield BYTE_ORDER_MARK.encode() + _lines([head])
    left = iter(rows)
    while some := list(islice(left, ROWS_AT_ONCE)):
        yield _lines(some)


def exact(amount: int) -> Decimal:
    """Hundredths as a CSV has them: two decimals, a point, no grouping."""
    return as_decimal(amount)


class Zip:
    """A ZIP file written piece by piece: what `add` gives is sent before the next file is read, so memory holds one file.

    Nothing is compressed, because PDFs are.
    """

    def __init__(self) -> None:
        self._out = _Pieces()
        self._zip = zipfile.ZipFile(self._out, "w")
        self._names: set[str] = set()

    def add(self, name: str, content: bytes, at: datetime) -> bytes:
        """The next piece: a file under this name, or this name with a number when it is taken."""
        stem, _dot, ending = name.rpartition(".")
        numbered = (f"{stem} ({number}).{ending}" for number in count(2))
        free = next(it for it in chain([name], numbered) if it.casefold() not in self._names)
        self._names.add(free.casefold())
        self._zip.writestr(zipfile.ZipInfo(free, at.timetuple()[:6]), content)
        return self._out.taken()

    def end(self) -> bytes:
        """The last piece."""
        self._zip.close()
        return self._out.taken()


class _Pieces(io.RawIOBase):
    """Where a ZIP is written to: it cannot go back."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, piece: Any) -> int:
        self._pieces.append(bytes(piece))
        return len(piece)

    def taken(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def disposition(how: str, name: str) -> dict[str, str]:
    """The header that names a file: `how` is inline or attachment (RFC 6266)."""
    return {"content-disposition": f"{how}; filename*=UTF-8''{quote(name, safe='')}"}


def file_name(*parts: str, ending: str) -> str:
    """A name every system takes, from words of others too: none of the characters some forbid, and not too long."""
    words = " ".join(part for part in parts if part)
    plain = re.sub(r'[\x00-\x1f\x7f"*/:<>?\\|\u200b-\u200f\u202a-\u202e\u2066-\u2069]+', "-", words).strip(" .-")
    return f"{plain[:LONGEST_NAME] or 'file'}.{ending}"


def _lines(rows: Iterable[Sequence[str | Decimal]]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerows([cell if isinstance(cell, Decimal) else _harmless(cell) for cell in row] for row in rows)
    return text.getvalue().encode()


def _harmless(cell: str) -> str:
    return f"'{cell}" if cell.lstrip(" ").startswith(FORMULA_STARTS) else cell
