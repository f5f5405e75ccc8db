"""For tests: sharing as portal meets it, the mails notifier would send, and time that passes by moving what is stored."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

from common.contracts.portal import SignInLinkRequested
from common.crypto import KeyRing, unseal
from common.identity import CallerIdentity, Verifier
from common.testing import ORGANISATION, Harness
from portal import store
from portal.link_sender import LinkSender

INVITED_AT = datetime(2026, 11, 20, 9, 30, tzinfo=UTC)
KNOWN = "aroha@rimu.example"
UNKNOWN = "nobody@rimu.example"
BROWSER = "cib_the-browser-that-asks"
OTHER_BROWSER = "cib_another-browser"
_networks = count(1)


@dataclass
class Sharing:
    """The routes of sharing portal calls. `live`: how many accesses each known address holds; `invitations`: token to address."""

    public_keys: Path
    live: dict[str, int] = field(default_factory=dict)
    invitations: dict[str, str] = field(default_factory=dict)
    down: bool = False
    calls: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def reset(self) -> None:
        """One known address with one access and the invitation that goes with it."""
        self.live = {KNOWN: 1}
        self.invitations = {"cii_good": KNOWN}
        self.down = False
        self.calls = []

    @property
    def app(self) -> FastAPI:
        app = FastAPI(openapi_url=None)
        app.add_api_route("/internal/addresses/lookup", self._lookup, methods=["POST"])
        app.add_api_route("/internal/addresses/holding", self._holding, methods=["POST"])
        app.add_api_route("/internal/invitations/press", self._press, methods=["POST"])
        return app

    async def _lookup(self, request: Request) -> JSONResponse:
        body = await self._admitted(request)
        if self.down:
            return JSONResponse({"code": "unavailable"}, 503)
        return JSONResponse({"known": body["email"] in self.live, "live": self.live.get(body["email"], 0)})

    async def _holding(self, request: Request) -> JSONResponse:
        body = await self._admitted(request)
        if self.down:
            return JSONResponse({"code": "unavailable"}, 503)
        return JSONResponse({"holding": [email for email in body["emails"] if self.live.get(email)]})

    async def _press(self, request: Request) -> JSONResponse:
        body = await self._admitted(request)
        email = self.invitations.get(body["invitation"])
        if self.down or email is None:
            return JSONResponse({"code": "unavailable" if self.down else "not_found"}, 503 if self.down else 404)
        return JSONResponse(
            {
                "email": email,
                "share_id": "shr_1",
                "organisation_id": ORGANISATION,
                "organisation_name": "Kōwhai & Hart Studio Ltd",
                "invited_at": INVITED_AT.isoformat(),
            }
        )

    async def _admitted(self, request: Request) -> dict[str, Any]:
        token = request.headers["authorization"].removeprefix("Bearer ")
        assert Verifier(self.public_keys, "sharing").read(token) == CallerIdentity("portal")
        body: dict[str, Any] = await request.json()
        self.calls.append((request.url.path, body))
        return body


@dataclass(frozen=True)
class Mail:
    """What a person would find in their inbox, and the event that brought it there."""

    token: str
    code: str | None
    event: SignInLinkRequested


Mailed = Callable[..., Awaitable[Mail]]
"""The fixture `mailed`: asks for a sign-in mail and gives what arrived."""


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """Serves an app over HTTP on a free port of this machine; gives its address."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server.serve([listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await serving


async def call(portal: Harness, path: str, **body: Any) -> httpx.Response:
    """A call by web; who spends a link or code does it in Firefox unless told otherwise."""
    if path.endswith("/redeem"):
        body = {"agent": "Firefox on Linux", **body}
    return await portal.http.post(f"/internal/{path}", json=body, headers=portal.as_service("web"))


async def ask(portal: Harness, *, browser: str = BROWSER, network: str | None = None, **by: str) -> httpx.Response:
    """Asks for a sign-in mail `email=`, `invitation=` or `link=`, from a network of its own unless told."""
    number = next(_networks)
    network = network or f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
    return await call(portal, "sign-in-requests", browser=browser, agent="Firefox on Linux", network=network, **by)


async def answer_requests(portal: Harness) -> None:
    """Runs the link sender until nothing is due."""
    sender = next(loop for loop in portal.runtime.loops if isinstance(loop, LinkSender))
    while await sender.send_pending(portal.db):
        pass


async def mails(portal: Harness, keys: Path) -> list[Mail]:
    """All mails so far, oldest first, opened with notifier's own ring."""
    ring = KeyRing.load(keys / "notifier" / "rings" / "event-seal.json")
    found = []
    for event in await portal.published(SignInLinkRequested):
        secret = json.loads(unseal(ring, event.sealed, (event.type, event.link_id, event.email)))
        found.append(Mail(secret["token"], secret["code"], event))
    return found


async def pass_time(portal: Harness, seconds: int, collection: str, *fields: str) -> None:
    """Lets time pass for everything in a collection by moving the moments stored in these fields back."""
    moved = {name: {"$dateSubtract": {"startDate": f"${name}", "unit": "second", "amount": seconds}} for name in fields}
    await portal.db.collection(collection).update_many({}, [{"$set": moved}])


async def rest(portal: Harness, seconds: int = 61) -> None:
    """Lets time pass for the limits alone."""
    past = {"$dateSubtract": {"startDate": "$$this", "unit": "second", "amount": seconds}}
    await portal.db.collection(store.LIMITS).update_many({}, [{"$set": {"uses": {"$map": {"input": "$uses", "in": past}}}}])


async def dump(portal: Harness) -> dict[str, list[dict[str, Any]]]:
    """Everything that is stored."""
    return {name: await portal.db.collection(name).find({}, sort=[("_id", 1)]) for name in sorted(portal.runtime.indexes)}
