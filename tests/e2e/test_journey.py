"""The main job, end to end: a provider shares, a client reads, Xero changes, access ends. In a real browser, on what `make up` runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, BrowserContext, Page, expect

from local.people import eventually
from local.running import Running

CLIENT = "you@demo.example"
STUDIO = "Kōwhai & Hart Studio Ltd"


async def test_the_whole_journey(system: Running, chromium: Browser, pictures: Path) -> None:
    provider_context = await chromium.new_context(locale="en-NZ", viewport={"width": 1280, "height": 900})
    client_context = await chromium.new_context(locale="en-NZ", viewport={"width": 390, "height": 844})
    provider, client = await provider_context.new_page(), await client_context.new_page()
    journey = Journey(system, provider, client, pictures)
    try:
        await journey.sign_in_with_xero()
        await journey.find_the_client()
        await journey.see_the_clients_invoices()
        await journey.share()
        await journey.open_the_invitation()
        await journey.read_an_invoice()
        await journey.pay_and_void_in_xero()
        await journey.xero_goes_away_and_comes_back()
        await journey.end_access(client_context)
        await journey.read_the_timeline()
    finally:
        await journey.picture("last-provider", provider)
        await journey.picture("last-client", client)
        await provider_context.close()
        await client_context.close()


class Journey:
    """The ten steps, each a method; what one learns the next uses. Presses are counted against the budgets of the product."""

    def __init__(self, system: Running, provider: Page, client: Page, pictures: Path) -> None:
        self.system = system
        self.provider = provider
        self.client = client
        self.pictures = pictures
        self.provider_presses = 0
        self.client_presses = 0
        self.invitation = ""
        self.open_invoice: dict[str, Any] = {}

    async def sign_in_with_xero(self) -> None:
        """1: two doors, Xero's consent, and straight to Clients."""
        await self.provider.goto(self.system.product)
        await expect(self.provider.get_by_role("heading", level=1)).to_be_visible()
        await self.picture("1-doors", self.provider)
        await self.press_provider(self.provider.get_by_role("link", name="Sign in with Xero"))
        await expect(self.provider.get_by_text("Simulator").first).to_be_visible()
        await self.press_provider(self.provider.get_by_role("button", name="Allow access"))
        await expect(self.provider).to_have_url(re.compile(r"/o/org_\w+/clients"))
        await expect(self.provider.get_by_role("heading", level=1, name="Clients")).to_be_visible()
        await self.picture("2-clients", self.provider)

    async def find_the_client(self) -> None:
        """2: the list, paged; the search runs against Xero."""
        contact = (await self.system.xero.ask("/contacts", tenant=await self.tenant(), search=CLIENT))[0]
        await self.provider.get_by_role("searchbox").fill(contact["number"] or contact["name"])
        await self.provider.get_by_role("searchbox").press("Enter")
        self.contact_name = contact["name"]
        self.contact_number = contact["number"]
        await expect(self.provider.get_by_role("link", name=self.contact_name)).to_be_visible()
        await expect(self.provider.get_by_role("table").get_by_role("row")).to_have_count(2)

    async def see_the_clients_invoices(self) -> None:
        """3: the client's invoices, newest first, each with a link into Xero."""
        await self.press_provider(self.provider.get_by_role("link", name=self.contact_name))
        await expect(self.provider.get_by_role("heading", level=1, name=self.contact_name)).to_be_visible()
        link = self.provider.get_by_role("table").first.get_by_role("link").first
        assert "/AccountsReceivable/View.aspx?InvoiceID=" in str(await link.get_attribute("href"))
        await self.picture("3-client", self.provider)

    async def share(self) -> None:
        """4: the address is filled in, the preview says what will be shared, one press sends."""
        await self.press_provider(self.provider.get_by_role("link", name="Share invoices"))
        address = self.provider.get_by_label("Address")
        await expect(address).to_have_value(CLIENT)
        await self.picture("4-share", self.provider)
        await self.press_provider(self.provider.get_by_role("button", name="Send invitation"))
        await expect(self.shared_with(CLIENT)).to_be_visible()
        assert self.provider_presses <= 5, "Sign in, Allow, client, Share invoices, Send"
        mail = await self.system.inbox.wait_for(CLIENT, f"{STUDIO} has shared invoices with you")
        assert "total" not in mail["text"].lower()
        (self.invitation,) = [link for link in mail["links"] if "/i/" in link]
        await self.provider.reload()
        await expect(self.shared_with(CLIENT)).to_contain_text("Invited")
        await self.picture("5-shared", self.provider)

    async def open_the_invitation(self) -> None:
        """5: the page says nothing about anybody; a press mails a code to the invited address, and the code signs in."""
        for _ in range(3):
            await self.client.goto(self.invitation)
        said = await self.client.get_by_role("main").inner_html()  # beside it stands the demo strip, the same on every page
        assert STUDIO not in said
        assert CLIENT not in said
        assert await self.system.inbox.mails(CLIENT, "your code") == [], "opening a page mails nothing"
        await self.picture("6-invitation", self.client)
        self.client_presses += 1  # the link in the mail
        await self.press_client(self.client.get_by_role("button", name="Send me a sign-in mail"))
        await expect(self.client.get_by_role("heading", name="Look in your inbox")).to_be_visible()
        await self.picture("7-inbox", self.client)
        mail = await self.system.inbox.wait_for(CLIENT, "your code to open your invoices")
        await self.client.get_by_label("6-digit code").fill(mail["subject"][:7])
        await self.press_client(self.client.get_by_role("button", name="Open my invoices"))
        await expect(self.client).to_have_url(re.compile(r"/invoices/org_\w+"))
        assert self.client_presses <= 3
        await self.client.goto(self.invitation)
        await expect(self.client).to_have_url(re.compile(r"/invoices/org_\w+"))  # an old invitation stays a way back

    async def read_an_invoice(self) -> None:
        """6: every sender, the granted invoices, one of them with lines, tax, payments and totals."""
        await self.client.goto(f"{self.system.product}/invoices")
        await expect(self.client.get_by_text(STUDIO).first).to_be_visible()
        await self.picture("8-home", self.client)
        unpaid = await self.invoices("AUTHORISED")
        self.open_invoice = next(invoice for invoice in unpaid if not invoice.get("payments"))
        await self.client.goto(f"{self.system.product}/invoices/{await self.organisation()}?view=all")
        await self.picture("9-sender", self.client)
        await self.client.get_by_role("link", name=self.open_invoice["number"], exact=True).click()
        await expect(self.client.get_by_role("heading", level=1)).to_contain_text(self.open_invoice["number"])
        await expect(self.client.get_by_text("To pay").first).to_be_visible()
        await self.picture("10-invoice", self.client)

    async def pay_and_void_in_xero(self) -> None:
        """7: what happens in Xero shows on the client's next page load."""
        page = self.client.url
        await self.system.xero.do(f"/invoices/{self.open_invoice['id']}/pay")
        await self.shows(page, "Paid")
        await self.picture("11-paid", self.client)
        (other, *_) = [it for it in await self.invoices("AUTHORISED") if not it.get("payments")]
        page = page.replace(self.open_invoice["id"], other["id"])
        await self.client.goto(page)
        await expect(self.client.get_by_role("heading", level=1)).to_contain_text(other["number"])
        await self.system.xero.do(f"/invoices/{other['id']}/void")
        await self.shows(page, "Voided")

    async def xero_goes_away_and_comes_back(self) -> None:
        """9: the client reads on; the provider is told plainly."""
        await self.system.xero.do("/faults", offline=True)
        page = self.client.url
        answer = await self.client.goto(page)
        assert answer is not None
        assert answer.status == 200
        await expect(self.client.get_by_text("from Xero").first).to_be_visible()
        await self.provider.goto(f"{self.system.product}/o/{await self.organisation()}/clients")
        await expect(self.provider.get_by_text("Xero is not answering").first).to_be_visible()
        await expect(self.provider.get_by_role("link", name=self.contact_name)).to_be_visible()
        await self.picture("12-xero-away", self.provider)
        await self.system.xero.do("/faults", offline=False)

    async def end_access(self, context: BrowserContext) -> None:
        """8: after a confirmation the next page is refused, an open invoice too, and links that lead only there are dead."""
        invoice_page = self.client.url
        self.client_two = await context.new_page()
        await self.provider.goto(f"{self.system.product}/o/{await self.organisation()}/clients?search={self.contact_number}")
        await self.provider.get_by_role("link", name=self.contact_name).click()
        await self.shared_with(CLIENT).get_by_role("link", name="End access").click()
        await expect(self.provider.get_by_text("It ends now")).to_be_visible()
        await self.picture("13-end", self.provider)
        await self.provider.get_by_role("button", name="End access").click()
        await expect(self.provider.get_by_text("Access ended at")).to_be_visible()
        answer = await self.client.reload()
        assert answer is not None
        assert answer.status == 404
        await expect(self.client.get_by_text("There is nothing here for you")).to_be_visible()
        await self.client_two.goto(invoice_page.rpartition("/")[0])
        await expect(self.client_two.get_by_text("Nothing is shared with")).to_be_visible()
        await self.picture("14-ended", self.client_two)
        before = len(await self.system.inbox.mails(CLIENT))
        stranger = await context.browser.new_page()  # type: ignore[union-attr]
        await stranger.goto(self.invitation)
        await stranger.get_by_role("button", name="Send me a sign-in mail").click()
        await expect(stranger.get_by_role("heading", name="Look in your inbox")).to_be_visible()
        await stranger.close()
        assert len(await self.system.inbox.mails(CLIENT)) == before

    async def read_the_timeline(self) -> None:
        """10: everything of this journey, the newest first, on one page of the client."""
        await self.provider.get_by_role("link", name="Timeline", exact=True).click()
        told = self.provider.get_by_role("main").get_by_role("list")
        number = self.open_invoice["number"]
        for text in (
            f"Access of {CLIENT} ended",
            "Voided, nothing to pay",
            f"{number}: Payment of",
            f"{CLIENT} opened {number}",
            f"{CLIENT} opened the invitation",
            f"Shared with {CLIENT}",
        ):
            await expect(told).to_contain_text(text)
        await self.picture("15-timeline", self.provider)
        file = await self.provider.request.get(f"{self.provider.url}.csv")
        assert f",Payment,,,{number}," in await file.text()

    async def shows(self, page: str, text: str) -> None:
        """Loads the page until the change that Xero reported is on it."""

        async def look() -> bool:
            await self.client.goto(page)
            return bool(await self.client.get_by_text(re.compile(text)).count())

        await eventually(look, f"{text} on {page}")

    def shared_with(self, address: str) -> Any:
        return self.provider.get_by_role("row").filter(has_text=address).first

    async def invoices(self, status: str) -> list[dict[str, Any]]:
        found = await self.system.xero.ask("/invoices", tenant=await self.tenant(), contact_number=self.contact_number, status=status)
        return [invoice for invoice in found if invoice["type"] == "ACCREC"]

    async def tenant(self) -> str:
        return str(next(it["id"] for it in await self.system.xero.ask("/organisations") if it["name"] == STUDIO))

    async def organisation(self) -> str:
        found = re.search(r"/o/(org_\w+)/", self.provider.url)
        assert found
        return found[1]

    async def press_provider(self, what: Any) -> None:
        self.provider_presses += 1
        await what.click()

    async def press_client(self, what: Any) -> None:
        self.client_presses += 1
        await what.click()

    async def picture(self, name: str, page: Page) -> None:
        await page.screenshot(path=self.pictures / f"{name}.png", full_page=True)
