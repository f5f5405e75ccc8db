"""A few histories of viewers and an ending; `make prove ONLY=sharing` plays 200, with the database stepping down."""

import random

from common.testing import Harness
from sharing.testing import Desk
from tests import revocations


async def test_no_view_begins_after_an_acknowledged_ending(sharing: Harness, desk: Desk) -> None:
    dice = random.Random(1)
    histories = [await revocations.play(sharing, desk, dice, stepdown=number == 3) for number in range(6)]
    assert sum(history.seen_after_the_end for history in histories) == 0
    assert all(history.refused for history in histories)
    assert any(history.seen for history in histories)
