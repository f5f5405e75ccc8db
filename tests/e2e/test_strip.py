"""The strip of the first minutes: each of its five links leads, in a real browser, to the place it names."""

from __future__ import annotations

from playwright.async_api import Browser, Locator, expect

from local.running import Running


async def test_each_link_of_the_strip_leads_to_its_place(system: Running, chromium: Browser) -> None:
    context = await chromium.new_context(locale="en-NZ", viewport={"width": 360, "height": 780})
    page = await context.new_page()

    def link(name: str) -> Locator:
        return page.get_by_role("navigation", name="Demo").get_by_role("link", name=name)

    try:
        await page.goto(system.product)
        await link("1 sign in").click()
        await page.get_by_role("button", name="Allow access").click()
        await expect(page.get_by_role("heading", level=1, name="Clients")).to_be_visible()
        await link("5 end access").click()
        await expect(page.get_by_role("heading", level=1)).to_be_visible()
        assert page.url.endswith("/shares")
        await link("2 share with you@demo.example").click()
        await expect(page.get_by_role("heading", level=1, name="Clients")).to_be_visible()
        await link("3 open the inbox").click()
        await expect(page).to_have_title("Inbox · Simulator")
        await page.go_back()
        await link("4 pay it in the back office").click()
        await page.get_by_role("link", name="First client: Acorn Street Bakery").click()
        await expect(page.get_by_text("you@demo.example").first).to_be_visible()
    finally:
        await context.close()
