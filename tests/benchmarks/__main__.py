"""Prints how fast the product is on this machine: `make bench`. Asserts nothing about time."""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import aio_pika

from common.clock import utc_now
from common.contracts.xero_gateway import InvoicesChanged
from common.events import CONTENT_TYPE, decode, new_event
from common.mongo import INBOX, OUTBOX, Database
from local import mongod
from local.people import eventually
from local.running import Running, running
from tests.benchmarks.xero_clients import compared
from tests.story import STEPS, Story

CHANGES = 200
EVENTS = 3000
IDS_AT_ONCE = 40
PAGES = 400
AT_ONCE = 8


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="invoices-bench-") as folder:
        async with running(Path(folder), LOG_LEVEL="warning") as system:
            story = await _shared(system)
            await pages_per_second(story)
            await events_per_second(system, story)
            await change_to_page(system, story)
            await bytes_stored(system)
            memory_used(system)
            async for reader, figures in compared(mongod.url(system.state["ports"]["MONGO_PORT"])):
                say(f"10,000 invoices read with {reader}", figures)


async def change_to_page(system: Running, story: Story) -> None:
    """From a change in Xero to the client's page that shows it, one after the other."""
    took = []
    for number in range(CHANGES):
        if number % 40 == 39:
            await system.a_new_minute()
        mark = f"PO-{number:04d}"
        began = time.monotonic()
        await system.xero.do(f"/invoices/{story.invoice['id']}/edit", reference=mark)

        async def look(mark: str = mark) -> bool:
            return mark in (await story.client.open(story.invoice_path)).words

        await eventually(look, f"{mark} on the client's page")
        took.append((time.monotonic() - began) * 1000)
    say("change in Xero to changed page", f"p50 {_percentile(took, 50):.0f} ms, p99 {_percentile(took, 99):.0f} ms ({CHANGES} changes)")


