"""`make screenshots`: a picture of every page in the states of `DEMO=shared`, wide and narrow, light and dark, in .local/pictures/."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from local.demo import ACTIVE, ENDED, INVITED, LLP, OPENED, REFUSED, STUDIO, WAITING_FOR_FIRST, WAITING_FOR_XERO
from local.people import eventually
from local.running import Running, running
from local.system import ROOT
from tests.e2e.conftest import CHROMIUM, FLAGS

PICTURES = ROOT / ".local" / "pictures"
SIZES = {1440: 900, 360: 740}
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
DEMO_SECONDS = 300
SHOTS_A_MINUTE = 8
"""Each page of a provider costs Xero a few of the 60 calls it allows a minute, so its clock is moved on after so many."""

STUDIO_CLIENTS = {
    "active": ACTIVE,
    "invited-1200-invoices": INVITED,
    "opened": OPENED,
    "mail-refused": REFUSED,
    "ended": ENDED,
    "only-drafts": WAITING_FOR_FIRST,
    "only-bills": "C-038",
    "only-voided": "C-039",
    "never-invoiced": "C-041",
    "part-payments": "C-020",
    "long-name": "C-014",
    "right-to-left": "C-018",
    "three-currencies": "C-044",
}
SHARE_FORMS = {"new": "C-001", "no-address": "C-009", "unusable-address": "C-010", "nothing-yet": "C-041", "again": ACTIVE}
XERO_OUTCOMES = ("declined", "no_organisation", "expired", "failed", "unavailable")
ANYWHERE = "/o/{org}/clients"


async def main() -> int:
    """Takes all pictures and prints how many; 1 when the ready-made shares could not be made."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="invoices-pictures-") as folder:
        async with running(Path(folder), DEMO="shared") as system, async_playwright() as playwright:
            if not await demo_is_there(system):
                print("The ready-made shares failed; see the end of the log:\n" + (Path(folder) / "logs" / "demo.log").read_text()[-2000:])
                return 1
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
            album = Album(system, browser)
            await album.fill()
            await browser.close()
    print(f"{album.count} pictures of {album.pages} pages in {PICTURES.relative_to(ROOT)}")
    return 0


async def demo_is_there(system: Running) -> bool:
    """Waits until `make up` says that the ready-made shares are there, or that they failed."""

    async def said() -> str:
        log = (system.data / "up.log").read_text()
        return next((line for line in log.splitlines() if "The ready-made shares" in line), "")

    return "are there" in str(await eventually(said, "the ready-made shares", DEMO_SECONDS))


