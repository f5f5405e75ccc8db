"""notifier with its real database and the inbox simulator's mail server on a real port."""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from common.crypto import KeyRing
from common.testing import Harness, HarnessFactory
from inbox_simulator.faults import Fault, Faults, Mode
from inbox_simulator.mails import Mail
from inbox_simulator.smtp import listening
from inbox_simulator.store import Store
from local.processes import free_ports
from notifier.mailer import Mailer
from notifier.main import create_app
from notifier.settings import Settings
from notifier.testing import Events

PUBLIC = "https://invoices.example"


@dataclass
class Inbox:
    """What arrived, and what shall go wrong."""

    port: int
    store: Store
    faults: Faults

    def fails(self, mode: Mode, count: int | None = None) -> None:
        self.faults.current = Fault(mode=mode, count=count)

    @property
    def mails(self) -> list[Mail]:
        """Oldest first."""
        return self.store.list_mails()[::-1]


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Inbox]:
    (port,) = free_ports(1)
    store, faults = Store(tmp_path), Faults()
    async with listening("127.0.0.1", port, store, faults):
        yield Inbox(port, store, faults)
    store.close()


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
