"""The service between a real Xero simulator and a stand-in for auth, both reached over HTTP."""

import asyncio
import shutil
import socket
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from fastapi import Depends, FastAPI, Request

from common import http
from common.contracts.auth import OrganisationConnected
from common.contracts.sharing import ShareCreated
from common.contracts.xero_gateway import Invoice, InvoicesChanged, InvoicesFetched
from common.errors import Conflict, NotFound
from common.http import caller
from common.identity import Verifier
from common.ids import organisation_id
from common.testing import Harness, HarnessFactory
from xero_gateway import store
from xero_gateway.budget_store import BUDGETS
from xero_gateway.main import create_app
from xero_gateway.settings import Settings
from xero_gateway.testing import WEBHOOK_KEY
from xero_simulator.main import create_app as create_simulator
from xero_simulator.settings import Settings as SimulatorSettings
from xero_simulator.testing import sign_in

ANCHOR = date(2026, 6, 18)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@asynccontextmanager
async def served(app: Any, port: int) -> AsyncIterator[str]:
    """The app on a port of this machine, as long as the block runs; its address."""
    config = uvicorn.Config(app, host="127.0.0.1", port=port, log_config=None, access_log=False, lifespan="auto")
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve())
    await eventually(lambda: asyncio.sleep(0, server.started))
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await task


async def eventually(check: Callable[[], Awaitable[Any]], seconds: float = 90) -> Any:
    """Waits until `check` answers something true, and gives it."""
    async with asyncio.timeout(seconds):
        while True:
            if found := await check():
                return found
            await asyncio.sleep(0.02)


class Auth:
    """Stands in for the auth service: hands out access tokens of the simulator and judges refusals as auth does."""

    def __init__(self, simulator: httpx.AsyncClient, public_keys: Path) -> None:
        self.http = simulator
        self.state: dict[str, str] = {}
        self.tokens: dict[str, str] = {}
        self.asked: list[str] = []
        self.refusals: list[tuple[str, int]] = []
        self.renews = True
        self.confirms = True  # whether Xero's list of connections agrees with a 403
        self.app = FastAPI()
        http.install(self.app)
        self.app.state.verifier = Verifier(public_keys, "auth")
        admitted = [Depends(caller("xero-gateway"))]

        @self.app.post("/internal/organisations/{organisation}/access-token", dependencies=admitted)
        async def access_token(organisation: str) -> dict[str, Any]:
            self.asked.append(organisation)
            if organisation not in self.state:
                raise NotFound
            if self.state[organisation] != "connected":
                raise Conflict(code="xero_needs_reauth")
            ends = datetime.now(UTC) + timedelta(minutes=30)
            tenant = await self._tenant(organisation)
            return {"access_token": self.tokens[organisation], "tenant_id": tenant, "expires_at": ends.isoformat(), "grant": "grn_1"}

        @self.app.post("/internal/organisations/{organisation}/refusals", dependencies=admitted)
        async def refusals(organisation: str, request: Request) -> dict[str, str]:
            body = await request.json()
            assert body["grant"] == "grn_1"
            self.refusals.append((organisation, body["status"]))
            if body["status"] == 401 and self.renews and self.state[organisation] == "connected":
                await self._sign_in(organisation)
            if body["status"] == 403 and self.confirms:
                self.state[organisation] = "needs_reauth"
            return {"state": self.state[organisation]}

    async def connect(self, key: str, login: str = "owner") -> str:
        """Signs a login in to the organisation with this key; answers its id."""
        connection = await sign_in(self.http, login, key)
        organisation = organisation_id(connection.tenant)
        self.tokens[organisation] = connection.tokens["access_token"]
        self.state[organisation] = "connected"
        return organisation

    async def _sign_in(self, organisation: str) -> None:
        for found in (await self.http.get("/control/organisations")).json():
            if organisation_id(found["id"]) == organisation:
                await self.connect(found["key"])

    async def _tenant(self, organisation: str) -> str:
        found = (await self.http.get("/control/organisations")).json()
        return next(str(it["id"]) for it in found if organisation_id(it["id"]) == organisation)


