"""The service on its real database, knowing one organisation."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.crypto import KeyRing
from common.testing import OTHER_ORGANISATION, Harness, HarnessFactory
from sharing.main import create_app
from sharing.settings import Settings
from sharing.testing import Desk, connected


@pytest.fixture
async def sharing(harness: HarnessFactory) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings) as service:
        await service.deliver(connected())
        yield service


@pytest.fixture
def desk(sharing: Harness) -> Desk:
    """The provider of the first organisation."""
    return Desk(sharing)


@pytest.fixture
async def other_desk(sharing: Harness) -> Desk:
    """The provider of another organisation."""
    await sharing.deliver(connected(OTHER_ORGANISATION, name="Pike & Larkmoor LLP", zone="Europe/London"))
    return Desk(sharing, OTHER_ORGANISATION)


@pytest.fixture
def ring(keys: Path) -> KeyRing:
    """The ring as notifier holds it."""
    return KeyRing.load(keys / "notifier" / "rings" / "event-seal.json")
