"""Rate limits, to the call."""

import asyncio
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from xero_simulator.limits import Limiter, Refusal
from xero_simulator.simulator import Simulator
from xero_simulator.testing import Connected

NOW = datetime(2026, 6, 18, 9, 0, tzinfo=UTC)


def used(limiter: Limiter, tenant: str, count: int, moment: datetime = NOW) -> list[Refusal | None]:
    answers = []
    for _ in range(count):
        answers.append(limiter.enter(tenant, moment))
        if answers[-1] is None:
            limiter.leave(tenant)
    return answers


def test_the_sixty_first_call_of_a_minute_waits_for_the_next() -> None:
    limiter = Limiter()
    assert used(limiter, "a", 60) == [None] * 60
    refusal = limiter.enter("a", NOW)
    assert refusal is not None
    assert refusal.problem == "minute"
    assert refusal.retry_after is not None
    assert 1 <= refusal.retry_after <= 60
    assert used(limiter, "a", 1, NOW + timedelta(seconds=refusal.retry_after)) == [None]


def test_another_organisation_has_its_own_minute() -> None:
    limiter = Limiter()
    used(limiter, "a", 61)
    assert used(limiter, "b", 1) == [None]


def test_the_five_thousand_and_first_call_of_a_day_waits_for_hours() -> None:
    limiter, moment = Limiter(), NOW
    left = limiter.budget("a").day.seconds_to_next(int(NOW.timestamp() * 1000))
    moment += timedelta(seconds=left)
    for minute in range(100):
        assert set(used(limiter, "a", 50, moment + timedelta(minutes=minute))) == {None}
    refusal = limiter.enter("a", moment + timedelta(minutes=100))
    assert refusal is not None
    assert (refusal.problem, refusal.retry_after) == ("day", 86_400 - 6_000)
    assert limiter.headers("a", moment + timedelta(minutes=100))["X-DayLimit-Remaining"] == "0"


def test_the_app_has_ten_thousand_a_minute_over_all_organisations() -> None:
    limiter = Limiter()
    for place in range(200):
        assert set(used(limiter, f"o{place}", 50)) == {None}
    assert limiter.enter("another", NOW) == Refusal("appminute")
    assert not limiter.enter_app(NOW)


def test_refused_calls_do_not_count() -> None:
    limiter = Limiter()
    used(limiter, "a", 100)
    assert limiter.headers("a", NOW)["X-DayLimit-Remaining"] == "4940"


async def test_the_sixth_call_at_the_same_time_is_refused_without_a_time_to_wait(simulator: Simulator, connected: Connected) -> None:
    connection = await connected()
    simulator.faults.slow_seconds = 0.2
    answers = await asyncio.gather(*(connection.read("Organisation") for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [200] * 5 + [429]
    (refused,) = [answer for answer in answers if answer.status_code == 429]
    assert refused.headers["X-Rate-Limit-Problem"] == "concurrent"
    assert "Retry-After" not in refused.headers
    assert (await connection.read("Organisation")).status_code == 200


@pytest.mark.parametrize(
    ("fault", "problem", "header", "waits"),
    [
        ("limit_minute", "minute", "X-MinLimit-Remaining", True),
        ("limit_day", "day", "X-DayLimit-Remaining", True),
        ("limit_app", "appminute", "X-AppMinLimit-Remaining", False),
        ("limit_concurrent", "concurrent", None, False),
    ],
)
async def test_a_used_up_limit_can_be_played(
    simulator: Simulator, connected: Connected, fault: str, problem: str, header: str | None, waits: bool
) -> None:
    connection = await connected()
    setattr(simulator.faults, fault, True)
    refused = await connection.read("Contacts")
    assert (refused.status_code, refused.headers["X-Rate-Limit-Problem"], refused.content) == (429, problem, b"")
    assert header is None or refused.headers[header] == "0"
    assert ("Retry-After" in refused.headers) == waits
    assert not waits or int(refused.headers["Retry-After"]) > 0


async def test_sixty_calls_are_answered_and_the_next_is_not(simulator: Simulator, connected: Connected) -> None:
    connection = await connected()
    simulator.clock.advance(simulator.limiter.pretend("minute", connection.tenant, simulator.clock.now()).retry_after or 0)
    answers = [await connection.read("Organisation") for _ in range(61)]
    assert [answer.status_code for answer in answers] == [200] * 60 + [429]
    assert [answer.headers["X-MinLimit-Remaining"] for answer in answers] == [str(max(0, left)) for left in range(59, -2, -1)]
    assert answers[-1].headers["X-Rate-Limit-Problem"] == "minute"
    assert answers[-1].headers["X-DayLimit-Remaining"] == "4940"
    simulator.clock.advance(int(answers[-1].headers["Retry-After"]))
    assert (await connection.read("Organisation")).headers["X-MinLimit-Remaining"] == "59"


async def test_the_starter_tier_has_a_thousand_calls_a_day(simulator: Simulator, connected: Connected, http: httpx.AsyncClient) -> None:
    connection = await connected()
    assert (await connection.read("Organisation")).headers["X-DayLimit-Remaining"] == "4999"
    assert (await http.post("/control/limits", json={"tier": "starter"})).json()["organisations"][connection.tenant]["day"] == 999
    simulator.limiter.budget(connection.tenant).day.used = 999
    assert (await connection.read("Organisation")).headers["X-DayLimit-Remaining"] == "0"
    refused = await connection.read("Organisation")
    assert (refused.status_code, refused.headers["X-Rate-Limit-Problem"]) == (429, "day")
    await http.post("/control/limits", json={"tier": "core"})
    assert (await connection.read("Organisation")).status_code == 200
    assert (await http.post("/control/limits", json={"clear": True})).json()["organisations"][connection.tenant]["day"] == 5000


async def test_moving_the_clock_opens_a_new_minute(simulator: Simulator, connected: Connected) -> None:
    connection = await connected()
    budget = simulator.limiter.budget(connection.tenant)
    assert (await connection.read("Organisation")).status_code == 200
    budget.minute.used = 60
    assert (await connection.read("Organisation")).headers["X-Rate-Limit-Problem"] == "minute"
    simulator.clock.advance(60)
    assert (await connection.read("Organisation")).status_code == 200
