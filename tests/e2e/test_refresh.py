"""Tokens refreshed by several processes, in small; in full: `make prove ONLY=refresh`."""

from __future__ import annotations

from pathlib import Path

from common.testing import HarnessFactory
from tests.refresh import STAGES, kill_inside_a_refresh, one_refresh_each, world_of


async def test_processes_refresh_once_and_survive_being_killed_inside_it(harness: HarnessFactory, keys: Path, mongo_url: str) -> None:
    async with world_of(harness, keys, mongo_url, processes=2) as world:
        await one_refresh_each(world, connections=4, callers=5)
        world.xero.lie.clear()
        organisation = await world.connect(0)
        for number in range(len(STAGES) - 1):
            await kill_inside_a_refresh(world, organisation, number)
