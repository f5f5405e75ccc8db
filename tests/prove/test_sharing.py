"""Ending access under fault, and sharing against its model, with the full counts. `make prove ONLY=sharing`"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator

import pytest

from common.testing import Harness, HarnessFactory
from sharing.main import create_app
from sharing.settings import Settings
from sharing.testing import Desk, connected
from tests import revocations, sharing_model

HISTORIES = 200
EACH_STEPS_DOWN = 10
EXAMPLES = 150


@pytest.fixture
async def sharing(harness: HarnessFactory) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings) as service:
        await service.deliver(connected())
        yield service


@pytest.mark.timeout(1700)
async def test_sharing_shows_nothing_after_an_acknowledged_ending_in_200_histories_with_stepdowns(sharing: Harness) -> None:
    dice, desk = random.Random(2026), Desk(sharing)
    histories = [await revocations.play(sharing, desk, dice, stepdown=number % EACH_STEPS_DOWN == 0) for number in range(HISTORIES)]
    took = sorted(history.took for history in histories)
    print(
        f"{len(histories)} histories, {HISTORIES // EACH_STEPS_DOWN} stepdowns: {sum(one.seen for one in histories)} views seen, "
        f"{sum(one.refused for one in histories)} refused after the end, ending p50 {took[len(took) // 2] * 1000:.0f} ms, "
        f"p99 {took[int(len(took) * 0.99)] * 1000:.0f} ms, max {took[-1] * 1000:.0f} ms",
        flush=True,
    )
    assert sum(history.seen_after_the_end for history in histories) == 0
    assert all(history.refused for history in histories)
    assert sum(history.seen for history in histories) > HISTORIES


@pytest.mark.timeout(1700)
async def test_sharing_shows_what_its_model_says(sharing: Harness) -> None:
    await sharing_model.play(sharing, examples=EXAMPLES, steps=50)
    print(f"{EXAMPLES} histories of up to 50 steps agree with the model", flush=True)
