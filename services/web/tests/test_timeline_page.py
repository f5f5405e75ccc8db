"""The timeline of a client as its provider reads it: lines, filter, pages and the file of the same rows."""

from __future__ import annotations

import csv
import io

import httpx

from web.testing import Upstream, words
from web.testing_ledger import KOWHAI, NO_EMAIL, RATA, a_history, a_share

TIMELINE = f"/o/{KOWHAI}/clients/{RATA}/timeline"


async def test_a_client_nothing_happened_with_has_an_empty_timeline_under_its_name_in_xero(provider: httpx.AsyncClient) -> None:
    page = await words(provider, f"/o/{KOWHAI}/clients/{NO_EMAIL}/timeline")
    assert "Timeline of مكتبة النور" in page
    assert "Nothing has happened yet." in page
    assert "Download CSV" not in page
    assert (await provider.get(f"/o/{KOWHAI}/clients/{NO_EMAIL[:-1]}9/timeline")).status_code == 404


async def test_every_kind_of_thing_has_its_words_in_the_organisations_time(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares, up.timeline = [a_share(1)], a_history()
    page = await words(provider, TIMELINE)
    for text in (
        "20 May 2026, 22:00 NZST Access of accounts1@rata.example ended by Hana Kōwhai",
        "Carried over to another client.",
        "INV-1042 : Payment of NZD 50.00, part-paid, NZD 410.00 to pay dated",
        "INV-1042 : Changed Reference “a”, now “b”",
        "accounts1@rata.example opened INV-1042",
        "accounts1@rata.example downloaded a statement",
        "accounts1@rata.example opened the invitation",
        "Invitation to accounts1@rata.example returned mailbox full",
        "Invitation to accounts1@rata.example handed to the mail server",
        "Shared with accounts1@rata.example by Hana Kōwhai",
        "from Xero",
    ):
        assert text in page, text
    assert f'href="{TIMELINE}"' in (await provider.get(f"/o/{KOWHAI}/clients/{RATA}")).text


async def test_the_filter_and_the_place_stand_in_the_address(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares, up.timeline = [a_share(1)], a_history() * 5
    first = (await provider.get(TIMELINE)).text
    assert f'{TIMELINE}?before=50">Older' in first
    older = (await provider.get(f"{TIMELINE}?before=50")).text
    assert f'{TIMELINE}">Newest' in older
    assert "Older" not in older
    paid = (await provider.get(f"{TIMELINE}?kind=payments&before=0")).text
    assert paid.count('class="when"') == 5
    assert f'{TIMELINE}?kind=mails"' in paid
    assert f'{TIMELINE}.csv?kind=payments"' in paid
    up.timeline = []
    assert "Nothing of this kind has happened yet." in await words(provider, f"{TIMELINE}?kind=payments")


async def test_the_file_holds_the_same_rows_exactly_and_no_formula(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares, up.timeline = [a_share(1)], a_history()
    answer = await provider.get(f"{TIMELINE}.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["cache-control"] == "no-store"
    head, *rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert len(rows) == len(up.timeline)
    assert rows[0] == ["2026-05-20T22:00:00+12:00", "Access ended", "accounts1@rata.example", "Hana Kōwhai", *[""] * 6]
    payment = dict(zip(head, rows[2], strict=True))
    assert (payment["Invoice"], payment["Amount"], payment["To pay"], payment["Dated"]) == ("INV-1042", "50.00", "410.00", "2026-05-09")
    assert rows[3][-1] == "Reference: a, now b"
    assert rows[4][4] == "'=1+1"
    assert rows[9][-1] == "mailbox full"
    only = (await provider.get(f"{TIMELINE}.csv?kind=mails")).text
    assert only.count("\n") == 4


async def test_a_file_that_would_be_too_long_is_refused_with_a_way_out(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.shares, up.timeline = [a_share(1)], a_history() * 400
    answer = await provider.get(f"{TIMELINE}.csv?kind=")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{TIMELINE}?too_many=csv")
    assert "That is more than 5,000 rows." in await words(provider, f"{TIMELINE}?too_many=csv")
