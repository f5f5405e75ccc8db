"""What a client takes away says what the pages say."""

from __future__ import annotations

from pathlib import Path

from tests.papers import demo_invoices, figures_that_differ, one_of_each_kind


async def test_a_drawn_pdf_and_its_page_show_the_same_figures_for_every_kind_of_demo_invoice(keys: Path) -> None:
    invoices = one_of_each_kind(demo_invoices())
    assert len(invoices) > 30
    assert await figures_that_differ(keys, invoices) == []
