"""Filters, order and pages of the accounting API."""

import pytest

from xero_simulator.simulator import Simulator
from xero_simulator.testing import Connected, Connection


async def numbers(connection: Connection, **query: str) -> list[str]:
    return [invoice["InvoiceNumber"] for invoice in await connection.items("Invoices", **query)]


async def contact_id(connection: Connection, number: str) -> str:
    (contact,) = await connection.items(f"Contacts/{number}")
    return str(contact["ContactID"])


async def test_an_unpaged_list_has_everything_but_no_lines(connected: Connected) -> None:
    invoices = await (await connected()).items("Invoices")
    assert len(invoices) == 1500
    assert all(invoice["LineItems"] == [] for invoice in invoices)


async def test_pages_have_lines_and_add_up_to_the_whole(connected: Connected) -> None:
    connection = await connected()
    harakeke = await contact_id(connection, "C-002")
    seen: list[str] = []
    for page in range(1, 4):
        body = (await connection.read("Invoices", ContactIDs=harakeke, page=str(page), pageSize="500")).json()
        assert body["pagination"] == {"page": page, "pageSize": 500, "pageCount": 3, "itemCount": 1200}
        assert all(invoice["LineItems"] for invoice in body["Invoices"])
        seen += [invoice["InvoiceID"] for invoice in body["Invoices"]]
    assert len(set(seen)) == 1200
    beyond = (await connection.read("Invoices", ContactIDs=harakeke, page="4", pageSize="500")).json()
    assert beyond["Invoices"] == []


async def test_the_usual_order_is_by_update_then_id(connected: Connected) -> None:
    invoices = await (await connected()).items("Invoices", page="1", pageSize="1000")
    keys = [(invoice["UpdatedDateUTC"], invoice["InvoiceID"]) for invoice in invoices]
    assert keys == sorted(keys)


@pytest.mark.parametrize(("asked", "used"), [("0", 1), ("5000", 1000), ("many", 100), ("7", 7)])
async def test_the_page_size_is_clamped(connected: Connected, asked: str, used: int) -> None:
    body = (await (await connected()).read("Invoices", pageSize=asked)).json()
    assert body["pagination"]["pageSize"] == used
    assert len(body["Invoices"]) == used


async def test_a_summary_is_paged_and_has_no_lines_or_payments(connected: Connected) -> None:
    body = (await (await connected()).read("Invoices", summaryOnly="true")).json()
    assert body["pagination"]["itemCount"] == 1500
    assert not {"LineItems", "Payments", "HasAttachments"} & set(body["Invoices"][0])


async def test_statuses_contacts_and_numbers_narrow(connected: Connected) -> None:
    connection = await connected()
    acorn = await contact_id(connection, "C-001")
    assert len(await numbers(connection, ContactIDs=acorn)) == 12
    assert await numbers(connection, ContactIDs=acorn, Statuses="draft,SUBMITTED", order="InvoiceNumber") == ["INV-0109", "INV-0110"]
    assert sorted(await numbers(connection, InvoiceNumbers="INV-7,INV-007")) == ["INV-007", "INV-7"]
    assert await numbers(connection, createdByMyApp="true") == []


async def test_ids_may_come_without_dashes(connected: Connected) -> None:
    connection = await connected()
    (invoice,) = await connection.items("Invoices/INV-0103")
    assert await numbers(connection, IDs=invoice["InvoiceID"].replace("-", "")) == ["INV-0103"]
    (same,) = await connection.items(f"Invoices/{invoice['InvoiceID'].replace('-', '').upper()}")
    assert same["InvoiceNumber"] == "INV-0103"


@pytest.mark.parametrize(("count", "status"), [(50, 200), (51, 404)])
async def test_more_than_fifty_ids_look_like_not_found(connected: Connected, count: int, status: int) -> None:
    connection = await connected()
    ids = ",".join(f"00000000-0000-4000-8000-{place:012}" for place in range(count))
    assert (await connection.read("Invoices", IDs=ids)).status_code == status
    assert (await connection.read("Contacts", IDs=ids)).status_code == status


async def test_search_looks_into_numbers_and_references(connected: Connected) -> None:
    connection = await connected()
    assert await numbers(connection, searchTerm="order a-91") == ["INV-0105"]
    assert await numbers(connection, searchTerm="inv-0105", page="1") == ["INV-0105"]
    assert await numbers(connection, searchTerm="100%_") == []


async def test_contacts_are_found_without_regard_to_case_and_accents(connected: Connected) -> None:
    connection = await connected()
    for text in ("TUI TRADING", "tūī", "office@TUI-trading", "wiremu"):
        assert [c["ContactNumber"] for c in await connection.items("Contacts", searchTerm=text)] == ["C-003"]


async def test_search_finds_one_of_five_thousand(connected: Connected) -> None:
    connection = await connected("adviser", "meridian")
    assert [c["ContactNumber"] for c in await connection.items("Contacts", searchTerm="C-05000", page="1")] == ["C-05000"]
    page = (await connection.read("Contacts", page="6", pageSize="1000")).json()
    assert (page["pagination"]["itemCount"], len(page["Contacts"])) == (5200, 200)


