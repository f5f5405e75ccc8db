"""The main job as steps over HTTP, each of which can be interrupted and done again, as people do after a “try again”."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from local.people import Client, NotThere, Page, Provider, eventually, patiently
from local.running import Running

STUDIO = "Kōwhai & Hart Studio Ltd"
STEPS = (
    "sign_in_with_xero",
    "share",
    "receive_the_invitation",
    "ask_for_a_sign_in_mail",
    "sign_in",
    "read_an_invoice",
    "see_a_payment",
    "end_access",
    "be_refused",
)


class Story:
    """One provider, one client, one contact. Steps may be repeated until they succeed, as a person would."""

    def __init__(self, system: Running, contact: dict[str, Any], email: str) -> None:
        self.system = system
        self.contact = contact
        self.email = email
        self.provider: Provider = system.provider()
        self.client: Client = system.client(email)
        self.share_id = ""
        self.invitation = ""
        self.invoice: dict[str, Any] = {}

    async def run(self, before: Callable[[str], Awaitable[None]] | None = None) -> None:
        """All steps; `before` is called with each step's name first."""
        try:
            for name in STEPS:
                if before:
                    await before(name)
                await patiently(getattr(self, name), name)
        finally:
            await self.provider.close()
            await self.client.close()

    async def sign_in_with_xero(self) -> None:
        await self.provider.sign_in()

    async def share(self) -> None:
        self.share_id = await self.provider.share(self.contact["id"], self.email)

    async def receive_the_invitation(self) -> None:
        mail = await self.system.inbox.wait_for(self.email, f"{STUDIO} has shared invoices with you")
        (link,) = [link for link in mail["links"] if "/i/" in link]
        self.invitation = re.sub(r"^https?://[^/]+", "", link)

    async def ask_for_a_sign_in_mail(self) -> None:
        well(await self.client.open(self.invitation))
        self.seen = {mail["id"] for mail in await self.system.inbox.mails(self.email)}
        well(await self.client.press("Send me a sign-in mail"))

    async def sign_in(self) -> None:
        mail = await self.system.inbox.wait_for(self.email, "your code to open your invoices", beside=self.seen)
        await self.client.open("/sign-in/sent")
        if not self.client.page.url.endswith("/sign-in/sent"):
            return  # the press before was answered by a dying process, and it had signed us in
        page = await self.client.press("Open my invoices", code=mail["subject"][:7])
        if "/invoices" not in page.url:
            raise NotThere(f"the code led to {page.url} ({page.status}): {page.words[:200]}")

    async def read_an_invoice(self) -> None:
        found = await self.system.xero.ask(
            "/invoices", tenant=self.contact["organisation"], contact_number=self.contact["number"], status="AUTHORISED"
        )
        self.invoice = next(it for it in found if it["type"] == "ACCREC" and not it.get("payments"))
        page = well(await self.client.open(self.invoice_path))
        if self.invoice["number"] not in page.words:
            raise NotThere(f"{self.invoice['number']} is not on {page.url}")

    async def see_a_payment(self) -> None:
        state = (await self.system.xero.ask(f"/invoices/{self.invoice['id']}"))["status"]
        if state != "PAID":
            await self.system.xero.do(f"/invoices/{self.invoice['id']}/pay")

        async def look() -> bool:
            return "Paid" in (await self.client.open(self.invoice_path)).words

        await eventually(look, "the payment reaches the client's page", 90)

    async def end_access(self) -> None:
        page = await self.provider.open(f"/o/{self.provider.organisation}/clients/{self.contact['id']}/shares/{self.share_id}/end")
        if any("End access" in form.buttons for form in page.forms):
            page = await self.provider.press("End access")
        well(page)

    async def be_refused(self) -> None:
        page = await self.client.open(self.invoice_path)
        if page.status != 404:
            raise NotThere(f"{page.url} answered {page.status}")

    @property
    def invoice_path(self) -> str:
        return f"/invoices/{self.provider.organisation}/{self.invoice['id']}"


def well(page: Page) -> Page:
    """The page, when it is one; what a person would try again is raised."""
    if page.status >= 500:
        raise NotThere(f"{page.url} answered {page.status}: {page.words[:200]}")
    return page
