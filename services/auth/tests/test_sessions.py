"""Sessions: how they begin, what keeps them alive, and every way they end."""

from typing import Any

import httpx
import pytest

from auth.testing import KOWHAI_ID, MERE, TANE, Browser
from common.testing import Harness


async def ask(auth: Harness, what: str, browser: Browser, **more: object) -> httpx.Response:
    body = {"session": browser.session, **more}
    return await auth.http.post(f"/internal/sessions/{what}", json=body, headers=auth.as_service("web"))


async def listed(auth: Harness, browser: Browser) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await ask(auth, "list", browser)).json()["sessions"]
    return found


async def test_signing_out_ends_the_session_and_may_be_repeated(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    for _ in range(2):
        ended = await auth.http.post("/internal/sessions/end", json={"session": browser.session}, headers=auth.as_service("web"))
        assert (ended.status_code, ended.content) == (204, b"")
    assert (await browser.identify()).status_code == 401


async def test_each_sign_in_gets_a_new_session_and_ends_the_one_before(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    before = browser.session
    await browser.sign_in(MERE)
    assert browser.session != before
    assert await auth.db.collection("sessions").count({}) == 1
    browser.cookies["__Host-provider"] = before
    assert (await browser.identify()).status_code == 401


@pytest.mark.parametrize(("end", "code"), [("idle_until", "session_idle"), ("ends_at", "session_over")])
async def test_a_session_ends_by_the_databases_clock_and_says_why(browser: Browser, auth: Harness, end: str, code: str) -> None:
    await browser.sign_in(MERE)
    (row,) = await auth.db.collection("sessions").find({})
    assert (row["idle_until"] - row["created_at"]).total_seconds() == 3600
    assert (row["ends_at"] - row["created_at"]).total_seconds() == 12 * 3600
    await auth.db.collection("sessions").update_one({}, [{"$set": {end: "$$NOW"}}])
    answer = await browser.identify()
    assert (answer.status_code, answer.json()["code"]) == (401, code)


async def test_using_a_session_keeps_it_alive_but_not_beyond_its_end(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    sessions = auth.db.collection("sessions")
    await sessions.update_one({}, [{"$set": {"idle_until": {"$dateAdd": {"startDate": "$$NOW", "unit": "minute", "amount": 1}}}}])
    (before,) = await sessions.find({})
    assert (await browser.identify()).status_code == 200
    (after,) = await sessions.find({})
    assert after["idle_until"] > before["idle_until"]
    assert after["ends_at"] == before["ends_at"]


async def test_every_browser_of_a_login_is_listed_and_nobody_elses(browser: Browser, colleague: Browser, auth: Harness) -> None:
    other = Browser(auth, browser.xero)
    other.agent = "Mozilla/5.0 (Windows NT 10.0) Firefox/140.0"
    await other.sign_in(MERE)
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    here, there = await listed(auth, browser)
    assert (here["current"], there["current"]) == (True, False)
    assert there["agent"] == other.agent
    assert here["signed_in_at"].endswith("Z")
    assert browser.session not in str(here)
    await other.identify()
    assert [row["current"] for row in await listed(auth, browser)] == [False, True]
    assert len(await listed(auth, colleague)) == 1


async def test_looking_at_the_list_keeps_no_session_alive(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    (before,) = await auth.db.collection("sessions").find({})
    await listed(auth, browser)
    (after,) = await auth.db.collection("sessions").find({})
    assert after == before


async def test_signing_out_everywhere_ends_every_session_of_that_login_alone(browser: Browser, colleague: Browser, auth: Harness) -> None:
    other = Browser(auth, browser.xero)
    await other.sign_in(MERE)
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    assert (await ask(auth, "end", browser, everywhere=True)).status_code == 204
    assert [(await each.identify()).status_code for each in (browser, other, colleague)] == [401, 401, 200]
    assert (await browser.identify()).json()["code"] == "not_signed_in"


async def test_a_session_that_has_ended_ends_no_other(browser: Browser, auth: Harness) -> None:
    other = Browser(auth, browser.xero)
    await browser.sign_in(MERE)
    await auth.db.collection("sessions").update_one({}, [{"$set": {"idle_until": "$$NOW"}}])
    await other.sign_in(MERE)
    assert (await ask(auth, "end", browser, everywhere=True)).status_code == 204
    assert (await ask(auth, "list", browser)).status_code == 401
    (own,) = await listed(auth, other)
    assert (await ask(auth, "end-other", browser, other=own["id"])).status_code == 401
    assert (await other.identify()).status_code == 200


async def test_another_browser_is_signed_out_by_its_id_unless_it_is_somebody_elses(
    browser: Browser, colleague: Browser, auth: Harness
) -> None:
    other = Browser(auth, browser.xero)
    await other.sign_in(MERE)
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    (foreign,) = await listed(auth, colleague)
    theirs = next(row for row in await listed(auth, browser) if not row["current"])
    for id in (foreign["id"], "unknown", theirs["id"]):
        assert (await ask(auth, "end-other", browser, other=id)).status_code == 204
    assert (await other.identify()).status_code == 401
    assert (await colleague.identify(KOWHAI_ID)).status_code == 200
    assert (await browser.identify()).status_code == 200
