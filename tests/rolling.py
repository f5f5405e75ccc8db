"""Two replicas of everything restarted one after the other while people and Xero go on: nobody may notice."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx

from client_invoices.installation import SERVICES
from local.people import Client, NotThere, Page, eventually
from local.running import Running
from local.system import SIMULATED_WEBHOOK_KEY
from tests.story import Story
from xero_gateway.testing import a_webhook, signature_of

LOOKING = "looking@demo.example"
SECONDS_BETWEEN = {
    "client pages": 0.2,
    "provider pages": 0.3,
    "webhooks": 0.4,
    "provider sign-ins": 4.0,
    "client sign-ins": 25.0,  # an address may ask for five mails an hour
    "changes": 5.0,
}
STANDSTILL_SECONDS = 5.0


class Load:
    """What goes on all the time, each kind in its own rhythm: how often it was done, and what did not work."""

    def __init__(self, system: Running, story: Story, addresses: list[str]) -> None:
        self.system = system
        self.story = story
        self.done: Counter[str] = Counter()
        self.failed: list[str] = []
        self.stood_still: list[str] = []
        self.mark = ""
        self._sequence = itertools.count(5_000_000)
        self._marks = itertools.count()
        self._addresses = itertools.cycle(addresses)
        self._http = httpx.AsyncClient(base_url=system.product, timeout=30, trust_env=False)

    @asynccontextmanager
    async def going_on(self) -> AsyncIterator[Load]:
        """All kinds at once; ends what was begun."""
        kinds = [self.read_as_client, self.read_as_provider, self.post_webhook, self.sign_in_provider, self.sign_in_client, self.change]
        stop = asyncio.Event()
        watching = asyncio.create_task(self._watch())
        tasks = [asyncio.create_task(self._again_and_again(name, each, stop)) for name, each in zip(SECONDS_BETWEEN, kinds, strict=True)]
        try:
            yield self
        finally:
            stop.set()
            await asyncio.gather(*tasks)
            watching.cancel()
            await self._http.aclose()

    async def read_as_client(self) -> None:
        for address in ("/invoices", f"/invoices/{self.story.provider.organisation}", self.story.invoice_path):
            whole(await self.story.client.open(address), "invoice")

    async def read_as_provider(self) -> None:
        organisation = self.story.provider.organisation
        whole(await self.story.provider.open(f"/o/{organisation}/shares"), self.story.email)
        page = whole(await self.story.provider.open(f"/o/{organisation}/settings"), "Xero")
        if "could not" in page.words or "cannot be told" in page.words:
            raise NotThere(f"settings do not know everything: {page.words[:500]}")

    async def post_webhook(self) -> None:
        """Of an organisation nobody knows: stored and answered like any other, and no call to Xero follows."""
        body = a_webhook(("INVOICE", "unknown"), tenant="00000000-0000-4000-8000-00000000dead", first=next(self._sequence))
        headers = {"x-xero-signature": signature_of(body, SIMULATED_WEBHOOK_KEY), "content-type": "application/json"}
        answer = await self._http.post("/webhooks/xero", content=body, headers=headers)
        if answer.status_code != 200:
            raise NotThere(f"a webhook was answered {answer.status_code}")

    async def sign_in_provider(self) -> None:
        provider = self.system.provider()
        try:
            await provider.sign_in()
        finally:
            await provider.close()

    async def sign_in_client(self) -> None:
        client = Client(self.system.product, self.system.inbox, next(self._addresses))
        try:
            page = await client.sign_in()
            if "/invoices" not in page.url:
                raise NotThere(f"signing in led to {page.url} ({page.status})")
        finally:
            await client.close()

    async def change(self) -> None:
        """In Xero, told by its own webhook."""
        mark = f"ROLL-{next(self._marks)}"
        await self.system.xero.do(f"/invoices/{self.story.invoice['id']}/edit", reference=mark)
        self.mark = mark

    async def _watch(self) -> None:
        """Notes when this process itself was not let run for seconds: then the machine stood still, and deadlines ran out for everybody."""
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.1)
            if (gap := time.monotonic() - began) > STANDSTILL_SECONDS:
                self.stood_still.append(f"{time.strftime('%H:%M:%S')} for {gap:.0f} s")

    async def _again_and_again(self, name: str, step: Callable[[], Awaitable[None]], stop: asyncio.Event) -> None:
        while not stop.is_set():
            try:
                await step()
            except (NotThere, httpx.HTTPError) as error:
                self.failed.append(f"{time.strftime('%H:%M:%S')} {name}: {type(error).__name__}: {error}"[:400])
            self.done[name] += 1
            try:
                async with asyncio.timeout(SECONDS_BETWEEN[name]):
                    await stop.wait()
            except TimeoutError:
                continue


async def prepared(system: Running, sign_ins: int) -> tuple[Story, list[str]]:
    """Somebody signed in on both sides, an invoice to look at, and so many addresses that may sign in."""
    tenant = (await system.xero.ask("/organisations"))[0]["id"]
    contact = await system.xero.do("/contacts", tenant=tenant, name="Rolling Ltd", email=LOOKING, number="ROLL-1")
    await system.xero.do("/invoices", tenant=tenant, contact=contact["id"], unit="100.00")
    story = Story(system, contact, LOOKING)
    for step in ("sign_in_with_xero", "share", "receive_the_invitation", "ask_for_a_sign_in_mail", "sign_in", "read_an_invoice"):
        await getattr(story, step)()
    addresses = [f"rolling-{number}@demo.example" for number in range(sign_ins)]
    for number, address in enumerate(addresses):
        if number % 10 == 0:
            await system.a_new_minute()
        await story.provider.share(contact["id"], address)
    return story, addresses


def replicas(system: Running) -> list[str]:
    """Every process of every service, those of one service apart from each other: first all first ones, then all second ones."""
    parts = [part for part in system.read()["pids"] if re.sub(r"(-worker)?(-\d)?$", "", part) in SERVICES]
    return sorted(parts, key=lambda part: part[-1] == "2")


async def restart(system: Running, part: str) -> None:
    """SIGTERM, then waiting until it runs again and is ready."""
    pid = int(system.read()["pids"][part])
    os.kill(pid, signal.SIGTERM)
    await system.restarted(part, pid)


async def all_is_shown(load: Load) -> None:
    """The last change in Xero stands on the client's page."""

    async def look() -> bool:
        return load.mark in (await load.story.client.open(load.story.invoice_path)).words

    await eventually(look, f"{load.mark} on the client's page", 120)


def ended_badly(system: Running) -> list[str]:
    """What `make up` told of processes that ended with anything but 0."""
    told = (system.data / "up.log").read_text()
    return [line for line in told.splitlines() if re.search(r"ended (with (?!0)|by )", line)]


def whole(page: Page, word: Any) -> Page:
    """The page, when it is what was asked for."""
    if page.status != 200 or word not in page.words:
        raise NotThere(f"{page.url} answered {page.status}: {page.words[:300]}")
    return page
