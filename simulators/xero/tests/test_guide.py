"""Every number the guide names is there for the reason it gives: one check for each, and none without."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest

from xero_simulator import ledger
from xero_simulator.demo.guide import CONTACTS, INVOICES
from xero_simulator.store import Store
from xero_simulator.testing import Connected

TODAY = date(2026, 6, 18)
Books = dict[str, dict[str, Any]]
Check = Callable[[dict[str, Any], list[dict[str, Any]], Books], bool]


def script(name: str) -> Check:
    """Most letters of the contact's name belong to that script."""

    def check(contact: dict[str, Any], _: list[dict[str, Any]], __: Books) -> bool:
        letters = [letter for letter in contact["name"] if letter.isalpha()]
        return sum(unicodedata.name(letter).startswith(name) for letter in letters) > len(letters) / 2

    return check


def only(types: str, *statuses: str) -> Check:
    return lambda c, own, _: bool(own) and {i["type"] for i in own} == {types} and {i["status"] for i in own} <= set(statuses)


def due(days: int) -> Check:
    return lambda i, _, __: (i["status"], i["due"]) == ("AUTHORISED", (TODAY + timedelta(days=days)).isoformat())


def total(amount: str, tax: str, amounts: str = "Exclusive") -> Check:
    return lambda i, _, __: (Decimal(i["total"]), Decimal(i["tax"]), i["amounts"]) == (Decimal(amount), Decimal(tax), amounts)


def paid(parts: int, status: str = "AUTHORISED") -> Check:
    return lambda i, _, __: (len(i["payments"]), i["status"]) == (parts, status)


def credited(kind: str, amount: str, status: str) -> Check:
    return lambda i, _, __: [(c["kind"], c["amount"]) for c in i["credits"]] == [(kind, amount)] and i["status"] == status


def to_change(i: dict[str, Any], _: list[dict[str, Any]], __: Books) -> bool:
    return i["status"] == "AUTHORISED" and not i["payments"] and not i["credits"]


def email(number: str) -> Check:
    return lambda c, _, books: c["email"] == books[number]["email"] != ""


