"""Pytest plugin: a service on its real database, with callers of every kind and events delivered and read.

The root conftest provides `mongo_url` and `rabbitmq`; everything here stands on those.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from fastapi import FastAPI

from common import erasure, inbox, logging
from common.events import Event, EventData, decode, new_event
from common.identity import PdfCapability, Signer
from common.ids import new_id, organisation_id
from common.keys import make_keys
from common.mongo import INBOX, OUTBOX, Database
from common.service import operations
from common.settings import ServiceSettings

SERVICES = ("auth", "xero-gateway", "sharing", "portal", "notifier", "web", "operations")
RINGS = {
    "xero-token": ("auth",),
    "event-seal": ("sharing", "portal", "notifier"),
    "codes": ("portal",),
    "csrf": ("web",),
}
ORGANISATION = organisation_id("5f1f7b3a-0000-4000-8000-000000000001")
OTHER_ORGANISATION = organisation_id("5f1f7b3a-0000-4000-8000-000000000002")
A_RIGHT = PdfCapability(ORGANISATION, "contact", "invoice", datetime(2026, 6, 18, 9, 30, tzinfo=UTC))
ADDRESSES = {
    " You@Demo.EXAMPLE ": "you@demo.example",
    "A+Tag@Demo.Example": "a+tag@demo.example",
    "o'hara+tag@demo.example": "o'hara+tag@demo.example",
    "Jos\u0065\u0301@caf\u00e9.example": "josé@xn--caf-dma.example",
    "a@\uff44\uff45\uff4d\uff4f\u3002example": "a@demo.example",
    "a@straße.example": "a@xn--strae-oqa.example",
    "a@STRASSE.example": "a@strasse.example",
    "a@xn--BCHER-KVA.example": "a@xn--bcher-kva.example",
    "\u0131o@demo.example": "\u0131o@demo.example",
    "\u0130o@demo.example": "\u0130o@demo.example",
    "\ufb01@demo.example": "\ufb01@demo.example",
    "ΑΒΓ@demo.example": "ΑΒΓ@demo.example",
}
"""Shared vectors: what people type, and the one form it is stored, compared and mailed in; letters that only look alike stay apart."""

NO_ADDRESSES = [
    *["", "n/a", "a@", "@b.example", "a b@c.example", "a..b@c.example", "user@localhost", "a@demo_x.example", "a@xn--zzzzzz.example"],
    *["a@b.example,c@d.example", "A <a@b.example>", '"a b"@c.example', "a@[127.0.0.1]", "a@b.example\nBcc: x"],
    *["a\u202e@b.example", "a\u200d@b.example", "a@de\u00admo.example", "a@" + "b" * 250 + ".example"],
    *["=?utf-8?q?victim=2Cyou?=@b.example", "=?utf-8?q?a=0D=0ABcc=3Ax?=@b.example", "a=?b@c.example"],
]
E = TypeVar("E", bound=EventData)
Headers = dict[str, str]


class Harness:
    """One service under test: its app called over ASGI, its database, and the keys of everybody who may call it."""

    def __init__(self, app: FastAPI, keys: Path) -> None:
        self.app = app
        self.name = app.title
        self.runtime = app.state.runtime
        self.db: Database = app.state.db
        self._keys = keys
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{app.title}")
        self.operations = httpx.AsyncClient(transport=httpx.ASGITransport(operations(self.runtime)), base_url=f"http://{app.title}")

    def as_service(self, name: str) -> Headers:
        """Headers of a call by another service in its own name."""
        return _bearer(self.signer(name).service_token(self.name))

    def as_provider(
        self, organisation: str = ORGANISATION, *, id: str = "prv_1", name: str = "Mere Hart", email: str = "mere@kowhai.example"
    ) -> Headers:
        """Headers of a call in a provider's name, as auth would sign it."""
        token = self.signer("auth").provider_token(self.name, id=id, name=name, email=email, organisation_id=organisation)
        return _bearer(token)

    def as_client(self, email: str = "you@demo.example", *, id: str = "cli_1") -> Headers:
        """Headers of a call in a client's name, as portal would sign it."""
        return _bearer(self.signer("portal").client_token(self.name, id=id, email=email))

    def as_pdf_holder(self, right: PdfCapability = A_RIGHT) -> Headers:
        """Headers of a call with the right to one invoice's PDF, as sharing would sign it."""
        said = {"organisation_id": right.organisation_id, "contact_id": right.contact_id, "invoice_id": right.invoice_id}
        return _bearer(self.signer("sharing").pdf_token(self.name, **said, updated_at=right.updated_at))

    def signer(self, service: str) -> Signer:
        """Signs in the name of any service."""
        return Signer(service, self._keys / service)

    async def deliver(self, data: EventData, subject: str = "subject") -> Event[Any]:
        """Stores an event as the bus would and handles it. Raises AssertionError with the reason when the handler failed."""
        event = new_event("test", subject, data, correlation=new_id("cor"))
        await self.deliver_event(event)
        return event

    async def deliver_event(self, event: Event[Any]) -> None:
        """The same for an envelope made before; delivering it again must change nothing."""
        handlers = self.runtime.handlers
        await inbox.store(self.db, event.model_dump_json().encode(), event.id, {kind.type: kind for kind in handlers})
        await inbox.handle_pending(self.db, handlers)
        row = await self.db.collection(INBOX).find_one({"_id": event.id})
        assert row is not None
        assert row["state"] == "done", f"{event.type}: {row['state']}, {row.get('reason')}"

    async def published(self, kind: type[E]) -> list[E]:
        """Bodies of all events of one type that were emitted, oldest first."""
        rows = await self.db.collection(OUTBOX).find({"type": kind.type}, sort=[("_id", 1)])
        return [decode(row["body"]).data for row in rows]

    async def forget_published(self) -> None:
        """Empties the outbox, so that the next `published` shows what comes now."""
        await self.db.collection(OUTBOX).delete_many({})

    async def erase(self) -> None:
        """Everything is sent, and what was asked to be erased gets all its passes."""
        await self.db.collection(OUTBOX).update_many({"state": "pending"}, {"$set": {"state": "sent"}})
        (eraser,) = [loop for loop in self.runtime.loops if isinstance(loop, erasure.Eraser)]
        for _ in range(1 + len(erasure.AGAIN_SECONDS)):
            await self.db.collection(erasure.ERASURES).update_many({"state": "pending"}, [{"$set": {"due_at": "$$NOW"}}])
            while await eraser.erase_one(self.db):
                pass

    async def empty(self) -> None:
        """Deletes every document, keeping collections and indexes."""
        for name in self.runtime.indexes:
            await self.db.collection(name).delete_many({})


