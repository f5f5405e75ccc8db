"""The bytes of the accounting API: JSON, dates, numbers, error bodies, headers."""

import json
import re
from datetime import UTC, date, datetime
from decimal import Decimal

import httpx
import pytest

from xero_simulator import wire
from xero_simulator.simulator import Simulator
from xero_simulator.testing import Connected


def test_decimals_and_slashes_are_written_as_xero_does() -> None:
    written = wire.dumps({"Total": Decimal("46.00"), "Date": wire.day(date(2018, 10, 20)), "Name": "Tūī / “x”", "Lines": [], "No": None})
    assert written == r'{"Total":46.00,"Date":"\/Date(1539993600000+0000)\/","Name":"Tūī \/ “x”","Lines":[],"No":null}'


def test_a_large_amount_is_not_rounded_on_the_way() -> None:
    assert wire.dumps([Decimal("12345678901234567.89")]) == "[12345678901234567.89]"


def test_instants_are_milliseconds_and_may_be_before_1970() -> None:
    assert wire.instant(datetime(2018, 11, 2, 16, 36, 32, 690_000, UTC)) == "/Date(1541176592690+0000)/"
    assert wire.instant(datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)) == "/Date(-1000+0000)/"


async def test_a_page_of_invoices_has_the_whole_form(connected: Connected) -> None:
    response = await (await connected()).read("Invoices", page="1", InvoiceNumbers="INV-0102")
    assert response.headers["content-type"] == "application/json; charset=utf-8"
    body = response.json()
    assert list(body) == ["Id", "Status", "ProviderName", "DateTimeUTC", "pagination", "Invoices"]
    assert re.fullmatch(r"/Date\(\d+\)/", body["DateTimeUTC"])
    assert body["pagination"] == {"page": 1, "pageSize": 100, "pageCount": 1, "itemCount": 1}
    (invoice,) = body["Invoices"]
    assert invoice["Status"] == "PAID"
    assert invoice["DateString"] == "2025-11-20T00:00:00"
    assert [payment["Amount"] for payment in invoice["Payments"]] == [300.0, 355.5]
    assert invoice["Contact"]["Name"] == "Acorn Street Bakery"
    assert invoice["Contact"]["Phones"] == []
    assert {"FullyPaidOnDate", "UpdatedDateUTCString", "DueDateString"} <= set(invoice)


async def test_numbers_stand_on_the_wire_with_their_decimals(connected: Connected) -> None:
    text = (await (await connected()).read("Invoices", page="1", InvoiceNumbers="INV-0102")).text
    assert '"Total":655.50,' in text
    assert '"Quantity":500.0000,"UnitAmount":0.42,' in text
    assert '"CurrencyRate":1.0000000000,' in text
    assert r'"Date":"\/Date(1763596800000+0000)\/"' in text


@pytest.mark.parametrize(("unitdp", "written"), [("4", '"UnitAmount":0.0375,'), ("2", '"UnitAmount":0.04,')])
async def test_unit_prices_have_four_decimals_only_when_asked(connected: Connected, unitdp: str, written: str) -> None:
    assert written in (await (await connected()).read("Invoices/INV-0225", unitdp=unitdp)).text


async def test_an_unset_optional_field_is_absent(connected: Connected) -> None:
    (invoice,) = await (await connected()).items("Invoices/INV-0214")
    assert not {"DueDate", "DueDateString", "FullyPaidOnDate"} & set(invoice)


async def test_a_contact_by_id_has_four_phones_two_addresses_and_balances(connected: Connected) -> None:
    connection = await connected()
    (contact,) = await connection.items("Contacts/C-001")
    assert [phone["PhoneType"] for phone in contact["Phones"]] == ["DDI", "DEFAULT", "FAX", "MOBILE"]
    assert [address["AddressType"] for address in contact["Addresses"]] == ["STREET", "POBOX"]
    approved = await connection.items("Invoices", ContactIDs=contact["ContactID"], Statuses="AUTHORISED")
    outstanding = contact["Balances"]["AccountsReceivable"]["Outstanding"]
    assert outstanding == pytest.approx(sum(invoice["AmountDue"] for invoice in approved))


