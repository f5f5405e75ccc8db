"""Any part is killed with -9 between two steps of the main job, and nothing is lost. `make prove` runs every part before every step."""

from __future__ import annotations

import pytest

from local.running import Running
from tests.kills import KILLED, killed_before, one_kill_each


@pytest.mark.timeout(600)
async def test_a_part_killed_between_two_steps_loses_nothing(system: Running) -> None:
    await killed_before(system, one_kill_each(KILLED))
