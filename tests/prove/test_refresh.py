"""Many callers on several processes, and processes killed inside a refresh, in full counts. `make prove ONLY=refresh`"""

from __future__ import annotations

from pathlib import Path

import pytest

from common.testing import HarnessFactory
from tests.refresh import kill_inside_a_refresh, one_refresh_each, world_of


@pytest.mark.timeout(600)
async def test_twenty_connections_asked_twenty_times_each_are_refreshed_once(harness: HarnessFactory, keys: Path, mongo_url: str) -> None:
    async with world_of(harness, keys, mongo_url, processes=3) as world:
        print(await one_refresh_each(world, connections=20, callers=20), flush=True)


@pytest.mark.timeout(1700)
async def test_fifty_kills_inside_a_refresh_lock_nobody_out(harness: HarnessFactory, keys: Path, mongo_url: str) -> None:
    async with world_of(harness, keys, mongo_url, processes=3) as world:
        organisations = [await world.connect(number) for number in range(5)]
        stored = 0
        for number in range(50):
            stored += await kill_inside_a_refresh(world, organisations[number % len(organisations)], number)
            if number % 10 == 9:
                print(f"{number + 1} kills", flush=True)
        print(f"50 kills inside a refresh, {stored} after the new tokens were stored: no connection locked out", flush=True)
