"""Ready-made shares, one in every state, so that each page can be looked at without typing: `client-invoices seed`.

Everything is done as people do it, through the product's pages, with the simulators; what is there already is left as it is.
"""

from __future__ import annotations

from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx

from local.people import Client, Inbox, NotThere, Provider, Xero, eventually, patiently

STUDIO, LLP = "Kōwhai & Hart Studio Ltd", "Pike & Larkmoor LLP"
WAITING_FOR_FIRST = "C-037"
REFUSED = "C-016"
INVITED = "C-002"
OPENED = "C-004"
ACTIVE = "C-003"
ENDED = "C-012"
WAITING_FOR_XERO = "P-06"
INVITATION = "has shared invoices with you"


async def make(product: str, inbox: str, back_office: str) -> None:
    """Makes the shares, in the order in which they have to be made. Raises NotThere when a page does not do as it should."""
    demo = Demo(product, Inbox(inbox), Xero(back_office))
    try:
        await demo.make()
    finally:
        await demo.close()


async def signs_in_at(product: str) -> str:
    """The address people sign in with Xero at, without its path. Raises httpx.HTTPError, NotThere."""
    async with httpx.AsyncClient(base_url=product, timeout=10, trust_env=False) as http:
        answer = await http.get("/auth/xero/start")
    if "location" not in answer.headers:
        raise NotThere(f"{product}/auth/xero/start answered {answer.status_code} and led nowhere")
    return "{0.scheme}://{0.netloc}".format(urlsplit(answer.headers["location"]))


class Demo:
    """The people of the demo."""

    def __init__(self, product: str, inbox: Inbox, xero: Xero) -> None:
        self.product = product
        self.inbox = inbox
        self.xero = xero
        self.provider = Provider(product)
        self.second = Provider(product)

    async def make(self) -> None:
        tenants = {it["name"]: it["id"] for it in await self.xero.ask("/organisations")}
        await self.provider.sign_in(organisation=tenants[STUDIO])
        studio = {contact["number"]: contact for contact in await self.xero.ask("/contacts", tenant=tenants[STUDIO])}
        await self.refused(studio[REFUSED])
        for number in (WAITING_FOR_FIRST, INVITED, OPENED, ACTIVE):
            await self.shared(studio[number])
        await self.opened(studio[OPENED])
        await self.active(studio[ACTIVE])
        await self.ended(studio[ENDED])
        await self.waiting_for_xero(tenants[LLP])

    async def shared(self, contact: dict[str, Any]) -> str:
        """Invited, or waiting for the first invoice where there is none yet."""
        share = partial(self.provider.share, contact["id"], contact["email"])
        return str(await patiently(share, f"sharing {contact['name']}"))  # Xero allows 60 calls a minute, so it may ask to wait

    async def refused(self, contact: dict[str, Any]) -> None:
        """The address's mail server knows no such mailbox."""
        await self.inbox.faults("reject", count=1)
        await self.shared(contact)

        async def struck() -> bool:
            return bool((await self.inbox.http.get("/api/faults")).json()["mode"] == "ok")

        await eventually(struck, "the invitation is refused")

    async def opened(self, contact: dict[str, Any]) -> None:
        """Pressed the invitation's button and went no further."""
        client = Client(self.product, self.inbox, contact["email"])
        mail = await self.inbox.wait_for(contact["email"], INVITATION)
        await client.open(next(link for link in mail["links"] if "/i/" in link))
        await client.press("Send me a sign-in mail")
        await self.inbox.wait_for(contact["email"], "your code")
        await client.close()

    async def active(self, contact: dict[str, Any]) -> None:
        client = Client(self.product, self.inbox, contact["email"])
        await client.accept_invitation()
        await client.close()

    async def ended(self, contact: dict[str, Any]) -> None:
        share = await self.shared(contact)
        await self.inbox.wait_for(contact["email"], INVITATION)
        await self.provider.end(contact["id"], share)

    async def waiting_for_xero(self, tenant: str) -> None:
        """Shared in the moment in which the connection of the second organisation ended inside Xero."""
        await self.second.sign_in(organisation=tenant)
        contact = (await self.xero.ask("/contacts", tenant=tenant, number=WAITING_FOR_XERO))[0]
        await self.second.open(f"/o/{self.second.organisation}/clients/{contact['id']}/share")
        await self.xero.do("/disconnect", tenant=tenant)
        page = await self.second.press("Send invitation", email=contact["email"])
        if "share=shr_" not in page.url:
            raise NotThere(f"sharing without Xero led to {page.url} ({page.status}): {page.words[:300]}")

    async def close(self) -> None:
        for browser in (self.provider, self.second, self.inbox, self.xero):
            await browser.close()
