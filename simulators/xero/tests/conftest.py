"""A fresh simulator for each test, on copies of books that are made once."""

import shutil
from collections.abc import AsyncIterator
from datetime import date
from functools import partial
from pathlib import Path

import httpx
import pytest

from xero_simulator.main import create_app
from xero_simulator.settings import Settings
from xero_simulator.simulator import Simulator
from xero_simulator.testing import Connected, sign_in

ANCHOR = date(2026, 6, 18)


@pytest.fixture(scope="session")
def made_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("books")
    create_app(Settings(data_dir=folder, anchor_day=ANCHOR)).state.simulator.store.close()
    return folder


@pytest.fixture
def settings(made_books: Path, tmp_path: Path) -> Settings:
    shutil.copytree(made_books, tmp_path / "data")
    return Settings(data_dir=tmp_path / "data", anchor_day=ANCHOR)


@pytest.fixture
async def http(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=settings.public_url) as client:
        client.simulator = app.state.simulator  # type: ignore[attr-defined]
        yield client
    app.state.simulator.store.close()


@pytest.fixture
def simulator(http: httpx.AsyncClient) -> Simulator:
    running: Simulator = http.simulator  # type: ignore[attr-defined]
    return running


@pytest.fixture
def connected(http: httpx.AsyncClient) -> Connected:
    """`await connected("owner", "kowhai")`"""
    return partial(sign_in, http)
