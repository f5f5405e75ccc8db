"""Whether mails leave at all: one word for everybody, whatever the order it comes in."""

from datetime import UTC, datetime
from itertools import permutations

import pytest

from common.contracts.notifier import MailServerChanged
from common.testing import Harness

SINCE = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
NEWS = [
    MailServerChanged(version=1, failing_since=SINCE.replace(hour=7)),
    MailServerChanged(version=2, failing_since=None),
    MailServerChanged(version=3, failing_since=SINCE),
]


async def told(portal: Harness) -> str | None:
    answer = await portal.http.get("/internal/mail-server", headers=portal.as_service("web"))
    since: str | None = answer.json()["failing_since"]
    return since


@pytest.mark.parametrize("order", list(permutations(range(3))))
async def test_the_newest_word_counts_in_any_order_and_twice(portal: Harness, order: tuple[int, ...]) -> None:
    for place in (*order, *order):
        await portal.deliver(NEWS[place])
    assert await told(portal) == "2026-11-21T09:30:00Z"
    await portal.deliver(MailServerChanged(version=4, failing_since=None))
    assert await told(portal) is None
