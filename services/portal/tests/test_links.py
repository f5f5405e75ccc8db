"""What a link is worth, where, and that it is worth it once."""

import asyncio
import time
from collections.abc import Callable

import pytest

from common.crypto import digest
from common.testing import Harness
from portal import store
from portal.testing import (
    BROWSER,
    KNOWN,
    OTHER_BROWSER,
    Mail,
    Mailed,
    Sharing,
    call,
    dump,
    pass_time,
    rest,
)

NOTHING = {"masked_email": None, "signed_in_as": None, "at": None, "tries_left": None, "goal": None}
HOME = {"kind": "home", "organisation_id": None, "invoice_id": None}


async def sign_in(portal: Harness, mail: Mail, browser: str = BROWSER) -> str:
    answer = await call(portal, "links/redeem", token=mail.token, browser=browser, email=mail.event.email)
    assert answer.status_code == 200, answer.text
    session: str = answer.json()["session"]
    return session


async def inspected(portal: Harness, mail: Mail, browser: str, session: str | None = None) -> dict[str, object]:
    answer = await call(portal, "links/inspect", token=mail.token, browser=browser, session=session)
    assert answer.status_code == 200, answer.text
    found: dict[str, object] = answer.json()
    return found


async def test_the_browser_that_asked_signs_in_with_one_press(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    assert await inspected(portal, mail, BROWSER) == NOTHING | {
        "state": "ready_here",
        "asked_here": True,
        "masked_email": "a•••@rimu.example",
    }
    answer = await call(portal, "links/redeem", token=mail.token, browser=BROWSER)
    assert answer.status_code == 200
    assert answer.json()["session"].startswith("cis_")
    assert answer.json()["goal"] == HOME


async def test_another_browser_must_name_the_address_and_is_shown_nothing_of_it(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    assert await inspected(portal, mail, OTHER_BROWSER) == NOTHING | {"state": "ready_elsewhere", "asked_here": False, "tries_left": 5}
    answer = await call(portal, "links/redeem", token=mail.token, browser=OTHER_BROWSER, email=" AROHA@rimu.EXAMPLE ")
    assert answer.status_code == 200


async def test_a_scanner_that_presses_without_the_address_ends_nothing(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    for _ in range(20):
        answer = await call(portal, "links/redeem", token=mail.token, browser="cib_scanner")
        assert (answer.status_code, answer.json()["code"], answer.json()["tries_left"]) == (422, "wrong_address", 5)
    assert (await call(portal, "links/redeem", token=mail.token, browser=BROWSER)).status_code == 200


async def test_five_wrong_addresses_end_a_link(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    for left in (4, 3, 2, 1, 0):
        answer = await call(portal, "links/redeem", token=mail.token, browser=OTHER_BROWSER, email=f"guess{left}@rimu.example")
        assert (answer.status_code, answer.json()["code"], answer.json()["tries_left"]) == (422, "wrong_address", left)
    for browser in (BROWSER, OTHER_BROWSER):
        assert (await inspected(portal, mail, browser))["state"] == "unknown"
        dead = await call(portal, "links/redeem", token=mail.token, browser=browser, email=KNOWN)
        assert (dead.status_code, dead.json()["code"]) == (404, "link_unknown")


async def test_many_guesses_at_once_are_five_guesses(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    guesses = [f"guess{number}@rimu.example" for number in range(20)]
    answers = await asyncio.gather(
        *(call(portal, "links/redeem", token=mail.token, browser=OTHER_BROWSER, email=guess) for guess in guesses)
    )
    assert sorted(a.json()["tries_left"] for a in answers if a.status_code == 422) == [0, 1, 2, 3, 4]
    assert {a.json()["code"] for a in answers if a.status_code != 422} == {"link_unknown"}


async def test_a_used_link_says_so_to_its_holders_and_is_refused(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    await sign_in(portal, mail)
    seen = await inspected(portal, mail, OTHER_BROWSER)
    assert (seen["state"], seen["masked_email"], seen["goal"]) == ("used", None, None)
    assert seen["at"] is not None
    for browser in (BROWSER, OTHER_BROWSER):
        answer = await call(portal, "links/redeem", token=mail.token, browser=browser, email=KNOWN)
        assert (answer.status_code, answer.json()["code"]) == (409, "link_used")


@pytest.mark.parametrize(("age", "accepted"), [(14 * 60 + 59, True), (15 * 60 + 1, False)])
async def test_a_link_lives_fifteen_minutes_by_the_databases_clock(portal: Harness, mailed: Mailed, age: int, accepted: bool) -> None:
    for _ in range(10):  # a press that itself took longer than the second that is left proves nothing, so it is made again
        mail = await mailed()
        await pass_time(portal, age, store.LINKS, "made_at", "expires_at")
        began = time.monotonic()
        answer = await call(portal, "links/redeem", token=mail.token, browser=BROWSER)
        if not accepted or time.monotonic() - began < 0.9:
            break
        await rest(portal, 24 * 3600)
    assert answer.status_code == (200 if accepted else 409)
    if not accepted:
        assert answer.json()["code"] == "link_expired"
        seen = await inspected(portal, mail, BROWSER)
        assert seen["state"] == "expired"
        assert seen["at"] is not None


async def test_the_update_that_spends_a_link_judges_its_time_by_itself(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    await pass_time(portal, 901, store.LINKS, "expires_at")
    assert not await portal.db.transact(store.spend_link, digest(mail.token))
    assert await portal.db.transact(store.count_wrong_address, digest(mail.token), 5) is None


@pytest.mark.parametrize("end", ["alive", "used", "expired", "replaced"])
async def test_who_is_signed_in_as_the_address_goes_straight_on_and_the_link_stays_as_it_is(
    portal: Harness, mailed: Mailed, end: str
) -> None:
    session = await sign_in(portal, await mailed(browser=OTHER_BROWSER), OTHER_BROWSER)
    await rest(portal)
    mail = await mailed()
    if end == "used":
        await sign_in(portal, mail)
    elif end == "expired":
        await pass_time(portal, 901, store.LINKS, "expires_at")
    elif end == "replaced":
        await rest(portal)
        await mailed()
    seen = await inspected(portal, mail, OTHER_BROWSER, session)
    assert seen == NOTHING | {"state": "signed_in", "asked_here": False, "signed_in_as": KNOWN, "goal": HOME}
    if end == "alive":
        assert (await call(portal, "links/redeem", token=mail.token, browser=BROWSER)).status_code == 200


async def test_who_is_signed_in_as_someone_else_is_told_as_whom(portal: Harness, sharing: Sharing, mailed: Mailed) -> None:
    sharing.live["hemi@totara.example"] = 1
    session = await sign_in(portal, await mailed(email="hemi@totara.example"))
    mail = await mailed()
    other = {"state": "signed_in_as_other", "signed_in_as": "hemi@totara.example"}
    here = {"asked_here": True, "masked_email": "a•••@rimu.example"}
    assert await inspected(portal, mail, BROWSER, session) == NOTHING | other | here
    assert await inspected(portal, mail, OTHER_BROWSER, session) == NOTHING | other | {"asked_here": False, "tries_left": 5}
    await call(portal, "sessions/end", session=session)
    assert (await inspected(portal, mail, BROWSER, session))["state"] == "ready_here"


@pytest.mark.parametrize("mangle", [lambda t: t[:-1], lambda t: t + "=", lambda t: t.upper(), lambda t: t.replace("cil_", "cii_")])
async def test_a_mangled_link_is_unknown(portal: Harness, mailed: Mailed, mangle: Callable[[str], str]) -> None:
    mail = await mailed()
    for token in (mangle(mail.token), "cil_" + "A" * 43):
        answer = await call(portal, "links/inspect", token=token, browser=BROWSER)
        assert answer.json() == NOTHING | {"state": "unknown", "asked_here": False}
        assert (await call(portal, "links/redeem", token=token, browser=BROWSER)).json()["code"] == "link_unknown"


async def test_a_link_from_an_invitation_dies_with_its_access_when_there_is_no_other(
    portal: Harness, sharing: Sharing, mailed: Mailed
) -> None:
    mail = await mailed(invitation="cii_good")
    sharing.live[KNOWN] = 0
    assert await inspected(portal, mail, BROWSER) == NOTHING | {"state": "unknown", "asked_here": False}
    ended = await call(portal, "links/redeem", token=mail.token, browser=BROWSER)
    never = await call(portal, "links/redeem", token="cil_unknown", browser=BROWSER)
    assert (ended.status_code, ended.content) == (never.status_code, never.content)
    answer = await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (404, "code_unknown")
    assert await portal.db.collection(store.SESSIONS).count({}) == 0
    sharing.live[KNOWN] = 1  # another access of the same address
    assert (await call(portal, "links/redeem", token=mail.token, browser=BROWSER)).status_code == 200


async def test_a_link_asked_for_by_address_outlives_every_access(portal: Harness, sharing: Sharing, mailed: Mailed) -> None:
    mail = await mailed()
    sharing.live[KNOWN] = 0
    assert (await call(portal, "links/redeem", token=mail.token, browser=BROWSER)).status_code == 200


async def test_while_sharing_is_away_a_link_from_an_invitation_stays_good(portal: Harness, sharing: Sharing, mailed: Mailed) -> None:
    mail = await mailed(invitation="cii_good")
    sharing.down = True
    for path in ("links/inspect", "links/redeem"):
        answer = await call(portal, path, token=mail.token, browser=BROWSER)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    sharing.down = False
    assert (await call(portal, "links/redeem", token=mail.token, browser=BROWSER)).status_code == 200


async def test_looking_at_a_link_never_changes_anything(portal: Harness, mailed: Mailed) -> None:
    other = await mailed(browser=OTHER_BROWSER)
    session = await sign_in(portal, other, OTHER_BROWSER)
    await rest(portal)
    mail = await mailed(invitation="cii_good")
    before = await dump(portal)
    for _ in range(25):
        for token in (mail.token, other.token, "cil_unknown"):
            for browser, held in ((BROWSER, None), ("cib_scanner", None), (OTHER_BROWSER, session)):
                await call(portal, "links/inspect", token=token, browser=browser, session=held)
    assert await dump(portal) == before
    assert (await call(portal, "links/redeem", token=mail.token, browser=BROWSER)).status_code == 200


async def test_a_double_press_signs_in_once_and_the_second_is_told_used(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    pair = await asyncio.gather(*(call(portal, "links/redeem", token=mail.token, browser=BROWSER) for _ in range(2)))
    assert sorted(answer.status_code for answer in pair) == [200, 409]
    assert [answer.json()["code"] for answer in pair if answer.status_code == 409] == ["link_used"]


async def test_a_link_pressed_by_many_at_once_makes_one_session(portal: Harness, mailed: Mailed) -> None:
    for _ in range(20):
        mail = await mailed()
        racing = (call(portal, "links/redeem", token=mail.token, browser=BROWSER, email=KNOWN) for _ in range(25))
        answers = await asyncio.gather(*racing)
        assert sorted({answer.status_code for answer in answers}) == [200, 409]
        assert [answer.status_code for answer in answers].count(200) == 1
        assert {answer.json()["code"] for answer in answers if answer.status_code == 409} == {"link_used"}
        await rest(portal, 24 * 3600)
    assert await portal.db.collection(store.SESSIONS).count({}) == 20
    assert await portal.db.collection(store.CLIENTS).count({}) == 1


async def test_link_and_code_pressed_together_make_one_session(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    by_link = [call(portal, "links/redeem", token=mail.token, browser=BROWSER) for _ in range(5)]
    by_code = [call(portal, "codes/redeem", code=mail.code, browser=BROWSER) for _ in range(5)]
    answers = await asyncio.gather(*by_link, *by_code)
    assert [answer.status_code for answer in answers].count(200) == 1
    assert await portal.db.collection(store.SESSIONS).count({}) == 1
