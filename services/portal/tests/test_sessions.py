"""Signed-in browsers: who they are, and when that ends."""

import asyncio
from typing import Any

import pytest

from common.crypto import digest
from common.identity import ClientIdentity, Verifier
from common.testing import Harness
from portal import store
from portal.testing import BROWSER, KNOWN, OTHER_BROWSER, Mailed, call, pass_time, rest

HOUR = 3600


async def signed_in(portal: Harness, mailed: Mailed, browser: str = BROWSER) -> str:
    mail = await mailed(browser=browser)
    session: str = (await call(portal, "links/redeem", token=mail.token, browser=browser)).json()["session"]
    await rest(portal)
    return session


async def is_live(portal: Harness, session: str) -> bool:
    return bool((await call(portal, "identify", session=session, audiences=[])).status_code == 200)


async def test_a_session_is_answered_with_a_token_sharing_believes(portal: Harness, mailed: Mailed) -> None:
    session = await signed_in(portal, mailed)
    answer = (await call(portal, "identify", session=session, audiences=["sharing"])).json()
    assert answer["client"]["email"] == KNOWN
    assert answer["client"]["id"].startswith("cli_")
    verifier = Verifier(portal.app.state.settings.public_keys_dir, "sharing")
    assert verifier.read(answer["tokens"]["sharing"]) == ClientIdentity(answer["client"]["id"], KNOWN)
    assert (await call(portal, "identify", session=session, audiences=[])).json()["tokens"] == {}


async def test_one_address_is_one_client_on_every_device(portal: Harness, mailed: Mailed) -> None:
    first, second = await signed_in(portal, mailed), await signed_in(portal, mailed, OTHER_BROWSER)
    assert first != second
    ids = {(await call(portal, "identify", session=each, audiences=[])).json()["client"]["id"] for each in (first, second)}
    assert len(ids) == 1


async def test_first_sign_ins_at_once_make_one_client(portal: Harness, mailed: Mailed) -> None:
    found = []
    for number in range(6):
        found.append(await mailed(browser=f"cib_{number}"))
        await rest(portal, 24 * HOUR)
    racing = (call(portal, "links/redeem", token=mail.token, browser=f"cib_{number}") for number, mail in enumerate(found))
    answers = await asyncio.gather(*racing)
    assert [answer.status_code for answer in answers] == [200] * 6
    assert await portal.db.collection(store.CLIENTS).count({}) == 1


async def test_a_session_ends_after_a_day_without_use_and_use_prolongs_it(portal: Harness, mailed: Mailed) -> None:
    session = await signed_in(portal, mailed)
    await pass_time(portal, 24 * HOUR - 30, store.SESSIONS, "idle_until", "ends_at")
    assert await is_live(portal, session)
    await pass_time(portal, 24 * HOUR - 30, store.SESSIONS, "idle_until", "ends_at")
    assert await is_live(portal, session)
    await pass_time(portal, 24 * HOUR + 1, store.SESSIONS, "idle_until", "ends_at")
    assert not await is_live(portal, session)


async def test_a_session_ends_after_seven_days_whatever_its_use(portal: Harness, mailed: Mailed) -> None:
    session = await signed_in(portal, mailed)
    for _ in range(7):
        assert await is_live(portal, session)
        await pass_time(portal, 24 * HOUR - 30, store.SESSIONS, "idle_until", "ends_at")
    assert await is_live(portal, session)
    await pass_time(portal, 211, store.SESSIONS, "idle_until", "ends_at")
    assert not await is_live(portal, session)


async def test_signing_out_ends_this_session_alone_and_twice_is_fine(portal: Harness, mailed: Mailed) -> None:
    here, there = await signed_in(portal, mailed), await signed_in(portal, mailed, OTHER_BROWSER)
    for _ in range(2):
        assert (await call(portal, "sessions/end", session=here)).status_code == 204
    assert not await is_live(portal, here)
    assert await is_live(portal, there)


@pytest.mark.parametrize("age", [25 * HOUR, 8 * 24 * HOUR])
async def test_a_session_that_has_ended_opens_no_link_page(portal: Harness, mailed: Mailed, age: int) -> None:
    session = await signed_in(portal, mailed)
    await pass_time(portal, age, store.SESSIONS, "idle_until", "ends_at")
    mail = await mailed()
    seen = (await call(portal, "links/inspect", token=mail.token, browser=BROWSER, session=session)).json()
    assert (seen["state"], seen["signed_in_as"]) == ("ready_here", None)


async def test_signing_out_everywhere_ends_every_session_of_that_client_and_no_other(portal: Harness, mailed: Mailed) -> None:
    first, second = await signed_in(portal, mailed), await signed_in(portal, mailed, OTHER_BROWSER)
    await portal.db.collection(store.SESSIONS).insert_one({**await stored(portal), "_id": "stranger", "client_id": "cli_stranger"})
    assert (await call(portal, "sessions/end", session=first, everywhere=True)).status_code == 204
    assert [await is_live(portal, session) for session in (first, second)] == [False, False]
    assert await portal.db.collection(store.SESSIONS).count({}) == 1


async def devices(portal: Harness, session: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await call(portal, "sessions/list", session=session)).json()["sessions"]
    return found


async def test_a_client_sees_every_browser_signed_in_as_that_address_used_last_first(portal: Harness, mailed: Mailed) -> None:
    here = await signed_in(portal, mailed)
    mail = await mailed(browser=OTHER_BROWSER)
    await call(portal, "links/redeem", token=mail.token, browser=OTHER_BROWSER, agent="Safari on iPhone")
    await is_live(portal, here)
    await portal.db.collection(store.SESSIONS).insert_one({**await stored(portal), "_id": "stranger", "client_id": "cli_stranger"})
    found = await devices(portal, here)
    assert [(one["agent"], one["current"]) for one in found] == [("Firefox on Linux", True), ("Safari on iPhone", False)]
    assert all(one["signed_in_at"] <= one["last_seen_at"] for one in found)
    assert here not in str(found)


async def test_ending_another_browser_ends_it_alone_and_only_ones_own(portal: Harness, mailed: Mailed) -> None:
    here, there = await signed_in(portal, mailed), await signed_in(portal, mailed, OTHER_BROWSER)
    await portal.db.collection(store.SESSIONS).insert_one({**await stored(portal), "_id": "stranger", "client_id": "cli_stranger"})
    other = next(one["id"] for one in await devices(portal, here) if not one["current"])
    for id in ("stranger", "unknown", other):
        assert (await call(portal, "sessions/end-other", session=here, other=id)).status_code == 204
    assert await is_live(portal, here)
    assert not await is_live(portal, there)
    assert await portal.db.collection(store.SESSIONS).find_one({"_id": "stranger"}) is not None
    assert (await call(portal, "sessions/end-other", session=there, other=digest(here))).status_code == 401
    assert await is_live(portal, here)


async def test_an_old_cookie_signs_nobody_else_out(portal: Harness, mailed: Mailed) -> None:
    first, second = await signed_in(portal, mailed), await signed_in(portal, mailed, OTHER_BROWSER)
    await call(portal, "sessions/end", session=first)
    await call(portal, "sessions/end", session=first, everywhere=True)
    assert await is_live(portal, second)


async def stored(portal: Harness) -> dict[str, object]:
    return (await portal.db.collection(store.SESSIONS).find({}, limit=1))[0]
