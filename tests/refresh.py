"""Several real auth processes on one database: asked for access tokens all at once, and killed inside a refresh."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import httpx

from auth.main import create_app
from auth.settings import Settings
from auth.testing import Browser, PretendXero, pretended_xero
from common.contracts.auth import OrganisationNeedsReauth
from common.ids import organisation_id
from common.mongo import DatabaseUnavailable
from common.testing import Harness, HarnessFactory
from local.people import eventually
from local.processes import dying_with_parent, free_ports
from local.system import ROOT

R = TypeVar("R")
STAGES = ("asked", "rotated", "answered")
"""Killed before Xero did anything; after it moved on to new tokens; around the moment these arrive and are stored."""

START_SECONDS = 180.0
LIFE, LEASE = 31 * 60, 46
"""Seconds after which an access token, and the lease of a process that died, are over."""

MOVED = ("refresh_at", "expires_at", "refreshed_at", "previous_until", "lease_until", "check_at", "used_at")


class AuthProcess:
    """`python -m auth`, its refresher included, without a broker."""

    def __init__(self, environment: dict[str, str], service: Harness) -> None:
        self._environment = environment
        self._service = service
        self.child: asyncio.subprocess.Process

    async def start(self) -> None:
        port, health = free_ports(2)
        self.http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=120, trust_env=False)
        self.child = await asyncio.create_subprocess_exec(
            *dying_with_parent([sys.executable, "-m", "auth"], by=signal.SIGKILL),
            cwd=ROOT,
            env={**os.environ, **self._environment, "PORT": str(port), "HEALTH_PORT": str(health)},
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

        async def answers() -> bool:
            with suppress(httpx.HTTPError):
                return (await self.http.get("/auth/xero/nowhere")).status_code == 404
            return False

        await eventually(answers, "an auth process is up", START_SECONDS)

    async def ask(self, organisation: str) -> httpx.Response:
        headers = self._service.as_service("xero-gateway")
        return await self.http.post(f"/internal/organisations/{organisation}/access-token", headers=headers)

    async def access_token(self, organisation: str) -> str:
        """Asks again while the answer is 503, as every caller does."""

        async def given() -> str | None:
            answer = await self.ask(organisation)
            assert answer.status_code in (200, 503), answer.text
            return str(answer.json()["access_token"]) if answer.status_code == 200 else None

        return str(await eventually(given, "an access token"))

    def kill(self) -> None:
        with suppress(ProcessLookupError):
            self.child.kill()

    async def stop(self) -> None:
        self.kill()
        await self.child.wait()
        await self.http.aclose()


class World:
    """The processes, the database they share, and the Xero they ask."""

    def __init__(self, service: Harness, xero: PretendXero, processes: list[AuthProcess]) -> None:
        self.service = service
        self.xero = xero
        self.processes = processes

    async def connect(self, number: int) -> str:
        """A login of its own with one organisation; its id."""
        tenant = f"5f1f7b3a-0000-4000-8000-{number:012d}"
        person = {"sub": f"login-{number}", "given_name": "Login", "family_name": str(number), "email": f"login-{number}@firm.example"}
        await Browser(self.service, self.xero).sign_in(person, tenant)
        return organisation_id(tenant)

    async def pass_time(self, seconds: int) -> None:
        """For the stored instants, and for Xero."""
        back = {name: {"$dateSubtract": {"startDate": f"${name}", "unit": "second", "amount": seconds}} for name in MOVED}
        kept = {name: {"$cond": [{"$ifNull": [f"${name}", False]}, moved, "$$REMOVE"]} for name, moved in back.items()}
        await self._write({"$set": kept})
        self.xero.clock += seconds

    async def rest(self) -> None:
        """No look is due for a day: what happens then, somebody asked for."""
        await self._write({"$set": {"check_at": {"$dateAdd": {"startDate": "$$NOW", "unit": "day", "amount": 1}}}})

    async def _write(self, change: dict[str, Any]) -> None:
        await steadily(lambda: self.service.db.collection("token_sets").update_many({}, [change]))

    async def generation(self, organisation: str) -> int:
        db = self.service.db
        connection = await steadily(lambda: db.collection("connections").find_one({"organisation_id": organisation}))
        assert connection is not None
        row: Any = await steadily(lambda: db.collection("token_sets").find_one({"_id": connection["token_set_id"]}))
        assert row["state"] == "live"
        return int(row["generation"])

    async def nobody_was_asked_to_sign_in_again(self) -> bool:
        return await steadily(lambda: self.service.published(OrganisationNeedsReauth)) == []


async def steadily(call: Callable[[], Awaitable[R]]) -> R:
    """The test's own look at a database that is busier than its deadlines allow, until it answers."""
    while True:
        try:
            return await call()
        except DatabaseUnavailable:
            await asyncio.sleep(1)


@asynccontextmanager
async def world_of(harness: HarnessFactory, keys: Path, mongo_url: str, processes: int) -> AsyncIterator[World]:
    async with pretended_xero() as xero, harness(create_app, Settings, **xero.settings) as service:
        environment = {name.upper(): str(value) for name, value in xero.settings.items()} | {
            "MONGO_URL": mongo_url,
            "MONGO_DATABASE": "test-auth",
            "KEYS_DIR": str(keys / "auth"),
            "PUBLIC_KEYS_DIR": str(keys / "public"),
            "LOG_LEVEL": "critical",
        }
        children = [AuthProcess(environment, service) for _ in range(processes)]
        try:
            await asyncio.gather(*(child.start() for child in children))
            yield World(service, xero, children)
        finally:
            await asyncio.gather(*(child.stop() for child in children))


async def one_refresh_each(world: World, *, connections: int, callers: int) -> str:
    """All callers of all connections ask at once, spread over the processes, for tokens that have all expired; says how it went."""
    organisations = [await world.connect(number) for number in range(connections)]
    await world.pass_time(LIFE)
    world.xero.lie["slow"] = 0.3

    def token(organisation: str, caller: int) -> Awaitable[str]:
        return world.processes[caller % len(world.processes)].access_token(organisation)

    for organisation, tokens in zip(
        organisations,
        await asyncio.gather(*(asyncio.gather(*(token(each, caller) for caller in range(callers))) for each in organisations)),
        strict=True,
    ):
        assert len(set(tokens)) == 1, organisation
    assert world.xero.refreshed == {f"login-{number}": 1 for number in range(connections)}
    assert await world.nobody_was_asked_to_sign_in_again()
    return f"{connections} connections x {callers} callers on {len(world.processes)} processes: one refresh each"


async def kill_inside_a_refresh(world: World, organisation: str, number: int) -> bool:
    """One process dies in the refresh it was asked for; the next one that is asked, or nobody but the refresher, mends it.

    Answers whether the killed process had stored its new tokens.
    """
    victim = world.processes[number % len(world.processes)]
    await world.pass_time(LIFE)
    await world.rest()
    before = await world.generation(organisation)
    world.xero.lie["kill"] = (STAGES[number % len(STAGES)], victim.kill)
    with suppress(httpx.HTTPError):
        await victim.ask(organisation)
    await victim.child.wait()
    stored = await world.generation(organisation) > before
    await world.pass_time(LEASE)
    if number % 10 != len(STAGES) - 1:
        survivor = world.processes[(number + 1) % len(world.processes)]
        await survivor.access_token(organisation)
    else:

        async def mended() -> bool:
            return await world.generation(organisation) > before

        await eventually(mended, "the refresher has mended it")
    assert await world.generation(organisation) > before
    assert await world.nobody_was_asked_to_sign_in_again()
    await victim.stop()
    await victim.start()
    return stored
