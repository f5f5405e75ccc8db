"""The control API and the back office: every button does what it says."""

import asyncio
import re
from typing import Any

import httpx
import pytest

from xero_simulator import day
from xero_simulator.back_office import FAULTS
from xero_simulator.simulator import Simulator
from xero_simulator.testing import Connected


async def invoice_id(http: httpx.AsyncClient, number: str, tenant: str = "kowhai") -> str:
    (found,) = (await http.get("/control/invoices", params={"tenant": tenant, "number": number})).json()
    return str(found["id"])


async def contact_id(http: httpx.AsyncClient, number: str) -> str:
    (found,) = (await http.get("/control/contacts", params={"tenant": "kowhai", "number": number})).json()
    return str(found["id"])


async def act(http: httpx.AsyncClient, path: str, **body: Any) -> dict[str, Any]:
    response = await http.post(f"/control/{path}", json=body)
    assert response.status_code == 200, response.text
    changed: dict[str, Any] = response.json()
    return changed


async def test_paying_in_part_in_full_and_taking_back(http: httpx.AsyncClient) -> None:
    one = await invoice_id(http, "INV-0201")
    assert (await act(http, f"invoices/{one}/pay", amount="41.50"))["due_amount"] == "200.00"
    assert (await act(http, f"invoices/{one}/part-pay"))["due_amount"] == "100.00"
    paid = await act(http, f"invoices/{one}/pay")
    assert (paid["status"], len(paid["payments"])) == ("PAID", 3)
    back = await act(http, f"invoices/{one}/delete-payment", payment=paid["payments"][0]["id"])
    assert (back["status"], back["due_amount"]) == ("AUTHORISED", "41.50")


async def test_each_change_moves_the_update_time(http: httpx.AsyncClient, connected: Connected) -> None:
    connection, one = await connected(), await invoice_id(http, "INV-0249")
    seen = [(await connection.items(f"Invoices/{one}"))[0]["UpdatedDateUTC"]]
    for path in ("edit-twice", "part-pay", "delete-payment", "credit"):
        await act(http, f"invoices/{one}/{path}")
        seen.append((await connection.items(f"Invoices/{one}"))[0]["UpdatedDateUTC"])
    assert seen == sorted(set(seen))


async def test_editing_number_date_price_and_text(http: httpx.AsyncClient) -> None:
    one = await invoice_id(http, "INV-0245")
    changed = await act(http, f"invoices/{one}/edit", number="INV-0245-B", due="2026-12-24", unit="500.00", description="New text")
    assert (changed["number"], changed["due"], changed["total"]) == ("INV-0245-B", "2026-12-24", "575.00")
    assert changed["lines"][0]["description"] == "New text"
    taken = await http.post(f"/control/invoices/{one}/edit", json={"number": "inv-0246"})
    assert (taken.status_code, taken.json()["detail"]) == (400, "Invoice # must be unique.")


async def test_approving_voiding_and_deleting(http: httpx.AsyncClient) -> None:
    draft = await invoice_id(http, "INV-0210")
    assert (await act(http, f"invoices/{draft}/submit"))["status"] == "SUBMITTED"
    assert (await act(http, f"invoices/{draft}/approve"))["status"] == "AUTHORISED"
    assert (await act(http, f"invoices/{draft}/void"))["status"] == "VOIDED"
    other = await invoice_id(http, "INV-0109")
    assert (await act(http, f"invoices/{other}/delete"))["status"] == "DELETED"
    refused = await http.post(f"/control/invoices/{draft}/approve")
    assert (refused.status_code, refused.json()["detail"]) == (400, "Invoice not of valid status for modification")


async def test_approving_the_first_sale_makes_a_customer(http: httpx.AsyncClient) -> None:
    await act(http, f"invoices/{await invoice_id(http, 'INV-0260')}/approve")
    assert (await http.get(f"/control/contacts/{await contact_id(http, 'C-037')}")).json()["is_customer"]


