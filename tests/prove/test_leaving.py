"""Deleting an account on the whole product: nothing is left, also when parts are killed with -9. `make prove ONLY=leaving`"""

from __future__ import annotations

import asyncio
import random

import httpx
import pytest

from local.people import NotThere, eventually
from local.running import Running
from tests.leaving import Departing, all_gone, databases, found_in, hasten, words_about
from tests.story import STUDIO

ROUNDS = 3
KILLED = ("auth", "sharing", "xero", "mongod")


@pytest.mark.timeout(600)
async def test_deleting_leaves_no_word_of_the_person_the_organisation_or_its_client(system: Running) -> None:
    async with databases(system) as held:
        departing = Departing(system, 0)
        await departing.share()
        (person,) = await held["auth"].collection("providers").find({})
        before = await found_in(held, words_about(departing, person))
        assert {place.split(".")[0] for place in before} == {"auth", "sharing", "xero-gateway", "portal", "notifier"}
        print(f"before: {sorted(before)}", flush=True)
        await departing.ask_to_be_deleted()
        assert departing.provider.page.status == 303
        assert await departing.refused()
        await all_gone(system, held, departing, person)
        await departing.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["disconnect", "end-access"])
async def test_disconnecting_keeps_invoices_readable_and_ending_all_access_does_not(system: Running, way: str) -> None:
    async with databases(system) as held:
        departing = Departing(system, {"disconnect": 1, "end-access": 2}[way])
        await departing.share()
        page = f"/o/{departing.provider.organisation}/leave"
        await departing.provider.open(f"{page}/{way}")
        button, typed = {"disconnect": ("Disconnect", {}), "end-access": ("Disconnect and end all access", {"name": STUDIO})}[way]
        assert "is disconnected" in (await departing.provider.press(button, **typed)).words
        if way == "end-access":
            assert await departing.refused()
        else:
            await eventually(departing.marked_as_not_updating, "the client's page says since when nothing changes")

        async def told() -> bool:
            return await held["auth"].collection("token_sets").count({}) == 0

        await eventually(told, "Xero is told and the tokens are destroyed")
        await eventually(lambda: hasten(held), "everything is worked off", 120)
        await departing.close()


@pytest.mark.timeout(1700)
@pytest.mark.parametrize("part", KILLED)
async def test_a_part_killed_at_any_moment_of_leaving_changes_nothing_about_its_end(system: Running, part: str) -> None:
    moments = random.Random(part)
    async with databases(system) as held:
        for number in range(ROUNDS):
            departing = Departing(system, 1000 * (1 + KILLED.index(part)) + number)
            await departing.share()
            (person,) = await held["auth"].collection("providers").find({})
            wait = moments.uniform(0, 0.4)
            pressed = asyncio.create_task(press(departing))
            await asyncio.sleep(wait)
            pid = system.kill(part)
            await pressed
            await system.restarted(part, pid)
            await all_gone(system, held, departing, person)
            await departing.close()
            print(f"{part} killed {wait * 1000:.0f} ms after the press: the same end", flush=True)


async def press(departing: Departing) -> None:
    try:
        await departing.ask_to_be_deleted()
    except (NotThere, httpx.HTTPError):
        return  # the page of a part that died; the person tries again
