"""notifier with its real database and the inbox simulator's mail server on a real port."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from common.crypto import KeyRing
from common.testing import Harness, HarnessFactory
from notifier.mailer import Mailer
from notifier.main import create_app
from notifier.settings import Settings
from notifier.testing import Events, Inbox, an_inbox

PUBLIC = "https://invoices.example"


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Inbox]:
    async with an_inbox(tmp_path) as inbox:
        yield inbox


@pytest.fixture
def settings(inbox: Inbox) -> dict[str, Any]:
    return {"public_url": PUBLIC, "smtp_port": inbox.port, "smtp_starttls": "off", "mail_from": "mail@invoices.example"}


@pytest.fixture
async def notifier(harness: HarnessFactory, settings: dict[str, Any]) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings, **settings) as service:
        yield service


@pytest.fixture
def second(notifier: Harness, settings: dict[str, Any]) -> Mailer:
    """Another process's mailer on the same queue."""
    ring = KeyRing.load(notifier.runtime.settings.keys_dir / "rings" / "event-seal.json")
    return Mailer(Settings(**settings), ring)


@pytest.fixture
def events(keys: Path) -> Events:
    return Events(keys)


@pytest.fixture
def send(notifier: Harness) -> Callable[[], Any]:
    """Lets the mailer try everything that is due, again and again until nothing is."""

    async def all_due() -> None:
        while await notifier.app.state.mailer.send_due(notifier.db):
            pass

    return all_due
