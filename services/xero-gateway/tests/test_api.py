"""What providers read: who may, and what they get."""

from typing import Any

import pytest

from common.http import admitted
from common.testing import OTHER_ORGANISATION
from xero_gateway import store
from xero_gateway.testing import an_id

BASE = "/internal/organisations/{organisation_id}"
MATRIX = {
    ("GET", f"{BASE}/contacts"): frozenset({"provider"}),
    ("GET", f"{BASE}/contacts/{{contact_id}}"): frozenset({"provider"}),
    ("GET", f"{BASE}/contacts/{{contact_id}}/invoices"): frozenset({"provider"}),
    ("GET", f"{BASE}/invoices/{{invoice_id}}"): frozenset({"provider"}),
    ("GET", f"{BASE}/invoices/{{invoice_id}}/online"): frozenset({"provider"}),
    ("GET", f"{BASE}/calls"): frozenset({"provider"}),
    ("POST", f"{BASE}/connection-test"): frozenset({"provider"}),
    ("GET", f"{BASE}/loads/{{load_id}}"): frozenset({"provider"}),
    ("GET", f"{BASE}/updates"): frozenset({"provider"}),
    ("GET", "/internal/invoice-pdf"): frozenset({"pdf"}),
    ("POST", "/webhooks/xero"): frozenset[str](),
}
CONTACT = an_id("contact")
READS = [
    *("contacts", f"contacts/{CONTACT}", f"contacts/{CONTACT}/invoices", "loads/lod_1"),
    *(f"invoices/{CONTACT}", f"invoices/{CONTACT}/online", "calls", "updates"),
]


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


async def test_every_route_admits_exactly_those_it_should(world: Any) -> None:
    assert admitted(world.service.app) == MATRIX


@pytest.mark.parametrize("path", READS)
async def test_nobody_but_a_provider_of_that_organisation_reads(world: Any, path: str) -> None:
    service, address = world.service, f"/internal/organisations/{world.kowhai}/{path}"
    assert code(await service.http.get(address)) == (401, "bad_token")
    for headers in (service.as_client(), service.as_service("web"), service.as_service("sharing"), service.as_pdf_holder()):
        assert code(await service.http.get(address, headers=headers)) == (403, "forbidden")
    foreign = await service.http.get(address, headers=service.as_provider(OTHER_ORGANISATION))
    assert foreign.status_code == 404
    assert await world.calls() == []


async def test_unknown_contacts_and_loads_are_the_one_404(world: Any) -> None:
    bodies = set()
    for path in (
        f"contacts/{CONTACT}",
        f"contacts/{CONTACT}/invoices",
        "contacts/no-uuid",
        "contacts/..%2Finvoices",
        "contacts/no-uuid/invoices",
        f"invoices/{CONTACT}",
        "invoices/no-uuid",
        f"invoices/{CONTACT}/online",
        "loads/lod_unknown",
    ):
        answer = await world.get(path)
        assert answer.status_code == 404, path
        bodies.add(answer.text)
    assert len(bodies) == 1


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("contacts", {"page": 0}),
        ("contacts", {"page": "x"}),
        ("contacts", {"search": "x" * 101}),
        (f"contacts/{CONTACT}/invoices", {"view": "secret"}),
        (f"contacts/{CONTACT}/invoices", {"page": -1}),
        (f"contacts/{CONTACT}/invoices", {"date_from": "31.12.2026"}),
    ],
)
async def test_bad_input_is_refused_by_name(world: Any, path: str, params: dict[str, Any]) -> None:
    answer = await world.get(path, **params)
    assert code(answer) == (422, "invalid_request")
    assert answer.json()["fields"][0]["field"] == next(iter(params))
    assert await world.calls() == []


async def test_contacts_come_by_name_with_the_active_ones_only(world: Any) -> None:
    body = (await world.get("contacts")).json()
    assert (body["page"], body["page_size"], body["total"]) == (1, 50, 42)
    assert body["contacts"][0]["name"] == "Acorn Street Bakery"
    assert set(body["contacts"][0]) == {"id", "name", "email", "number", "is_customer", "is_supplier"}
    assert "Yesterday's Cafe" not in {row["name"] for row in body["contacts"]}


async def test_a_search_finds_a_contact_by_name_address_or_number(world: Any) -> None:
    for text in ("acorn", "you@demo.example", "C-001", " Mere "):
        found = (await world.get("contacts", search=text)).json()
        assert [row["number"] for row in found["contacts"]] == ["C-001"], text
    assert (await world.get("contacts", search='" OR 1==1 || "')).json()["total"] == 0


