"""The whole product as `make up` runs it, and a real browser."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright, expect

from local.running import Running, attached, running
from tests.collector import Collector, collecting

CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
"""Without the flags about networking Chromium asks its maker's servers for things, which a test machine does not reach."""

expect.set_options(timeout=30_000)  # a bound against hanging, far above what a busy machine takes

SYSTEM = pytest.StashKey[Running]()


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """After the last of these tests the system stops at once: its dozen processes would take time from all tests that follow."""
    last = nextitem is None or not nextitem.path.is_relative_to(Path(__file__).parent)
    if last and (system := item.config.stash.get(SYSTEM, None)):
        system.stop()


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    """Where the system sends its traces."""
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config, collector: Collector) -> AsyncIterator[Running]:
    """Everything `make up` starts, on ports and data of its own; or what runs already, if RUNNING_AT names its three addresses

    (product, inbox, back office, parted by spaces), for instance those docker-compose.yml publishes.
    """
    if elsewhere := os.environ.get("RUNNING_AT"):
        async with attached(*elsewhere.split()) as system:
            yield system
        return
    traced = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, "OTEL_BSP_SCHEDULE_DELAY": "500"}
    async with running(tmp_path_factory.mktemp("system"), **traced) as system:
        pytestconfig.stash[SYSTEM] = system
        yield system


@pytest.fixture(scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def pictures() -> Path:
    """Where screenshots of the journey go, for people to look at."""
    folder = Path(__file__).parent.parent.parent / ".local" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
