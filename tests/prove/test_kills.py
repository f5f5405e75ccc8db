"""Every part killed with -9 before every step of the main job. `make prove ONLY=kills`; `ONLY="kills and mongod"` for one part."""

from __future__ import annotations

import pytest

from local.running import Running
from tests.kills import INTERRUPTED, KILLED, killed_before


@pytest.mark.timeout(900)
@pytest.mark.parametrize("part", KILLED)
async def test_kills_before_any_step_lose_nothing(system: Running, part: str) -> None:
    for place, step in enumerate(INTERRUPTED):
        await killed_before(system, {step: [part]}, number=1000 + KILLED.index(part) * len(INTERRUPTED) + place)
        print(f"{part} killed before {step}: nothing lost", flush=True)
