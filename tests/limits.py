"""xero-gateway's processes against a strict Xero: what the proofs and their small forms in the end-to-end tests have in common."""

from __future__ import annotations

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from common.contracts.auth import OrganisationConnected
from common.contracts.sharing import ShareCreated
from common.contracts.xero_gateway import InvoicesFetched
from common.ids import organisation_id
from common.testing import Harness, HarnessFactory
from local.people import eventually
from local.processes import free_ports
from tests.strict_xero import CONTACT, invoice_id
from xero_gateway import store
from xero_gateway.main import create_app
from xero_gateway.settings import Settings

KNOBS = {"xero_webhook_key": "a-key-of-this-test"}


class Gateways:
    """One database, a strict Xero, and as many processes of xero-gateway as wanted."""

    def __init__(self, service: Harness, url: str, keys: Path, minute: float) -> None:
        self.service = service
        self.db = service.db
        self.xero = httpx.AsyncClient(base_url=url, timeout=60)
        self.minute = minute
        self._url = url
        self._keys = keys

    @asynccontextmanager
    async def process(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """One more replica, killed with -9 at the end of the block."""
        port, health = free_ports(2)
        settings = self.service.runtime.settings
        environment = {
            "MONGO_URL": str(settings.mongo_url),
            "MONGO_DATABASE": str(settings.mongo_database),
            "KEYS_DIR": str(self._keys / "xero-gateway"),
            "PUBLIC_KEYS_DIR": str(self._keys / "public"),
            "PORT": str(port),
            "HEALTH_PORT": str(health),
            "AUTH_URL": self._url,
            "XERO_API_URL": f"{self._url}/api.xro/2.0",
            "XERO_WEBHOOK_KEY": KNOBS["xero_webhook_key"],
            "LOG_LEVEL": "error",
        }
        program = ("-m", "tests.scaled_gateway", str(self.minute))
        child = await asyncio.create_subprocess_exec(sys.executable, *program, env=os.environ | environment)
        try:
            yield child
        finally:
            child.kill()
            await child.wait()

    async def connect(self, number: int, load: str | None = None) -> str:
        """An organisation that shares its one contact, at once or with a first load; its id."""
        organisation = organisation_id(f"5f1f7b3a-0000-4000-8000-{number:012d}")
        await self.service.deliver(OrganisationConnected(version=1, organisation_id=organisation, tenant_id="x", name="O", time_zone=None))
        share = ShareCreated(version=1, share_id=f"shr_{number}", organisation_id=organisation, contact_id=CONTACT, load_id=load)
        await self.service.deliver(share, share.share_id)
        return organisation

    async def report(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self.xero.get("/report")).json()
        return found


@asynccontextmanager
async def gateways(harness: HarnessFactory, keys: Path, minute: float = 60) -> AsyncIterator[Gateways]:
    """Everything but the replicas; Xero's minute lasts so many seconds."""
    (port,) = free_ports(1)
    xero = await asyncio.create_subprocess_exec(sys.executable, "-m", "tests.strict_xero", str(port), str(minute))
    try:
        async with harness(create_app, Settings, **KNOBS) as service:
            found = Gateways(service, f"http://127.0.0.1:{port}", keys, minute)

            async def answers() -> bool:
                try:
                    return bool(await found.report())
                except httpx.HTTPError:
                    return False

            await eventually(answers, "the strict Xero answers")
            yield found
            await found.xero.aclose()
    finally:
        xero.kill()
        await xero.wait()


async def work_off_dirty_invoices(gateways: Gateways, organisations: int, dirty: int, processes: int, seconds: float) -> dict[str, Any]:
    """Marks so many invoices of each organisation, lets the processes work them off, and gives what Xero saw."""
    for number in range(organisations):
        organisation = await gateways.connect(number)
        marks = [(organisation, "INVOICE", invoice_id(place)) for place in range(dirty)]
        for first in range(0, dirty, 250):
            await store.add_marks(gateways.db, marks[first : first + 250])
    async with AsyncExitStack() as running:
        for _ in range(processes):
            await running.enter_async_context(gateways.process())

        async def done() -> bool:
            await asyncio.sleep(0.5)
            return await gateways.db.collection(store.MARKS).find_one({}, projection={"_id": 1}) is None

        await eventually(done, "every mark is cleared", seconds)
    return await gateways.report()


async def load_and_kill(gateways: Gateways, invoices: int, kills: int, seconds: float) -> int:
    """A first load whose process is killed so many times, at about equal steps; how many there were when it was complete."""
    await gateways.xero.put(f"/total/{invoices}")
    organisation = await gateways.connect(1, "lod_1")
    for number in range(kills + 1):
        async with gateways.process():

            async def far_enough(number: int = number) -> bool:
                load = await store.find_load(gateways.db, organisation, "lod_1")
                assert load is not None
                return load.state == "complete" if number == kills else load.stored >= invoices * (number + 1) // (kills + 2)

            await eventually(far_enough, f"part {number + 1} of the load", seconds)
    return await exact(gateways, invoices)


async def exact(gateways: Gateways, invoices: int) -> int:
    """Every invoice was published once, in numbered batches without a gap, the last of which says how many they are."""
    batches = await gateways.service.published(InvoicesFetched)
    assert sorted(batch.version for batch in batches) == list(range(1, len(batches) + 1))
    assert [batch.batches for batch in batches if batch.batches] == [len(batches)]
    found = Counter(it.invoice_id for batch in batches for it in batch.invoices)
    assert found == Counter(invoice_id(number) for number in range(invoices))
    assert max(len(batch.invoices) for batch in batches) <= 100
    (last,) = (batch for batch in batches if batch.batches)
    assert last.stored == last.total == invoices
    return len(batches)
