"""Auto, Light and Dark: chosen in either account, worn by every page of both sides in that browser, without script and without a flash."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Literal

import httpx
import pytest
from axe_playwright_python.async_playwright import Axe
from fastapi import FastAPI
from playwright.async_api import Browser, Page

from web import client_testing
from web.client_testing import a_browser, listening_socket, press, served
from web.testing import SESSION, Upstream, a_site

Scheme = Literal["light", "dark"]
GROUND = {"light": "rgb(247, 244, 236)", "dark": "rgb(18, 23, 24)"}
WORN = "() => getComputedStyle(document.body).backgroundColor"
SCROLLBARS = "() => getComputedStyle(document.documentElement).colorScheme"
ON_BOTH_SIDES_AND_ON_ERRORS = ("/organisations", "/sign-in", "/nowhere")


@pytest.fixture
async def base(keys: Path, up: Upstream) -> AsyncIterator[str]:
    listening = listening_socket()
    address = f"http://localhost:{listening.getsockname()[1]}"
    async with a_site(keys, up, public_url=address) as site, served(site, listening):
        yield address


@pytest.fixture(params=["light", "dark"])
async def scriptless(request: pytest.FixtureRequest, chromium: Browser) -> AsyncIterator[tuple[Page, Scheme]]:
    """A provider's page in a browser that runs no script, and what its system is set to."""
    context = await chromium.new_context(java_script_enabled=False, color_scheme=request.param)
    await context.add_cookies([{"name": "__Host-provider", "value": SESSION, "url": "https://localhost", "secure": True}])
    yield await context.new_page(), request.param
    await context.close()


async def test_each_choice_has_its_ground_whatever_the_system_says(base: str, scriptless: tuple[Page, Scheme]) -> None:
    page, system = scriptless
    for name, expected in (("Dark", "dark"), ("Light", "light"), ("Auto", system)):
        await page.goto(f"{base}/me")
        await page.get_by_role("button", name=name, exact=True).click()
        await page.wait_for_url("**/me?chosen=1")
        assert await page.locator("[aria-pressed=true]").all_inner_texts() == [name]
        for path in ON_BOTH_SIDES_AND_ON_ERRORS:
            await page.goto(base + path)
            assert await page.evaluate(WORN) == GROUND[expected], (name, path)
            assert await page.evaluate(SCROLLBARS) == {"Auto": "light dark"}.get(name, expected)
        await page.emulate_media(media="print")
        assert await page.evaluate(WORN) == "rgb(255, 255, 255)"
        assert await page.evaluate(SCROLLBARS) == "light"
        await page.emulate_media(media="screen")


@pytest.mark.parametrize("theme", ["light", "dark"])
async def test_the_account_passes_axe_in_a_theme_the_system_does_not_have(base: str, chromium: Browser, theme: Scheme) -> None:
    context = await chromium.new_context(color_scheme="dark" if theme == "light" else "light")
    for name, value in (("__Host-provider", SESSION), ("__Host-theme", theme)):
        await context.add_cookies([{"name": name, "value": value, "url": "https://localhost", "secure": True}])
    page = await context.new_page()
    await page.goto(f"{base}/me")
    assert await page.evaluate(WORN) == GROUND[theme]
    assert (await Axe().run(page)).response["violations"] == []
    await context.close()


async def test_the_choice_is_a_cookie_of_two_words_that_auto_takes_away(provider: httpx.AsyncClient) -> None:
    answer = await press(provider, "/me", "/me/theme", theme="dark")
    kept = answer.headers["set-cookie"]
    assert kept.startswith("__Host-theme=dark;")
    assert {"Max-Age=34560000", "Path=/", "Secure", "HttpOnly", "SameSite=lax"} <= set(kept.split("; "))
    page = await provider.get("/me?chosen=1")
    assert 'data-theme="dark"' in page.text
    assert "Pages are dark now, in this browser." in page.text
    assert (page.headers["cache-control"], page.headers["vary"]) == ("no-store", "Cookie, Accept-Language")
    for nothing in ("auto", "pink"):
        await press(provider, "/me", "/me/theme", theme="dark")
        answer = await press(provider, "/me", "/me/theme", theme=nothing)
        assert "Max-Age=0" in answer.headers["set-cookie"]
        assert "data-theme" not in (await provider.get("/me")).text


async def test_a_cookie_with_something_else_in_it_changes_no_page(site: FastAPI) -> None:
    async with a_browser(site, provider=SESSION) as browser:
        browser.cookies.set("__Host-theme", "dark onload", domain="invoices.example", path="/")
        assert "data-theme" not in (await browser.get("/me")).text


async def test_a_client_chooses_in_the_own_account(keys: Path) -> None:
    upstream = client_testing.Upstream()
    async with client_testing.a_site(keys, upstream) as site, a_browser(site, client=upstream.signed_in("hana@rata.example")) as browser:
        answer = await press(browser, "/account", "/account/theme", theme="light")
        page = await browser.get(answer.headers["location"])
    assert 'data-theme="light"' in page.text
    assert "Pages are light now, in this browser." in page.text