async def test_the_organisation_tells_zone_and_short_code(connected: Connected) -> None:
    connection = await connected("owner", "pike")
    response = await connection.read("Organisation")
    (organisation,) = response.json()["Organisations"]
    assert organisation["OrganisationID"] == connection.tenant
    assert (organisation["Timezone"], organisation["BaseCurrency"], organisation["ShortCode"]) == ("GMTSTANDARDTIME", "GBP", "!pLrk1")


async def test_payments_and_credit_notes_can_be_read(connected: Connected) -> None:
    connection = await connected()
    (invoice,) = await connection.items("Invoices/INV-0112")
    assert (invoice["Status"], invoice["AmountCredited"], invoice["AmountPaid"]) == ("PAID", 132.25, 0)
    (note,) = await connection.items(f"CreditNotes/{invoice['CreditNotes'][0]['CreditNoteID']}")
    assert (note["Status"], note["RemainingCredit"], note["Allocations"][0]["Amount"]) == ("PAID", 0, 132.25)
    (paid,) = await connection.items("Invoices/INV-0101")
    (payment,) = await connection.items(f"Payments/{paid['Payments'][0]['PaymentID']}")
    assert (payment["Amount"], payment["PaymentType"], payment["Invoice"]["InvoiceNumber"]) == (552.0, "ACCRECPAYMENT", "INV-0101")


async def test_over_and_prepayments_stand_in_their_own_lists(connected: Connected) -> None:
    connection = await connected()
    (over,) = await connection.items("Invoices/INV-0232")
    (prepaid,) = await connection.items("Invoices/INV-0233")
    assert (over["Status"], over["Overpayments"][0]["AppliedAmount"], over["CreditNotes"]) == ("PAID", 200.0, [])
    assert (prepaid["AmountDue"], prepaid["Prepayments"][0]["AppliedAmount"]) == (140.0, 60.0)


async def test_the_online_invoice_leads_to_a_public_page(http: httpx.AsyncClient, connected: Connected) -> None:
    connection = await connected()
    (online,) = (await connection.read("invoices/INV-0103/onlineinvoice")).json()["OnlineInvoices"]
    assert "Menu boards" in (await http.get(online["OnlineInvoiceUrl"])).text
    draft = await connection.read("Invoices/INV-0109/OnlineInvoice")
    assert (draft.status_code, draft.json()["Type"]) == (400, "ValidationException")


async def test_an_invoice_comes_as_pdf_when_asked_by_accept(connected: Connected) -> None:
    connection = await connected()
    for number in ("INV-0103", "INV-0239", "INV-0240"):
        response = await connection.read(f"Invoices/{number}", {"Accept": "application/pdf"})
        assert response.headers["content-type"] == "application/pdf"
        assert response.content.startswith(b"%PDF-1.4")
        start = int(response.content.split(b"startxref\n")[1].split(b"\n")[0])
        assert response.content[start:].startswith(b"xref")


async def test_a_forgotten_accept_header_is_not_answered_in_json(connected: Connected) -> None:
    response = await (await connected()).read("Contacts", {"Accept": "*/*"})
    assert response.status_code == 406
    assert response.headers["content-type"].startswith("application/xml")


@pytest.mark.parametrize("path", ["/api.xro/2.0/contacts", "/API.xro/2.0/CONTACTS"])
async def test_paths_and_parameters_are_read_in_any_case(http: httpx.AsyncClient, connected: Connected, path: str) -> None:
    response = await http.get(path, params={"SEARCHTERM": "acorn", "PAGE": "1"}, headers=(await connected()).headers)
    assert [contact["ContactNumber"] for contact in response.json()["Contacts"]] == ["C-001"]


async def test_what_is_not_there_is_a_text_404(connected: Connected) -> None:
    connection = await connected()
    for path in (
        "Invoices/unknown",
        "Contacts/2f7b2b1e-0000-4000-8000-000000000000",
        "Nonsense",
        "Organisation/1",
        "Invoices/INV-0103/History",
    ):
        response = await connection.read(path)
        assert (response.status_code, response.text) == (404, "The resource you're looking for cannot be found")