HarnessFactory = Callable[..., AbstractAsyncContextManager[Harness]]


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with keys of every service and every ring."""
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder, SERVICES, RINGS)
    return folder


@pytest.fixture(scope="session")
def harness(request: pytest.FixtureRequest, keys: Path) -> HarnessFactory:
    """`async with harness(create_app, Settings, knob=value) as service:` the service with an empty database of its own."""

    @asynccontextmanager
    async def run(create_app: Callable[[Any], FastAPI], settings: type[ServiceSettings], **knobs: Any) -> AsyncIterator[Harness]:
        name = create_app.__module__.split(".")[0].replace("_", "-")
        if name != "web":
            knobs = {"mongo_url": request.getfixturevalue("mongo_url"), "mongo_database": f"test-{name}", **knobs}
        app = create_app(settings(keys_dir=keys / name, public_keys_dir=keys / "public", **knobs))
        service = Harness(app, keys)
        async with service.runtime.opened(), service.http:
            if name != "web":
                await service.empty()
            yield service

    return run


@pytest.fixture
async def database(mongo_url: str) -> AsyncIterator[Database]:
    """An empty database with outbox and inbox, for tests of the mechanism."""
    from common import outbox

    db = Database(mongo_url, "test", f"test-{new_id('db')}")
    await db.prepare({**outbox.INDEXES, **inbox.INDEXES})
    yield db
    await db.drop()
    db.close()


def pytest_configure() -> None:
    logging.configure("test", "critical")


@pytest.fixture(autouse=True)
def _no_leaked_context() -> None:
    """Log context of one test must not reach the next."""
    import structlog

    structlog.contextvars.clear_contextvars()


def _bearer(token: str) -> Headers:
    return {"authorization": f"Bearer {token}"}
