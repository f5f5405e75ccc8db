"""Six digits, good where they were asked for; and what a browser can learn from them, which is nothing."""

import asyncio

import pytest

from common.contracts.portal import SignInLinkRequested
from common.testing import Harness
from portal import store
from portal.testing import (
    BROWSER,
    KNOWN,
    OTHER_BROWSER,
    UNKNOWN,
    Mail,
    Mailed,
    Sharing,
    answer_requests,
    ask,
    call,
    pass_time,
    rest,
)


def wrong(mail: Mail, number: int = 1) -> str:
    return f"{(int(mail.code or 0) + number) % 1_000_000:06d}"


@pytest.mark.parametrize("typed", ["{0}{1}", "{0} {1}", "{0}-{1}", " {0}\u2009–\u00a0{1} "])
async def test_a_code_signs_in_however_it_is_spaced(portal: Harness, mailed: Mailed, typed: str) -> None:
    mail = await mailed()
    code = mail.code or ""
    answer = await call(portal, "codes/redeem", code=typed.format(code[:3], code[3:]), browser=BROWSER)
    assert answer.status_code == 200
    assert answer.json()["goal"]["kind"] == "home"


async def test_a_code_is_worth_nothing_in_another_browser(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    answer = await call(portal, "codes/redeem", code=mail.code, browser=OTHER_BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (404, "code_unknown")
    await ask(portal, email=UNKNOWN, browser=OTHER_BROWSER)
    answer = await call(portal, "codes/redeem", code=mail.code, browser=OTHER_BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong_code")
    assert (await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)).status_code == 200


async def test_a_code_works_once_and_its_link_goes_with_it(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    assert (await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)).status_code == 200
    answer = await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (404, "code_unknown")
    assert (await call(portal, "links/redeem", token=mail.token, browser=BROWSER)).json()["code"] == "link_used"


async def test_a_link_takes_its_code_with_it(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    assert (await call(portal, "links/redeem", token=mail.token, browser=BROWSER)).status_code == 200
    answer = await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (404, "code_unknown")


async def test_five_wrong_codes_end_the_code_and_its_link(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    for left in (4, 3, 2, 1, 0):
        answer = await call(portal, "codes/redeem", code=wrong(mail), browser=BROWSER)
        assert (answer.status_code, answer.json()["code"], answer.json()["tries_left"]) == (422, "wrong_code", left)
    assert (await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)).json()["code"] == "code_unknown"
    assert (await call(portal, "links/redeem", token=mail.token, browser=BROWSER)).json()["code"] == "link_unknown"
    assert (await call(portal, "links/inspect", token=mail.token, browser=BROWSER)).json()["state"] == "unknown"


async def test_the_fifth_try_may_be_the_right_one(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    for number in range(1, 5):
        await call(portal, "codes/redeem", code=wrong(mail, number), browser=BROWSER)
    assert (await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)).status_code == 200


async def test_the_right_code_costs_no_try_while_sharing_is_away(portal: Harness, sharing: Sharing, mailed: Mailed) -> None:
    mail = await mailed(invitation="cii_good")
    sharing.down = True
    for _ in range(7):
        answer = await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)
        assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
    sharing.down = False
    assert (await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)).status_code == 200


async def test_many_codes_at_once_are_five_tries(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    answers = await asyncio.gather(*(call(portal, "codes/redeem", code=wrong(mail, n), browser=BROWSER) for n in range(1, 21)))
    assert sorted(a.json()["tries_left"] for a in answers if a.status_code == 422) == [0, 1, 2, 3, 4]
    assert {a.json()["code"] for a in answers if a.status_code != 422} == {"code_unknown"}


async def test_a_code_is_over_after_fifteen_minutes(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    await pass_time(portal, 901, store.LINKS, "expires_at")
    await pass_time(portal, 901, store.SIGN_IN_REQUESTS, "code_until")
    answer = await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (404, "code_unknown")


async def test_codes_tell_nobody_which_addresses_are_known(portal: Harness, sharing: Sharing) -> None:
    """One browser asks for a known, one for an unknown address: whatever they type, they see the same, before and after the work."""

    async def seen(browser: str) -> list[tuple[int, dict[str, object]]]:
        answers = [await call(portal, "codes/redeem", code=f"{number:06d}", browser=browser) for number in (1, 2)]
        return [(answer.status_code, answer.json() | {"correlation_id": "differs"}) for answer in answers]

    asked = ({"email": KNOWN}, {"email": UNKNOWN}, {"invitation": "cii_good"}, {"invitation": "cii_bad"}, {"link": "cil_unknown"})
    for number, by in enumerate(asked):
        await ask(portal, browser=f"cib_{number}", **by)
    statuses = []
    for _ in range(3):
        told = [await seen(f"cib_{number}") for number in range(len(asked))]
        assert told == [told[0]] * len(asked)
        statuses += [status for status, _ in told[0]]
        await answer_requests(portal)
    assert statuses == [422] * 5 + [404]


async def test_the_owner_signing_in_elsewhere_is_not_visible_to_who_asked(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed(browser="cib_stranger")
    await ask(portal, email=UNKNOWN, browser="cib_stranger_too")
    await answer_requests(portal)
    assert (await call(portal, "links/redeem", token=mail.token, browser=OTHER_BROWSER, email=KNOWN)).status_code == 200
    answers = [await call(portal, "codes/redeem", code=wrong(mail), browser=b) for b in ("cib_stranger", "cib_stranger_too")]
    assert [(a.status_code, a.json()["code"], a.json()["tries_left"]) for a in answers] == [(422, "wrong_code", 4)] * 2


async def test_asking_for_another_address_does_not_cost_the_first_code(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    await ask(portal, email=UNKNOWN)
    await answer_requests(portal)
    assert (await call(portal, "codes/redeem", code=mail.code, browser=BROWSER)).status_code == 200


async def test_a_replaced_code_is_wrong_and_the_new_one_right(portal: Harness, mailed: Mailed) -> None:
    old = await mailed()
    await rest(portal)
    new = await mailed()
    if old.code != new.code:
        assert (await call(portal, "codes/redeem", code=old.code, browser=BROWSER)).json()["code"] == "wrong_code"
    assert (await call(portal, "codes/redeem", code=new.code, browser=BROWSER)).status_code == 200


async def test_after_ten_wrong_codes_in_a_day_mails_carry_the_link_only(portal: Harness, mailed: Mailed) -> None:
    for _ in range(2):
        mail = await mailed()
        assert mail.code is not None
        for number in range(1, 6):
            await call(portal, "codes/redeem", code=wrong(mail, number), browser=BROWSER)
        await rest(portal)
    mail = await mailed(invitation="cii_good", browser=OTHER_BROWSER)
    assert mail.code is None
    assert (await call(portal, "codes/redeem", code="123456", browser=OTHER_BROWSER)).json()["code"] == "wrong_code"
    assert (await call(portal, "links/redeem", token=mail.token, browser=OTHER_BROWSER)).status_code == 200
    await rest(portal, 24 * 3600)
    assert (await mailed()).code is not None


async def test_wrong_codes_for_one_address_leave_another_alone(portal: Harness, sharing: Sharing, mailed: Mailed) -> None:
    sharing.live["hemi@totara.example"] = 1
    for _ in range(2):
        mail = await mailed(browser=OTHER_BROWSER)
        for number in range(1, 6):
            await call(portal, "codes/redeem", code=wrong(mail, number), browser=OTHER_BROWSER)
        await rest(portal)
    assert (await mailed(email="hemi@totara.example")).code is not None


async def test_codes_are_six_digits_of_any_value(portal: Harness, mailed: Mailed) -> None:
    for number in range(30):
        await ask(portal, email=KNOWN, browser=f"cib_{number}")
        await rest(portal, 24 * 3600)
    await answer_requests(portal)
    assert len(await portal.published(SignInLinkRequested)) == 30
    links = await portal.db.collection(store.LINKS).find({})
    assert len({link["code"] for link in links}) == 30
