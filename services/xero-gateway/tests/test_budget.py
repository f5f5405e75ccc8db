"""The calls all processes share: never more than Xero allows, people first, and what Xero says is believed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.mongo import Database
from common.testing import ORGANISATION, OTHER_ORGANISATION, HarnessFactory
from xero_gateway.budget import APP_BLOCK, DENIED, Budget
from xero_gateway.budget_store import APP, BUDGETS, take_of_app
from xero_gateway.call_limits import Denial, Patience, Told
from xero_gateway.errors import XeroBusy, XeroUnavailable
from xero_gateway.main import create_app
from xero_gateway.settings import Settings
from xero_gateway.testing import WEBHOOK_KEY

PERSON = Patience(seconds=6, turn=0.3, people=True)
WORK = Patience(seconds=30, turn=0.3, people=False)


@pytest.fixture
async def db(harness: HarnessFactory) -> AsyncIterator[Database]:
    async with harness(create_app, Settings, xero_webhook_key=WEBHOOK_KEY) as service:
        yield service.db


@pytest.fixture
def replicas() -> tuple[Budget, Budget]:
    """Two processes know of each other only through the database."""
    return Budget(5000), Budget(5000)


async def make(
    db: Database, budget: Budget, patience: Patience = WORK, times: int = 1, organisation: str = ORGANISATION, **told: Any
) -> None:
    """Calls that end at once, with what Xero told."""
    for _ in range(times):
        async with budget.call(db, organisation, patience) as call:
            call.told = Told(**told)


async def row(db: Database, key: str = ORGANISATION) -> dict[str, Any]:
    found = await db.collection(BUDGETS).find_one({"_id": key})
    assert found is not None
    return found


def denied(who: str, why: str) -> float:
    return float(DENIED.labels(who, why)._value.get())


async def time_passes(db: Database, seconds: float) -> None:
    """Every stored time moves back, as if that long had passed."""
    for found in await db.collection(BUDGETS).find({}):
        await db.collection(BUDGETS).replace_one({"_id": found["_id"]}, _moved(found, timedelta(seconds=seconds)))


def _moved(value: Any, by: timedelta) -> Any:
    if isinstance(value, dict):
        return {key: _moved(part, by) for key, part in value.items()}
    if isinstance(value, list):
        return [_moved(part, by) for part in value]
    return value - by if isinstance(value, datetime) else value


async def test_five_calls_are_in_flight_over_all_processes_and_background_leaves_one(db: Database, replicas: Any) -> None:
    async with AsyncExitStack() as running:
        for number in range(4):
            await running.enter_async_context(replicas[number % 2].call(db, ORGANISATION, WORK))
        with pytest.raises(XeroBusy):
            await make(db, replicas[0], WORK)
        await running.enter_async_context(replicas[0].call(db, ORGANISATION, PERSON))
        with pytest.raises(XeroBusy):
            await make(db, replicas[1], PERSON)
        await make(db, replicas[1], WORK, organisation=OTHER_ORGANISATION)
    await make(db, replicas[1], PERSON)


async def test_many_who_ask_at_once_for_the_first_time_never_exceed_five(db: Database, replicas: Any) -> None:
    running = most = 0

    async def one(number: int) -> None:
        nonlocal running, most
        async with replicas[number % 2].call(db, ORGANISATION, Patience(seconds=60, turn=100, people=True)):
            running += 1
            most = max(most, running)
            await asyncio.sleep(0.01)
            running -= 1

    await asyncio.gather(*(one(number) for number in range(20)))
    assert most <= 5
    assert len((await row(db))["calls"]) == 20


async def test_sixty_calls_fit_in_a_minute_and_background_leaves_five(db: Database, replicas: Any) -> None:
    await make(db, replicas[0], WORK, 30)
    await make(db, replicas[1], WORK, 25)
    with pytest.raises(XeroBusy) as busy:
        await make(db, replicas[0], WORK)
    assert busy.value.extra == {"limit": "minute"}
    assert 30 < (busy.value.retry_after or 0) <= 60
    await make(db, replicas[1], PERSON, 5)
    with pytest.raises(XeroBusy):
        await make(db, replicas[1], PERSON)
    await time_passes(db, 50)
    with pytest.raises(XeroBusy) as soon:
        await make(db, replicas[1], WORK)
    assert (soon.value.retry_after or 0) <= 10
    await time_passes(db, 10)
    await make(db, replicas[1], WORK, 3)
    assert len((await row(db))["calls"]) < 20


async def test_a_call_counts_for_a_minute_after_its_end_not_after_its_start(db: Database, replicas: Any) -> None:
    async with replicas[0].call(db, ORGANISATION, WORK):
        await time_passes(db, 30)
    await time_passes(db, 50)
    await make(db, replicas[0], WORK)
    assert len((await row(db))["calls"]) == 2


async def test_what_a_dead_process_held_comes_back(db: Database, replicas: Any) -> None:
    async with AsyncExitStack() as running:
        for _ in range(5):
            await running.enter_async_context(replicas[0].call(db, ORGANISATION, PERSON))
        with pytest.raises(XeroBusy):
            await make(db, replicas[1], PERSON)
        await time_passes(db, PERSON.seconds + 5)
        await make(db, replicas[1], PERSON)


async def test_background_gives_way_while_people_wait(db: Database, replicas: Any) -> None:
    async with AsyncExitStack() as running:
        for _ in range(5):
            await running.enter_async_context(replicas[0].call(db, ORGANISATION, PERSON))
        with pytest.raises(XeroBusy):
            await make(db, replicas[0], PERSON)
    with pytest.raises(XeroBusy):
        await make(db, replicas[1], WORK)
    await make(db, replicas[1], PERSON)
    await time_passes(db, 1)
    await make(db, replicas[1], WORK)


async def test_who_is_cancelled_while_waiting_or_calling_holds_nothing(db: Database, replicas: Any) -> None:
    async def one() -> None:
        async with replicas[0].call(db, ORGANISATION, Patience(seconds=6, turn=20, people=True)):
            await asyncio.sleep(20)

    tasks = [asyncio.create_task(one()) for _ in range(10)]
    await asyncio.sleep(0.2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert all("ended" in call for call in (await row(db))["calls"])


async def test_calls_xero_counted_and_we_did_not_are_believed(db: Database, replicas: Any) -> None:
    await make(db, replicas[0], minute_left=10)
    await make(db, replicas[0], WORK, 5, minute_left=12)
    with pytest.raises(XeroBusy):
        await make(db, replicas[0], WORK)
    await time_passes(db, 60)
    await make(db, replicas[0], WORK, 2, minute_left=59)
    assert len((await row(db))["calls"]) == 2


async def test_the_days_last_tenth_is_for_people_and_background_looks_once_an_hour(db: Database, replicas: Any) -> None:
    await make(db, replicas[0], day_left=500)
    before = denied("background", "day")
    with pytest.raises(XeroBusy) as busy:
        await make(db, replicas[1], WORK)
    assert busy.value.extra == {"limit": "day"}
    assert 3500 < (busy.value.retry_after or 0) <= 3600
    assert denied("background", "day") == before + 1
    await make(db, replicas[1], PERSON, 3, day_left=499)
    await time_passes(db, 3601)
    await make(db, replicas[0], WORK, day_left=496)
    with pytest.raises(XeroBusy):
        await make(db, replicas[0], WORK)
    await time_passes(db, 3601)
    await make(db, replicas[0], WORK, 3, day_left=4990)
    left = await replicas[1].calls_left(db, ORGANISATION)
    assert (left.day_left, left.a_day, left.paused) == (4990, 5000, None)
    assert left.day_resets_at
    assert left.day_resets_at > datetime.now(UTC) + timedelta(hours=23)


async def test_a_day_that_is_over_by_what_is_known_begins_anew(db: Database, replicas: Any) -> None:
    await make(db, replicas[0])
    await replicas[0].limited(db, ORGANISATION, "day", 7200)
    before = denied("people", "day"), denied("background", "day")
    for patience in (PERSON, WORK):
        with pytest.raises(XeroBusy) as busy:
            await make(db, replicas[1], patience)
        assert busy.value.extra == {"limit": "day"}
        assert 7100 < (busy.value.retry_after or 0) <= 7200
    assert (denied("people", "day"), denied("background", "day")) == (before[0] + 1, before[1] + 1)
    left = await replicas[1].calls_left(db, ORGANISATION)
    assert (left.day_left, left.paused) == (0, "day")
    await make(db, replicas[1], WORK, organisation=OTHER_ORGANISATION)
    await time_passes(db, 7201)
    await make(db, replicas[1], WORK, 2)
    assert (await replicas[1].calls_left(db, ORGANISATION)).day_left == 4998


async def test_a_shorter_pause_never_ends_a_longer_one(db: Database, replicas: Any) -> None:
    await replicas[0].limited(db, ORGANISATION, "minute", 3600)
    await replicas[0].limited(db, ORGANISATION, "concurrent", 5)
    with pytest.raises(XeroBusy) as busy:
        await make(db, replicas[1], PERSON)
    assert (busy.value.retry_after or 0) > 3000


async def test_after_five_failures_one_call_at_a_time_looks_whether_xero_is_back(db: Database, replicas: Any) -> None:
    await make(db, replicas[0], PERSON, 4, well=False)
    await make(db, replicas[1], PERSON, well=True)
    await make(db, replicas[0], PERSON, 5, well=False)
    with pytest.raises(XeroUnavailable) as away:
        await make(db, replicas[1], PERSON)
    assert 0 < (away.value.retry_after or 0) <= 1
    await make(db, replicas[1], PERSON, organisation=OTHER_ORGANISATION)
    await time_passes(db, 1)
    async with replicas[0].call(db, ORGANISATION, PERSON) as probe:
        with pytest.raises(XeroUnavailable):
            await make(db, replicas[1], PERSON)
        probe.told = Told(well=False)
    broken = (await row(db))["broken_until"] - (await row(db))["asked_at"]
    assert timedelta(seconds=1) < broken <= timedelta(seconds=2.5)
    await make_after(db, 20, replicas[0])
    await make(db, replicas[1], PERSON, 2)


async def make_after(db: Database, seconds: float, budget: Budget) -> None:
    await time_passes(db, seconds)
    await make(db, budget, PERSON, well=True)


async def test_the_apps_minute_is_shared_by_all_organisations_and_processes(db: Database, replicas: Any) -> None:
    assert all([await take_of_app(db, 1000, people=False) for _ in range(9)])
    assert not await take_of_app(db, 1000, people=False)
    assert await take_of_app(db, 1000, people=True)
    assert not await take_of_app(db, 1, people=True)
    before = denied("people", "app")
    with pytest.raises(XeroBusy):
        await make(db, replicas[0], PERSON)
    assert denied("people", "app") == before + 1
    await db.collection(BUDGETS).update_one({"_id": APP}, {"$inc": {f"taken.{place}.bucket": -14 for place in range(10)}})
    await make(db, replicas[0], PERSON, 3)
    assert (await row(db, APP))["taken"][-1]["calls"] == APP_BLOCK
    await replicas[0].limited(db, ORGANISATION, "appminute", 5)
    with pytest.raises(XeroBusy):
        await make(db, replicas[0], WORK, organisation=OTHER_ORGANISATION)


@pytest.mark.parametrize("text", ["", "many", "-1", "1.5", "\u00b2", "9" * 30])
def test_a_header_that_is_no_number_tells_nothing(text: str) -> None:
    told = Told()
    told.read({"x-minlimit-remaining": text, "x-daylimit-remaining": "17"})
    assert (told.minute_left, told.day_left, told.app_left) == (None, 17, None)


def test_the_wait_for_the_minute_is_until_enough_of_its_calls_are_old() -> None:
    now = datetime(2026, 6, 18, 9, 0, tzinfo=UTC)
    calls = [{"until": now, "ended": now - timedelta(seconds=59 - number)} for number in range(58)]
    denial = Denial.model_validate({"denied": "minute", "asked_at": now, "calls": calls})
    assert denial.seconds(people=False) == 60 - 56
    flying = [{"until": now + timedelta(seconds=9)}] * 60
    assert Denial.model_validate({"denied": "minute", "asked_at": now, "calls": flying}).seconds(people=True) == 60
