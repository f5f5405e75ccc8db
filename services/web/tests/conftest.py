"""The site with its services behind it, and a provider's browser on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from web.client_testing import a_browser
from web.testing import SESSION, Upstream, a_site

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_MS = 30_000
"""A bound against hanging, far above what a busy machine takes."""

expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture
async def up() -> Upstream:
    return Upstream()


@pytest.fixture
async def site(keys: Path, up: Upstream) -> AsyncIterator[FastAPI]:
    async with a_site(keys, up) as app:
        yield app


@pytest.fixture
async def provider(site: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with a_browser(site, provider=SESSION) as browser:
        yield browser


@pytest.fixture(scope="module")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path="/usr/bin/chromium", args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def context(chromium: Browser) -> AsyncIterator[BrowserContext]:
    context = await chromium.new_context(locale="en-NZ", viewport={"width": 1440, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    yield context
    await context.close()


@pytest.fixture
async def page(context: BrowserContext) -> Page:
    return await context.new_page()
