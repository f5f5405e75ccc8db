"""auth with its real database and an identity server on a real port."""

from collections.abc import AsyncIterator

import pytest

from auth.main import create_app
from auth.settings import Settings
from auth.testing import Browser, PretendXero, pretended_xero
from common.testing import Harness, HarnessFactory


@pytest.fixture(scope="session")
async def running_xero() -> AsyncIterator[PretendXero]:
    async with pretended_xero() as xero:
        yield xero


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
