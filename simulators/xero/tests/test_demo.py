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


def days_from_anchor(found: dict[str, Any]) -> int:
    return (date.fromisoformat(found["due"]) - ANCHOR).days


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


async def test_shared_addresses(http: httpx.AsyncClient) -> None:
    ours, theirs = await contacts(http), await contacts(http, "pike")
    assert ours["C-003"]["email"] == theirs["P-01"]["email"]
    assert ours["C-004"]["email"] == ours["C-005"]["email"]
    assert ours["C-006"]["email"] != ours["C-005"]["email"]
    assert ours["C-006"]["email"].lower() == ours["C-005"]["email"]
    assert not ours["C-007"]["email"].isascii()
    assert (ours["C-009"]["email"], ours["C-010"]["email"]) == ("", "n/a")
    assert all(c["email"].endswith(".example") for c in [*ours.values(), *theirs.values()] if "@" in c["email"])


async def test_names_that_try_a_page(http: httpx.AsyncClient) -> None:
    ours, theirs = await contacts(http), await contacts(http, "pike")
    assert len(ours["C-014"]["name"]) == 255
    assert "<script>" in ours["C-015"]["name"]
    assert theirs["P-02"]["name"].startswith("=1+1")
    assert "\u200b" in ours["C-020"]["name"]
    assert "\u202e" in ours["C-020"]["name"]
    assert len(ours["C-012"]["persons"]) == 5
    assert {ours["0042"]["name"], ours["42"]["name"]} == {"Zenith Signs", "Zephyr Sails"}


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
    ("number", "due"), [("INV-0201", -1), ("INV-0202", 0), ("INV-0203", 1), ("INV-0204", -31), ("INV-0205", -61), ("INV-0206", -91)]
)
async def test_due_dates_count_from_the_anchor_day(http: httpx.AsyncClient, number: str, due: int) -> None:
    assert days_from_anchor(await invoice(http, number)) == due


async def test_due_dates_at_the_edges_of_the_calendar(http: httpx.AsyncClient) -> None:
    assert (await invoice(http, "INV-0207"))["due"] == "2027-06-15"
    assert (await invoice(http, "INV-0212"))["due"] == "2027-02-28"
    assert (await invoice(http, "INV-0213"))["due"] == "2026-07-31"
    assert (await invoice(http, "INV-0214"))["due"] is None
    waiting = await invoice(http, "INV-0208")
    assert (waiting["status"], days_from_anchor(waiting)) == ("SUBMITTED", -10)
    assert (await invoice(http, "INV-0209"))["status"] == "DELETED"


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


async def test_currencies_of_one_client(http: httpx.AsyncClient) -> None:
    assert {one["currency"] for one in await invoices(http, contact_number="C-044")} >= {"GBP", "USD", "JPY"}


@pytest.mark.parametrize(("number", "parts"), [("INV-0228", 1), ("INV-0229", 2), ("INV-0230", 5), ("INV-0231", 0), ("INV-0237", 1)])
async def test_part_payments(http: httpx.AsyncClient, number: str, parts: int) -> None:
    assert len((await invoice(http, number))["payments"]) == parts


async def test_credit_in_its_forms(http: httpx.AsyncClient, simulator: Simulator) -> None:
    kinds = {n: (await invoice(http, n))["credits"][0]["kind"] for n in ("INV-0232", "INV-0233", "INV-0234", "INV-0235")}
    assert list(kinds.values()) == ["overpayment", "prepayment", "credit_note", "credit_note"]
    assert (await invoice(http, "INV-0234"))["status"] == "AUTHORISED"
    assert (await invoice(http, "INV-0235"))["status"] == "PAID"
    assert simulator.store.number("SELECT remaining FROM credits WHERE number = 'cn-0236'") == 9200


async def test_shapes_that_try_a_layout(http: httpx.AsyncClient) -> None:
    assert [len((await invoice(http, number))["lines"]) for number in ("INV-0238", "INV-0239")] == [12, 300]
    long = (await invoice(http, "INV-0240"))["lines"][0]["description"]
    assert (len(long), long.count("\n") > 10) == (4000, True)
    (slashes,) = [one for one in await invoices(http, contact_number="C-014") if "/" in one["number"]]
    assert (len(slashes["number"]), " " in slashes["number"]) == (255, True)
    assert (await invoice(http, "INV-7"))["id"] != (await invoice(http, "INV-007"))["id"]
    assert (await invoice(http, "INV-0243"))["has_attachments"]
    assert [line["tracking"][0]["option"] for line in (await invoice(http, "INV-0244"))["lines"]] == ["North", "South"]


async def test_value_added_tax_is_included_at_three_rates(http: httpx.AsyncClient) -> None:
    found = await invoice(http, "PL-0101", "pike")
    assert (found["amounts"], found["tax"], found["total"]) == ("Inclusive", "45.00", "375.00")
    assert [line["tax_rate"] for line in found["lines"]] == ["20", "5", "0"]


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
