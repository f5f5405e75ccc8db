"""A plain one-font PDF of an invoice, written by hand: enough to open, read and print."""

import unicodedata
from decimal import Decimal

from xero_simulator.documents import Contact, Invoice, Organisation

LINES_PER_PAGE = 40
LEFT, RIGHT, TOP, STEP = 56, 539, 786, 17


def invoice(it: Invoice, contact: Contact, organisation: Organisation) -> bytes:
    """A4 pages in Helvetica; letters outside Western Europe lose their accents or become `?`, which real Xero's do not."""
    rows = _rows(it, contact, organisation)
    pages = [rows[start : start + LINES_PER_PAGE] for start in range(0, len(rows), LINES_PER_PAGE)]
    return _file([_page(page, place, len(pages)) for place, page in enumerate(pages, 1)])


def _rows(it: Invoice, contact: Contact, organisation: Organisation) -> list[tuple[str, str]]:
    head = [
        (organisation.name, "TAX INVOICE" if it.type == "ACCREC" else "BILL"),
        (f"To: {contact.name[:70]}", f"No. {it.number[:40]}"),
        (f"Reference: {it.reference}" if it.reference else "", f"Date {it.date.isoformat()}"),
        ("", f"Due {it.due.isoformat()}" if it.due else "No due date"),
        ("", ""),
    ]
    lines = [(f"{line.quantity:f} x {line.unit:f}  {line.description.splitlines()[0][:60]}", _money(line.amount)) for line in it.lines]
    tail = [("Subtotal", it.subtotal), ("Tax", it.tax), (f"Total {it.currency}", it.total), ("Paid", it.paid_amount)]
    tail += [("Credited", it.credited_amount), (f"Amount due {it.currency}", it.due_amount)]
    return [*head, *lines, ("", ""), *((label, _money(amount)) for label, amount in tail)]


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _page(rows: list[tuple[str, str]], place: int, pages: int) -> bytes:
    drawn = []
    for number, (left, right) in enumerate(rows):
        y = TOP - number * STEP
        drawn.append(_text(left, LEFT, y))
        drawn.append(_text(right, RIGHT - 5 * len(right), y))
    drawn.append(_text(f"Simulator: this is no real invoice. Page {place} of {pages}.", LEFT, 40))
    return b"\n".join(drawn)


def _text(text: str, x: int, y: int) -> bytes:
    latin = text.encode("cp1252", "ignore") if _is_latin(text) else _plain(text).encode("cp1252", "replace")
    escaped = latin.replace(b"\\", b"\\\\").replace(b"(", b"\\(").replace(b")", b"\\)")
    return b"BT /F1 10 Tf %d %d Td (%s) Tj ET" % (x, y, escaped)


def _is_latin(text: str) -> bool:
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _plain(text: str) -> str:
    return "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c))


def _file(contents: list[bytes]) -> bytes:
    """Catalogue, page tree and font are objects 1 to 3; each page adds two."""
    kids = b" ".join(b"%d 0 R" % (4 + 2 * place) for place in range(len(contents)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [%s] /Count %d >>" % (kids, len(contents)),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for place, content in enumerate(contents):
        resources = b"/Resources << /Font << /F1 3 0 R >> >>"
        objects.append(b"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] %s /Contents %d 0 R >>" % (resources, 5 + 2 * place))
        objects.append(b"<< /Length %d >>\nstream\n%s\nendstream" % (len(content), content))
    return _joined(objects)


def _joined(objects: list[bytes]) -> bytes:
    out, offsets = bytearray(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n"), []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % offset for offset in offsets)
    out += b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, start)
    return bytes(out)