class Album:
    """Visits pages as an anonymous visitor, as a provider and as a client, and takes four pictures of each."""

    def __init__(self, system: Running, browser: Browser) -> None:
        self.system = system
        self.browser = browser
        self.count = 0
        self.pages = 0

    async def fill(self) -> None:
        tenants = {it["name"]: it["id"] for it in await self.system.xero.ask("/organisations")}
        self.numbers = {
            contact["number"]: contact
            for name in (STUDIO, LLP)
            for contact in await self.system.xero.ask("/contacts", tenant=tenants[name])
        }
        async with self.someone() as visitor:
            await self.doors(visitor)
        async with self.someone() as provider:
            await self.provider(provider, tenants)
        async with self.someone() as newcomer:
            await self.sign_in(newcomer, "Allow as Ines")
            await self.take(newcomer, "clients-none-at-all")
        async with self.someone() as client:
            await self.client(client)
        async with self.someone() as client:
            await self.long_list(client)

    # ── pages without a session

    async def doors(self, page: Page) -> None:
        await self.visit(page, "/", "start")
        for outcome in XERO_OUTCOMES:
            await self.visit(page, f"/?xero={outcome}", f"start-xero-{outcome}")
        for topic in ("", "/sending", "/receiving", "/security", "/troubleshooting"):
            await self.visit(page, f"/help{topic}", f"help{topic.replace('/', '-')}")
        await self.visit(page, "/sign-in", "sign-in")
        await self.visit(page, f"/i/{self.unknown('cii')}", "invitation")
        await self.visit(page, f"/s/{self.unknown('cil')}", "link-unknown")
        await self.visit(page, await self.link_of(OPENED, "/s/"), "link-elsewhere")
        await self.visit(page, "/nothing/here", "error-404")
        await self.visit(page, "/sign-out", "error-405")
        await self.visit(page, self.system.product.replace("localhost", "127.0.0.1"), "error-421")
        await self.visit(page, "/sign-in", None)
        await page.locator("input[name=form_token]").first.evaluate("field => field.value = 'out of date'")
        await page.get_by_label("Your e-mail address").fill("somebody@elsewhere.example")
        await page.get_by_role("button", name="Send a sign-in mail").click()
        await self.take(page, "error-403")
        async with self.frozen("portal"):
            await self.visit(page, f"/s/{self.unknown('cil')}", "sign-in-down")

    # ── the provider's side

    async def provider(self, page: Page, tenants: dict[str, str]) -> None:
        org = await self.sign_in(page, "Allow access", organisation=tenants[STUDIO])
        await self.visit(page, "/organisations", "organisations")
        base = ANYWHERE.format(org=org)
        await self.visit(page, base, "clients")
        await self.visit(page, f"{base}?search=qqqq", "clients-no-match")
        await self.visit(page, f"{base}?page=0", "error-422")
        for name, number in STUDIO_CLIENTS.items():
            await self.visit(page, f"{base}/{self.numbers[number]['id']}", f"client-{name}")
        active = f"{base}/{self.numbers[ACTIVE]['id']}"
        for view in ("overdue", "open", "paid", "all"):
            await self.visit(page, f"{active}?view={view}", f"client-active-{view}")
        await self.visit(page, f"{active}?view=all&search=qqqq", "client-active-no-match")
        await self.visit(page, f"{active}/timeline", "timeline")
        await self.visit(page, f"{active}/timeline?kind=payments", "timeline-payments")
        await self.visit(page, f"{base}/{self.numbers['C-041']['id']}/timeline", "timeline-empty")
        await self.visit(page, "/me", "account")
        for name, number in SHARE_FORMS.items():
            await self.visit(page, f"{base}/{self.numbers[number]['id']}/share", f"share-{name}")
        await self.refused_form(page, f"{base}/{self.numbers['C-001']['id']}/share")
        await self.visit(page, active, None)
        await page.locator("a[href$='/end']").first.click()
        await self.take(page, "end-access")
        await self.visit(page, f"/o/{org}/shares", "shares")
        await self.visit(page, f"/o/{org}/settings", "settings")
        await self.visit(page, f"/o/{org}/leave", "leave")
        for way in ("disconnect", "end-access", "delete"):
            await self.visit(page, f"/o/{org}/leave/{way}", f"leave-{way}")
        await self.without_xero(page, base)
        await self.second_organisation(tenants[LLP])

    async def refused_form(self, page: Page, address: str) -> None:
        """What cannot be an address, past the check of the browser."""
        await self.visit(page, address, None)
        await page.locator("input[name=email]").evaluate("field => { field.type = 'text'; field.form.noValidate = true }")
        await page.locator("input[name=email]").fill("no address")
        await page.get_by_role("button", name="Send invitation").click()
        await self.take(page, "share-refused")

    async def without_xero(self, page: Page, base: str) -> None:
        await self.system.xero.do("/faults", offline=True)
        await self.visit(page, base, "clients-xero-away")
        for name, number in {"shared": OPENED, "not-shared": "C-005"}.items():
            await self.visit(page, f"{base}/{self.numbers[number]['id']}", f"client-xero-away-{name}")
            await self.visit(page, f"{base}/{self.numbers[number]['id']}/share", f"share-xero-away-{name}")
        (await self.system.xero.http.delete("/control/faults")).raise_for_status()

    async def second_organisation(self, tenant: str) -> None:
        """The demo disconnected it inside Xero, so nobody can choose it at sign-in; the one who was signed in still sees it."""
        async with self.someone() as page:
            await self.sign_in(page, "Allow access")
            await page.goto(self.system.product + "/organisations")
            link = page.get_by_role("link", name=LLP)
            if not await link.count():
                print(f"left out: the pages of {LLP}, which this login does not list; tenant {tenant}")
                return
            await link.first.click()
            await self.take(page, "clients-disconnected")
            base = page.url.partition("?")[0]
            await self.visit(page, f"{base}/{self.numbers[WAITING_FOR_XERO]['id']}", "client-waiting-for-xero")
            await self.visit(page, base.replace("/clients", "/settings"), "settings-disconnected")

    # ── the client's side

    async def client(self, page: Page) -> None:
        mail = await self.ask_for_mail(page, self.numbers[ACTIVE]["email"])
        await self.take(page, "sent")
        code = mail["subject"][:7]
        await self.visit(page, next(link for link in mail["links"] if "/s/" in link), "link-here")
        await self.visit(page, "/sign-in/sent", None)
        await self.type_code(page, "1234")
        await self.take(page, "code-incomplete")
        await self.type_code(page, "000 000" if code != "000 000" else "111 111")
        await self.take(page, "code-wrong")
        await self.type_code(page, code)
        await page.wait_for_url("**/invoices**")
        await self.take(page, "portal-home-nothing-to-pay")
        await self.portal(page, "portal")
        await self.visit(page, "/account", "portal-account")
        await self.visit(page, await self.link_of(INVITED, "/i/"), "invitation-signed-in-as-other")
        async with self.frozen("sharing"):
            await self.visit(page, "/invoices", "portal-error-503")

    async def long_list(self, page: Page) -> None:
        """The client of 1,200 invoices, of which some are to pay, part-paid and overdue."""
        mail = await self.ask_for_mail(page, self.numbers[INVITED]["email"])
        await self.type_code(page, mail["subject"][:7])
        await page.wait_for_url("**/invoices**")
        await self.take(page, "portal-home")
        await self.portal(page, "portal-long")

    async def ask_for_mail(self, page: Page, email: str) -> dict[str, Any]:
        """Asks for a sign-in mail; the page then shows the box for the code."""
        await self.visit(page, "/sign-in", None)
        seen = {mail["id"] for mail in await self.system.inbox.mails(email)}
        await page.get_by_label("Your e-mail address").fill(email)
        await page.get_by_role("button", name="Send a sign-in mail").click()
        await page.wait_for_url("**/sign-in/sent")
        return await self.system.inbox.wait_for(email, "your code to open your invoices", beside=seen)

    async def type_code(self, page: Page, code: str) -> None:
        await page.locator("input[name=code]").fill(code)
        await page.get_by_role("button", name="Open my invoices").click()
        await page.wait_for_load_state()

    async def portal(self, page: Page, name: str) -> None:
        """The pages of the first sender."""
        address = str(await page.locator("a[href^='/invoices/org_']").first.get_attribute("href"))
        base = "/".join(address.partition("?")[0].split("/")[:3])
        for view in ("overdue", "paid", "all", "to_pay"):
            await self.visit(page, f"{base}?view={view}", f"{name}-sender-{view}")
        await self.visit(page, f"{base}?view=all&page=2", f"{name}-sender-page-2")
        await self.visit(page, f"{base}?view=all&search=qqqq", f"{name}-sender-no-match")
        await self.visit(page, f"{base}?view=all", None)
        invoices = [str(await link.get_attribute("href")) for link in await page.locator(f"a[href^='{base}/']").all()]
        for number, path in enumerate(dict.fromkeys(invoices[:3]), start=1):
            await self.visit(page, path, f"{name}-invoice-{number}")
        await self.visit(page, f"{base}/00000000-0000-4000-8000-000000000000", f"{name}-error-404")

    # ── how

    @asynccontextmanager
    async def someone(self) -> AsyncIterator[Page]:
        """A browser of its own: nobody else's cookies."""
        context: BrowserContext = await self.browser.new_context(locale="en-NZ", viewport={"width": 1440, "height": 900})
        try:
            yield await context.new_page()
        finally:
            await context.close()

    async def sign_in(self, page: Page, button: str, organisation: str | None = None) -> str:
        """Signs in through the simulated Xero; gives the organisation's id in our addresses."""
        await page.goto(self.system.product + "/auth/xero/start")
        form = page.locator("form").filter(has=page.get_by_role("button", name=button))
        if organisation:
            await form.locator("select[name=organisation]").select_option(organisation)
        await form.get_by_role("button", name=button).click()
        await page.wait_for_url("**/o/org_*/**")
        return page.url.split("/o/")[1].split("/")[0]

    async def visit(self, page: Page, address: str, name: str | None) -> None:
        """Opens an address of the product, and takes its pictures under that name."""
        if "/o/" in address and self.pages % SHOTS_A_MINUTE == 0:
            await self.system.a_new_minute()
        await page.goto(address if "://" in address else self.system.product + address)
        if name:
            await self.take(page, name)

    async def take(self, page: Page, name: str) -> None:
        """Four pictures of the page as it stands, from top to bottom."""
        await page.wait_for_load_state()
        for theme in THEMES:
            await page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            for width, height in SIZES.items():
                await page.set_viewport_size({"width": width, "height": height})
                await page.screenshot(path=PICTURES / f"{name}.{width}.{theme}.png", full_page=True)
                self.count += 1
        self.pages += 1

    async def link_of(self, number: str, kind: str) -> str:
        """The newest link of this kind in this contact's mails."""
        mails = await self.system.inbox.mails(self.numbers[number]["email"])
        return str(next(link for mail in mails for link in mail["links"] if kind in link))

    @staticmethod
    def unknown(prefix: str) -> str:
        """A token of the right form that nobody was given."""
        return f"{prefix}_{'A' * 43}"

    @asynccontextmanager
    async def frozen(self, part: str) -> AsyncIterator[None]:
        """A service that hangs: every page that needs it fails as it would in an outage."""
        pid = int(self.system.read()["pids"][part])
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
