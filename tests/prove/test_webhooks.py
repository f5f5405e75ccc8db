"""Ten thousand webhooks in a minute, and webhooks while the broker and Xero are down. `make prove ONLY=webhooks`"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import random
import signal
import statistics
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
import pytest

from common.contracts.xero_gateway import SHAREABLE
from common.ids import organisation_id
from common.mongo import Database
from local import mongod
from local.people import eventually
from local.running import Running
from local.system import SIMULATED_WEBHOOK_KEY
from tests.story import Story
from xero_gateway.testing import Posted, a_storm, a_webhook, signature_of

WEBHOOKS, SECONDS, SENDERS = 10_000, 60, 40
CHANGES_A_SECOND = 8
BURST = 500


@pytest.mark.timeout(1700)
async def test_webhooks_by_the_ten_thousand_lost_doubled_shuffled_and_forged_end_with_what_xero_holds(system: Running) -> None:
    books = await Books.shared(system, "storm@demo.example")
    storm = a_storm(books.open_ids, WEBHOOKS, random.Random(17), tenant=books.tenant, key=SIMULATED_WEBHOOK_KEY)
    changing = asyncio.create_task(books.change_for(SECONDS))
    answers, took, seconds = await post_all(system, storm, SECONDS)
    changed = await changing
    forged = Counter(status for status, posted in zip(answers, storm, strict=True) if posted.forged)
    true = Counter(status for status, posted in zip(answers, storm, strict=True) if not posted.forged)
    print(f"{len(storm)} webhooks in {seconds:.0f} s: {_p99_and_maximum(took)}; true {dict(true)}, forged {dict(forged)}", flush=True)
    assert set(true) == {200}
    assert set(forged) == {401}
    began = time.monotonic()
    await eventually(books.are_shown, "every snapshot is what Xero holds", 900)
    after = time.monotonic() - began
    print(f"{changed} changes of {len(books.open_ids)} invoices, all shown {after:.0f} s after the last webhook", flush=True)
    await books.close()


@pytest.mark.timeout(600)
async def test_webhooks_are_answered_while_broker_and_xero_are_down_and_applied_afterwards(system: Running) -> None:
    books = await Books.shared(system, "down@demo.example")
    changed = [await books.change(key) for key in books.open_ids]
    async with stopped(system, "rabbitmq", "xero"):
        told = itertools.islice(itertools.cycle(changed), BURST)
        bodies = [a_webhook(("INVOICE", key), tenant=books.tenant, first=2_000_000 + place) for place, key in enumerate(told)]
        storm = [Posted(body, signature_of(body, SIMULATED_WEBHOOK_KEY), forged=False) for body in bodies]
        answers, took, _ = await post_all(system, storm, 0)
    print(f"{len(storm)} webhooks at once, broker and Xero stopped: {_p99_and_maximum(took)}", flush=True)
    assert set(answers) == {200}
    began = time.monotonic()
    await eventually(books.are_shown, "every snapshot is what Xero holds", 300)
    print(f"all {len(changed)} changes applied {time.monotonic() - began:.0f} s after both were back", flush=True)
    await books.close()


class Books:
    """The largest contact of the first organisation, shared, Xero's own webhooks off: its invoices there and in sharing."""

    def __init__(self, system: Running, tenant: str, contact: str, open_ids: list[str]) -> None:
        self.system = system
        self.tenant = tenant
        self.contact = contact
        self.open_ids = open_ids
        self._numbers = iter(range(10**6))
        self._sharing = Database(mongod.url(system.state["ports"]["MONGO_PORT"]), "prove", "sharing")

    @classmethod
    async def shared(cls, system: Running, email: str) -> Books:
        tenant = (await system.xero.ask("/organisations"))[0]["id"]
        found = await system.xero.ask("/invoices", tenant=tenant, status="AUTHORISED")
        largest, _ = Counter(it["contact"] for it in found).most_common(1)[0]
        sales = [it for it in found if it["contact"] == largest and it["type"] == "ACCREC"]
        free = [it["id"] for it in sales if not it["payments"] and not it["credits"]]
        contact = await system.xero.ask(f"/contacts/{largest}")
        story = Story(system, contact, email)
        for step in ("sign_in_with_xero", "share", "receive_the_invitation"):
            await getattr(story, step)()
        await story.provider.close()
        await story.client.close()
        await system.xero.do("/faults", webhooks_off=True)
        return cls(system, tenant, largest, free)

    async def close(self) -> None:
        self._sharing.close()
        await self.system.xero.do("/faults", webhooks_off=False)

    async def change(self, invoice_id: str) -> str:
        await self.system.xero.do(f"/invoices/{invoice_id}/edit", reference=f"change {next(self._numbers)}")
        return invoice_id

    async def change_for(self, seconds: float) -> int:
        """Changes one after the other, chosen by chance; how many."""
        chance, began = random.Random(23), time.monotonic()
        changes = 0
        while time.monotonic() - began < seconds:
            await self.change(chance.choice(self.open_ids))
            changes += 1
            await asyncio.sleep(1 / CHANGES_A_SECOND)
        return changes

    async def are_shown(self) -> bool:
        """Whether each finalised sales invoice is stored exactly as the books have it, and none beside them."""
        await asyncio.sleep(2)  # the simulator has other things to do than to list its books
        held = await self.system.xero.ask("/invoices", tenant=self.tenant)
        sales = [it for it in held if it["contact"] == self.contact and it["type"] == "ACCREC"]
        mine = [it for it in sales if it["status"] in SHAREABLE]
        where = {"organisation_id": organisation_id(self.tenant), "contact_id": self.contact, "visible": True}
        rows = [json.loads(row["summary"]) for row in await self._sharing.collection("snapshots").find(where)]
        stored = {row["invoice_id"]: (row["status"], row["number"], row["reference"]) for row in rows if row["status"] != "VOIDED"}
        return stored == {it["id"]: (it["status"], it["number"], it["reference"]) for it in mine}


@asynccontextmanager
async def stopped(system: Running, *parts: str) -> AsyncIterator[None]:
    """These parts answer nothing while the block runs, as a machine that hangs."""
    pids = [int(system.read()["pids"][part]) for part in parts]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


async def post_all(system: Running, storm: Sequence[Posted], seconds: float) -> tuple[list[int], list[float], float]:
    """Posts everything through the gateway, spread over so many seconds: the answers, each one's milliseconds, and how long all took."""
    answers, took = [0] * len(storm), [0.0] * len(storm)
    began = time.monotonic()
    places = iter(range(len(storm)))
    async with httpx.AsyncClient(base_url=system.product, timeout=30) as client:

        async def send() -> None:
            for place in places:
                await asyncio.sleep(max(0.0, began + seconds * place / len(storm) - time.monotonic()))
                posted, sent = storm[place], time.monotonic()
                headers = {"x-xero-signature": posted.signature, "content-type": "application/json"}
                answers[place] = (await client.post("/webhooks/xero", content=posted.body, headers=headers)).status_code
                took[place] = (time.monotonic() - sent) * 1000

        await asyncio.gather(*(send() for _ in range(SENDERS)))
    return answers, took, time.monotonic() - began


def _p99_and_maximum(took: Sequence[float]) -> str:
    return f"p99 {statistics.quantiles(took, n=100, method='inclusive')[98]:.0f} ms, maximum {max(took):.0f} ms"
