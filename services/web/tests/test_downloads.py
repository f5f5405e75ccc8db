"""Many PDFs at once: asking for them, how far they are, and the ZIP."""

from __future__ import annotations

import io
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.testing import ORGANISATION
from web.client_testing import Upstream, a_browser, a_site, an_invoice, press
from web.testing_papers import a_download

HANA = "hana@rata.example"
SENDER = f"/invoices/{ORGANISATION}"


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def browser(keys: Path, upstream: Upstream) -> AsyncIterator[httpx.AsyncClient]:
    async with a_site(keys, upstream) as app:
        yield a_browser(app, client=upstream.signed_in(HANA))


def ready(upstream: Upstream, invoices: list[dict[str, Any]], **changes: Any) -> None:
    """A download of these invoices of one sender."""
    upstream.sender(HANA, ORGANISATION, "Kōwhai", invoices)
    ids = [invoice["invoice_id"] for invoice in invoices]
    upstream.papers.downloads[HANA] = [a_download(organisation_id=ORGANISATION, invoice_ids=ids, total=len(ids), **changes)]


async def test_the_current_filter_is_asked_for_and_leads_to_downloads(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice("INV-1")])
    page = (await browser.get(f"{SENDER}?view=all&search=INV&page=1")).text
    assert f'action="{SENDER}/pdfs"' in page
    assert '<input type="hidden" name="search" value="INV">' in page
    answer = await press(browser, f"{SENDER}?view=all", f"{SENDER}/pdfs", view="all", search="INV", date_from="2026-01-01")
    assert (answer.status_code, answer.headers["location"]) == (303, "/downloads")
    assert upstream.papers.asked == [{"view": "all", "search": "INV", "date_from": "2026-01-01"}]


async def test_more_than_two_hundred_lead_back_to_choose_a_period(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [an_invoice(f"INV-{number}") for number in range(201)])
    answer = await press(browser, f"{SENDER}?view=all", f"{SENDER}/pdfs", view="all")
    assert answer.headers["location"] == f"{SENDER}?view=all&too_many=pdfs"
    assert (
        "One download holds at most 200 PDFs. Choose a period with fewer invoices." in (await browser.get(answer.headers["location"])).text
    )


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({}, ["PDFs of 2 invoices", "Ready.", "Download ZIP"]),
        ({"kept": 1, "missed": 1}, ["1 of them changed in Xero and is drawn from stored data; its file name says so."]),
        ({"total": 140, "kept": 12, "ready": False}, ["12 of 140 are here.", "About 3 minutes more.", "Download now", "delay:2s"]),
        ({"kept": 0, "ready": False, "reason": "xero_unavailable"}, ["Xero is not answering; the rest follows by itself.", "delay:15s"]),
        ({"kept": 0, "ready": False, "reason": "xero_busy", "limit": "day"}, ["Xero allows no more requests today"]),
        ({"kept": 0, "ready": False, "reason": "xero_busy", "limit": "minute"}, ["Xero allows only so many requests a minute"]),
        ({"kept": 0, "ready": False, "reason": "xero_needs_reauth"}, ["connection to Xero is interrupted"]),
    ],
)  # fmt: skip
async def test_the_page_tells_how_far_a_download_is(
    browser: httpx.AsyncClient, upstream: Upstream, facts: dict[str, Any], words: list[str]
) -> None:
    upstream.papers.downloads[HANA] = [a_download(**facts)]
    page = (await browser.get("/downloads")).text.replace("&#39;", "'")
    assert [one for one in words if one not in page] == []
    assert ("hx-get" in page) is not facts.get("ready", True)


async def test_with_nothing_asked_for_the_page_says_how(browser: httpx.AsyncClient) -> None:
    assert "Press “PDFs” on a sender" in (await browser.get("/downloads")).text


async def test_the_zip_holds_xeros_pdfs_and_what_is_drawn_says_so_in_its_name(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    mine, drawn, same, odd = an_invoice("INV-1"), an_invoice("INV-2"), an_invoice("inv-1"), an_invoice("../../a:b")
    ready(upstream, [mine, drawn, same, odd])
    upstream.papers.unkept = {drawn["invoice_id"]}
    answer = await browser.get("/downloads/dl_1/zip")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''K%C5%8Dwhai%20invoices%202026-11-21.zip"
    held = zipfile.ZipFile(io.BytesIO(answer.content))
    assert held.testzip() is None
    assert held.namelist() == ["INV-1.pdf", "INV-2 (drawn from stored data).pdf", "inv-1 (2).pdf", "a-b.pdf"]
    assert held.read("INV-1.pdf") == b"%PDF of right to " + mine["invoice_id"].encode()
    assert held.read("INV-2 (drawn from stored data).pdf").startswith(b"%PDF-")


async def test_with_xero_gateway_away_every_one_is_drawn(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    ready(upstream, [an_invoice("INV-1"), an_invoice("INV-2")])
    upstream.down = {"gateway"}
    held = zipfile.ZipFile(io.BytesIO((await browser.get("/downloads/dl_1/zip")).content))
    assert held.namelist() == ["INV-1 (drawn from stored data).pdf", "INV-2 (drawn from stored data).pdf"]


async def test_what_may_not_be_seen_any_more_is_left_out_and_a_foreign_download_is_the_common_404(
    browser: httpx.AsyncClient, upstream: Upstream
) -> None:
    stays, gone = an_invoice("INV-1"), an_invoice("INV-2")
    ready(upstream, [stays, gone])
    upstream.senders[HANA][ORGANISATION]["invoices"] = [stays]
    held = zipfile.ZipFile(io.BytesIO((await browser.get("/downloads/dl_1/zip")).content))
    assert held.namelist() == ["INV-1.pdf"]
    assert (await browser.get("/downloads/dl_2/zip")).status_code == 404


async def test_two_hundred_pdfs_are_one_whole_file(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    ready(upstream, [an_invoice(f"INV-{number}") for number in range(200)])
    held = zipfile.ZipFile(io.BytesIO((await browser.get("/downloads/dl_1/zip")).content))
    assert len(held.namelist()) == 200
    assert held.testzip() is None
