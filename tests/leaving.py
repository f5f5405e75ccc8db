"""Somebody leaves while parts are killed: what must be gone in the end, looked for in every document of every database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from common.mongo import Database
from local import mongod
from local.people import Client, NotThere, Provider, eventually, patiently
from local.running import Running
from tests.story import STUDIO

WORK = {
    "auth": ("leavings", "erasures", "outbox", "inbox"),
    "sharing": ("endings", "erasures", "outbox", "inbox"),
    "xero-gateway": ("erasures", "outbox", "inbox"),
    "portal": ("erasures", "outbox", "inbox"),
    "notifier": ("erasures", "outbox", "inbox", "mails"),
}
"""Per service, the collections whose pending rows have to be worked off before everything is gone."""

Databases = Mapping[str, Database]


@asynccontextmanager
async def databases(system: Running) -> AsyncIterator[Databases]:
    """Every service's database of the running product."""
    found = {name: Database(mongod.url(system.state["ports"]["MONGO_PORT"]), name) for name in WORK}
    yield found
    for database in found.values():
        database.close()


class Departing:
    """A provider who shares one contact with one client, and then deletes their account."""

    def __init__(self, system: Running, number: int) -> None:
        self.system = system
        self.number = number
        self.address = f"canary-{number}@canary.example"
        self.contact_name = f"Canary Quartz {number} Ltd"
        self.provider: Provider = system.provider()
        self.client: Client = system.client(self.address)
        self.invoice_path = ""

    async def share(self) -> None:
        """Signs in, shares two invoices, and the client reads one."""
        await self.provider.sign_in()
        tenant = (await self.system.xero.ask("/organisations"))[0]["id"]
        contact = await self.system.xero.do(
            "/contacts", tenant=tenant, name=self.contact_name, email=self.address, number=f"Q-{self.number}"
        )
        for amount in ("100.00", "250.50"):
            invoice = await self.system.xero.do("/invoices", tenant=tenant, contact=contact["id"], unit=amount)
        await patiently(lambda: self.provider.share(contact["id"], self.address), "sharing")
        await self.client.accept_invitation()
        self.invoice_path = f"/invoices/{self.provider.organisation}/{invoice['id']}"

        async def read() -> bool:
            return (await self.client.open(self.invoice_path)).status == 200

        await eventually(read, "the client reads an invoice")

    async def ask_to_be_deleted(self) -> None:
        """Opens the page and presses; what comes back may be a page of a part that died."""
        await self.provider.open(f"/o/{self.provider.organisation}/leave/delete")
        await self.provider.press_and_stay("Delete account", name=STUDIO)

    async def deleted(self) -> bool:
        """Whether the account is gone; presses again, as a person would, while it is there and nothing is under way."""
        try:
            page = await self.provider.open(f"/o/{self.provider.organisation}/leave/delete")
            if page.status == 200 and any("Delete account" in form.buttons for form in page.forms):
                await self.provider.press_and_stay("Delete account", name=STUDIO)
            return (page.status == 200 and "sign_in=1" in page.url) or "signed_out" in page.url
        except (NotThere, httpx.HTTPError):
            return False

    async def marked_as_not_updating(self) -> bool:
        """Whether the client still reads the invoice, told since when nothing reaches it."""
        page = await self.client.open(self.invoice_path)
        return page.status == 200 and "not updating since" in page.words

    async def refused(self) -> bool:
        try:
            return (await self.client.open(self.invoice_path)).status == 404
        except httpx.HTTPError:
            return False

    async def close(self) -> None:
        await self.provider.close()
        await self.client.close()


async def hasten(held: Databases) -> bool:
    """Moves stored times so that everything waiting is due and nobody's lease counts; True when nothing waits any more."""
    past = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": -61}}
    left = 0
    for service, collections in WORK.items():
        for name in collections:
            rows = held[service].collection(name)
            left += await rows.count({"state": "pending"})
            if name not in ("outbox", "inbox", "mails"):
                due: dict[str, Any] = {"due_at": "$$NOW", "began_at": past} if name == "endings" else {"due_at": "$$NOW"}
                await rows.update_many({"state": "pending", "lease": None}, [{"$set": due}])
                await rows.update_many({"state": "pending", "lease": {"$ne": None}}, [{"$set": {"lease_until": "$$NOW"}}])
    return left == 0


async def found_in(held: Databases, words: list[str]) -> dict[str, list[str]]:
    """service.collection -> the words that stand in it."""
    found = {}
    for service, database in held.items():
        for name in await database.client[service].list_collection_names():
            text = str(await database.collection(name).find({})).casefold()
            if there := [word for word in words if word.casefold() in text]:
                found[f"{service}.{name}"] = there
    return found


def words_about(departing: Departing, person: Mapping[str, str]) -> list[str]:
    return [person["name"], person["email"], person["subject"], STUDIO, departing.contact_name]


async def all_gone(system: Running, held: Databases, departing: Departing, person: Mapping[str, str]) -> None:
    """The end, whoever died: no access, no account, no tokens, and no word about the person or the organisation anywhere."""
    await eventually(departing.deleted, "the account is gone", 150)
    assert await departing.refused(), "access ended before the deletion was confirmed"

    async def done() -> bool:
        ready = await hasten(held)
        await asyncio.sleep(0.3)
        return ready

    await eventually(done, "everything is worked off", 240)
    assert await held["auth"].collection("token_sets").count({}) == 0
    assert await held["auth"].collection("connections").count({}) == 0
    assert await found_in(held, words_about(departing, person)) == {}
    of_the_client = await found_in({name: held[name] for name in ("auth", "sharing", "xero-gateway")}, [departing.address])
    assert of_the_client == {}, "portal and notifier keep what belongs to the client's own sign-in"
