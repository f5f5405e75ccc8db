"""The drawn PDF: its texts, its figures, and that nothing in an invoice becomes markup."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from web.client_models import OneInvoice
from web.client_testing import NOW, TODAY, a_line, a_payment, an_invoice, standing_of
from web.drawn_invoice import contents, draw
from web.formats import Reader

READER = Reader("en_GB", "Pacific/Auckland", datetime(2026, 11, 21, 9, tzinfo=UTC))


def shown(**changes: Any) -> OneInvoice:
    invoice = an_invoice("INV-1", **changes)
    sender = {"organisation_id": "org", "name": "Kōwhai & Hart", "contacts": []}
    standing = standing_of(invoice)
    return OneInvoice.model_validate({"sender": sender, "invoice": invoice, "standing": standing, "today": TODAY, "as_of": NOW})


def test_it_says_on_its_face_that_xero_did_not_answer_and_adds_up() -> None:
    paid = shown(payments=[a_payment(6000, "2026-11-12")], amount_paid=6000, amount_due=40000)
    told = contents(paid, READER)
    assert told["notice"].startswith("Drawn from stored data as of 21 Nov 2026, 22:42 NZDT, because Xero did not answer.")
    assert told["to_pay"] == "NZD 400.00"
    assert told["lines"] == [{"text": "Shop drawings, stage two", "working": "4 × 100 · Tax 15%", "amount": "NZD 400.00"}]
    assert told["sums"] == [
        ("Subtotal", "NZD 400.00"),
        ("Tax 15%", "NZD 60.00"),
        ("Total", "NZD 460.00"),
        ("Payment 12 Nov 2026", "NZD −60.00"),
    ]


def test_markup_in_an_invoice_is_text_and_every_script_is_drawn() -> None:
    nasty = ["#panic()", "$ x $", '#read("/etc/passwd")', "*b*", "`c`", "مكتبة النور", "漢字", "=1+1", "\\", "<a>", "@b", "//", "a\u202eb"]
    lines = [a_line(line_item_id=text, description=text) for text in nasty]
    pdf = draw(shown(lines=lines, reference="#x", contact_name="#import"), READER)
    assert pdf.startswith(b"%PDF-")


def test_three_hundred_lines_take_several_pages() -> None:
    pdf = draw(shown(lines=[a_line(line_item_id=str(n), description=f"Line {n}") for n in range(300)]), READER)
    assert pdf.count(b"/Type /Page\n") + pdf.count(b"/Type/Page/") + pdf.count(b"/Type /Page ") >= 5 or len(pdf) > 30_000