async def test_crediting_writes_a_credit_note(http: httpx.AsyncClient, connected: Connected) -> None:
    connection, one = await connected(), await invoice_id(http, "INV-0202")
    await act(http, f"invoices/{one}/credit", amount="41.50")
    (shown,) = await connection.items(f"Invoices/{one}")
    assert (shown["AmountCredited"], shown["AmountDue"]) == (41.5, 200.0)
    (note,) = await connection.items(f"CreditNotes/{shown['CreditNotes'][0]['CreditNoteID']}")
    assert (note["Total"], note["Allocations"][0]["Invoice"]["InvoiceNumber"]) == (41.5, "INV-0202")


async def test_moving_renaming_merging_and_archiving(http: httpx.AsyncClient, connected: Connected) -> None:
    connection, one = await connected(), await invoice_id(http, "INV-0248")
    target = await contact_id(http, "C-032")
    assert (await act(http, f"invoices/{one}/move", contact_number="C-032"))["contact"] == target
    source = await contact_id(http, "C-031")
    assert (await act(http, f"contacts/{source}/rename", name="Northern Freight"))["name"] == "Northern Freight"
    merged = await act(http, f"contacts/{source}/merge", contact_number="C-032")
    assert (merged["status"], merged["merged_into"]) == ("ARCHIVED", target)
    assert await connection.items("Invoices", ContactIDs=source) == []
    assert (await act(http, f"contacts/{target}/archive"))["status"] == "ARCHIVED"
    assert (await act(http, f"contacts/{target}/restore"))["status"] == "ACTIVE"
    settled = await http.post(f"/control/invoices/{await invoice_id(http, 'INV-0107')}/move", json={"contact_number": "C-032"})
    assert settled.status_code == 400


async def test_creating_contacts_and_invoices(http: httpx.AsyncClient, connected: Connected) -> None:
    await act(http, "contacts", tenant="kowhai", name="Quite New", email="new@quite.example", number="N-1")
    made = await act(http, "invoices", tenant="kowhai", contact_number="N-1", unit="10.00", number="NEW-1", due="2027-01-31")
    assert (made["total"], made["status"]) == ("11.50", "AUTHORISED")
    (shown,) = await (await connected()).items("Invoices/NEW-1")
    assert shown["Contact"]["Name"] == "Quite New"


async def test_unknown_things_are_404_and_wrong_bodies_422(http: httpx.AsyncClient) -> None:
    assert (await http.post("/control/invoices/nothing/pay")).status_code == 404
    assert (await http.get("/control/invoices", params={"tenant": "nothing"})).status_code == 404
    assert (await http.post("/control/faults", json={"nonsense": True})).status_code == 422
    one = await invoice_id(http, "INV-0201")
    assert (await http.post(f"/control/invoices/{one}/pay", json={"ammount": "1.00"})).status_code == 422


async def test_faults_change_one_by_one_and_end_together(http: httpx.AsyncClient) -> None:
    await act(http, "faults", offline=True)
    both = await act(http, "faults", slow_seconds=8)
    assert (both["offline"], both["slow_seconds"]) == (True, 8)
    assert (await http.get("/control/state")).json()["faults_on"] == ["offline", "slow_seconds"]
    assert not (await http.delete("/control/faults")).json()["offline"]


async def test_the_log_has_every_call(http: httpx.AsyncClient, connected: Connected) -> None:
    connection = await connected()
    await connection.read("Contacts", searchTerm="acorn")
    await connection.read("Nonsense")
    await http.get("/connections", headers=connection.headers)
    log = (await http.get("/control/calls")).json()
    assert [(call["path"], call["status"]) for call in log["calls"]] == [
        ("/api.xro/2.0/Contacts", 200),
        ("/api.xro/2.0/Nonsense", 404),
        ("/connections", 200),
    ]
    assert log["calls"][0]["query"] == "searchTerm=acorn"
    assert log["by_tenant"][connection.tenant] == 1
    await http.delete("/control/calls")
    assert (await http.get("/control/calls")).json()["total"] == 0


