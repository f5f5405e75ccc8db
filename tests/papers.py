"""Every sales invoice of the demo data as the services know it, and the figures a client reads of it: on the page and on the drawn PDF."""

from __future__ import annotations

import html
import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from common.clock import utc_now
from common.contracts.xero_gateway import Invoice
from common.money import read_json
from common.testing import ORGANISATION
from web.client_models import OneInvoice
from web.client_testing import NOW, TODAY, Upstream, a_browser, a_site
from web.drawn_invoice import contents
from web.formats import Reader
from xero_gateway.wire import read_invoice
from xero_simulator import ledger, shapes, wire
from xero_simulator.main import create_app
from xero_simulator.settings import Settings
from xero_simulator.store import Store

HANA = "hana@rata.example"
WHOLE = shapes.Detail(unit_places=4)


def demo_invoices() -> list[tuple[str, Invoice]]:
    """(organisation's name, invoice) of both organisations, every sales invoice that was ever approved."""
    with _books() as store:
        return [(name, invoice) for name, invoice in _all(store) if invoice.is_sale and invoice.status not in ("DRAFT", "DELETED")]


def one_of_each_kind(invoices: Sequence[tuple[str, Invoice]]) -> list[tuple[str, Invoice]]:
    """One for each combination of what makes an invoice's figures differ."""
    kinds = {
        (
            invoice.standing(TODAY),
            invoice.currency,
            invoice.line_amount_types,
            len({line.tax_type for line in invoice.lines}),
            frozenset(part.kind for part in invoice.payments),
            min(len(invoice.payments), 3),
            any(line.discount_rate for line in invoice.lines),
            any(line.line_amount < 0 for line in invoice.lines),
            len(invoice.lines) > 10,
        ): (name, invoice)
        for name, invoice in invoices
    }
    return list(kinds.values())


async def figures_that_differ(keys: Path, invoices: Sequence[tuple[str, Invoice]]) -> list[str]:
    """Numbers of those invoices whose page and whose drawn PDF show other amounts, or the same in another order."""
    upstream = Upstream()
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [invoice.model_dump(mode="json") for _, invoice in invoices])
    differ = []
    async with a_site(keys, upstream) as site:
        browser = a_browser(site, client=upstream.signed_in(HANA))
        for name, invoice in invoices:
            page = await browser.get(f"/invoices/{ORGANISATION}/{invoice.invoice_id}")
            if _on_page(page.text) != _on_paper(name, invoice):
                differ.append(invoice.number)
    return differ


def _on_page(page: str) -> list[str]:
    """The lines' amounts, the sums with their labels, and what is to pay."""
    bill = page.partition('<table role="table" class="bill">')[2].partition("</table>")[0]
    rows = [re.findall(r'(?s)<td role="(?:rowheader|cell)"[^>]*>(.*?)</td>', row) for row in bill.split("<tr ")[2:]]
    return [f"{_words(label)} {_words(amount).removeprefix('none')}".strip() for label, amount in rows]


def _on_paper(name: str, invoice: Invoice) -> list[str]:
    sender = {"organisation_id": ORGANISATION, "name": name, "contacts": []}
    told = {"sender": sender, "invoice": invoice.model_dump(), "standing": invoice.standing(TODAY), "today": TODAY, "as_of": NOW}
    texts = json.loads(json.dumps(contents(OneInvoice.model_validate(told), Reader("en_GB", "Pacific/Auckland", utc_now()))))
    lines = [(f"{line['text']} {line['working']}", line["amount"]) for line in texts["lines"]]
    rows = [*lines, *texts["sums"], (texts["to_pay_label"], texts["to_pay"])]
    return [f"{_words(label)} {_words(amount)}".strip() for label, amount in rows]


def _words(text: str) -> str:
    """What is read: no tags, no isolating marks, no dots between, spaces as one."""
    plain = html.unescape(re.sub(r"<[^>]+>", " ", text))
    return " ".join(re.sub("[\u2066-\u2069]", "", plain).replace(" · ", " ").split())


@contextmanager
def _books() -> Iterator[Store]:
    with tempfile.TemporaryDirectory() as folder:
        store = create_app(Settings(data_dir=Path(folder), anchor_day=TODAY)).state.simulator.store
        try:
            yield store
        finally:
            store.close()


def _all(store: Store) -> Iterator[tuple[str, Invoice]]:
    for key in ("kowhai", "pike"):
        organisation = ledger.organisation(store, key)
        for row in store.rows("SELECT id FROM contacts WHERE organisation = ? ORDER BY number", organisation.id):
            contact = ledger.contact(store, row["id"])
            for kept in ledger.invoices_of(store, contact.id):
                told = wire.dumps(shapes.invoice(kept, contact, WHOLE))
                yield organisation.name, read_invoice(read_json(told))