async def test_contact_5000_of_a_large_organisation_is_found(world: Any) -> None:
    meridian = await world.auth.connect("meridian", "adviser")
    found = (await world.get("contacts", meridian, search="C-05000")).json()
    assert [row["number"] for row in found["contacts"]] == ["C-05000"]
    assert (await world.get("contacts", meridian, page=2)).json()["total"] > 5000


async def test_a_contact_has_its_persons_and_none_for_an_empty_address(world: Any) -> None:
    many = (await world.get(f"contacts/{(await world.contact('C-012'))['id']}")).json()
    assert [person["name"] for person in many["persons"]] == ["Ana Reid", "Ben Sio", "Cleo Tan", "Dev Rao", "Eve Moss"]
    assert many["persons"][0]["email"] == "ana.reid@fiveways.example"
    none = (await world.get(f"contacts/{(await world.contact('C-009'))['id']}")).json()
    assert (none["email"], none["status"], none["persons"]) == (None, "ACTIVE", [])
    archived = (await world.get(f"contacts/{(await world.contact('C-042'))['id']}")).json()
    assert archived["status"] == "ARCHIVED"


async def test_a_list_shows_every_invoice_of_the_contact_as_xero_holds_it(world: Any) -> None:
    contact = await world.contact("C-001")
    books = {it["id"]: it for it in await world.invoices("C-001")}
    body = (await world.get(f"contacts/{contact['id']}/invoices", view="all")).json()
    sales = {key for key, it in books.items() if it["type"] == "ACCREC" and it["status"] != "DELETED"}
    assert {row["invoice_id"] for row in body["invoices"]} == sales
    for row in body["invoices"]:
        book = books[row["invoice_id"]]
        assert (row["number"], row["status"], row["date"]) == (book["number"], book["status"], book["date"])
        assert row["link"].endswith(f"InvoiceID={row['invoice_id']}")
        assert row["amount_due"] == row["total"] - row["amount_paid"] - row["amount_credited"] or row["status"] == "VOIDED"
        assert sum(it["amount"] for it in row["payments"] if it["kind"] == "payment") == row["amount_paid"]
    dates = [row["date"] for row in body["invoices"]]
    assert dates == sorted(dates, reverse=True)
    assert body["as_of"]


async def test_the_large_contact_is_listed_whole_and_read_once(world: Any) -> None:
    number = await _largest(world)
    contact = await world.contact(number)
    await world.forget_calls()
    first = (await world.get(f"contacts/{contact['id']}/invoices", view="all")).json()
    assert (first["counts"]["all"], first["page_size"], len(first["invoices"])) == (first["total"], 50, 50)
    assert first["total"] >= 1190
    last = (await world.get(f"contacts/{contact['id']}/invoices", view="all", page=24)).json()
    assert last["as_of"] == first["as_of"]
    assert not {row["invoice_id"] for row in first["invoices"]} & {row["invoice_id"] for row in last["invoices"]}
    assert len(await world.calls()) == 2


async def test_views_search_and_dates_narrow_the_rows_but_not_the_boxes(world: Any) -> None:
    contact = await world.contact("C-001")
    everything = (await world.get(f"contacts/{contact['id']}/invoices", view="all")).json()
    one = everything["invoices"][3]
    found = (await world.get(f"contacts/{contact['id']}/invoices", view="all", search=one["number"].lower())).json()
    assert one["invoice_id"] in {row["invoice_id"] for row in found["invoices"]}
    day = (await world.get(f"contacts/{contact['id']}/invoices", view="all", date_from=one["date"], date_to=one["date"])).json()
    assert {row["date"] for row in day["invoices"]} == {one["date"]}
    for body in (found, day):
        assert (body["counts"], body["totals"], body["shareable"]) == (everything["counts"], everything["totals"], everything["shareable"])


async def test_a_contact_without_invoices_has_an_empty_list(world: Any) -> None:
    contact = await world.contact("C-041")
    body = (await world.get(f"contacts/{contact['id']}/invoices")).json()
    assert (body["total"], body["totals"], body["shareable"]["count"]) == (0, [], 0)


async def test_drafts_and_bills_are_told_as_left_out(world: Any) -> None:
    drafts = (await world.get(f"contacts/{(await world.contact('C-037'))['id']}/invoices")).json()
    assert (drafts["shareable"]["count"], drafts["left_out"]["draft"] > 0) == (0, True)
    bills = (await world.get(f"contacts/{(await world.contact('C-038'))['id']}/invoices", view="all")).json()
    assert (bills["invoices"], bills["left_out"]["bill"] > 0) == ([], True)


