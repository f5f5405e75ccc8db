"""A hundred rolling restarts under load without one failed request, on two replicas of everything. `make prove ONLY=rolling`"""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import pytest
from playwright.async_api import Browser

from local.running import running
from tests.e2e.test_journey import test_the_whole_journey as the_whole_journey
from tests.rolling import Load, all_is_shown, ended_badly, prepared, replicas, restart

RESTARTS = int(os.environ.get("RESTARTS", "100"))
SIGN_INS = 30


@pytest.mark.timeout(3000)
async def test_rolling_restarts_of_everything_fail_no_request(tmp_path: Path, chromium: Browser) -> None:
    async with running(tmp_path, REPLICAS="2") as system:
        await the_whole_journey(system, chromium, tmp_path)
        print("the journey passes on two replicas of everything", flush=True)
        load = Load(system, *await prepared(system, SIGN_INS))
        began = time.monotonic()
        async with load.going_on():
            for number, part in enumerate(itertools.islice(itertools.cycle(replicas(system)), RESTARTS), 1):
                await restart(system, part)
                print(f"{number:3} {part}: {sum(load.done.values())} done, {len(load.failed)} failed", flush=True)
        seconds = time.monotonic() - began
        print(f"{RESTARTS} restarts in {seconds:.0f} s; {dict(load.done)}; failed: {load.failed}", flush=True)
        print(f"the machine stood still: {load.stood_still or 'never'}", flush=True)
        await all_is_shown(load)
        assert load.failed == []
        assert ended_badly(system) == []
        await load.story.provider.close()
        await load.story.client.close()
