"""Erasing what was said about somebody in events, and nothing of a life that began since."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from common.clock import utc_now
from common.erasure import erase_events
from common.ids import first_id
from common.mongo import INBOX, OUTBOX
from common.service import create_service
from common.settings import ServiceSettings
from common.testing import ORGANISATION, OTHER_ORGANISATION, Harness, HarnessFactory

ASKED = utc_now()
OLD, NEW = first_id("evt", ASKED - timedelta(hours=1)), first_id("evt", ASKED + timedelta(hours=1))


@pytest.fixture(scope="module")
async def toy(harness: HarnessFactory) -> AsyncIterator[Harness]:
    async with harness(lambda settings: create_service("notifier", settings), ServiceSettings) as service:
        yield service


async def keep(toy: Harness, event_id: str, state: str, about: str = ORGANISATION) -> None:
    await toy.db.collection(INBOX).insert_one(
        {"_id": f"{event_id}{state}", "about": [about], "state": state, "body": "said", "reason": "r"}
    )


async def bodies(toy: Harness) -> dict[str, str]:
    return {row["_id"]: row["body"] for row in await toy.db.collection(INBOX).find({})}


async def test_events_from_before_are_emptied_and_one_set_aside_since_is_kept_for_an_operator(toy: Harness) -> None:
    await toy.empty()
    for event_id, state in ((OLD, "done"), (OLD, "parked"), (NEW, "done"), (NEW, "parked"), (OLD, "pending")):
        await keep(toy, event_id, state)
    await erase_events(toy.db, ORGANISATION, ASKED)
    said = {f"{NEW}parked": "said", f"{OLD}pending": "said"}
    assert await bodies(toy) == {f"{OLD}done": "", f"{OLD}parked": "", f"{NEW}done": ""} | said


async def test_what_is_about_others_stays(toy: Harness) -> None:
    await toy.empty()
    await keep(toy, OLD, "done", OTHER_ORGANISATION)
    for about in (ORGANISATION, OTHER_ORGANISATION):
        await toy.db.collection(OUTBOX).insert_one({"_id": about, "about": [about], "state": "sent", "type": "t", "created_at": ASKED})
    await erase_events(toy.db, ORGANISATION, ASKED)
    assert set((await bodies(toy)).values()) == {"said"}
    assert [row["_id"] for row in await toy.db.collection(OUTBOX).find({})] == [OTHER_ORGANISATION]