async def test_today_is_the_date_in_the_organisations_time_zone(world: Any) -> None:
    contact = await world.contact("C-001")
    await world.knows(world.kowhai, version=2, time_zone="Pacific/Kiritimati")
    east = (await world.get(f"contacts/{contact['id']}/invoices")).json()["today"]
    await world.knows(world.kowhai, version=3, time_zone="Pacific/Pago_Pago")
    west = (await world.get(f"contacts/{contact['id']}/invoices")).json()["today"]
    assert east > west


async def test_the_rest_of_xeros_world_has_its_own_codes(world: Any) -> None:
    contact = (await world.contact("C-001"))["id"]
    for path in ("contacts", f"contacts/{contact}", f"contacts/{contact}/invoices"):
        for fault in ("offline", "server_error", "wrong_json"):
            await world.act("faults", **{fault: True})
            assert code(await world.get(path)) == (503, "xero_unavailable"), fault
            await world.act("faults", **{fault: False})
        world.auth.state[world.kowhai] = "needs_reauth"
        world.service.app.state.xero._calls._tokens._kept.clear()
        assert code(await world.get(path)) == (409, "xero_needs_reauth")
        world.auth.state[world.kowhai] = "connected"
    await world.act("faults", limit_minute=True)
    busy = await world.get("contacts")
    assert code(busy) == (503, "xero_busy")
    assert int(busy.headers["retry-after"]) >= 1


async def test_one_invoice_comes_in_full_with_its_lines_and_where_it_is_in_xero(world: Any) -> None:
    book = next(it for it in await world.invoices("C-001") if it["status"] == "AUTHORISED")
    body = (await world.get(f"invoices/{book['id']}")).json()
    assert (body["invoice"]["number"], body["invoice"]["status"], len(body["invoice"]["lines"])) == (
        book["number"],
        "AUTHORISED",
        len(book["lines"]),
    )
    assert body["standing"] in ("open", "due_today", "overdue")
    assert body["link"].endswith(f"InvoiceID={book['id']}")
    assert {"today", "as_of"} <= set(body)


async def test_an_invoice_of_another_organisation_is_not_there(world: Any) -> None:
    """Xero is asked with the caller's own tenant, so another's invoice, contact or PDF cannot be reached by its id."""
    pike = await world.auth.connect("pike")
    book, contact = (await world.invoices("C-001"))[0], await world.contact("C-001")
    for path in (f"invoices/{book['id']}", f"invoices/{book['id']}/online", f"contacts/{contact['id']}"):
        assert (await world.get(path)).status_code == 200, path
        assert (await world.get(path, pike)).status_code == 404, path
    assert (await world.get(f"contacts/{contact['id']}/invoices", pike)).status_code == 404


async def test_the_online_address_is_xeros_and_a_draft_has_none(world: Any) -> None:
    book = next(it for it in await world.invoices("C-001") if it["status"] == "AUTHORISED")
    assert (await world.get(f"invoices/{book['id']}/online")).json()["url"].endswith(f"/online/{book['id']}")
    draft = (await world.invoices("C-037"))[0]
    assert (await world.get(f"invoices/{draft['id']}/online")).status_code == 404


async def test_settings_see_how_many_calls_are_left_today(world: Any) -> None:
    before = (await world.get("calls")).json()
    assert before == {"left": None, "a_day": 5000, "resets_at": None, "paused": None, "paused_until": None}
    await world.get("contacts")
    assert (await world.get("calls")).json()["left"] == 4999
    await world.act("faults", limit_day=True)
    assert code(await world.get("contacts")) == (503, "xero_busy")
    told = (await world.get("calls")).json()
    assert (told["left"], told["paused"]) == (0, "day")
    assert told["resets_at"] == told["paused_until"]


async def test_a_load_tells_how_far_it_is_to_its_own_organisation_only(world: Any) -> None:
    row = {"organisation_id": world.kowhai, "contact_id": CONTACT, **store.NEW_WORK, "stored": 640, "total": 1200}
    await world.db.collection(store.LOADS).insert_one({"_id": "lod_1", **row})
    told = (await world.get("loads/lod_1")).json()
    waits = {"waiting_since": None, "reason": None, "limit": None, "continues_at": None}
    assert told == {"state": "loading", "stored": 640, "total": 1200, "calls_a_day": 5000, **waits}
    assert (await world.get("loads/lod_1", OTHER_ORGANISATION)).status_code == 404


async def _largest(world: Any) -> str:
    found = (await world.xero.get("/control/invoices", params={"tenant": "kowhai"})).json()
    contacts = [it["contact"] for it in found]
    largest = max(set(contacts), key=contacts.count)
    listed = (await world.xero.get("/control/contacts", params={"tenant": "kowhai"})).json()
    return str(next(it["number"] for it in listed if it["id"] == largest))