async def test_a_day_at_once_makes_forty_changes(http: httpx.AsyncClient, simulator: Simulator) -> None:
    before = simulator.clock.now()
    played = await act(http, "play", at_once=True)
    assert (played["total"], played["done"], len(played["told"])) == (40, 40, 40)
    assert simulator.store.number("SELECT COUNT(*) FROM invoices WHERE updated >= ?", int(before.timestamp() * 1000)) > 10


async def test_a_day_is_forty_changes_over_ten_minutes_and_plays_once_at_a_time(
    http: httpx.AsyncClient, simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (day.STEPS, day.SECONDS) == (40, 600)
    await act(http, "play")
    assert simulator.day.running
    again = await http.post("/control/play", json={})
    assert (again.status_code, again.json()["detail"]) == (400, "A day is being played already")
    assert simulator.day.task is not None
    simulator.day.task.cancel()
    await asyncio.wait([simulator.day.task])
    monkeypatch.setattr(day, "SECONDS", 0.4)
    await act(http, "play")
    await simulator.day.task
    assert (await http.get("/control/play")).json() == {"running": False, "total": 40, "done": 40, "told": simulator.day.told}
    assert len(simulator.day.told) == 40


async def test_reset_brings_the_first_state_back(http: httpx.AsyncClient, simulator: Simulator, connected: Connected) -> None:
    connection = await connected()
    one = await invoice_id(http, "INV-0201")
    await act(http, f"invoices/{one}/pay")
    await act(http, "clock", advance_seconds=1000)
    assert (await http.post("/control/reset")).status_code == 204
    assert (await http.get(f"/control/invoices/{one}")).json()["status"] == "AUTHORISED"
    assert (await connection.read("Contacts")).status_code == 401
    assert simulator.clock.moved_seconds == 0


BUTTONS = {
    "INV-0201": ["pay", "part-pay", "credit", "void", "edit-twice"],
    "INV-0109": ["approve", "submit", "delete"],
    "INV-0107": ["delete-payment"],
}


@pytest.mark.parametrize(("number", "deed"), [(number, deed) for number, deeds in BUTTONS.items() for deed in deeds])
async def test_each_button_of_the_invoice_page_works(http: httpx.AsyncClient, number: str, deed: str) -> None:
    page = f"/back-office/invoices/{await invoice_id(http, number)}"
    shown = (await http.get(page)).text
    assert f'action="{page}/{deed}"' in shown
    after = await http.post(f"{page}/{deed}", follow_redirects=True)
    assert after.status_code == 200
    assert 'role="status"' in after.text
    assert 'role="alert"' not in after.text


async def test_the_back_office_edits_moves_and_part_pays(http: httpx.AsyncClient) -> None:
    one = await invoice_id(http, "INV-0246")
    page = f"/back-office/invoices/{one}"
    await http.post(f"{page}/edit", data={"number": "INV-0246", "reference": "", "due": "2026-08-01", "unit": "300"})
    await http.post(f"{page}/move", data={"contact_number": "C-032"})
    await http.post(f"{page}/part-pay", data={"amount": "45,00"})
    wrong = await http.post(f"{page}/part-pay", data={"amount": "lots"}, follow_redirects=True)
    assert "A number looks like 12.50" in wrong.text
    changed = (await http.get(f"/control/invoices/{one}")).json()
    assert (changed["due"], changed["total"], changed["contact"]) == ("2026-08-01", "345.00", await contact_id(http, "C-032"))


async def test_the_contact_page_changes_contacts(http: httpx.AsyncClient) -> None:
    one = await contact_id(http, "C-040")
    page = f"/back-office/contacts/{one}"
    await http.post(f"{page}/rename", data={"name": "Paid Slowly Ltd"})
    await http.post(f"{page}/set-email", data={"email": "slow@promptly.example"})
    await http.post(f"{page}/create-invoice", data={"unit": "20.00", "description": "Extra", "status": "DRAFT"})
    assert "Paid Slowly Ltd" in (await http.get(page)).text
    await http.post(f"{page}/merge", data={"contact_number": "C-032"})
    merged = (await http.get(f"/control/contacts/{one}")).json()
    assert (merged["name"], merged["email"], merged["status"]) == ("Paid Slowly Ltd", "slow@promptly.example", "ARCHIVED")


async def test_the_overview_shows_and_switches_everything(http: httpx.AsyncClient, simulator: Simulator, connected: Connected) -> None:
    connection = await connected()
    for fault in re.findall(r'name="fault" value="(\w+)"', (await http.get("/back-office")).text):
        await http.post("/back-office/faults", data={"fault": fault})
    assert len(simulator.faults.on()) == len(FAULTS) == 18
    await http.post("/back-office/faults")
    assert simulator.faults.on() == []
    await http.post("/back-office/limits")
    assert simulator.limiter.tier == "starter"
    await http.post("/back-office/limits", data={"clear": "yes"})
    await http.post("/back-office/clock", data={"hours": "24"})
    assert simulator.clock.moved_seconds == 86_400
    await http.post("/back-office/play", data={"pace": "at-once"})
    text = (await http.get("/back-office", params={"q": "INV-0227"})).text
    for expected in ("40 of 40 done", "24.0 hours ahead", "Disconnect the app", "INV-0227", "the starter tier", "1,000 a day"):
        assert expected in text
    await http.post("/back-office/clock")
    await http.post("/back-office/role", data={"login": "", "organisation": ""})
    await http.post("/back-office/disconnect", data={"organisation": connection.tenant})
    assert (await connection.read("Contacts")).status_code == 403


async def test_the_back_office_locks_and_unlocks_a_period(http: httpx.AsyncClient) -> None:
    one = await invoice_id(http, "INV-0203")
    await http.post("/back-office/organisations/kowhai/lock", data={"until": "2026-06-30"})
    refused = await http.post(f"/back-office/invoices/{one}/void", follow_redirects=True)
    assert "before the period lock date, currently set at 30 June 2026" in refused.text
    await http.post("/back-office/organisations/kowhai/lock", data={"until": ""})
    assert 'role="status"' in (await http.post(f"/back-office/invoices/{one}/void", follow_redirects=True)).text


async def test_names_with_markup_are_shown_as_text(http: httpx.AsyncClient) -> None:
    for page in ("/back-office/organisations/kowhai", "/back-office?q=bell", f"/back-office/contacts/{await contact_id(http, 'C-015')}"):
        response = await http.get(page)
        assert "<script>alert" not in response.text
        assert "&lt;script&gt;alert" in response.text
        assert "default-src 'none'" in response.headers["content-security-policy"]


async def test_every_page_says_simulator(http: httpx.AsyncClient) -> None:
    one = await invoice_id(http, "INV-0201")
    contact = await contact_id(http, "C-012")
    pages = ["/back-office", "/back-office/organisations/pike", f"/back-office/contacts/{contact}", f"/back-office/invoices/{one}"]
    for page in [*pages, f"/online/{one}", "/identity/connect/authorize"]:
        assert "<strong>Simulator</strong>" in (await http.get(page)).text


async def test_deep_links_lead_to_the_invoice_and_its_buttons(http: httpx.AsyncClient) -> None:
    one = await invoice_id(http, "INV-0201")
    for link in (f"/app/!kH4rt/invoicing/view/{one}", f"/AccountsReceivable/View.aspx?InvoiceID={one.upper()}"):
        assert f'action="/back-office/invoices/{one}/pay"' in (await http.get(link)).text
    assert (await http.get(f"/app/!pLrk1/invoicing/view/{one}")).status_code == 404
    contact = await contact_id(http, "C-012")
    for link in (f"/app/!kH4rt/contacts/contact/{contact}", f"/Contacts/View/{contact}"):
        assert (await http.get(link)).headers["location"].endswith(contact)