async def test_archived_contacts_show_only_when_asked(connected: Connected) -> None:
    connection = await connected()
    assert len(await connection.items("Contacts")) == 42
    everyone = {contact["ContactNumber"]: contact for contact in await connection.items("Contacts", includeArchived="true", page="1")}
    assert len(everyone) == 44
    assert everyone["C-043"]["MergedToContactID"] == everyone["C-004"]["ContactID"]


async def test_an_unpaged_contact_lacks_payment_terms_and_a_summary_lacks_more(connected: Connected) -> None:
    connection = await connected()
    assert "PaymentTerms" not in (await connection.items("Contacts"))[0]
    assert "PaymentTerms" in (await connection.items("Contacts", page="1"))[0]
    assert "IsCustomer" not in (await connection.items("Contacts", summaryOnly="true"))[0]


async def test_the_first_client_comes_first_by_name(connected: Connected) -> None:
    contacts = await (await connected()).items("Contacts", order="Name ASC", page="1", includeArchived="true")
    assert contacts[0]["EmailAddress"] == "you@demo.example"


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('InvoiceNumber=="INV-0103"', ["INV-0103"]),
        ('Contact.ContactNumber=="C-013" AND Status=="AUTHORISED"', ["INV-0207"]),
        ('Contact.ContactNumber="C-013"&&Type=="ACCREC" AND (Status=="DRAFT" OR Status=="SUBMITTED")', ["INV-0208", "INV-0210"]),
        ('Contact.Name=="MANUKA lane dental" && AmountDue>=1000', ["INV-0207"]),
        ("Date>=DateTime(2026,06,17) AND DueDate<DateTime(2026,07,08)", ["INV-0110"]),
        ('Reference!=null AND Reference.StartsWith("Number of 255")', None),
        ('Reference!=null && Reference.ToLower().Contains("order a-91")', ["INV-0105"]),
        ("AmountDue==12345678.90", ["INV-0227"]),
        ('DueDate==null AND Status=="AUTHORISED"', ["INV-0214"]),
    ],
)
async def test_where_filters(connected: Connected, where: str, expected: list[str] | None) -> None:
    connection = await connected()
    found = [number for number in await numbers(connection, where=where, order="InvoiceNumber") if not number.startswith(("HAR", "INV-1"))]
    if expected is None:
        assert [len(number) for number in found] == [255]
    else:
        assert found == expected


async def test_where_takes_a_guid_only_as_guid(connected: Connected) -> None:
    connection = await connected()
    acorn = await contact_id(connection, "C-001")
    assert len(await numbers(connection, where=f'Contact.ContactID==Guid("{acorn}")')) == 12
    refused = await connection.read("Invoices", where=f'Contact.ContactID=="{acorn}"')
    assert (refused.status_code, refused.json()["Type"]) == (400, "QueryParseException")


@pytest.mark.parametrize(
    "where",
    ["Nonsense==1", "Status==", 'Status IN ("PAID")', "AmountDue>", 'Status=="PAID")', "AmountDue=='1'", "Date>=DateTime(2026,13,1)"],
)
async def test_a_where_that_cannot_be_read_is_400(connected: Connected, where: str) -> None:
    refused = await (await connected()).read("Invoices", where=where)
    assert (refused.status_code, refused.json()["ErrorNumber"], refused.json()["Type"]) == (400, 16, "QueryParseException")


async def test_a_text_method_without_null_check_is_500(connected: Connected) -> None:
    refused = await (await connected()).read("Invoices", where='Reference.Contains("PO")')
    assert (refused.status_code, refused.json()["Type"]) == (500, "UnknownErrorException")


async def test_order_goes_both_ways_and_refuses_unknown_fields(connected: Connected) -> None:
    connection = await connected()
    acorn = await contact_id(connection, "C-001")
    up = await numbers(connection, ContactIDs=acorn, order="Date")
    assert await numbers(connection, ContactIDs=acorn, order="Date DESC") == up[::-1]
    assert (await connection.read("Invoices", order="Nonsense DESC")).json()["Type"] == "QueryParseException"


@pytest.mark.parametrize("form", ["%Y-%m-%dT%H:%M:%S", "%a, %d %b %Y %H:%M:%S GMT", "%Y-%m-%dT%H:%M:%S.500+00:00"])
async def test_if_modified_since_filters_by_update_time(simulator: Simulator, connected: Connected, form: str) -> None:
    connection = await connected()
    (invoice,) = await connection.items("Invoices/INV-0103")
    moment = simulator.clock.now()
    await connection.http.post(f"/control/invoices/{invoice['InvoiceID']}/pay")
    changed = (await connection.read("Invoices", {"If-Modified-Since": moment.strftime(form)}, page="1")).json()["Invoices"]
    assert [one["InvoiceNumber"] for one in changed] == ["INV-0103"]


async def test_an_unreadable_if_modified_since_is_ignored(connected: Connected) -> None:
    response = await (await connected()).read("Invoices", {"If-Modified-Since": "18/06/2026 10:00"}, page="1")
    assert response.json()["pagination"]["itemCount"] == 1500


async def test_a_number_with_slashes_can_be_read(connected: Connected) -> None:
    connection = await connected()
    (long,) = await connection.items("Invoices", searchTerm="Number of 255")
    response = await connection.http.get(
        "/api.xro/2.0/Invoices/" + long["InvoiceNumber"].replace("/", "%2F").replace(" ", "%20"), headers=connection.headers
    )
    assert response.json()["Invoices"][0]["InvoiceID"] == long["InvoiceID"]
