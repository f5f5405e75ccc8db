"""Proofs run on the whole product, like the end-to-end tests, with the full counts and, since they also measure, without tracing."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from local.running import Running, running
from tests.e2e.conftest import chromium as chromium


@pytest.fixture(scope="session")
async def system(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Running]:
    """Everything `make up` starts, on ports and data of its own."""
    async with running(tmp_path_factory.mktemp("system")) as system:
        yield system
