"""For tests against a simulator, in the same process or in one of its own: signing in as the app does, and reading the accounting API."""

import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

REDIRECT = "http://localhost:8080/auth/xero/callback"
SCOPES = (
    "openid profile email offline_access accounting.contacts.read accounting.invoices.read "
    "accounting.settings.read accounting.payments.read"
)


class Connection:
    """A signed-in app at one organisation: its tokens, and reading of the accounting API."""

    def __init__(self, http: httpx.AsyncClient, tokens: dict[str, Any], tenant: str) -> None:
        self.http = http
        self.tokens = tokens
        self.tenant = tenant

    @property
    def headers(self) -> dict[str, str]:
        bearer = f"Bearer {self.tokens['access_token']}"
        return {"Authorization": bearer, "xero-tenant-id": self.tenant, "Accept": "application/json"}

    async def read(self, path: str, headers: dict[str, str] | None = None, **query: str) -> httpx.Response:
        return await self.http.get(f"/api.xro/2.0/{path}", params=query, headers={**self.headers, **(headers or {})})

    async def items(self, resource: str, **query: str) -> list[dict[str, Any]]:
        response = await self.read(resource, None, **query)
        assert response.status_code == 200, response.text
        found: list[dict[str, Any]] = response.json()[resource.split("/")[0]]
        return found


Connected = Callable[..., Awaitable[Connection]]


async def consent(http: httpx.AsyncClient, login: str, organisation: str, **changes: str) -> dict[str, str]:
    """Presses "Allow access"; answers the parameters of the redirect back to the app."""
    asked = {"response_type": "code", "client_id": "simulated-client", "redirect_uri": REDIRECT, "scope": SCOPES, "state": "s1", **changes}
    form = {**asked, "login": login, "organisation": organisation, "decision": changes.get("decision", "allow")}
    response = await http.post("/identity/connect/authorize", data=form)
    assert response.status_code == 303, response.text
    return {name: values[0] for name, values in parse_qs(urlsplit(response.headers["location"]).query).items()}


async def exchange(http: httpx.AsyncClient, **form: str) -> httpx.Response:
    return await http.post("/connect/token", data=form, auth=("simulated-client", "simulated-secret"))


async def sign_in(http: httpx.AsyncClient, login: str = "owner", organisation: str = "kowhai", **changes: str) -> Connection:
    """The whole way from consent to tokens; `organisation` is a key, `changes` alter the authorisation request."""
    tenant = next(o["id"] for o in (await http.get("/control/organisations")).json() if o["key"] == organisation)
    code = (await consent(http, login, tenant, **changes))["code"]
    response = await exchange(http, grant_type="authorization_code", code=code, redirect_uri=REDIRECT)
    assert response.status_code == 200, response.text
    return Connection(http, response.json(), tenant)


@contextmanager
def process(folder: Path, port: int, **settings: str) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    """The simulator as a process of its own on the books in `folder`, and a client of it; killed at the end."""
    url = f"http://127.0.0.1:{port}"
    given = {"DATA_DIR": str(folder), "PORT": str(port), "PUBLIC_URL": url, "WEBHOOK_URL": f"{url}/nowhere", "ANCHOR_DAY": "", **settings}
    started = subprocess.Popen([sys.executable, "-m", "xero_simulator"], env={**os.environ, **given})
    try:
        with httpx.Client(base_url=url, timeout=30) as client:
            _wait_until_ready(client, started)
            yield started, client
    finally:
        started.kill()
        started.wait()


def _wait_until_ready(client: httpx.Client, started: subprocess.Popen[bytes]) -> None:
    for _ in range(6000):
        assert started.poll() is None, "the simulator ended at its start"
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the simulator did not become ready")
