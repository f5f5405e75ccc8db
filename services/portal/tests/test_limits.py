"""How often one may ask: the same for every address, and honest about the wait."""

import asyncio

import httpx
import pytest

from common.testing import Harness
from portal import store
from portal.limits import group
from portal.testing import BROWSER, KNOWN, OTHER_BROWSER, UNKNOWN, Mailed, ask, call, rest


def refused(answer: httpx.Response) -> int:
    assert (answer.status_code, answer.json()["code"]) == (429, "too_soon")
    return int(answer.headers["retry-after"])


@pytest.mark.parametrize("email", [KNOWN, UNKNOWN])
async def test_an_address_may_be_asked_for_once_a_minute_by_anybody(portal: Harness, email: str) -> None:
    assert (await ask(portal, email=email)).json() == {"wait_seconds": 60}
    assert 0 < refused(await ask(portal, email=email.upper(), browser=OTHER_BROWSER)) <= 60
    await rest(portal, 20)
    assert 0 < refused(await ask(portal, email=email)) <= 40
    await rest(portal, 40)
    assert (await ask(portal, email=email)).status_code == 202


async def test_a_refused_request_leaves_no_row(portal: Harness) -> None:
    await ask(portal, email=KNOWN)
    refused(await ask(portal, email=KNOWN))
    assert await portal.db.collection(store.SIGN_IN_REQUESTS).count({}) == 1


@pytest.mark.parametrize("email", [KNOWN, UNKNOWN])
async def test_an_address_may_be_asked_for_five_times_in_any_hour_and_twenty_in_any_day(portal: Harness, email: str) -> None:
    for count in range(1, 6):
        wait = (await ask(portal, email=email)).json()["wait_seconds"]
        assert (wait == 60) == (count < 5)
        await rest(portal)
    assert 3600 - 5 * 61 - 10 < refused(await ask(portal, email=email)) <= 3600 - 5 * 61 + 1
    await rest(portal, 3600)
    for _ in range(15):
        await rest(portal, 721)
        assert (await ask(portal, email=email)).status_code == 202
    await rest(portal, 721)
    assert refused(await ask(portal, email=email)) > 3600


async def test_a_browser_that_signed_in_with_an_address_keeps_its_own_allowance(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    await call(portal, "links/redeem", token=mail.token, browser=BROWSER)
    refused(await ask(portal, email=KNOWN, browser="cib_stranger"))
    assert (await ask(portal, email=KNOWN, browser=BROWSER)).status_code == 202
    refused(await ask(portal, email=KNOWN, browser=BROWSER))
    refused(await ask(portal, email=KNOWN, browser="cib_stranger"))


async def test_an_invitation_has_its_own_allowance(portal: Harness) -> None:
    assert (await ask(portal, email=KNOWN)).status_code == 202
    assert (await ask(portal, invitation="cii_good")).json() == {"wait_seconds": 60}
    assert (await ask(portal, invitation="cii_other")).status_code == 202
    refused(await ask(portal, invitation="cii_good"))
    refused(await ask(portal, invitation="cii_other"))


async def test_a_dead_link_uses_the_allowance_of_its_address(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    refused(await ask(portal, link=mail.token))
    await rest(portal)
    assert (await ask(portal, link=mail.token)).status_code == 202
    refused(await ask(portal, email=KNOWN))


async def test_a_network_may_ask_ten_times_a_minute_and_spoils_no_address_afterwards(portal: Harness) -> None:
    for number in range(10):
        assert (await ask(portal, email=f"someone{number}@rimu.example", network="203.0.113.9")).status_code == 202
    assert 0 < refused(await ask(portal, email=KNOWN, network="203.0.113.9")) <= 60
    assert (await ask(portal, email=KNOWN, network="203.0.113.10")).status_code == 202


async def test_everybody_together_may_ask_six_hundred_times_a_minute(portal: Harness) -> None:
    await ask(portal, email=UNKNOWN)
    total = await portal.db.collection(store.LIMITS).find({}, sort=[("_id", 1)])
    (only,) = [row for row in total if row["_id"] == portal.app.state.rings.codes.hmac(b"limit:total:")]
    await portal.db.collection(store.LIMITS).update_one({"_id": only["_id"]}, {"$set": {"uses": only["uses"] * 600}})
    assert 0 < refused(await ask(portal, email=KNOWN)) <= 60


async def test_many_requests_at_once_count_as_many(portal: Harness) -> None:
    answers = await asyncio.gather(*(ask(portal, email=KNOWN, browser=f"cib_{number}") for number in range(30)))
    assert [answer.status_code for answer in answers].count(202) == 1
    assert await portal.db.collection(store.SIGN_IN_REQUESTS).count({}) == 1


async def test_counters_hold_no_address_and_no_network(portal: Harness) -> None:
    await ask(portal, email=KNOWN, network="203.0.113.9")
    stored = str(await portal.db.collection(store.LIMITS).find({}))
    assert KNOWN not in stored
    assert "203.0.113.9" not in stored


def test_neighbours_of_one_ipv6_network_are_one() -> None:
    assert group("2001:db8:1:2:3::4") == group("2001:db8:1:2:ffff::1") == "2001:db8:1:2::/64"
    assert group("::ffff:203.0.113.9") == group("203.0.113.9") == "203.0.113.9"
    assert group("203.0.113.9") != group("203.0.113.10")
    assert group("unknown") == "unknown"
