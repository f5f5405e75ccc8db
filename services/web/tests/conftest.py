"""The site with its services behind it, and a provider's browser on it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from web.client_testing import a_browser
from web.testing import SESSION, Upstream, a_site


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
