"""Statements: that they add up, chain from period to period, and end at what Xero says is due."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common.contracts.xero_gateway import Invoice, Settlement
from common.testing import ORGANISATION, Harness
from sharing.statements import Account, Days, Period, accounts, days_of
from sharing.testing import CLIENT, CONTACT, OTHER_CONTACT, Desk, an_invoice

DAY = date(2026, 6, 1)
LATER = date(2030, 1, 1)
STATEMENT = f"/internal/client/senders/{ORGANISATION}/statement"

days = st.integers(-400, 400).map(lambda number: DAY + timedelta(days=number))
parts = st.lists(
    st.tuples(st.integers(1, 50_000), st.none() | days, st.sampled_from(["payment", "credit_note", "prepayment", "overpayment"])),
    max_size=4,
)


@st.composite
def invoices(draw: st.DrawFn) -> list[Invoice]:
    """Some of two contacts and two currencies, part-paid, paid, credited, overpaid, voided, undated, with a rest nothing explains."""
    found = []
    for number in range(draw(st.integers(0, 8))):
        total, rest, status = draw(st.integers(-5_000, 90_000)), draw(st.sampled_from([0, 0, 700])), draw(st.sampled_from(STATUSES))
        settled = [a_part(number, place, *part) for place, part in enumerate(draw(parts))]
        found.append(
            an_invoice(
                f"INV-{number}",
                contact_id=draw(st.sampled_from([CONTACT, OTHER_CONTACT])),
                currency=draw(st.sampled_from(["NZD", "GBP"])),
                status=status,
                date=draw(st.none() | days),
                due_date=draw(st.none() | days),
                fully_paid_on=draw(st.none() | days),
                total=total,
                payments=settled,
                amount_due=0 if status == "VOIDED" else total - rest - sum(part.amount for part in settled),
            )
        )
    return found


STATUSES = ["AUTHORISED", "AUTHORISED", "PAID", "VOIDED", "SUBMITTED"]


def a_part(number: int, place: int, amount: int, day: date | None, kind: Any) -> Settlement:
    return Settlement(id=f"{number}-{place}", kind=kind, date=day, amount=amount)


def by_key(found: list[Account]) -> dict[tuple[str, str], Account]:
    return {(account.contact_id, account.currency): account for account in found}


@given(invoices(), days, st.integers(0, 300))
def test_balances_run_from_the_opening_over_every_entry_and_ageing_is_the_closing(given: list[Invoice], first: date, length: int) -> None:
    for account in accounts(given, Days(first, first + timedelta(days=length))):
        balance = account.opening
        for entry in account.entries:
            balance += entry.amount
            assert entry.balance == balance
            assert first <= entry.day <= first + timedelta(days=length)
        assert account.closing == balance
        assert sum(account.ageing.model_dump().values()) == account.closing
        assert [entry.day for entry in account.entries] == sorted(entry.day for entry in account.entries)


@given(invoices(), days, days)
def test_a_period_ends_where_the_next_one_begins_and_two_make_the_whole(given: list[Invoice], one: date, other: date) -> None:
    first, middle = sorted((one, other))
    before = by_key(accounts(given, Days(first, middle)))
    after = by_key(accounts(given, Days(middle + timedelta(days=1), LATER)))
    whole = by_key(accounts(given, Days(first, LATER)))
    for key, account in whole.items():
        earlier, later = before.get(key), after.get(key)
        assert (earlier.closing if earlier else 0) == (later.opening if later else 0)
        told = [*(earlier.entries if earlier else []), *(later.entries if later else [])]
        assert told == account.entries
        assert account.closing == (later.closing if later else earlier.closing if earlier else 0)


@given(invoices())
def test_from_the_beginning_to_the_end_it_is_what_xero_says_is_due(given: list[Invoice]) -> None:
    owed: dict[tuple[str, str], int] = {}
    for invoice in given:
        if invoice.status in ("AUTHORISED", "PAID"):
            key = (invoice.contact_id, invoice.currency)
            owed[key] = owed.get(key, 0) + invoice.amount_due
    found = by_key(accounts(given, Days(None, LATER)))
    assert {key: account.closing for key, account in found.items()} == owed
    assert all(account.opening == 0 for account in found.values())


def test_what_was_paid_in_advance_counts_from_its_invoice_on_and_names_its_own_day() -> None:
    paid = an_invoice(date=date(2026, 5, 3), total=10000, amount_due=4000, payments=[a_part(1, 1, 6000, date(2026, 5, 1), "prepayment")])
    (april_on,) = accounts([paid], Days(date(2026, 5, 2), date(2026, 5, 31)))
    assert [(str(entry.day), entry.kind, entry.amount, entry.balance) for entry in april_on.entries] == [
        ("2026-05-03", "invoice", 10000, 10000),
        ("2026-05-03", "prepayment", -6000, 4000),
    ]
    assert april_on.entries[1].dated == date(2026, 5, 1)
    assert april_on.opening == 0


@pytest.mark.parametrize(
    ("late", "bucket"), [(-1, "current"), (0, "current"), (1, "to_30"), (30, "to_30"), (31, "to_60"), (60, "to_60"), (61, "to_90"),
                         (90, "to_90"), (91, "older")],
)  # fmt: skip
def test_ageing_counts_days_after_the_due_date_at_the_end_of_the_period(late: int, bucket: str) -> None:
    owed = an_invoice(date=DAY - timedelta(days=200), due_date=DAY - timedelta(days=late), total=500, amount_due=500)
    (account,) = accounts([owed], Days(None, DAY))
    assert {name for name, amount in account.ageing if amount} == {bucket}


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("this_month", date(2026, 1, 1), date(2026, 1, 31)),
        ("last_month", date(2025, 12, 1), date(2025, 12, 31)),
        ("last_3_months", date(2025, 11, 1), date(2026, 1, 31)),
        ("last_12_months", date(2025, 2, 1), date(2026, 1, 31)),
        ("all", None, date(2026, 1, 31)),
    ],
)
def test_named_periods_are_whole_months_and_the_days_of_this_one(period: Period, first: date | None, last: date) -> None:
    assert days_of(period, date(2026, 1, 31)) == (first, last)


async def test_a_statement_shows_what_is_shared_and_says_what_it_leaves_out(sharing: Harness, desk: Desk) -> None:
    old = an_invoice("OLD-1", date=date(2025, 3, 1))
    await desk.share([old, an_invoice(), an_invoice("WAIT-1", status="SUBMITTED")], from_date="2026-01-01")
    answer = await sharing.http.get(STATEMENT, params={"period": "all"}, headers=sharing.as_client())
    found = answer.json()
    assert found["limits"] == [{"contact_name": "Harbour Books", "from_date": "2026-01-01", "picked": None}]
    assert [[entry["number"] for entry in account["entries"]] for account in found["accounts"]] == [["INV-1"]]
    assert (found["accounts"][0]["closing"], found["awaiting"], found["too_long"]) == (11500, 1, False)
    assert (found["first"], found["last"]) == (None, found["today"])


async def test_what_is_taken_away_is_recorded_once_and_is_no_opening_of_an_invoice(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice(), an_invoice("INV-2")])
    base = f"/internal/client/senders/{ORGANISATION}"
    rows = (await sharing.http.get(f"{base}/list", headers=sharing.as_client())).json()
    assert [row["number"] for row in rows["invoices"]] == ["INV-2", "INV-1"]
    await sharing.http.get(f"{base}/statement", headers=sharing.as_client())
    await sharing.http.get(f"{base}/statement", params={"doing": "downloaded"}, headers=sharing.as_client())
    told = (await sharing.http.get(f"{desk.path}/shares/{share['id']}/viewings", headers=sharing.as_provider())).json()["viewings"]
    assert {(one["invoice_id"], one["opened"], one["downloaded"]) for one in told} == {("list", 0, 1), ("statement", 1, 1)}
    assert all(one["email"] == CLIENT for one in told)


async def test_nothing_is_taken_away_once_access_ended(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    await desk.end(share["id"])
    for name in ("list", "statement"):
        answer = await sharing.http.get(f"/internal/client/senders/{ORGANISATION}/{name}", headers=sharing.as_client())
        assert answer.status_code == 404
