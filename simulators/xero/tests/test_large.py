"""Large books on request: as many invoices as asked for, real in every part, quick to start again."""

from decimal import Decimal

import httpx
import pytest

from xero_simulator.demo.plant import start_new_day
from xero_simulator.main import build
from xero_simulator.settings import Settings
from xero_simulator.testing import Connected


@pytest.fixture
async def planted(http: httpx.AsyncClient) -> None:
    assert (await http.post("/control/large", json={"organisations": 2, "invoices": 600})).status_code == 204


@pytest.mark.usefixtures("planted")
async def test_each_large_organisation_has_its_invoices_a_fifth_of_them_at_one_client(connected: Connected) -> None:
    for key in ("large-01", "large-02"):
        connection = await connected("large", key)
        page = (await connection.read("Invoices", page="1", pageSize="1000", order="InvoiceID")).json()
        invoices = page["Invoices"]
        assert page["pagination"]["itemCount"] == len({invoice["InvoiceID"] for invoice in invoices}) == 600
        assert len({line["LineItemID"] for invoice in invoices for line in invoice["LineItems"]}) > 600
        (busiest,) = await connection.items("Contacts/V-001")
        assert sum(invoice["Contact"]["ContactID"] == busiest["ContactID"] for invoice in invoices) >= 120
        assert (await connection.read("Invoices/V-000600")).json()["Invoices"][0]["InvoiceNumber"] == "V-000600"


@pytest.mark.usefixtures("planted")
async def test_the_copies_obey_the_books(connected: Connected, http: httpx.AsyncClient) -> None:
    connection = await connected("large", "large-01")
    invoices = await connection.items("Invoices", page="1", pageSize="1000")
    for invoice in invoices:
        total, due, paid = (Decimal(str(invoice[name])) for name in ("Total", "AmountDue", "AmountPaid"))
        assert due == (0 if invoice["Status"] == "VOIDED" else total - paid)
    paid_one = next(invoice for invoice in invoices if invoice["Payments"])
    (payment,) = await connection.items(f"Payments/{paid_one['Payments'][0]['PaymentID']}")
    assert payment["Invoice"]["InvoiceID"] == paid_one["InvoiceID"]
    back = await http.post(f"/control/invoices/{paid_one['InvoiceID']}/delete-payment")
    assert back.json()["status"] == "AUTHORISED"


async def test_the_usual_demo_has_no_large_organisation(http: httpx.AsyncClient) -> None:
    assert "large" not in {login["key"] for login in (await http.get("/control/logins")).json()}
    assert not [one for one in (await http.get("/control/organisations")).json() if one["key"].startswith("large")]


def test_a_second_start_keeps_what_was_made_and_a_new_day_makes_it_again(settings: Settings) -> None:
    wanted = settings.model_copy(update={"large_invoices": 300})
    build(wanted).store.close()
    first = build(wanted)
    first.store.run("DELETE FROM invoices WHERE number = 'v-000001'")
    first.store.close()
    second = build(wanted)
    assert second.store.number("SELECT COUNT(*) FROM invoices WHERE number LIKE 'v-0%'") == 299
    start_new_day(second.store, second.clock.now())
    assert second.store.number("SELECT COUNT(*) FROM invoices WHERE number LIKE 'v-0%'") == 300
    second.store.close()
