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

from common.claims import IMMEDIATELY
from common.clock import utc_now
from common.ids import new_id
from common.mongo import OUTBOX, Database

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
        while not db.stopping:
            if os.path.exists(os.environ["CRASH_FILE"]):
                raise RuntimeError("the loop broke")
            print("step begun", flush=True)
            await asyncio.sleep(0.2)
            print("step ended", flush=True)
            await db.rest(0.01)

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
    async with httpx.AsyncClient(timeout=60) as client:
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
        output, _ = await asyncio.wait_for(toy.child.communicate(), 60)
        assert toy.child.returncode == 0
        assert output.count(b"step begun") == output.count(b"step ended") > 0


async def test_a_service_that_was_told_to_end_serves_on_until_its_callers_have_turned_to_others(
    keys: Path, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    async with toy_service(keys, tmp_path, DRAIN_SECONDS="60") as toy:
        await toy.ready(http)
        assert "connection" not in (await http.get(f"{toy.url}/nothing")).headers
        toy.child.send_signal(signal.SIGTERM)
        assert await _eventual_faults(http, toy) == ["stopping"]
        answer = await http.get(f"{toy.url}/slow")
        assert answer.json() == {"answered": True}
        assert answer.headers["connection"] == "close"


async def test_workers_alone_serve_nothing_but_health(keys: Path, tmp_path: Path, http: httpx.AsyncClient, mongo_url: str) -> None:
    where = {"MONGO_URL": mongo_url, "MONGO_DATABASE": f"test-{new_id('t')}"}
    async with toy_service(keys, tmp_path, **where, RUN_API="false") as toy:
        await toy.ready(http)
        assert "outbox_waiting" in (await http.get(f"{toy.health}/metrics")).text
        with pytest.raises(httpx.ConnectError):
            await http.get(f"{toy.url}/slow")
        toy.child.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(toy.child.communicate(), 60)
        assert toy.child.returncode == 0
        assert b"step ended" in output


async def test_an_api_alone_works_nothing_off_and_needs_no_broker(
    keys: Path, tmp_path: Path, http: httpx.AsyncClient, mongo_url: str
) -> None:
    where = {"MONGO_URL": mongo_url, "MONGO_DATABASE": f"test-{new_id('t')}", "RABBITMQ_URL": f"amqp://nobody@127.0.0.1:{_free_port()}"}
    async with toy_service(keys, tmp_path, **where, RUN_WORKERS="false") as toy:
        await toy.ready(http)
        assert (await http.get(f"{toy.url}/slow")).json() == {"answered": True}
        toy.child.send_signal(signal.SIGTERM)
        output, _ = await asyncio.wait_for(toy.child.communicate(), 60)
        assert toy.child.returncode == 0
        assert b"step" not in output


@pytest.mark.parametrize(
    ("told", "said"),
    [({"RUN_API": "false", "RUN_WORKERS": "false"}, b"there is nothing to run"), ({"RUN_API": "false"}, b"toy has no workers")],
)
async def test_a_process_that_would_do_nothing_does_not_start(keys: Path, tmp_path: Path, told: dict[str, str], said: bytes) -> None:
    async with toy_service(keys, tmp_path, **told) as toy:
        output, _ = await asyncio.wait_for(toy.child.communicate(), 60)
        assert toy.child.returncode not in (0, None)
        assert said in output


async def test_a_loop_that_fails_ends_the_process_with_an_error(
    keys: Path, tmp_path: Path, http: httpx.AsyncClient, mongo_url: str
) -> None:
    async with toy_service(keys, tmp_path, MONGO_URL=mongo_url, MONGO_DATABASE=f"test-{new_id('t')}") as toy:
        await toy.ready(http)
        (tmp_path / "crash").touch()
        output, _ = await asyncio.wait_for(toy.child.communicate(), 60)
        assert toy.child.returncode not in (0, None)
        assert b"the loop broke" in output


async def test_a_service_is_not_ready_before_the_topology_exists_and_tells_what_waits(
    keys: Path, tmp_path: Path, http: httpx.AsyncClient, mongo_url: str, rabbitmq: Any
) -> None:
    vhost, name = new_id("empty"), f"test-{new_id('t')}"
    db = Database(mongo_url, "toy", name)
    row = {"_id": new_id("evt"), "type": "toy.thing.happened.v1", "body": "{}", "state": "pending", "attempts": 0, "reported": 0}
    await db.collection(OUTBOX).insert_one({**row, "due_at": IMMEDIATELY, "created_at": utc_now()})
    db.close()
    async with httpx.AsyncClient(base_url=rabbitmq.management_url, auth=rabbitmq.admin) as management:
        (await management.put(f"/api/vhosts/{vhost}")).raise_for_status()
        where = {"MONGO_URL": mongo_url, "MONGO_DATABASE": name, "RABBITMQ_URL": rabbitmq.amqp_url(vhost=vhost)}
        async with toy_service(keys, tmp_path, **where) as toy:
            faults = await _faults(http, toy)
            assert "the broker's topology was not seen yet" in faults
            await _eventual_metric(http, toy, "outbox_waiting 1.0")
            exchange = {"type": "topic", "durable": True}
            (await management.put(f"/api/exchanges/{vhost}/events", json=exchange)).raise_for_status()
            assert (await toy.ready(http)).json() == {"ready": True, "faults": []}
        (await management.delete(f"/api/vhosts/{vhost}")).raise_for_status()


async def _eventual_faults(http: httpx.AsyncClient, toy: Process) -> list[str]:
    for _ in range(300):
        faults: list[str] = (await http.get(f"{toy.health}/readyz")).json()["faults"]
        if faults:
            return faults
        await asyncio.sleep(0.1)
    raise AssertionError("always ready")


async def _eventual_metric(http: httpx.AsyncClient, toy: Process, line: str) -> None:
    for _ in range(300):
        if line in (await http.get(f"{toy.health}/metrics")).text.splitlines():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"never told: {line}")


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
