"""What apps write through the API: rules of the books, errors of one element and of a call, the same key twice."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import httpx
import pytest

from xero_simulator.simulator import Simulator
from xero_simulator.testing import Connected, Connection

SCOPES = "openid accounting.invoices accounting.contacts accounting.payments accounting.settings.read"
LINE = {"Description": "Work", "Quantity": 1, "UnitAmount": 100, "AccountCode": "200"}
Writer = Callable[..., Awaitable[httpx.Response]]


@pytest.fixture
async def app(connected: Connected) -> Connection:
    return await connected(scope=SCOPES)


@pytest.fixture
def put(app: Connection) -> Writer:
    """`await put("Invoices", {…})`; `method` and `headers` are keywords, the rest is the query."""

    async def call(path: str, body: Any, method: str = "PUT", headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        sent = {**app.headers, **(headers or {})}
        return await app.http.request(method, f"/api.xro/2.0/{path}", json=body, headers=sent, params=query)

    return call


@pytest.fixture
def post(put: Writer) -> Writer:
    async def call(path: str, body: Any, **more: Any) -> httpx.Response:
        return await put(path, body, method="POST", **more)

    return call


async def acorn(app: Connection) -> dict[str, str]:
    return {"ContactID": (await app.items("Contacts/C-001"))[0]["ContactID"]}


def only(response: httpx.Response, resource: str) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    (found,) = response.json()[resource]
    return dict(found)


def message(response: httpx.Response) -> str:
    assert response.status_code == 400, response.text
    (element,) = response.json()["Elements"]
    return str(element["ValidationErrors"][0]["Message"])


async def invoice(put: Writer, app: Connection, **fields: Any) -> dict[str, Any]:
    body = {"Type": "ACCREC", "Contact": await acorn(app), "Date": "2026-06-18", "DueDate": "2026-07-18", "LineItems": [LINE], **fields}
    return only(await put("Invoices", {"Invoices": [body]}), "Invoices")


async def test_an_invoice_is_created_as_draft_priced_by_line_and_read_back(put: Writer, app: Connection) -> None:
    lines = [{**LINE, "UnitAmount": price} for price in (25.06, 25.61, 25.63)]
    made = await invoice(put, app, LineItems=lines, Reference="PO 9")
    assert (made["Status"], made["TotalTax"], made["Total"], made["AmountDue"]) == ("DRAFT", 11.44, 87.74, 87.74)
    (read,) = await app.items(f"Invoices/{made['InvoiceNumber']}")
    assert {**read, "UpdatedDateUTC": 0} == {**made, "UpdatedDateUTC": 0}


async def test_a_finished_status_cannot_be_created(put: Writer, app: Connection) -> None:
    refused = await put("Invoices", {"Type": "ACCREC", "Contact": await acorn(app), "LineItems": [LINE], "Status": "PAID"})
    assert message(refused) == "Invoice not of valid status for creation"


@pytest.mark.parametrize(
    ("left_out", "changed", "told"),
    [
        ("Contact", {}, "A Contact must be specified for this type of transaction"),
        ("LineItems", {}, "One or more line items must be specified"),
        ("", {"InvoiceNumber": "inv-0103"}, "Invoice # must be unique."),
        ("", {"CurrencyCode": "EUR"}, "Organisation is not subscribed to currency EUR"),
        ("", {"LineItems": [{**LINE, "TaxType": "TAX9"}]}, "The TaxType code 'TAX9' cannot be used with account code '200'."),
        ("", {"LineItems": [{**LINE, "LineAmount": 99}]}, "The line total 99.00 does not match the expected line total 100.00"),
        ("", {"Total": 99}, "The invoice total does not equal the sum of the lines."),
    ],
)
async def test_an_invoice_is_refused_in_xeros_words(
    put: Writer, app: Connection, left_out: str, changed: dict[str, Any], told: str
) -> None:
    body = {"Type": "ACCREC", "Contact": await acorn(app), "Date": "2026-06-18", "LineItems": [LINE], **changed}
    body.pop(left_out, None)
    assert message(await put("Invoices", body)) == told


async def test_post_overwrites_the_sale_of_that_number_and_put_never_does(put: Writer, post: Writer, app: Connection) -> None:
    made = await invoice(put, app, InvoiceNumber="W-1")
    again = only(await post("Invoices", {"Type": "ACCREC", "InvoiceNumber": "W-1", "Reference": "seen"}), "Invoices")
    assert (again["InvoiceID"], again["Reference"], again["Total"]) == (made["InvoiceID"], "seen", made["Total"])
    bill = {"Type": "ACCPAY", "InvoiceNumber": "W-1", "Contact": await acorn(app), "LineItems": [LINE]}
    assert only(await post("Invoices", bill), "Invoices")["InvoiceID"] != made["InvoiceID"]


async def test_lines_are_kept_by_id_new_ones_come_first_and_unlisted_ones_go(put: Writer, post: Writer, app: Connection) -> None:
    made = await invoice(put, app, LineItems=[LINE, {**LINE, "Description": "Gone"}])
    kept = {"LineItemID": made["LineItems"][0]["LineItemID"], "Description": "Kept", "UnitAmount": 40}
    changed = only(await post(f"Invoices/{made['InvoiceID']}", {"LineItems": [kept, {**LINE, "Description": "New"}]}), "Invoices")
    assert [line["Description"] for line in changed["LineItems"]] == ["New", "Kept"]
    assert changed["LineItems"][1]["LineItemID"] == kept["LineItemID"]
    assert changed["SubTotal"] == 140
    approved = only(await post(f"Invoices/{made['InvoiceID']}", {"Status": "AUTHORISED"}), "Invoices")
    assert (approved["Status"], len(approved["LineItems"])) == ("AUTHORISED", 2)


async def test_status_moves_only_forward(put: Writer, post: Writer, app: Connection) -> None:
    path = f"Invoices/{(await invoice(put, app, Status='SUBMITTED'))['InvoiceID']}"
    for status in ("DRAFT", "AUTHORISED", "VOIDED"):
        assert only(await post(path, {"Status": status}), "Invoices")["Status"] == status
    assert message(await post(path, {"Status": "AUTHORISED"})) == "Invoice not of valid status for modification"
    assert (await post("Invoices/INV-NONE", {"Status": "VOIDED"})).status_code == 404


async def test_a_deleted_drafts_number_cannot_be_used_again(put: Writer, post: Writer, app: Connection) -> None:
    await invoice(put, app, InvoiceNumber="W-2")
    await post("Invoices/W-2", {"Status": "DELETED"})
    taken = {"Type": "ACCREC", "InvoiceNumber": "W-2", "Contact": await acorn(app), "LineItems": [LINE]}
    assert message(await post("Invoices", taken)) == "Invoice not of valid status for modification"


async def test_a_payment_settles_closes_the_invoice_to_edits_and_can_be_deleted(put: Writer, post: Writer, app: Connection) -> None:
    made = await invoice(put, app, Status="AUTHORISED")
    payment = {"Invoice": {"InvoiceID": made["InvoiceID"]}, "Account": {"Code": "090"}, "Date": "2026-06-19", "Amount": 100.00}
    first = only(await put("Payments", {"Payments": [payment]}), "Payments")
    assert message(await put("Payments", payment)) == "Payment amount exceeds the amount outstanding on this document"
    only(await post("Payments", {**payment, "Amount": 15}), "Payments")
    (paid,) = await app.items(f"Invoices/{made['InvoiceID']}")
    assert (paid["Status"], paid["AmountDue"], len(paid["Payments"])) == ("PAID", 0, 2)
    assert "payment" in message(await post(f"Invoices/{made['InvoiceID']}", {"Reference": "late"}))
    deleted = only(await post(f"Payments/{first['PaymentID']}", {"Payments": [{"Status": "DELETED"}]}), "Payments")
    assert deleted["Status"] == "DELETED"
    assert (await post(f"Payments/{first['PaymentID']}", {"Status": "DELETED"})).status_code == 400
    (open_again,) = await app.items(f"Invoices/{made['InvoiceID']}")
    assert (open_again["Status"], open_again["AmountDue"]) == ("AUTHORISED", 100)
    assert open_again["UpdatedDateUTC"] > paid["UpdatedDateUTC"]


async def test_a_draft_takes_no_payment(put: Writer, app: Connection) -> None:
    made = await invoice(put, app)
    payment = {"Invoice": {"InvoiceID": made["InvoiceID"]}, "Account": {"Code": "090"}, "Date": "2026-06-19", "Amount": 1}
    assert message(await put("Payments", payment)) == "Payments can only be made against Authorised documents"


async def test_credit_is_allocated_and_taken_back(put: Writer, app: Connection) -> None:
    made = await invoice(put, app, Status="AUTHORISED")
    body = {"Type": "ACCRECCREDIT", "Contact": await acorn(app), "Date": "2026-06-18", "Status": "AUTHORISED", "LineItems": [LINE]}
    note = only(await put("CreditNotes", {"CreditNotes": [body]}), "CreditNotes")
    assert (note["Status"], note["RemainingCredit"]) == ("AUTHORISED", 115)
    allocation = {"Invoice": {"InvoiceID": made["InvoiceID"]}, "Amount": 115, "Date": "2026-06-20"}
    applied = only(await put(f"CreditNotes/{note['CreditNoteID']}/Allocations", {"Allocations": [allocation]}), "Allocations")
    (settled,) = await app.items(f"Invoices/{made['InvoiceID']}")
    assert (settled["Status"], settled["AmountCredited"]) == ("PAID", 115)
    ended = await put(f"CreditNotes/{note['CreditNoteID']}/Allocations/{applied['AllocationID']}", None, method="DELETE")
    assert ended.json()["IsDeleted"]
    (due,) = await app.items(f"Invoices/{made['InvoiceID']}")
    assert (due["Status"], due["AmountDue"], due["CreditNotes"]) == ("AUTHORISED", 115, [])


async def test_names_of_contacts_are_unique_and_post_updates(put: Writer, post: Writer) -> None:
    made = only(await put("Contacts", {"Name": "Written Ltd", "EmailAddress": "w@written.example", "ContactNumber": "W-9"}), "Contacts")
    assert "already assigned to another contact" in message(await put("Contacts", {"Name": "Written Ltd"}))
    assert "already assigned to another contact" in message(await post(f"Contacts/{made['ContactID']}", {"Name": "Acorn Street Bakery"}))
    assert message(await post("Contacts", {"Name": "Written Ltd", "EmailAddress": "n/a"})) == "Email address must be valid."
    again = only(await post("Contacts", {"Name": "Written Ltd", "FirstName": "Ana"}), "Contacts")
    assert (again["ContactID"], again["FirstName"], again["EmailAddress"]) == (made["ContactID"], "Ana", "w@written.example")
    assert only(await post("Contacts/W-9", {"ContactStatus": "ARCHIVED"}), "Contacts")["ContactStatus"] == "ARCHIVED"


async def test_what_an_invoice_says_of_its_contact_changes_the_contact(put: Writer, app: Connection) -> None:
    (before,) = await app.items("Contacts/C-012")
    person = before["ContactPersons"][0]
    await invoice(put, app, Contact={"ContactID": before["ContactID"], "FirstName": "Rua", "ContactPersons": [person]})
    (after,) = await app.items("Contacts/C-012")
    assert (after["FirstName"], after["ContactPersons"], after["EmailAddress"]) == ("Rua", [person], before["EmailAddress"])
    made = await invoice(put, app, Contact={"Name": "Nobody Yet Ltd"})
    assert (await app.items(f"Contacts/{made['Contact']['ContactID']}"))[0]["Name"] == "Nobody Yet Ltd"


async def test_an_archived_contact_cannot_be_used(put: Writer, app: Connection) -> None:
    (archived,) = await app.items("Contacts/C-042")
    body = {"Type": "ACCREC", "Contact": {"ContactID": archived["ContactID"]}, "LineItems": [LINE]}
    assert "archived" in message(await put("Invoices", body))


async def test_nothing_in_a_locked_period_can_be_changed(put: Writer, post: Writer, app: Connection) -> None:
    await app.http.post("/control/lock", json={"tenant": "kowhai", "until": "2026-05-31"})
    (organisation,) = (await app.read("Organisation")).json()["Organisations"]
    assert organisation["PeriodLockDate"] == "/Date(1780185600000+0000)/"
    told = "The document date cannot be before the period lock date, currently set at 31 May 2026"
    old = {"Type": "ACCREC", "Contact": await acorn(app), "Date": "2026-05-31", "LineItems": [LINE]}
    assert message(await put("Invoices", old)) == told
    assert message(await post("Invoices/INV-0103", {"Status": "VOIDED"})) == told
    by_hand = await app.http.post(f"/control/invoices/{(await app.items('Invoices/INV-0103'))[0]['InvoiceID']}/void")
    assert (by_hand.status_code, by_hand.json()["detail"]) == (400, told)
    assert (await invoice(put, app, Date="2026-06-01"))["Status"] == "DRAFT"


async def test_one_refused_element_refuses_the_call_unless_errors_are_told_apart(put: Writer, app: Connection) -> None:
    good = {"Type": "ACCREC", "Contact": await acorn(app), "InvoiceNumber": "W-3", "LineItems": [LINE]}
    both = {"Invoices": [good, {**good, "InvoiceNumber": "INV-0103"}]}
    assert message(await put("Invoices", both)) == "Invoice # must be unique."
    assert (await app.read("Invoices/W-3")).status_code == 404
    told = (await put("Invoices", both, summarizeErrors="false")).json()["Invoices"]
    assert [one["StatusAttributeString"] for one in told] == ["OK", "ERROR"]
    assert (await app.read("Invoices/W-3")).status_code == 200


async def test_a_refused_invoice_leaves_no_new_contact_behind(put: Writer, app: Connection) -> None:
    bad = {"Type": "ACCREC", "Contact": {"Name": "Half Made Ltd"}, "LineItems": [LINE], "CurrencyCode": "EUR"}
    await put("Invoices", {"Invoices": [bad]}, summarizeErrors="false")
    assert await app.items("Contacts", searchTerm="Half Made") == []


@pytest.mark.parametrize(
    ("body", "kind"), [({}, "NoDataProcessedException"), ([], "PostDataInvalidException"), ({"Invoices": []}, "NoDataProcessedException")]
)
async def test_a_body_with_nothing_in_it_is_refused(put: Writer, body: Any, kind: str) -> None:
    refused = await put("Invoices", body)
    assert (refused.status_code, refused.json()["Type"]) == (400, kind)


async def test_the_same_key_gets_the_same_answer_for_six_minutes(put: Writer, app: Connection, simulator: Simulator) -> None:
    body = {"Type": "ACCREC", "Contact": await acorn(app), "LineItems": [LINE]}
    key = {"Idempotency-Key": "once"}
    first = await put("Invoices", body, headers=key)
    assert (await put("Invoices", body, headers=key)).content == first.content
    simulator.clock.advance(360)
    later = await put("Invoices", body, headers=key)
    assert only(later, "Invoices")["InvoiceNumber"] != only(first, "Invoices")["InvoiceNumber"]


async def test_unit_prices_keep_four_decimals_only_when_asked(put: Writer, app: Connection) -> None:
    body = {"Type": "ACCREC", "Contact": await acorn(app), "LineItems": [{**LINE, "UnitAmount": 0.0375, "Quantity": 12480}]}
    four, two = await put("Invoices", body, unitdp="4"), await put("Invoices", body)
    assert [Decimal(str(only(answer, "Invoices")["SubTotal"])) for answer in (four, two)] == [Decimal("468.0"), Decimal("499.2")]


async def test_another_organisations_documents_cannot_be_written(
    put: Writer, post: Writer, app: Connection, http: httpx.AsyncClient
) -> None:
    (foreign,) = (await http.get("/control/invoices", params={"tenant": "pike", "number": "PL-0105"})).json()
    (contact,) = (await http.get("/control/contacts", params={"tenant": "pike", "number": "P-01"})).json()
    assert (await post(f"Invoices/{foreign['id']}", {"Status": "VOIDED"})).status_code == 404
    assert message(await post("Invoices", {"InvoiceID": foreign["id"], "Status": "VOIDED"})) == "The invoice was not found"
    payment = {"Invoice": {"InvoiceID": foreign["id"]}, "Account": {"Code": "090"}, "Amount": 1}
    assert message(await put("Payments", payment)) == "The invoice was not found"
    named = {"Type": "ACCREC", "Contact": {"ContactID": contact["id"]}, "LineItems": [LINE]}
    assert message(await put("Invoices", named)) == "The contact was not found"
    assert (await http.get(f"/control/invoices/{foreign['id']}")).json()["status"] == "AUTHORISED"
