"""`make up` as a child process on ports and data of its own, for tests, proofs and benchmarks."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from common.mongo import Database
from local import mongod
from local.people import Client, Inbox, Provider, Xero, eventually
from local.processes import tail
from local.system import ROOT

START_SECONDS = 120


class Running:
    """The whole product, up. `state` is what `make up` writes into up.json."""

    def __init__(self, data: Path, child: asyncio.subprocess.Process | None = None) -> None:
        """Without a child it runs elsewhere: nothing of it can be killed."""
        self.data = data
        self.child = child
        self.state: dict[str, Any] = {}
        self.inbox: Inbox
        self.xero: Xero

    @property
    def product(self) -> str:
        return str(self.state["urls"]["product"])

    def provider(self) -> Provider:
        return Provider(self.product)

    def client(self, email: str) -> Client:
        return Client(self.product, self.inbox, email)

    def read(self) -> dict[str, Any]:
        """up.json as it is now; empty while there is none."""
        try:
            found: dict[str, Any] = json.loads((self.data / "up.json").read_text())
            return found
        except (OSError, ValueError):
            return {}

    async def ready(self) -> None:
        """Waits until every part answers."""

        async def look() -> bool:
            if self.child and self.child.returncode is not None:
                raise RuntimeError(f"make up ended with {self.child.returncode}:\n{tail(self.data / 'up.log', 40)}")
            self.state = self.read()
            return bool(self.state.get("ready"))

        await eventually(look, "make up is ready", START_SECONDS)

    async def a_new_minute(self) -> None:
        """Another minute of Xero's limit for who cannot wait: its clock moves on, and xero-gateway forgets the calls it counted."""
        await self.xero.do("/clock", advance_seconds=61)
        db = Database(mongod.url(self.state["ports"]["MONGO_PORT"]), "xero-gateway")
        await db.collection("budgets").delete_many({})
        db.close()

    def stop(self) -> None:
        """Tells `make up` to stop, and does not wait for it."""
        if self.child and self.child.returncode is None:
            self.child.terminate()

    def kill(self, part: str) -> int:
        """kill -9 of one part; gives its process id. The supervisor starts it again."""
        pid = int(self.read()["pids"][part])
        os.kill(pid, signal.SIGKILL)
        return pid

    async def restarted(self, part: str, old_pid: int) -> None:
        """Waits until a killed part runs as another process and everything is ready."""

        async def look() -> bool:
            state = self.read()
            return bool(state.get("ready")) and state.get("pids", {}).get(part) not in (None, old_pid)

        await eventually(look, f"{part} is up again", START_SECONDS)


@asynccontextmanager
async def running(data: Path, **settings: str) -> AsyncIterator[Running]:
    """Starts `make up` in the folder `data`, which exists, on free ports, and stops it at the end."""
    with (data / "up.log").open("ab") as log:
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "local.up", "--data-dir", str(data), "--plain"),
            cwd=ROOT,
            env={**os.environ, "PORTS": "free", **settings},
            stdout=log,
            stderr=log,
        )
    system = Running(data, child)
    try:
        await system.ready()
        async with _with_simulators(system):
            yield system
    finally:
        if child.returncode is None:
            child.terminate()
            try:
                await asyncio.wait_for(child.wait(), 30)
            except TimeoutError:
                child.kill()
                await child.wait()


@asynccontextmanager
async def attached(product: str, inbox: str, back_office: str) -> AsyncIterator[Running]:
    """The product as it runs somewhere else with its simulators, for instance by docker-compose."""
    system = Running(Path())
    system.state = {"urls": {"product": product, "inbox": inbox, "back_office": back_office}}
    async with _with_simulators(system):
        yield system


@asynccontextmanager
async def _with_simulators(system: Running) -> AsyncIterator[None]:
    urls = system.state["urls"]
    system.inbox = Inbox(urls["inbox"])
    system.xero = Xero(urls["back_office"].removesuffix("/back-office"))
    try:
        yield
    finally:
        await system.inbox.close()
        await system.xero.close()
