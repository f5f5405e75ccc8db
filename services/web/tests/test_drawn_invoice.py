"""The drawn PDF: its texts, its figures, and that nothing in an invoice becomes markup."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
import typst

from web.client_models import OneInvoice
from web.client_testing import NOW, TODAY, a_line, a_payment, an_invoice, standing_of
from web.drawn_invoice import contents, draw
from web.formats import Reader
from web.papers import SOURCES

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
    assert told["lines"] == [{"text": "Shop drawings, stage two", "working": "4 × 100.00 · Tax 15%", "amount": "NZD 400.00"}]
    assert told["sums"] == [
        ("Subtotal", "NZD 400.00"),
        ("Tax 15%", "NZD 60.00"),
        ("Total", "NZD 460.00"),
        ("Payment · 12 Nov 2026", "NZD −60.00"),
    ]


def test_markup_in_an_invoice_is_text_and_every_script_is_drawn() -> None:
    nasty = ["#panic()", "$ x $", '#read("/etc/passwd")', "*b*", "`c`", "مكتبة النور", "漢字", "=1+1", "\\", "<a>", "@b", "//", "a\u202eb"]
    lines = [a_line(line_item_id=text, description=text) for text in nasty]
    pdf = draw(shown(lines=lines, reference="#x", contact_name="#import"), READER)
    assert pdf.startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("text", "letters"),
    [
        ("Ελληνικά", "NotoSans"),
        ("مكتبة النور", "NotoSansArabic"),
        ("ספרייה", "NotoSansHebrew"),
        ("पुस्तकालय", "NotoSansDevanagari"),
        ("ห้องสมุด", "NotoSansThai"),
        ("漢字", "DroidSansFallback"),
        ("한국", "NanumSquareR"),
        ("🎉 👍", "Symbola"),
    ],
)
def test_no_letter_is_an_empty_box(text: str, letters: str) -> None:
    pdf = draw(shown(lines=[a_line(description=text)]), READER)
    assert letters.encode() in {name.removesuffix(b"-Regular") for name in re.findall(rb"/BaseFont ?/[A-Z]{6}\+([A-Za-z0-9-]+)", pdf)}


def test_words_longer_than_a_line_and_names_that_run_the_other_way_stay_in_their_places() -> None:
    paid = {"amount_paid": 6000, "amount_due": 40000}
    told = contents(shown(payments=[a_payment(6000, "2026-11-12", reference="\u202eevil")], **paid), READER)
    assert told["sums"][-1][0] == "Payment · 12 Nov 2026 · \u2068\u202eevil\u2069"
    assert "It is not \u2068Kōwhai & Hart\u2069's own layout." in told["notice"]
    assert draw(shown(lines=[a_line(description="N" * 4000)]), READER).startswith(b"%PDF-")


@pytest.mark.parametrize(
    ("changes", "status", "due"),
    [
        ({"due_date": "2026-11-11"}, "Overdue 10 days", "was due 11 Nov 2026"),
        ({"due_date": "2026-11-20", "amount_paid": 6000, "amount_due": 40000}, "Overdue 1 day, part-paid", "was due 20 Nov 2026"),
        ({"amount_paid": 6000, "amount_due": 40000}, "Part-paid", "by 1 Dec 2026"),
        ({"status": "VOIDED", "amount_due": 0}, "Voided, nothing to pay", ""),
        ({}, "", "by 1 Dec 2026"),
    ],
)
def test_it_says_how_the_invoice_stands(changes: dict[str, Any], status: str, due: str) -> None:
    told = contents(shown(**changes), READER)
    assert (told["status"], told["due"]) == (status, due)


def test_dates_and_figures_are_written_as_the_reader_writes_them() -> None:
    told = contents(shown(), Reader("en_US", "Europe/London", READER.now))
    assert told["notice"].startswith("Drawn from stored data as of Nov 21, 2026, 09:42 GMT,")
    assert ("Date", "Nov 1, 2026") in told["facts"]


def test_three_hundred_lines_take_several_pages() -> None:
    pages: Any = typst.compile(
        SOURCES / "invoice.typ",
        sys_inputs={"paper": json.dumps(contents(shown(lines=[a_line(line_item_id=str(n)) for n in range(300)]), READER))},
        format="svg",
    )
    assert isinstance(pages, list)
    assert len(pages) > 5
