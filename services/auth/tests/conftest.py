"""auth with its real database and an identity server on a real port."""

import asyncio
import socket
from collections.abc import AsyncIterator

import pytest
import uvicorn

from auth.main import create_app
from auth.settings import Settings
from auth.testing import Browser, PretendXero
from common.testing import Harness, HarnessFactory


@pytest.fixture(scope="session")
async def running_xero() -> AsyncIterator[PretendXero]:
    xero = PretendXero()
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(xero.app, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve([listening]))
    xero.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield xero
    server.should_exit = True
    await task


@pytest.fixture
def xero(running_xero: PretendXero) -> PretendXero:
    running_xero.reset()
    return running_xero


@pytest.fixture
async def auth(harness: HarnessFactory, xero: PretendXero) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings, **xero.settings) as service:
        yield service


@pytest.fixture
def browser(auth: Harness, xero: PretendXero) -> Browser:
    return Browser(auth, xero)


@pytest.fixture
def colleague(auth: Harness, xero: PretendXero) -> Browser:
    return Browser(auth, xero)