CONTACT_CHECKS: dict[str, Check] = {
    "C-001": lambda c, own, _: c["email"] == "you@demo.example" and len(own) == 12,
    "C-002": lambda c, own, _: len(own) == 1200,
    "C-003": email("P-01"),
    "C-004": email("C-005"),
    "C-005": email("C-004"),
    "C-006": lambda c, _, books: c["email"] != books["C-004"]["email"] == c["email"].lower(),
    "C-007": lambda c, _, __: not c["email"].isascii() and "ü" in c["name"],
    "C-008": lambda c, _, __: (
        "ｓａｋｕｒａ" in c["email"] and c["currency"] == "JPY" and any("\u3040" < x < "\u30ff" or x > "\u4e00" for x in c["name"])
    ),
    "C-009": lambda c, _, __: c["email"] == "",
    "C-010": lambda c, _, __: c["email"] == "n/a",
    "C-011": lambda c, _, __: c["email"].endswith("@freemail.example"),
    "C-012": lambda c, own, _: len(c["persons"]) == 5 and {"INV-0201", "INV-0202"} <= {i["number"] for i in own},
    "C-013": lambda c, _, __: [p["email"].split("@")[1] for p in c["persons"]] != [c["email"].split("@")[1]] and bool(c["persons"]),
    "C-014": lambda c, _, __: len(c["name"]) == 255,
    "C-015": lambda c, _, __: "<script>" in c["name"],
    "C-016": lambda c, _, __: '"' in c["name"] and "'" in c["name"],
    "C-017": lambda c, _, __: "https://" in c["name"],
    "C-018": lambda c, _, __: any(unicodedata.bidirectional(x) == "AL" for x in c["name"]),
    "C-019": lambda c, _, __: any(x > "\U0001f000" for x in c["name"]),
    "C-020": lambda c, _, __: "\u200b" in c["name"] and "\u202e" in c["name"],
    "C-021": lambda c, _, __: "Wānanga" in c["name"],
    "C-022": lambda c, _, __: "Łódź" in c["name"],
    "C-023": script("GREEK"),
    "C-024": script("CYRILLIC"),
    "C-025": script("ARABIC"),
    "C-026": script("HEBREW"),
    "C-027": script("DEVANAGARI"),
    "C-028": script("THAI"),
    "C-029": script("CJK"),
    "C-030": script("HANGUL"),
    "C-031": lambda c, own, _: c["name"].endswith("Freight Ltd") and "INV-0245" in {i["number"] for i in own},
    "C-032": lambda c, _, books: c["name"].split()[:3] == books["C-031"]["name"].split()[:3] and c["name"] != books["C-031"]["name"],
    "0042": lambda c, _, books: c["id"] != books["42"]["id"],
    "42": lambda c, _, books: c["id"] != books["0042"]["id"],
    "C-035": lambda c, own, _: c["is_customer"] and c["is_supplier"] and {i["type"] for i in own} == {"ACCREC", "ACCPAY"},
    "C-036": lambda c, own, _: c["is_supplier"] and not c["is_customer"] and {i["type"] for i in own} == {"ACCPAY"},
    "C-037": only("ACCREC", "DRAFT"),
    "C-038": only("ACCPAY", "AUTHORISED"),
    "C-039": only("ACCREC", "VOIDED"),
    "C-040": only("ACCREC", "PAID"),
    "C-041": lambda c, own, _: own == [],
    "C-042": lambda c, _, __: c["status"] == "ARCHIVED" and c["merged_into"] is None,
    "C-043": lambda c, _, books: c["status"] == "ARCHIVED" and c["merged_into"] == books["C-004"]["id"],
    "C-044": lambda c, own, _: {"GBP", "USD", "JPY"} <= {i["currency"] for i in own},
    "P-01": email("C-003"),
    "P-02": lambda c, _, __: c["name"].startswith("=1+1"),
    "P-03": lambda c, own, _: len(own) == 1,
    "P-04": lambda c, own, _: any({line["tax_rate"] for line in i["lines"]} == {"20", "5", "0"} for i in own),
    "P-05": lambda c, own, _: any({line["tax_rate"] for line in i["lines"]} == {"0"} for i in own),
    "P-06": lambda c, own, _: any({line["tax_rate"] for line in i["lines"]} == {"5"} for i in own),
    "P-07": lambda c, _, __: c["email"] == "",
    "C-05000": lambda c, own, _: len(own) == 3,
}
INVOICE_CHECKS: dict[str, Check] = {
    "INV-0201": due(-1),
    "INV-0202": due(0),
    "INV-0203": due(1),
    "INV-0204": due(-31),
    "INV-0205": due(-61),
    "INV-0206": due(-91),
    "INV-0207": lambda i, _, __: i["due"].startswith("2027-"),
    "INV-0208": lambda i, _, __: i["status"] == "SUBMITTED" and i["due"] < TODAY.isoformat(),
    "INV-0209": lambda i, _, __: i["status"] == "DELETED",
    "INV-0210": lambda i, _, __: i["status"] == "DRAFT",
    "INV-0211": lambda i, _, __: (i["status"], i["due_amount"]) == ("VOIDED", "0.00"),
    "INV-0212": lambda i, _, __: i["due"] == "2027-02-28",
    "INV-0213": lambda i, _, __: i["due"].endswith("-31"),
    "INV-0214": lambda i, _, __: i["due"] is None,
    "INV-0215": lambda i, _, __: i["currency"] == "GBP",
    "INV-0216": lambda i, _, __: i["currency"] == "USD",
    "INV-0217": lambda i, _, __: i["currency"] == "JPY" and Decimal(i["total"]) % 1 == 0,
    "INV-0218": total("115.00", "15.00", "Inclusive"),
    "INV-0219": total("400.00", "0.00", "NoTax"),
    "INV-0220": lambda i, _, __: len({line["tax_rate"] for line in i["lines"]}) == 2,
    "INV-0221": total("87.74", "11.44"),
    "INV-0222": lambda i, _, __: (i["total"], i["status"]) == ("0.00", "PAID"),
    "INV-0223": lambda i, _, __: any(line["amount"].startswith("-") for line in i["lines"]),
    "INV-0224": lambda i, _, __: (i["lines"][0]["discount"], i["lines"][0]["amount"]) == ("100", "0.00"),
    "INV-0225": lambda i, _, __: (i["lines"][0]["unit"], i["lines"][0]["quantity"], i["subtotal"]) == ("0.0375", "12480", "468.00"),
    "INV-0226": lambda i, _, __: i["lines"][0]["quantity"] == "0.25",
    "INV-0227": total("12345678.90", "0.00", "NoTax"),
    "INV-0228": paid(1),
    "INV-0229": paid(2),
    "INV-0230": paid(5),
    "INV-0231": lambda i, _, __: paid(0)(i, [], {}) and i["due_amount"] == i["total"],
    "INV-0232": credited("overpayment", "200.00", "PAID"),
    "INV-0233": credited("prepayment", "60.00", "AUTHORISED"),
    "INV-0234": credited("credit_note", "40.00", "AUTHORISED"),
    "INV-0235": credited("credit_note", "200.00", "PAID"),
    "INV-0236": lambda i, _, __: paid(1)(i, [], {}) and i["currency"] == "JPY",
    "INV-0237": lambda i, _, __: paid(1, "PAID")(i, [], {}) and i["currency"] == "USD",
    "INV-0238": lambda i, _, __: len(i["lines"]) == 12,
    "INV-0239": lambda i, _, __: len(i["lines"]) == 300,
    "INV-0240": lambda i, _, __: len(i["lines"][0]["description"]) == 4000 and "\n" in i["lines"][0]["description"],
    "INV-0241": lambda i, _, __: i["reference"] == "",
    "INV-7": lambda i, own, _: "INV-007" in {one["number"] for one in own},
    "INV-007": lambda i, own, _: "INV-7" in {one["number"] for one in own},
    "INV-0243": lambda i, _, __: bool(i["has_attachments"]),
    "INV-0244": lambda i, _, __: all(line["tracking"] for line in i["lines"]),
    **dict.fromkeys(("INV-0245", "INV-0246", "INV-0247", "INV-0248", "INV-0249", "INV-0250"), to_change),
    "PL-0101": lambda i, _, __: i["amounts"] == "Inclusive" and [line["tax_rate"] for line in i["lines"]] == ["20", "5", "0"],
    "PL-0102": lambda i, _, __: (i["tax"], {line["tax_rate"] for line in i["lines"]}) == ("0.00", {"0"}),
    "PL-0103": lambda i, _, __: (i["tax"], i["total"]) == ("4.00", "84.00"),
    "PL-0105": due(0),
    "PL-0110": lambda i, _, __: i["reference"] == "=1+1",
}


