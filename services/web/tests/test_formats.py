"""Figures, dates and times as people read them."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

import pytest

from web.formats import initials, reader, settled_share, tint
from web.permissions import permissions

NOW = datetime(2026, 11, 21, 9, 42, 7, tzinfo=UTC)
HERE = reader("en-NZ,en;q=0.8", "Pacific/Auckland", NOW)


@pytest.mark.parametrize(
    ("hundredths", "currency", "text"),
    [
        (0, "NZD", "0.00"),
        (1_234_567_890, "NZD", "12,345,678.90"),
        (-4_600, "GBP", "\u221246.00"),
        (12_000_000, "JPY", "120,000\u2008\u2007\u2007"),
        (12_000_050, "JPY", "120,000.50"),
        (9_223_372_036_854_775_807, "NZD", "92,233,720,368,547,758.07"),
    ],
)
def test_an_amount_is_exact_grouped_and_on_one_edge(hundredths: int, currency: str, text: str) -> None:
    assert HERE.figures(hundredths, currency) == text


@pytest.mark.parametrize(
    ("given", "text"),
    [("3", "3"), ("12480.0000", "12,480"), ("0.0375", "0.0375"), ("0.2500", "0.25"), ("1.5", "1.50"), ("-2.0", "\u22122")],
)
def test_quantities_and_unit_prices_keep_the_decimals_they_were_given(given: str, text: str) -> None:
    assert HERE.number(given) == text


@pytest.mark.parametrize(
    ("before", "text"),
    [
        (timedelta(seconds=40), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=59), "59 minutes ago"),
        (timedelta(hours=11, minutes=59), "11 hours ago"),
        (timedelta(hours=12), "21 Nov 2026, 10:42 NZDT"),
        (timedelta(days=150), "24 Jun 2026, 21:42 NZST"),
    ],
)
def test_a_time_is_told_by_its_age_up_to_twelve_hours(before: timedelta, text: str) -> None:
    assert HERE.ago(NOW - before) == text


def test_a_date_of_this_year_needs_no_year() -> None:
    assert HERE.short_day(date(2026, 12, 4), NOW.date()) == "4 Dec"
    assert HERE.short_day(date(2027, 12, 4), NOW.date()) == "4 Dec 2027"
    assert HERE.clock(NOW) == "22:42:07"


@pytest.mark.parametrize(
    ("header", "locale"), [("", "en_GB"), ("de-DE,de", "en_GB"), ("en-US", "en_US"), ("en-nz;q=0.9", "en_NZ"), (";;,,", "en_GB")]
)
def test_a_language_without_texts_is_written_for_as_british_english(header: str, locale: str) -> None:
    assert reader(header, "UTC", NOW).locale == locale


def test_a_share_of_an_invoice_is_never_full_before_it_is_settled() -> None:
    assert [settled_share(1000, due) for due in (1000, 999, 500, 1, 0)] == [0, 1, 50, 99, 100]
    assert settled_share(0, 0) == 0


def test_a_tile_has_two_letters_and_the_same_tint_everywhere() -> None:
    assert [initials(name) for name in ("Kōwhai & Hart Studio", "x", "& Co", "  ", "東京デザイン")] == ["KH", "X", "CO", "·", "東京"]
    assert {tint(f"org_{number:026d}") for number in range(200)} == set(range(8))


def test_the_permissions_are_those_of_the_scopes() -> None:
    words = permissions("openid profile email offline_access accounting.contacts.read accounting.invoices.read something.new")
    assert words[3:5] == ["Read your contacts", "Read your invoices"]
    assert words[-1] == "something.new"
    assert not any(re.search("openid", word) for word in words)
