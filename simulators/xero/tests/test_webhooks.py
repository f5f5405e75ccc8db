"""Webhooks against a real receiver on this machine."""

import asyncio
import base64
import hashlib
import hmac
import json
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from asgi_lifespan import LifespanManager

from xero_simulator.main import create_app
from xero_simulator.settings import Settings
from xero_simulator.simulator import Simulator
from xero_simulator.testing import Connection, sign_in

KEY = "simulated-webhook-key"


@dataclass
class Receiver:
    """Keeps what arrives; answers 401 to a wrong signature, else what `statuses` says next, else 200."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    checks: bool = True

    def answer(self, body: bytes, signature: str) -> int:
        right = base64.b64encode(hmac.new(KEY.encode(), body, hashlib.sha256).digest()).decode()
        if self.checks and signature != right:
            return 401
        self.bodies.append(body)
        return self.statuses.pop(0) if self.statuses else 200

    @property
    def events(self) -> list[dict[str, Any]]:
        return [event for body in self.bodies for event in json.loads(body)["events"]]


@pytest.fixture
def receiver(check_webhook: Callable[[bytes], None]) -> Iterator[Receiver]:
    it = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(it.answer(body, self.headers["x-xero-signature"]))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        it.url = f"http://127.0.0.1:{server.server_address[1]}/webhooks/xero"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield it
        server.shutdown()
        thread.join()
        for body in it.bodies:
            check_webhook(body)


@dataclass
class Running:
    http: httpx.AsyncClient
    simulator: Simulator
    connection: Connection

    async def act(self, path: str, **body: Any) -> None:
        response = await self.http.post(f"/control/{path}", json=body)
        assert response.status_code == 200, response.text

    async def invoice(self, number: str) -> str:
        (found,) = (await self.http.get("/control/invoices", params={"tenant": "kowhai", "number": number})).json()
        return str(found["id"])


@pytest.fixture
async def running(settings: Settings, receiver: Receiver) -> AsyncIterator[Running]:
    app = create_app(settings.model_copy(update={"webhook_url": receiver.url}))
    async with (
        LifespanManager(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=settings.public_url) as http,
    ):
        yield Running(http, app.state.simulator, await sign_in(http))


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not true():  # noqa: ASYNC110 (the receiver is another thread)
            await asyncio.sleep(0.02)


async def tried(running: Running, times: int) -> None:
    """The only delivery was tried so often, and what came of it noted: before that, no clock may be moved."""
    await until(lambda: [it["attempts"] for it in running.simulator.sender.state()["deliveries"]] == [times])


async def test_a_payment_is_announced_signed_and_thin(running: Running, receiver: Receiver) -> None:
    invoice = await running.invoice("INV-0103")
    await running.act(f"invoices/{invoice}/pay")
    await until(lambda: bool(receiver.bodies))
    (event,) = receiver.events
    assert set(event) == {"resourceUrl", "resourceId", "tenantId", "tenantType", "eventCategory", "eventType", "eventDateUtc"}
    assert (event["resourceId"], event["tenantId"]) == (invoice, running.connection.tenant)
    assert (event["eventCategory"], event["eventType"]) == ("INVOICE", "UPDATE")
    assert event["resourceUrl"].endswith(f"/api.xro/2.0/Invoices/{invoice}")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}", event["eventDateUtc"])
    assert re.search(rb'"firstEventSequence": 1,"lastEventSequence": 1, "entropy": "[A-Z]{20}"\}$', receiver.bodies[0])


async def test_several_changes_travel_in_one_post(running: Running, receiver: Receiver) -> None:
    invoice = await running.invoice("INV-0103")
    await running.act("faults", webhooks_off=True)
    await running.act(f"invoices/{invoice}/credit", amount="10.00")
    await running.act(f"invoices/{invoice}/pay")
    await running.act("faults", webhooks_off=False)
    await until(lambda: len(receiver.events) == 3)
    assert len(receiver.bodies) == 1
    assert [event["eventCategory"] for event in receiver.events] == ["CREDITNOTE", "INVOICE", "INVOICE"]
    assert receiver.events[0]["data"] == {"Type": "ACCRECCREDIT", "Status": "PAID"}
    assert receiver.events[0]["eventType"] == "CREATE"


async def test_contacts_are_announced_too(running: Running, receiver: Receiver) -> None:
    (contact,) = (await running.http.get("/control/contacts", params={"tenant": "kowhai", "number": "C-031"})).json()
    await running.act(f"contacts/{contact['id']}/rename", name="Northern Cross Freight Ltd")
    await until(lambda: bool(receiver.bodies))
    assert (receiver.events[0]["eventCategory"], receiver.events[0]["resourceId"]) == ("CONTACT", contact["id"])


async def test_an_organisation_that_is_not_connected_sends_nothing(running: Running, receiver: Receiver) -> None:
    (other,) = (await running.http.get("/control/invoices", params={"tenant": "pike", "number": "PL-0105"})).json()
    await running.act(f"invoices/{other['id']}/pay")
    await running.act(f"invoices/{await running.invoice('INV-0103')}/pay")
    await until(lambda: bool(receiver.bodies))
    assert {event["tenantId"] for event in receiver.events} == {running.connection.tenant}


async def test_a_refused_delivery_comes_again_byte_for_byte(running: Running, receiver: Receiver) -> None:
    receiver.statuses = [500, 503]
    await running.act(f"invoices/{await running.invoice('INV-0103')}/pay")
    for tries in (1, 2, 3):
        await tried(running, tries)
        await running.act("clock", advance_seconds=5)
    assert len(set(receiver.bodies)) == 1
    await until(lambda: running.simulator.sender.state()["waiting"] == 0)
    (delivery,) = running.simulator.sender.state()["deliveries"]
    assert (delivery["state"], delivery["attempts"], delivery["answer"]) == ("delivered", 3, "200")


async def test_after_a_day_of_refusals_deliveries_stop_until_the_probe_passes(running: Running, receiver: Receiver) -> None:
    receiver.statuses = [500, 500]
    await running.act(f"invoices/{await running.invoice('INV-0103')}/pay")
    await tried(running, 1)
    await running.act("clock", advance_seconds=90_000)
    await until(lambda: running.simulator.sender.disabled)
    await running.act(f"invoices/{await running.invoice('INV-0104')}/pay")
    async with httpx.AsyncClient() as client:
        await running.simulator.sender.deliver_due(client)
    assert running.simulator.sender.state()["unsent_events"] == 1
    await running.act("webhooks/intent-to-receive")
    await until(lambda: [json.loads(body)["firstEventSequence"] for body in receiver.bodies[-2:]] == [1, 2])
    assert not running.simulator.sender.disabled


async def test_after_a_month_undelivered_webhooks_are_lost(running: Running, receiver: Receiver) -> None:
    receiver.statuses = [500, 500]
    await running.act(f"invoices/{await running.invoice('INV-0103')}/pay")
    await tried(running, 1)
    await running.act("clock", advance_seconds=32 * 86_400)
    await until(lambda: running.simulator.sender.disabled)
    await running.act("webhooks/intent-to-receive")
    assert [delivery["state"] for delivery in running.simulator.sender.state()["deliveries"]] == ["lost"]


async def test_credit_of_every_kind_is_announced_under_its_own_category(running: Running, receiver: Receiver) -> None:
    (source,) = (await running.http.get("/control/contacts", params={"tenant": "kowhai", "number": "C-020"})).json()
    await running.act(f"contacts/{source['id']}/merge", contact_number="C-019")
    await until(lambda: {"CREDITNOTE", "OVERPAYMENT", "PREPAYMENT", "INVOICE", "CONTACT"} <= {e["eventCategory"] for e in receiver.events})


async def test_switched_off_webhooks_are_kept_and_sent_later(running: Running, receiver: Receiver) -> None:
    await running.act("faults", webhooks_off=True)
    await running.act(f"invoices/{await running.invoice('INV-0103')}/pay")
    async with httpx.AsyncClient() as client:
        await running.simulator.sender.deliver_due(client)
    assert (running.simulator.sender.state()["unsent_events"], receiver.bodies) == (1, [])
    await running.act("faults", webhooks_off=False)
    await until(lambda: len(receiver.events) == 1)


async def test_doubled_webhooks_arrive_twice(running: Running, receiver: Receiver) -> None:
    await running.act("faults", webhooks_doubled=True)
    await running.act(f"invoices/{await running.invoice('INV-0103')}/pay")
    await until(lambda: len(receiver.bodies) == 2)
    assert receiver.bodies[0] == receiver.bodies[1]


async def test_late_webhooks_wait_for_their_time(running: Running, receiver: Receiver) -> None:
    await running.act("faults", webhooks_late_seconds=3600)
    await running.act(f"invoices/{await running.invoice('INV-0103')}/pay")
    await until(lambda: running.simulator.sender.state()["waiting"] == 1)
    assert receiver.bodies == []
    await running.act("clock", advance_seconds=3600)
    await until(lambda: len(receiver.bodies) == 1)


async def test_shuffled_webhooks_arrive_singly_and_out_of_order(running: Running, receiver: Receiver) -> None:
    await running.act("faults", webhooks_shuffled=True, webhooks_off=True)
    await running.act(f"invoices/{await running.invoice('INV-0103')}/edit-twice")
    await running.act(f"invoices/{await running.invoice('INV-0104')}/pay")
    await running.act("faults", webhooks_off=False)
    await until(lambda: len(receiver.bodies) == 3)
    assert [json.loads(body)["firstEventSequence"] for body in receiver.bodies] == [3, 2, 1]


async def test_events_survive_a_restart(running: Running, receiver: Receiver, settings: Settings) -> None:
    await running.act("faults", webhooks_off=True)
    await running.act(f"invoices/{await running.invoice('INV-0103')}/pay")
    app = create_app(settings.model_copy(update={"webhook_url": receiver.url}))
    async with LifespanManager(app):
        await until(lambda: len(receiver.events) == 1)


async def test_the_probe_tells_a_checking_receiver_from_a_careless_one(running: Running, receiver: Receiver) -> None:
    result = (await running.http.post("/control/webhooks/intent-to-receive")).json()
    assert result["passed"]
    assert sorted(answer["answer"] for answer in result["answers"]) == ["200", "401", "401", "401"]
    assert re.fullmatch(rb'\{"events":\[\],"firstEventSequence": 0,"lastEventSequence": 0, "entropy": "[A-Z]{20}"\}', receiver.bodies[0])
    receiver.checks = False
    assert not (await running.http.post("/control/webhooks/intent-to-receive")).json()["passed"]
