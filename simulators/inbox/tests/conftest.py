"""The simulator as a real process, and a sender."""

import smtplib
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import EmailMessage
from pathlib import Path

import httpx
import pytest

from local.processes import free_ports


@dataclass
class Simulator:
    """Where the running simulator answers, and how to end it the hard way."""

    data: Path
    port: int
    smtp_port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        settings = {
            "PORT": str(self.port),
            "SMTP_PORT": str(self.smtp_port),
            "DATA_DIR": str(self.data),
            "PRODUCT_URL": "http://product.example",
        }
        self.process = subprocess.Popen([sys.executable, "-m", "inbox_simulator"], env={"PATH": "/usr/bin:/bin", **settings})
        while not self.answers():
            assert self.process.poll() is None, "the simulator ended while it started"
            time.sleep(0.05)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/api/health").status_code == 200
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()

    def send(self, to: str = "you@demo.example", subject: str = "Hello", text: str = "Hello", html: str | None = None) -> None:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = "Client Invoices <no-reply@invoices.example>", to, subject
        message.set_content(text)
        if html:
            message.add_alternative(html, subtype="html")
        with smtplib.SMTP("127.0.0.1", self.smtp_port, timeout=30) as client:
            client.send_message(message, from_addr="bounce@invoices.example", to_addrs=[to])

    def mails(self, **query: str) -> list[dict[str, object]]:
        answer = httpx.get(f"{self.url}/api/mails", params=query)
        answer.raise_for_status()
        found: list[dict[str, object]] = answer.json()
        return found

    def fault(self, mode: str, count: int | None = None) -> None:
        httpx.post(f"{self.url}/api/faults", json={"mode": mode, "count": count}).raise_for_status()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Simulator]:
    port, smtp_port = free_ports(2)
    simulator = Simulator(tmp_path_factory.mktemp("inbox"), port, smtp_port)
    simulator.start()
    yield simulator
    simulator.kill()


@pytest.fixture
def inbox(running: Simulator) -> Simulator:
    """Running, empty and well."""
    running.fault("ok")
    httpx.delete(f"{running.url}/api/mails").raise_for_status()
    return running
