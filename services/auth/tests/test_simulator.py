"""The same sign-in against the Xero simulator: the journey `make up` shows."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
import uvicorn

from auth.main import create_app
from auth.settings import Settings
from auth.testing import Browser, PretendXero
from common.testing import Harness, HarnessFactory
from xero_simulator.main import create_app as create_simulator
from xero_simulator.settings import Settings as SimulatorSettings


@pytest.fixture(scope="module")
async def simulator(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    listening = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    settings = SimulatorSettings(public_url=url, data_dir=Path(tmp_path_factory.mktemp("xero")))
    server = uvicorn.Server(uvicorn.Config(create_simulator(settings), log_config=None))
    task = asyncio.create_task(server.serve([listening]))
    async with httpx.AsyncClient(base_url=url) as http:
        yield http
    server.should_exit = True
    await task


@pytest.fixture
async def auth_at_simulator(harness: HarnessFactory, simulator: httpx.AsyncClient) -> AsyncIterator[Harness]:
    base = str(simulator.base_url).rstrip("/")
    where = {
        "xero_client_id": "simulated-client",
        "xero_client_secret": "simulated-secret",
        "xero_issuer": base,
        "xero_discovery_url": f"{base}/.well-known/openid-configuration",
        "xero_authorize_url": f"{base}/identity/connect/authorize",
        "xero_token_url": f"{base}/connect/token",
        "xero_connections_url": f"{base}/connections",
    }
    async with harness(create_app, Settings, **where) as service:
        yield service


async def allow(browser: Browser, simulator: httpx.AsyncClient, login: str, organisation: str, decision: str = "allow") -> httpx.Response:
    """Presses a button of the simulator's consent page and follows it back."""
    asked = dict(parse_qsl(urlsplit(await browser.start()).query))
    known = (await simulator.get("/control/organisations")).json()
    chosen = next((each["id"] for each in known if each["key"] == organisation), "")
    form = {**asked, "login": login, "organisation": chosen, "decision": decision}
    back = await simulator.post("/identity/connect/authorize", data=form)
    return await browser.get("/auth/xero/callback", **dict(parse_qsl(urlsplit(back.headers["location"]).query)))


async def test_the_whole_way_in_and_out(auth_at_simulator: Harness, simulator: httpx.AsyncClient) -> None:
    browser = Browser(auth_at_simulator, PretendXero())
    assert (await allow(browser, simulator, "owner", "kowhai", "decline")).headers["location"].endswith("/?xero=declined")
    assert (await allow(browser, simulator, "owner", "kowhai")).headers["location"].endswith("/clients")
    (organisation,) = (await browser.identify()).json()["organisations"]
    assert organisation["name"].startswith("Kōwhai")
    as_gateway = auth_at_simulator.as_service("xero-gateway")
    path = f"/internal/organisations/{organisation['id']}"
    given = (await auth_at_simulator.http.post(f"{path}/access-token", headers=as_gateway)).json()
    headers = {"authorization": f"Bearer {given['access_token']}", "xero-tenant-id": given["tenant_id"], "accept": "application/json"}
    assert (await simulator.get("/api.xro/2.0/Contacts?page=1", headers=headers)).status_code == 200
    assert (await simulator.post("/control/disconnect", json={"tenant": given["tenant_id"]})).is_success
    assert (await simulator.get("/api.xro/2.0/Contacts?page=1", headers=headers)).status_code == 403
    refusal = {"grant": given["grant"], "status": 403}
    answer = await auth_at_simulator.http.post(f"{path}/refusals", json=refusal, headers=as_gateway)
    assert answer.json() == {"state": "disconnected"}


async def test_a_login_without_an_organisation_is_told(auth_at_simulator: Harness, simulator: httpx.AsyncClient) -> None:
    browser = Browser(auth_at_simulator, PretendXero())
    answer = await allow(browser, simulator, "nobody", "")
    assert answer.headers["location"].endswith("/?xero=no_organisation")
