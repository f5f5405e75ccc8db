"""What all tests share: a real MongoDB and a real RabbitMQ, in containers where Docker answers, else from local binaries."""

import secrets
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from client_invoices.installation import SERVICES_ON_THE_BUS
from local import containers, mongod, rabbitmq
from local.processes import dying_with_parent, free_ports, tail
from local.rabbitmq import ADMIN, Broker
from local.system import ROOT

pytest_plugins = ["common.testing"]

settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")  # what is generated and checked may take its time on a machine that does other things as well

STARTED = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    config.stash[STARTED] = []


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What one worker runs in turn (pytest -n): a file, for its fixtures; everything that needs the whole product, so that it runs once."""
    for item in items:
        whole = item.path.is_relative_to(ROOT / "tests")
        item.add_marker(pytest.mark.xdist_group("the whole product" if whole else str(item.path.relative_to(ROOT))))


def pytest_report_header() -> str:
    engine = "containers where their images are in reach" if containers.engine_answers() else "local binaries, as no Docker engine answers"
    return f"MongoDB and RabbitMQ: {engine}"


def pytest_sessionfinish(session: pytest.Session) -> None:
    """One of several workers (pytest -n) hands over what it started; the process that prints the summary collects it."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["started"] = session.config.stash[STARTED]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[STARTED].extend(getattr(node, "workeroutput", {}).get("started", []))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    for line in config.stash.get(STARTED, []):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def in_containers() -> bool:
    """Testcontainers, or the local binaries?"""
    return containers.engine_answers() and containers.images_within_reach()


@pytest.fixture(scope="session")
def mongo_url(in_containers: bool, pytestconfig: pytest.Config) -> Iterator[str]:
    """A MongoDB that is the primary of its own replica set; the address carries no database name."""
    (port,) = free_ports(1)
    with mongo_in_container(port) if in_containers else local_mongod(port):
        told(pytestconfig, f"MongoDB: {containers.MONGO_IMAGE if in_containers else 'local mongod'} on port {port}")
        yield mongod.url(port)


@pytest.fixture(scope="session")
def rabbitmq_passwords() -> dict[str, str]:
    """One random password for the administrator and one for each service."""
    return {user: secrets.token_urlsafe(24) for user in (ADMIN, *SERVICES_ON_THE_BUS)}


@pytest.fixture(scope="session", name="rabbitmq")
def running_rabbitmq(in_containers: bool, rabbitmq_passwords: dict[str, str], pytestconfig: pytest.Config) -> Iterator[Broker]:
    """A RabbitMQ with management API, empty: whoever needs exchanges, queues and the services' users posts definitions.

    `passwords` already holds a password for each service's user.
    """
    port, management_port, dist_port = free_ports(3)
    broker = Broker(port, management_port, rabbitmq_passwords)
    with rabbitmq_in_container(broker) if in_containers else local_rabbitmq(broker, dist_port):
        told(pytestconfig, f"RabbitMQ: {containers.RABBITMQ_IMAGE if in_containers else 'local rabbitmq-server'} on port {port}")
        yield broker


@contextmanager
def mongo_in_container(port: int) -> Iterator[None]:
    container = containers.start_mongo(port)
    try:
        until(lambda: mongod.is_primary(port), "MongoDB in its container")
        yield
    finally:
        container.stop()


@contextmanager
def rabbitmq_in_container(broker: Broker) -> Iterator[None]:
    container = containers.start_rabbitmq(broker)
    try:
        until(lambda: rabbitmq.is_listening(broker), "RabbitMQ in its container")
        yield
    finally:
        container.stop()


@contextmanager
def local_mongod(port: int) -> Iterator[None]:
    with (
        tempfile.TemporaryDirectory(prefix="invoices-mongod-") as folder,
        running(mongod.command(Path(folder), port), None, Path(folder)) as log,
    ):
        until(lambda: mongod.is_primary(port), "mongod", log)
        yield


@contextmanager
def local_rabbitmq(broker: Broker, dist_port: int) -> Iterator[None]:
    with tempfile.TemporaryDirectory(prefix="invoices-rabbitmq-") as folder:
        environment = rabbitmq.environment(Path(folder), broker, dist_port)
        with running(rabbitmq.command(), environment, Path(folder)) as log:
            until(lambda: rabbitmq.is_listening(broker), "RabbitMQ", log)
            yield


@contextmanager
def running(command: Sequence[str], environment: Mapping[str, str] | None, folder: Path) -> Iterator[Path]:
    """A child that is killed at the end, for its data goes with it; gives its log file."""
    log = folder / "output.log"
    with log.open("ab") as output:
        child = subprocess.Popen(
            dying_with_parent(command, by=signal.SIGKILL), env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
    try:
        yield log
    finally:
        child.kill()
        child.wait()


def until(ready: Callable[[], bool], name: str, log: Path | None = None, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline:
            pytest.exit(f"{name} did not start within {seconds:.0f} s.\n{tail(log, 15) if log else ''}", returncode=3)
        time.sleep(0.1)


def told(config: pytest.Config, line: str) -> None:
    config.stash[STARTED].append(line)