@dataclass
class Made:
    """The guide's contacts, the invoices of each, and all those invoices by number."""

    contacts: Books
    owned: dict[str, list[dict[str, Any]]]
    invoices: Books


@pytest.fixture(scope="module")
def made(made_books: Path) -> Made:
    store, it = Store(made_books), Made({}, {}, {})
    for key, numbers in CONTACTS.items():
        for number in numbers:
            contact = ledger.contact_by_number(store, ledger.organisation(store, key).id, number)
            it.contacts[number] = contact.model_dump(mode="json")
            it.owned[number] = [invoice.model_dump(mode="json") for invoice in ledger.invoices_of(store, contact.id)]
            it.invoices |= {invoice["number"]: invoice for invoice in it.owned[number]}
    store.close()
    return it


def test_each_number_of_the_guide_is_checked_and_no_other() -> None:
    assert {number for numbers in CONTACTS.values() for number in numbers} == set(CONTACT_CHECKS)
    assert {number for numbers in INVOICES.values() for number in numbers} == set(INVOICE_CHECKS)
    assert len(CONTACTS["kowhai"]) == 44


@pytest.mark.parametrize("number", CONTACT_CHECKS)
def test_a_contact_is_there_for_its_reason(made: Made, number: str) -> None:
    assert CONTACT_CHECKS[number](made.contacts[number], made.owned[number], made.contacts)


@pytest.mark.parametrize("number", INVOICE_CHECKS)
def test_an_invoice_is_there_for_its_reason(made: Made, number: str) -> None:
    invoice = made.invoices[number]
    (owner,) = [key for key, owned in made.owned.items() if invoice in owned]
    assert INVOICE_CHECKS[number](invoice, made.owned[owner], made.contacts)


async def test_the_back_office_lists_the_guide_with_a_link_to_each(http: httpx.AsyncClient, made: Made) -> None:
    text = (await http.get("/back-office/guide")).text
    for found in (*made.contacts.values(), *(made.invoices[number] for number in INVOICE_CHECKS)):
        assert f"/{found['id']}" in text


async def test_search_finds_the_one_of_5200_that_no_first_page_shows(connected: Connected) -> None:
    connection = await connected("adviser", "meridian")
    first = await connection.items("Contacts", page="1", pageSize="100")
    assert "C-05000" not in {contact["ContactNumber"] for contact in first}
    assert [contact["ContactNumber"] for contact in await connection.items("Contacts", searchTerm="C-05000")] == ["C-05000"]


def test_both_changes_of_the_clocks_lie_inside_the_data(made: Made) -> None:
    for key, zone in (("C-002", "Pacific/Auckland"), ("P-01", "Europe/London")):
        days = {date.fromisoformat(invoice["date"]) for invoice in made.owned[key]}
        offsets = {datetime.combine(day, time(12), ZoneInfo(zone)).utcoffset() for day in days}
        assert len(offsets) == 2


def test_unused_credit_and_every_status_are_in_the_books(made: Made) -> None:
    statuses = {invoice["status"] for invoice in made.invoices.values()}
    assert statuses == {"DRAFT", "SUBMITTED", "AUTHORISED", "PAID", "VOIDED", "DELETED"}
    assert {len(invoice["lines"]) for invoice in made.invoices.values()} >= {1, 12, 300}
    slashes = [number for number in made.invoices if "/" in number]
    assert [(len(number), " " in number) for number in slashes] == [(255, True)]
