"""The real process: started, killed in the middle, started again."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx


@contextmanager
def process(folder: Path, port: int) -> Iterator[tuple[subprocess.Popen[bytes], httpx.Client]]:
    url = f"http://127.0.0.1:{port}"
    settings = {"DATA_DIR": str(folder), "PORT": str(port), "PUBLIC_URL": url, "WEBHOOK_URL": f"{url}/nowhere", "ANCHOR_DAY": ""}
    started = subprocess.Popen([sys.executable, "-m", "xero_simulator"], env={**os.environ, **settings})
    try:
        with httpx.Client(base_url=url, timeout=10) as client:
            wait_until_ready(client, started)
            yield started, client
    finally:
        started.kill()
        started.wait()


def wait_until_ready(client: httpx.Client, started: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        assert started.poll() is None, "the simulator ended at its start"
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise AssertionError("the simulator did not become ready")


def free_port() -> int:
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return int(it.getsockname()[1])


def test_what_was_done_survives_a_kill(tmp_path: Path) -> None:
    port = free_port()
    find = {"tenant": "kowhai", "number": "INV-0201"}
    with process(tmp_path, port) as (running, client):
        (one,) = client.get("/control/invoices", params=find).json()
        assert client.post(f"/control/invoices/{one['id']}/pay", json={"amount": "41.50"}).status_code == 200
        client.post("/control/clock", json={"advance_seconds": 3600})
        keys = client.get("/.well-known/openid-configuration/jwks").json()
        running.kill()
        running.wait()
    with process(tmp_path, port) as (_, client):
        again = client.get(f"/control/invoices/{one['id']}").json()
        assert ([payment["amount"] for payment in again["payments"]], again["due_amount"]) == (["41.50"], "200.00")
        assert client.get("/control/clock").json()["moved_seconds"] == 3600
        assert client.get("/.well-known/openid-configuration/jwks").json() == keys


def test_a_polite_end_is_quick_and_clean(tmp_path: Path) -> None:
    with process(tmp_path, free_port()) as (running, client):
        client.get("/back-office")
        running.terminate()
        assert running.wait(10) in (0, -15)
