"""What a client takes away says what the pages say, for every invoice of the demo data."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.papers import demo_invoices, figures_that_differ


@pytest.mark.timeout(600)
async def test_a_drawn_pdf_and_its_page_show_the_same_figures_for_every_demo_invoice(keys: Path) -> None:
    invoices = demo_invoices()
    assert await figures_that_differ(keys, invoices) == []
    print(f"{len(invoices)} invoices of the demo data: page and drawn PDF agree on every figure")
