"""A whole service as a process of its own: it gets ready, works, and ends as it should."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from common.ids import new_id

PROGRAM = """
import asyncio, os, sys
from fastapi import APIRouter
from common.service import create_service, main
from common.settings import ServiceSettings

router = APIRouter()

@router.get("/slow")
async def slow():
    await asyncio.sleep(1)
    return {"answered": True}

class Loop:
    name = "test loop"
    async def run(self, db):
        while not os.path.exists(os.environ["CRASH_FILE"]):
            await asyncio.sleep(0.05)
        raise RuntimeError("the loop broke")

main(lambda: create_service("toy", ServiceSettings(), routers=[router], loops=[Loop()]))
"""


class Process:
    def __init__(self, child: asyncio.subprocess.Process, port: int, health_port: int) -> None:
        self.child = child
        self.url = f"http://127.0.0.1:{port}"
        self.health = f"http://127.0.0.1:{health_port}"

    async def ready(self, http: httpx.AsyncClient) -> httpx.Response:
        for _ in range(300):
            try:
                answer = await http.get(f"{self.health}/readyz")
                if answer.status_code == 200:
                    return answer
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.1)
        raise AssertionError("never ready")


@asynccontextmanager
async def toy_service(keys: Path, tmp_path: Path, **environment: str) -> AsyncIterator[Process]:
    port, health_port = _free_port(), _free_port()
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROGRAM,
        env={
            **os.environ,
            "PORT": str(port),
            "HEALTH_PORT": str(health_port),
            "KEYS_DIR": str(keys / "sharing"),
            "PUBLIC_KEYS_DIR": str(keys / "public"),
            "CRASH_FILE": str(tmp_path / "crash"),
            **environment,
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield Process(child, port, health_port)
    finally:
        if child.returncode is None:
            child.kill()
        await child.communicate()


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10) as client:
        yield client


async def test_a_service_answers_and_ends_cleanly_finishing_what_it_began(
    keys: Path, tmp_path: Path, http: httpx.AsyncClient, mongo_url: str
) -> None:
    async with toy_service(keys, tmp_path, MONGO_URL=mongo_url, MONGO_DATABASE=f"test-{new_id('t')}") as toy:
        await toy.ready(http)
        assert (await http.get(f"{toy.health}/livez")).text == "alive"
        assert "mongo_transaction_retries_total" in (await http.get(f"{toy.health}/metrics")).text
        slow = asyncio.create_task(http.get(f"{toy.url}/slow"))
        await asyncio.sleep(0.3)
        toy.child.send_signal(signal.SIGTERM)
        assert (await slow).json() == {"answered": True}
        assert await asyncio.wait_for(toy.child.wait(), 20) == 0


async def test_a_loop_that_fails_ends_the_process_with_an_error(
    keys: Path, tmp_path: Path, http: httpx.AsyncClient, mongo_url: str
) -> None:
    async with toy_service(keys, tmp_path, MONGO_URL=mongo_url, MONGO_DATABASE=f"test-{new_id('t')}") as toy:
        await toy.ready(http)
        (tmp_path / "crash").touch()
        output, _ = await asyncio.wait_for(toy.child.communicate(), 30)
        assert toy.child.returncode not in (0, None)
        assert b"the loop broke" in output


async def test_a_service_is_not_ready_before_the_topology_exists(
    keys: Path, tmp_path: Path, http: httpx.AsyncClient, mongo_url: str, rabbitmq: Any
) -> None:
    vhost = new_id("empty")
    async with httpx.AsyncClient(base_url=rabbitmq.management_url, auth=rabbitmq.admin) as management:
        (await management.put(f"/api/vhosts/{vhost}")).raise_for_status()
        where = {"MONGO_URL": mongo_url, "MONGO_DATABASE": f"test-{new_id('t')}", "RABBITMQ_URL": rabbitmq.amqp_url(vhost=vhost)}
        async with toy_service(keys, tmp_path, **where) as toy:
            faults = await _faults(http, toy)
            assert "the broker's topology was not seen yet" in faults
            exchange = {"type": "topic", "durable": True}
            (await management.put(f"/api/exchanges/{vhost}/events", json=exchange)).raise_for_status()
            assert (await toy.ready(http)).json() == {"ready": True, "faults": []}
        (await management.delete(f"/api/vhosts/{vhost}")).raise_for_status()


async def _faults(http: httpx.AsyncClient, toy: Process) -> list[str]:
    for _ in range(300):
        try:
            answer = await http.get(f"{toy.health}/readyz")
            faults: list[str] = answer.json()["faults"]
            if "starting" not in faults:
                return faults
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)
    raise AssertionError("never answered")


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
