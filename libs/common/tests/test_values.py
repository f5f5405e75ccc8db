"""Ids, money, addresses, time: the small values everything else stands on."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from common import addresses, ids, logging, money
from common.clock import local_date
from common.testing import ADDRESSES, NO_ADDRESSES


@given(st.uuids())
def test_an_organisation_id_leads_back_to_its_tenant(tenant: UUID) -> None:
    organisation = ids.organisation_id(str(tenant))
    assert organisation.startswith("org_")
    assert ids.tenant_id(organisation) == str(tenant)


@pytest.mark.parametrize("text", ["", "org_", "org_1", "shr_" + "0" * 26, "org_" + "Z" * 26, "org_" + "U" * 26, "org_" + "0" * 25 + "ä"])
def test_what_is_no_organisation_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        ids.tenant_id(text)


def test_ids_sort_by_time_and_secrets_are_long() -> None:
    assert len({ids.new_id("shr") for _ in range(1000)}) == 1000
    assert len(ids.new_secret("cil")) == 4 + 43


@given(st.integers(-money.LARGEST, money.LARGEST))
def test_hundredths_and_decimals_lead_to_each_other(amount: int) -> None:
    assert money.hundredths(money.as_decimal(amount)) == amount


@pytest.mark.parametrize("amount", ["0.001", "12345678901234567.899", "NaN", "Infinity", "1e40", "x"])
def test_an_amount_that_would_lose_something_is_an_error(amount: str) -> None:
    with pytest.raises(money.NotMoney):
        money.hundredths(amount)


def test_json_numbers_keep_every_digit() -> None:
    assert money.read_json(b'{"a": 12345678901234567.89}')["a"] == Decimal("12345678901234567.89")


@pytest.mark.parametrize(("typed", "stored"), ADDRESSES.items())
def test_one_person_is_one_address(typed: str, stored: str) -> None:
    assert addresses.canonical(typed) == stored
    assert addresses.canonical(stored) == stored


@pytest.mark.parametrize("text", NO_ADDRESSES)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(addresses.InvalidAddress):
        addresses.canonical(text)


@given(st.text(max_size=60))
def test_a_canonical_address_is_its_own_canonical_form(text: str) -> None:
    try:
        once = addresses.canonical(text)
    except addresses.InvalidAddress:
        return
    assert addresses.canonical(once) == once


def test_a_masked_address_shows_one_letter_and_the_domain() -> None:
    assert addresses.masked("you@demo.example") == "y•••@demo.example"


def test_the_day_depends_on_the_time_zone() -> None:
    moment = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
    assert local_date(moment, "Pacific/Auckland") == date(2026, 11, 22)
    assert local_date(moment, "Europe/London") == date(2026, 11, 21)


def test_log_lines_hide_secrets_by_name_and_by_shape() -> None:
    secret = ids.new_secret("cil")
    line = logging.redact(
        None, "info", {"event": "x", "access_token": "a", "path": f"/s/{secret}", "who": "you@demo.example", "share_id": "shr_1"}
    )
    assert line == {"event": "x", "access_token": "[hidden]", "path": "/s/[hidden]", "who": "[hidden]", "share_id": "shr_1"}
