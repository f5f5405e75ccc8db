"""The drill of a backup: one system is copied while it runs and lost; what comes back in an empty one shows the same pages."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from common.mongo import Database
from local import mongod
from local.people import Client, Page, Provider, eventually, patiently
from local.running import Running, running

OUTSIDE = ("keys", "xero", "inbox")
"""What no backup holds and a lost system leaves: the keys, kept apart; Xero; people's mailboxes."""

CHANGING = (
    (re.compile(r'name="form_token" value="[^"]*"'), "form_token"),
    (re.compile(r'datetime="[^"]*"'), "datetime"),
    (re.compile(r"cor_[0-9A-Z]{26}"), "cor"),
    (re.compile(r"\b\d{1,2}:\d{2}\b"), "hh:mm"),
    (re.compile(r"\b(\d+ (seconds?|minutes?) ago|just now|a minute ago|moments ago)\b"), "lately"),
)
"""Tokens of forms, references, and the time of day: what differs between two looks at one page."""


async def operate(data: Path, *words: str) -> tuple[int, str]:
    """The operator's command on what runs from this folder: exit code and all it says."""
    line = (sys.executable, "-m", "client_invoices", "--data-dir", str(data), *words)
    child = await asyncio.create_subprocess_exec(*line, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    said, _ = await child.communicate()
    return child.returncode or 0, said.decode()


@asynccontextmanager
async def empty_in_place_of(lost: Path, data: Path, ports: dict[str, int]) -> AsyncIterator[Running]:
    """A new system at the addresses of the lost one, with its keys and the same outside world."""
    for name in OUTSIDE:
        shutil.copytree(lost / name, data / name)
    async with running(data, PORTS="", **{name: str(port) for name, port in ports.items()}) as system:
        yield system


class Household:
    """What there is before the loss: one provider with clients in every state that a restore must keep or must end."""

    def __init__(self, system: Running) -> None:
        self.system = system
        self.provider: Provider = system.provider()
        self.elsewhere: Provider = system.provider()
        self.contacts: dict[str, dict[str, Any]] = {}
        self.shares: dict[str, str] = {}
        self.readers: dict[str, Client] = {}
        self.used_link = self.unused_link = ""

    async def make(self, active: int) -> None:
        """`active` clients who read, one whose access ended, one with an unused sign-in link; elsewhere one whose invitation waits."""
        tenant, other = [each["id"] for each in (await self.system.xero.ask("/organisations"))[:2]]
        await self.provider.sign_in(organisation=tenant)
        await self.elsewhere.sign_in(organisation=other)
        names = [*(f"active{number}" for number in range(active)), "ended", "asked"]
        for place, name in enumerate(names):
            await self._share(self.provider, tenant, name, f"B-{place}")
        for name in names[:-1]:
            self.readers[name] = self.system.client(address(name))
            await self.readers[name].accept_invitation()
        await self.provider.end(self.contacts["ended"]["id"], self.shares["ended"])
        self.used_link = (await self._sign_in_links("active0"))[0]
        asked = Client(self.system.product, self.system.inbox, address("asked"))
        await asked.open("/sign-in")
        await asked.press("Send a sign-in mail", email=address("asked"))
        await self.system.inbox.wait_for(address("asked"), "your code")
        self.unused_link = (await self._sign_in_links("asked"))[0]
        await asked.close()
        await self.system.inbox.faults("down")
        await self._share(self.elsewhere, other, "waiting", "B-waiting")
        await self._queued("waiting")

    async def _share(self, provider: Provider, tenant: str, name: str, number: str) -> None:
        contact = await self.system.xero.do("/contacts", tenant=tenant, name=f"{name.title()} Ltd", email=address(name), number=number)
        await self.system.xero.do("/invoices", tenant=tenant, contact=contact["id"], unit="100.00")
        self.contacts[name] = contact
        self.shares[name] = str(await patiently(lambda: provider.share(contact["id"], address(name)), f"sharing {name}"))
        if name != "waiting":
            await self.system.inbox.wait_for(address(name), "has shared invoices with you")

    async def _queued(self, name: str) -> None:
        """Until the invitation of this share waits for the mail server."""
        db = Database(mongod.url(self.system.state["ports"]["MONGO_PORT"]), "notifier")
        waits = {"share_id": self.shares[name], "state": "pending"}
        await eventually(lambda: db.collection("mails").count(waits), "the invitation is queued")
        db.close()

    async def close(self) -> None:
        for browser in (self.provider, self.elsewhere, *self.readers.values()):
            await browser.close()

    async def _sign_in_links(self, name: str) -> list[str]:
        return [link for mail in await self.system.inbox.mails(address(name)) for link in mail["links"] if "/s/" in link]


def address(name: str) -> str:
    return f"{name}@backup.example"


async def provider_pages(provider: Provider, contacts: Iterable[str]) -> dict[str, str]:
    """What a provider sees of the organisation and of these contacts, without what changes from look to look."""
    home = f"/o/{provider.organisation}"
    paths = [f"{home}/clients", f"{home}/shares", *(f"{home}/clients/{contact}" for contact in contacts)]
    return {path: same(await provider.open(path)) for path in paths}


async def client_pages(client: Client) -> dict[str, str]:
    """What a client sees: home, every sender's list, every invoice on it."""
    pages: dict[str, str] = {}
    left = ["/invoices"]
    while left:
        path = left.pop()
        page = await client.open(path)
        pages[path] = same(page)
        left += sorted(
            link
            for link in {re.sub(r"[?#].*", "", href) for href in re.findall(r'href="(/invoices/[^"]*)"', page.text)}
            if link not in pages and link not in left and not link.endswith((".pdf", "/pdf", ".csv"))
        )
    return pages


def same(page: Page) -> str:
    text = f"{page.status}\n{page.text}"
    for pattern, plain in CHANGING:
        text = pattern.sub(plain, text)
    return text