async def events_per_second(system: Running, story: Story) -> None:
    """Events that change snapshots of one contact, through RabbitMQ into sharing: stored, handled and marked done by one consumer.

    With one invoice each, as people change them, and with as many as one call to Xero reads, as a burst changes them.
    """
    for events, invoices in ((EVENTS, 1), (EVENTS // IDS_AT_ONCE, IDS_AT_ONCE)):
        rate = events / await _seconds_to_apply(system, story, events, invoices)
        say(f"events of {invoices} changed, one consumer", f"{rate:.0f} a second, {rate * invoices:.0f} invoices ({events} events)")


async def _seconds_to_apply(system: Running, story: Story, events: int, invoices: int) -> float:
    mongo = mongod.url(system.state["ports"]["MONGO_PORT"])
    sharing = Database(mongo, "bench", "sharing")
    invoice = await _published_invoice(mongo, story.invoice["id"])
    before = await sharing.collection(INBOX).count({"state": "done"})
    bodies = [_changed(invoice, number, invoices) for number in range(events)]
    connection = await aio_pika.connect(_broker_url(system))
    async with connection:
        channel = await connection.channel(publisher_confirms=True)
        exchange = await channel.get_exchange("events", ensure=False)
        began = time.monotonic()
        for start in range(0, events, 100):
            await asyncio.gather(
                *(
                    exchange.publish(aio_pika.Message(body, message_id=key, content_type=CONTENT_TYPE), InvoicesChanged.type)
                    for key, body in bodies[start : start + 100]
                )
            )

        async def look() -> bool:
            return await sharing.collection(INBOX).count({"state": "done"}) >= before + events

        await eventually(look, "all events are applied", 300)
    took = time.monotonic() - began
    sharing.close()
    return took


async def pages_per_second(story: Story) -> None:
    """The four main pages, 8 readers at once, through the gateway."""
    organisation, contact = story.provider.organisation, story.contact["id"]
    for name, browser, path in (
        ("client's page (provider)", story.provider, f"/o/{organisation}/clients/{contact}"),
        ("home (client)", story.client, "/invoices"),
        ("sender (client)", story.client, f"/invoices/{organisation}"),
        ("invoice (client)", story.client, story.invoice_path),
    ):
        took: list[float] = []

        async def read(browser: object = browser, path: str = path, took: list[float] = took) -> None:
            for _ in range(PAGES // AT_ONCE):
                began = time.monotonic()
                answer = await browser.http.get(browser.product + path)  # type: ignore[attr-defined]
                answer.raise_for_status()
                took.append((time.monotonic() - began) * 1000)

        began = time.monotonic()
        await asyncio.gather(*(read() for _ in range(AT_ONCE)))
        rate = len(took) / (time.monotonic() - began)
        say(name, f"{rate:.0f} pages a second, p50 {_percentile(took, 50):.0f} ms, p99 {_percentile(took, 99):.0f} ms ({len(took)} pages)")


async def bytes_stored(system: Running) -> None:
    """What one document of each collection that grows with the invoices costs: compressed on disk, and in indexes."""
    mongo = mongod.url(system.state["ports"]["MONGO_PORT"])
    for service, names in (("sharing", ("snapshots", "versions", "inbox")), ("xero-gateway", ("published", "outbox"))):
        db = Database(mongo, "bench", service)
        for name in names:
            (found,) = await db.collection(name).aggregate([{"$collStats": {"storageStats": {}}}])
            size, count = found["storageStats"], found["storageStats"]["count"] or 1
            each = f"{size['avgObjSize']} bytes, {size['storageSize'] / count:.0f} on disk, {size['totalIndexSize'] / count:.0f} in indexes"
            say(f"one of {service}'s {name}", f"{each} ({count} documents)")
        db.close()


def memory_used(system: Running) -> None:
    """Resident memory of every part, after all the work above."""
    for part, pid in sorted(system.read()["pids"].items()):
        status = Path(f"/proc/{pid}/status").read_text()
        kilobytes = int(status.split("VmRSS:")[1].split()[0])
        say(f"memory of {part}", f"{kilobytes / 1024:.0f} MB")


async def _shared(system: Running) -> Story:
    tenant = (await system.xero.ask("/organisations"))[0]["id"]
    contact = await system.xero.contact(tenant, search="you@demo.example")
    story = Story(system, contact, "you@demo.example")
    for step in STEPS[:6]:
        await getattr(story, step)()
    return story


async def _published_invoice(mongo: str, invoice_id: str) -> InvoicesChanged:
    """The contract's form of an invoice, from an event xero-gateway published."""
    gateway = Database(mongo, "bench", "xero-gateway")
    rows = await gateway.collection(OUTBOX).find({"body": {"$regex": invoice_id}}, limit=1)
    data = decode(rows[0]["body"]).data
    (invoice,) = [it for it in data.invoices if it.invoice_id == invoice_id]
    gateway.close()
    ids = {"organisation_id": data.organisation_id, "contact_id": invoice.contact_id}
    return InvoicesChanged(**ids, read_at=data.read_at, invoices=[invoice], version=1)


def _changed(known: InvoicesChanged, number: int, invoices: int) -> tuple[str, bytes]:
    now, (invoice,) = utc_now(), known.invoices
    ids = [f"00000000-0000-4000-8000-{place:012d}" for place in range(number * invoices, (number + 1) * invoices)]
    changed = [invoice.model_copy(update={"invoice_id": key, "updated_at": now}) for key in ids]
    data = known.model_copy(update={"invoices": changed, "read_at": now, "version": number})
    event = new_event("xero-gateway", known.contact_id, data, correlation="cor_bench")
    return event.id, event.model_dump_json().encode()


def _broker_url(system: Running) -> str:
    import json
    from urllib.parse import quote

    passwords = json.loads((system.data / "secrets.json").read_text())["rabbitmq"]
    return f"amqp://xero-gateway:{quote(passwords['xero-gateway'], safe='')}@127.0.0.1:{system.state['ports']['RABBITMQ_PORT']}/"


def _percentile(values: Sequence[float], percent: int) -> float:
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def say(what: str, figure: str) -> None:
    print(f"{what:36} {figure}", flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
