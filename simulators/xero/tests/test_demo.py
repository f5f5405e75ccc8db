"""The demo data: what was promised is there, by the number the README gives, and the same each time."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from xero_simulator.demo.plan import demo_id
from xero_simulator.demo.plant import BOOKS, plant
from xero_simulator.simulator import Simulator
from xero_simulator.store import Store

ANCHOR = date(2026, 6, 18)


async def contacts(http: httpx.AsyncClient, tenant: str = "kowhai") -> dict[str, dict[str, Any]]:
    return {contact["number"]: contact for contact in (await http.get("/control/contacts", params={"tenant": tenant})).json()}


async def invoices(http: httpx.AsyncClient, tenant: str = "kowhai", **filters: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await http.get("/control/invoices", params={"tenant": tenant, **filters})).json()
    return found


async def invoice(http: httpx.AsyncClient, number: str, tenant: str = "kowhai") -> dict[str, Any]:
    (found,) = await invoices(http, tenant, number=number)
    return found


async def test_the_promised_numbers_of_contacts_and_invoices(http: httpx.AsyncClient) -> None:
    assert [len(await contacts(http, tenant)) for tenant in ("kowhai", "pike", "fresh", "meridian")] == [44, 22, 0, 5200]
    assert len(await invoices(http, contact_number="C-002")) == 1200
    assert len(await invoices(http)) == 300 + 1200
    assert len(await invoices(http, "pike")) == 130


async def test_five_logins_and_the_advisers_forty_organisations(http: httpx.AsyncClient) -> None:
    logins = {login["key"]: login["organisations"] for login in (await http.get("/control/logins")).json()}
    assert logins["owner"] == ["kowhai", "pike"]
    assert (logins["colleague"], logins["newcomer"], logins["nobody"]) == (["kowhai"], ["fresh"], [])
    assert len(logins["adviser"]) == 40


async def test_the_first_client_has_a_dozen_invoices_in_a_lively_mix(http: httpx.AsyncClient) -> None:
    found = await invoices(http, contact_number="C-001")
    assert Counter(one["status"] for one in found) == {"PAID": 3, "AUTHORISED": 6, "DRAFT": 1, "SUBMITTED": 1, "VOIDED": 1}
    assert (await contacts(http))["C-001"]["email"] == "you@demo.example"
    assert next(iter(await contacts(http))) == "C-001"


async def test_addresses_lead_nowhere(http: httpx.AsyncClient) -> None:
    ours, theirs = await contacts(http), await contacts(http, "pike")
    assert all(c["email"].endswith(".example") for c in [*ours.values(), *theirs.values()] if "@" in c["email"])


@pytest.mark.parametrize(
    ("number", "statuses", "types"),
    [
        ("C-035", {"PAID", "AUTHORISED"}, {"ACCREC", "ACCPAY"}),
        ("C-036", {"PAID"}, {"ACCPAY"}),
        ("C-037", {"DRAFT"}, {"ACCREC"}),
        ("C-038", {"AUTHORISED"}, {"ACCPAY"}),
        ("C-039", {"VOIDED"}, {"ACCREC"}),
        ("C-040", {"PAID"}, {"ACCREC"}),
        ("C-041", set(), set()),
    ],
)
async def test_contacts_with_only_one_kind(http: httpx.AsyncClient, number: str, statuses: set[str], types: set[str]) -> None:
    found = await invoices(http, contact_number=number)
    assert ({one["status"] for one in found}, {one["type"] for one in found}) == (statuses, types)
    contact = (await contacts(http))[number]
    assert contact["is_supplier"] == ("ACCPAY" in types)
    assert contact["is_customer"] == ("ACCREC" in types and statuses != {"DRAFT"})


@pytest.mark.parametrize(
    ("number", "tax", "total"),
    [
        ("INV-0218", "15.00", "115.00"),
        ("INV-0219", "0.00", "400.00"),
        ("INV-0220", "45.00", "545.00"),
        ("INV-0221", "11.44", "87.74"),
        ("INV-0222", "0.00", "0.00"),
        ("INV-0223", "97.50", "747.50"),
        ("INV-0224", "1.35", "10.35"),
        ("INV-0225", "70.20", "538.20"),
        ("INV-0226", "6.75", "51.75"),
        ("INV-0227", "0.00", "12345678.90"),
    ],
)
async def test_amounts_that_try_arithmetic(http: httpx.AsyncClient, number: str, tax: str, total: str) -> None:
    found = await invoice(http, number)
    assert (Decimal(found["tax"]), Decimal(found["total"])) == (Decimal(tax), Decimal(total))


async def test_one_credit_note_is_not_used_yet(simulator: Simulator) -> None:
    assert simulator.store.number("SELECT remaining FROM credits WHERE number = 'cn-0236'") == 9200


async def test_the_books_reach_back_twenty_six_months(http: httpx.AsyncClient) -> None:
    oldest = date.fromisoformat((await invoices(http))[0]["date"])
    assert timedelta(days=760) < ANCHOR - oldest <= timedelta(days=790)


async def test_nothing_was_changed_after_the_anchor_day_began(http: httpx.AsyncClient, simulator: Simulator) -> None:
    for organisation in (await http.get("/control/organisations")).json():
        for table in BOOKS:
            newest = simulator.store.number(f"SELECT MAX(updated) FROM {table} WHERE organisation = ?", organisation["id"])
            assert datetime.fromtimestamp(newest / 1000, UTC).date() <= ANCHOR


def test_the_same_seed_and_day_give_the_same_books(tmp_path: Path) -> None:
    contents = []
    for name, seed, moment in (("a", 1, 9), ("b", 1, 15), ("c", 2, 9)):
        store = Store(tmp_path / name)
        plant(store, seed, ANCHOR, datetime(2026, 6, 18, moment, tzinfo=UTC))
        contents.append([row["doc"] for table in BOOKS for row in store.rows(f"SELECT doc FROM {table} ORDER BY id")])
        store.close()
    assert contents[0] == contents[1]
    assert contents[0] != contents[2]


async def test_ids_can_be_computed(http: httpx.AsyncClient) -> None:
    assert (await invoice(http, "INV-0103"))["id"] == demo_id(1, "invoice", "kowhai/INV-0103")
    assert (await contacts(http))["C-001"]["id"] == demo_id(1, "contact", "kowhai/C-001")
    assert demo_id(1, "organisation", "kowhai") in {one["id"] for one in (await http.get("/control/organisations")).json()}


def test_without_a_fixed_day_each_organisation_has_its_own_today(tmp_path: Path) -> None:
    store = Store(tmp_path)
    plant(store, 1, None, datetime(2026, 6, 18, 20, 0, tzinfo=UTC))
    due = {
        number: store.row("SELECT due FROM invoices WHERE number = ?", number.lower())["due"]  # type: ignore[index]
        for number in ("INV-0202", "PL-0105")
    }
    store.close()
    assert due == {"INV-0202": "2026-06-19", "PL-0105": "2026-06-18"}


async def test_a_new_day_renews_the_books_and_keeps_connections(http: httpx.AsyncClient, simulator: Simulator) -> None:
    before = await invoice(http, "INV-0103")
    simulator.clock.advance(3 * 86_400)
    paid = (await http.post(f"/control/invoices/{before['id']}/pay")).json()
    assert (await http.post("/control/new-day")).status_code == 204
    after = await invoice(http, "INV-0103")
    today = (await http.get("/control/organisations")).json()[0]["anchor_day"]
    assert (after["id"], after["status"]) == (before["id"], "AUTHORISED")
    assert (await invoice(http, "INV-0202"))["due"] == today
    assert after["updated"] > paid["updated"]