class World:
    """The gateway with everything around it."""

    def __init__(self, service: Harness, simulator: httpx.AsyncClient, auth: Auth, url: str, knobs: dict[str, str]) -> None:
        self.service = service
        self.knobs = knobs
        self.db = service.db
        self.xero = simulator
        self.auth = auth
        self.url = url
        self.kowhai = ""

    async def get(self, path: str, organisation: str | None = None, **params: Any) -> httpx.Response:
        """As a provider of the organisation; `path` follows /internal/organisations/{organisation}/."""
        organisation = organisation or self.kowhai
        address = f"/internal/organisations/{organisation}/{path}"
        return await self.service.http.get(address, params=params, headers=self.service.as_provider(organisation))

    async def contact(self, number: str, tenant: str = "kowhai") -> dict[str, Any]:
        found: list[dict[str, Any]] = (await self.xero.get("/control/contacts", params={"tenant": tenant, "number": number})).json()
        return found[0]

    async def invoices(self, contact_number: str, **filters: str) -> list[dict[str, Any]]:
        params = {"tenant": "kowhai", "contact_number": contact_number, **filters}
        found: list[dict[str, Any]] = (await self.xero.get("/control/invoices", params=params)).json()
        return found

    async def act(self, path: str, **body: Any) -> dict[str, Any]:
        """Presses a button of the back office."""
        answer = await self.xero.post(f"/control/{path}", json=body)
        assert answer.is_success, answer.text
        done: dict[str, Any] = answer.json()
        return done

    async def calls(self) -> list[dict[str, Any]]:
        """Every call of the accounting API since the start."""
        found: list[dict[str, Any]] = (await self.xero.get("/control/calls", params={"last": 20_000})).json()["calls"]
        return found

    async def forget_calls(self) -> None:
        await self.xero.delete("/control/calls")

    async def knows(self, organisation: str, version: int = 1, time_zone: str | None = None) -> None:
        await self.service.deliver(
            OrganisationConnected(
                version=version, organisation_id=organisation, tenant_id="x", name="Kōwhai & Hart Studio Ltd", time_zone=time_zone
            )
        )

    async def share(self, contact: str, share_id: str = "shr_1", load_id: str | None = None) -> None:
        """A share of a contact of the first organisation exists."""
        await self.service.deliver(
            ShareCreated(version=1, share_id=share_id, organisation_id=self.kowhai, contact_id=contact, load_id=load_id), share_id
        )

    async def hurry(self) -> None:
        """Ends every wait of background work, as time would."""
        for name in (store.MARKS, store.LOADS, store.RECONCILIATIONS, store.PDF_BATCHES):
            wanted = {"$set": {"due_at": datetime(1970, 1, 1, tzinfo=UTC)}, "$inc": {"asked": 1}}
            await self.db.collection(name).update_many({}, wanted)
        await self.db.collection(BUDGETS).delete_many({})
        self.db.notify()

    async def loaded(self, number: str, share: str = "shr_1", load: str = "lod_1") -> dict[str, Any]:
        """Shares a contact and waits for its first load; the contact."""
        contact = await self.contact(number)
        await self.share(contact["id"], share, load)

        async def complete() -> bool:
            return bool((await self.get(f"loads/{load}")).json()["state"] == "complete")

        await eventually(complete)
        return contact

    async def quiet(self) -> None:
        """Everything marked was looked at, every webhook delivered, no reconciliation due."""

        async def idle() -> bool:
            hooks = (await self.xero.get("/control/webhooks")).json()
            due = {"due_at": {"$lte": await self.db.now()}, "state": "pending"}
            return bool(
                hooks["unsent_events"] + hooks["waiting"] == 0
                and await self.db.collection(store.WEBHOOKS).count({}) == 0
                and await self.db.collection(store.MARKS).count({"state": "pending"}) == 0
                and await self.db.collection(store.RECONCILIATIONS).count(due) == 0
            )

        await eventually(idle)

    async def changes(self) -> dict[str, Invoice]:
        """The invoices published as changed, each as it was told last, by id."""
        events = await self.service.published(InvoicesChanged)
        return {invoice.invoice_id: invoice for event in events for invoice in event.invoices}

    async def told(self) -> dict[str, Invoice]:
        """Every invoice that was published, loaded or changed, as it was told last, by id."""
        loaded = [invoice for batch in await self.service.published(InvoicesFetched) for invoice in batch.invoices]
        return {invoice.invoice_id: invoice for invoice in loaded} | await self.changes()

    async def large_contact(self) -> dict[str, Any]:
        """The contact with the most open invoices."""
        found = (await self.xero.get("/control/invoices", params={"tenant": "kowhai", "status": "AUTHORISED"})).json()
        largest, _ = Counter(it["contact"] for it in found).most_common(1)[0]
        answer: dict[str, Any] = (await self.xero.get(f"/control/contacts/{largest}")).json()
        return answer

    async def untouched(self, number: str) -> list[str]:
        """Open invoices of a contact that Xero lets one edit: nothing was paid or credited; in the order of their ids."""
        found = await self.invoices(number, status="AUTHORISED")
        return sorted(it["id"] for it in found if it["type"] == "ACCREC" and not it["payments"] and not it["credits"])


@pytest.fixture(scope="session")
def made_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("books")
    create_simulator(SimulatorSettings(data_dir=folder, anchor_day=ANCHOR)).state.simulator.store.close()
    return folder


@pytest.fixture
async def world(harness: HarnessFactory, keys: Path, made_books: Path, tmp_path: Path) -> AsyncIterator[World]:
    """The gateway over HTTP, without its loops, with one connected organisation that it knows of."""
    shutil.copytree(made_books, tmp_path / "data")
    ports = [free_port() for _ in range(3)]
    hook = f"http://127.0.0.1:{ports[2]}/webhooks/xero"
    settings = SimulatorSettings(data_dir=tmp_path / "data", anchor_day=ANCHOR, webhook_url=hook, webhook_key=WEBHOOK_KEY)
    async with (
        served(create_simulator(settings), ports[0]) as xero_url,
        httpx.AsyncClient(base_url=xero_url, timeout=30) as simulator,
    ):
        auth = Auth(simulator, keys / "public")
        knobs = {"auth_url": f"http://127.0.0.1:{ports[1]}", "xero_api_url": f"{xero_url}/api.xro/2.0", "xero_webhook_key": WEBHOOK_KEY}
        async with served(auth.app, ports[1]), harness(create_app, Settings, **knobs) as service, served(service.app, ports[2]) as url:
            world = World(service, simulator, auth, url, knobs)
            world.kowhai = await auth.connect("kowhai")
            await world.knows(world.kowhai)
            yield world


@pytest.fixture
async def working(world: World) -> AsyncIterator[World]:
    """The same with its loops running."""
    tasks = [asyncio.create_task(loop.run(world.db), name=loop.name) for loop in world.service.runtime.loops]
    yield world
    ended = [task for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert not ended, f"{ended} ended by themselves"


@pytest.fixture(name="eventually")
def waits() -> Callable[..., Awaitable[Any]]:
    return eventually


@pytest.fixture
def serving() -> Callable[[Any], Any]:
    """`async with serving(app) as url`"""
    return lambda app: served(app, free_port())
