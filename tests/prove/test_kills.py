"""Every part killed with -9 before every step of the main job. `make prove ONLY=kills`"""

from __future__ import annotations

import pytest

from local.running import Running
from tests.kills import INTERRUPTED, KILLED, killed_before


@pytest.mark.timeout(1700)
async def test_no_part_killed_before_any_step_loses_anything(system: Running) -> None:
    for number, part in enumerate(KILLED):
        for place, step in enumerate(INTERRUPTED):
            await killed_before(system, {step: [part]}, number=1000 + number * len(INTERRUPTED) + place)
            print(f"{part} killed before {step}: nothing lost", flush=True)