async def test_another_organisations_invoice_is_not_there(connected: Connected) -> None:
    await connected("owner", "pike")
    assert (await (await connected("owner", "kowhai")).read("Invoices/PL-0101")).status_code == 404


async def test_each_401_and_403_has_its_own_detail(http: httpx.AsyncClient, simulator: Simulator, connected: Connected) -> None:
    connection = await connected(scope="openid accounting.contacts.read")
    path = "/api.xro/2.0/Contacts"

    async def detail(at: str = path, **headers: str) -> tuple[int, str]:
        response = await http.get(at, headers={**connection.headers, **headers})
        assert set(response.json()) == {"Type", "Title", "Status", "Detail", "Instance", "Extensions"}
        return response.status_code, response.json()["Detail"]

    assert await detail(Authorization="") == (401, "AuthenticationUnsuccessful")
    assert await detail(Authorization=connection.headers["Authorization"] + "x") == (401, "TokenInvalidSignature")
    assert await detail(**{"xero-tenant-id": ""}) == (403, "AuthenticationUnsuccessful")
    assert await detail("/api.xro/2.0/Invoices") == (401, "AuthorizationUnsuccessful")
    simulator.faults.scope_refusal_status = 403
    assert await detail("/api.xro/2.0/Invoices") == (403, "AuthorizationUnsuccessful")


async def test_writing_needs_a_write_scope_and_what_is_not_built_says_so(http: httpx.AsyncClient, connected: Connected) -> None:
    reader = await connected()
    assert (await http.put("/api.xro/2.0/Invoices", json={}, headers=reader.headers)).status_code == 401
    writer = await connected(scope="openid accounting.invoices")
    assert (await writer.read("Invoices", page="1")).status_code == 200
    response = await http.put("/api.xro/2.0/Invoices/INV-0103/History", json={}, headers=writer.headers)
    assert (response.status_code, response.json()["Type"]) == (501, "ApiMethodNotImplementedException")


async def test_every_answer_has_a_correlation_id_and_what_is_left(connected: Connected) -> None:
    response = await (await connected()).read("Organisation")
    assert "Xero-Correlation-Id" in response.headers
    left = [response.headers[name] for name in ("X-MinLimit-Remaining", "X-DayLimit-Remaining", "X-AppMinLimit-Remaining")]
    assert left == ["59", "4999", "9999"]


async def test_faults_answer_as_xero_does_when_it_is_unwell(simulator: Simulator, connected: Connected) -> None:
    connection = await connected()
    simulator.faults.server_error = True
    broken = await connection.read("Contacts")
    assert (broken.status_code, broken.json()["Type"]) == (500, "UnknownErrorException")
    simulator.faults.server_error, simulator.faults.wrong_json = False, True
    wrong = await connection.read("Contacts")
    assert wrong.status_code == 200
    with pytest.raises(json.JSONDecodeError):
        wrong.json()
    simulator.faults.offline = True
    offline = await connection.read("Contacts")
    assert (offline.status_code, offline.text) == (503, "The Xero API is temporarily unavailable")


@pytest.mark.parametrize(
    ("fault", "status", "told"),
    [
        ("token_expired", 401, "TokenExpired: token expired at"),
        ("forbidden", 403, "AuthenticationUnsuccessful"),
        ("not_found", 404, "The resource"),
    ],
)
async def test_each_refusal_can_be_played(simulator: Simulator, connected: Connected, fault: str, status: int, told: str) -> None:
    connection = await connected()
    setattr(simulator.faults, fault, True)
    refused = await connection.read("Contacts")
    assert refused.status_code == status
    assert told in refused.text


async def test_connections_can_be_hidden(http: httpx.AsyncClient, simulator: Simulator, connected: Connected) -> None:
    connection = await connected()
    simulator.faults.no_connections = True
    assert (await http.get("/connections", headers=connection.headers)).json() == []
    assert (await connection.read("Contacts", page="1")).status_code == 200
