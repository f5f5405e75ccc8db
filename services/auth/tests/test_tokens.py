"""Xero's tokens in use: one refresh at a time, nothing lost on the way, and given up only when Xero is sure."""

import asyncio
from typing import Any

import httpx
import pytest

from auth import connections, store
from auth.auditor import ORGANISATIONS, Auditor
from auth.main import create_app
from auth.models import TokenSet
from auth.refresher import Refresher
from auth.settings import Settings
from auth.testing import KOWHAI, KOWHAI_ID, MERE, PIKE, PIKE_ID, TANE, Browser, PretendXero
from auth.tokens import REFRESHES
from common.clock import utc_now
from common.contracts.auth import (
    OrganisationConnected,
    OrganisationDisconnected,
    OrganisationNeedsReauth,
    OrganisationUpdated,
)
from common.mongo import Tx
from common.testing import Harness, HarnessFactory


async def age(auth: Harness, *, minutes: float, grace: bool = True) -> None:
    """Moves every stored instant of the token sets into the past."""
    moved = ["refresh_at", "expires_at", "refreshed_at", "check_at", "used_at"] + ["previous_until"] * grace
    back = {name: {"$dateSubtract": {"startDate": f"${name}", "unit": "second", "amount": int(minutes * 60)}} for name in moved}
    await auth.db.collection("token_sets").update_many({}, [{"$set": back}])


async def access(auth: Harness, organisation: str = KOWHAI_ID) -> httpx.Response:
    return await auth.http.post(f"/internal/organisations/{organisation}/access-token", headers=auth.as_service("xero-gateway"))


async def refusal(auth: Harness, grant: str, status: int, organisation: str = KOWHAI_ID) -> str:
    path = f"/internal/organisations/{organisation}/refusals"
    answer = await auth.http.post(path, json={"grant": grant, "status": status}, headers=auth.as_service("xero-gateway"))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["state"])


async def refreshed(auth: Harness) -> None:
    await auth.app.state.tokens.aclose()


async def token_set(auth: Harness) -> dict[str, Any]:
    (found,) = await auth.db.collection("token_sets").find({})
    return found


async def test_a_fresh_token_is_handed_out_as_it_is(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    answer = (await access(auth)).json()
    assert answer["access_token"] in xero.secrets
    assert answer["tenant_id"] == KOWHAI
    assert answer["grant"] == f"{(await token_set(auth))['_id']}.1"
    assert answer["expires_at"].endswith("Z")
    assert xero.refreshes == 0


async def test_past_70_percent_of_its_life_a_token_is_renewed_without_anybody_waiting(
    browser: Browser, auth: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE)
    row = await token_set(auth)
    assert (row["refresh_at"] - row["refreshed_at"]).total_seconds() == 0.7 * 1800
    await age(auth, minutes=20)
    assert (await access(auth)).json()["grant"].endswith(".1")
    assert xero.refreshes == 0
    await age(auth, minutes=2)
    assert (await access(auth)).json()["grant"].endswith(".1")
    await refreshed(auth)
    assert (await access(auth)).json()["grant"].endswith(".2")
    assert xero.refreshes == 1


async def test_twenty_callers_of_three_processes_cause_one_refresh(harness: HarnessFactory, auth: Harness, xero: PretendXero) -> None:
    async with harness(create_app, Settings, **xero.settings) as second, harness(create_app, Settings, **xero.settings) as third:
        await Browser(auth, xero).sign_in(MERE)
        await age(auth, minutes=31)
        xero.lie["slow"] = 0.5
        answers = await asyncio.gather(*(access((auth, second, third)[number % 3]) for number in range(20)))
        assert {answer.status_code for answer in answers} == {200}
        assert {answer.json()["grant"].rpartition(".")[2] for answer in answers} == {"2"}
        assert len({answer.json()["access_token"] for answer in answers}) == 1
        assert xero.refreshes == 1


async def test_a_lease_of_a_dead_process_runs_out(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await age(auth, minutes=31)
    soon = {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": 300}}
    await auth.db.collection("token_sets").update_one({}, [{"$set": {"lease": "of the dead", "lease_until": soon}}])
    assert (await access(auth)).json()["grant"].endswith(".2")


async def test_a_refresh_overtaken_by_a_new_sign_in_changes_nothing(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await age(auth, minutes=31)
    tokens, before = auth.app.state.tokens, await auth.app.state.tokens._live(auth.db, (await token_set(auth))["_id"])
    await browser.sign_in(MERE)
    await tokens._refresh(auth.db, before)
    assert (await token_set(auth))["generation"] == 2
    assert xero.refreshes == 0


async def test_a_lost_answer_is_asked_for_again_with_the_old_token(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await age(auth, minutes=31)
    xero.lie["cut"] = True
    answer = await access(auth)
    assert (answer.status_code, answer.json()["code"]) == (503, "xero_unavailable")
    assert (await access(auth)).json()["grant"].endswith(".2")
    assert await auth.published(OrganisationNeedsReauth) == []


async def test_what_becomes_of_refreshes_is_counted_and_so_are_organisations(
    browser: Browser, colleague: Browser, auth: Harness, xero: PretendXero
) -> None:
    def counted() -> list[float]:
        return [REFRESHES.labels(outcome)._value.get() for outcome in ("refreshed", "refused", "failed")]

    before = counted()
    await browser.sign_in(MERE, KOWHAI, PIKE)
    for lie, status in (({}, 200), ({"error": "invalid_client"}, 503)):
        await age(auth, minutes=31)
        xero.lie = dict(lie)
        assert (await access(auth)).status_code == status
    xero.lie = {}
    xero.forget_grants()
    assert (await access(auth)).status_code == 409
    assert [after - was for after, was in zip(counted(), before, strict=True)] == [1, 1, 1]
    await colleague.sign_in(TANE)
    await Auditor().look(auth.db)
    assert [ORGANISATIONS.labels(state)._value.get() for state in ("connected", "needs_reauth")] == [1, 1]


AWAY = [{"away": True}, {"html": 400}, {"html": 200}, {"error": "invalid_client"}, {"error": "temporarily_unavailable"}]


@pytest.mark.parametrize("lie", AWAY)
async def test_whatever_is_not_xeros_refusal_ends_nothing(browser: Browser, auth: Harness, xero: PretendXero, lie: dict[str, Any]) -> None:
    await browser.sign_in(MERE)
    await age(auth, minutes=31)
    xero.lie = dict(lie)
    for _ in range(3):
        answer = await access(auth)
        assert (answer.status_code, answer.json()["code"]) == (503, "xero_unavailable")
    assert (await token_set(auth))["state"] == "live"
    assert await auth.published(OrganisationNeedsReauth) == []
    xero.lie = {}
    assert (await access(auth)).status_code == 200


async def test_a_token_still_good_is_served_while_xero_is_away(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await age(auth, minutes=25)
    xero.lie["away"] = True
    assert (await access(auth)).status_code == 200


async def test_a_refused_grant_tells_the_people_who_can_mend_it(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    await age(auth, minutes=31)
    xero.forget_grants()
    for _ in range(2):
        answer = await access(auth)
        assert (answer.status_code, answer.json()["code"]) == (409, "xero_needs_reauth")
    events = await auth.published(OrganisationNeedsReauth)
    assert {event.organisation_id for event in events} == {KOWHAI_ID, PIKE_ID}
    assert len(events) == 2
    assert {(event.version, event.cause) for event in events} == {(2, "grant_refused")}
    assert [(person.name, person.email) for person in events[0].people] == [("Mere Hart", "mere@kowhai.example")]
    told = (await browser.identify(KOWHAI_ID)).json()["organisation"]
    assert (told["state"], told["cause"]) == ("needs_reauth", "grant_refused")
    assert told["since"].endswith("Z")


async def test_signing_in_again_brings_everything_back(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    await age(auth, minutes=31)
    xero.forget_grants()
    await access(auth)
    await auth.forget_published()
    await browser.sign_in(MERE)
    assert {(event.organisation_id, event.version) for event in await auth.published(OrganisationConnected)} == {
        (KOWHAI_ID, 3),
        (PIKE_ID, 3),
    }
    assert (await access(auth, PIKE_ID)).status_code == 200
    assert (await browser.identify(KOWHAI_ID)).json()["organisation"]["state"] == "connected"


async def test_the_previous_refresh_token_gets_a_last_try_in_its_grace(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    first = dict(xero.refresh_tokens)
    await age(auth, minutes=31)
    await access(auth)
    xero.refresh_tokens = dict(first)
    await age(auth, minutes=31, grace=False)
    assert (await access(auth)).json()["grant"].endswith(".3")
    xero.refresh_tokens = dict(first)
    await age(auth, minutes=31)
    assert (await access(auth)).status_code == 409


async def test_a_colleague_serves_when_one_login_is_dead(browser: Browser, colleague: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    await age(auth, minutes=31)
    xero.refresh_tokens = {token: granted for token, granted in xero.refresh_tokens.items() if granted["sub"] == "mere"}
    assert (await access(auth)).status_code == 200
    assert await auth.published(OrganisationNeedsReauth) == []
    xero.forget_grants()
    await age(auth, minutes=31)
    await age(auth, minutes=31)
    assert (await access(auth)).status_code == 409
    (event,) = await auth.published(OrganisationNeedsReauth)
    assert sorted(person.email for person in event.people) == ["mere@kowhai.example", "tane@kowhai.example"]


async def test_two_logins_dying_at_once_are_noticed_together(browser: Browser, colleague: Browser, auth: Harness) -> None:
    """Neither of two overlapping transactions may count on the connection that the other one is ending."""
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    first, second = [TokenSet.model_validate(row) for row in await auth.db.collection("token_sets").find({})]
    fences = [await store.take_lease(auth.db, each, 30) or "" for each in (first, second)]
    judged, may_commit = asyncio.Event(), asyncio.Event()

    async def lose_slowly(tx: Tx) -> None:
        await connections.lose_grant(tx, first, fences[0], utc_now())
        judged.set()
        await may_commit.wait()

    slow = asyncio.create_task(auth.db.transact(lose_slowly))
    await judged.wait()
    quick = asyncio.create_task(auth.db.transact(connections.lose_grant, second, fences[1], utc_now()))
    await asyncio.wait([quick], timeout=0.5)
    may_commit.set()
    await asyncio.gather(slow, quick)
    assert len(await auth.published(OrganisationNeedsReauth)) == 1


async def test_a_401_refreshes_once_and_an_old_one_does_nothing(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await age(auth, minutes=5)
    grant = (await access(auth)).json()["grant"]
    for _ in range(3):
        assert await refusal(auth, grant, 401) == "connected"
    assert xero.refreshes == 1
    assert (await access(auth)).json()["grant"].endswith(".2")


async def test_a_401_for_a_brand_new_token_is_not_answered_with_another(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    assert await refusal(auth, (await access(auth)).json()["grant"], 401) == "connected"
    assert xero.refreshes == 0


async def test_a_401_after_the_grant_was_withdrawn_needs_a_sign_in(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await age(auth, minutes=5)
    xero.forget_grants()
    assert await refusal(auth, (await access(auth)).json()["grant"], 401) == "needs_reauth"


async def test_a_403_with_the_connection_gone_disconnects_the_organisation(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    grant = (await access(auth)).json()["grant"]
    xero.disconnect(MERE, KOWHAI)
    for _ in range(2):
        assert await refusal(auth, grant, 403) == "disconnected"
    (event,) = await auth.published(OrganisationDisconnected)
    assert (event.organisation_id, event.version, event.name) == (KOWHAI_ID, 2, "Kōwhai & Hart Studio Ltd")
    assert (await access(auth)).status_code == 409
    assert (await access(auth, PIKE_ID)).status_code == 200
    seen = (await browser.identify(KOWHAI_ID)).json()["organisation"]
    assert (seen["state"], seen["cause"]) == ("disconnected", "connection_ended")


async def test_a_colleague_goes_on_when_one_connection_ends(browser: Browser, colleague: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    first = (await access(auth)).json()["grant"]
    gone, stays = (TANE, browser) if first.startswith((await sets_by_owner(auth))["tane"]) else (MERE, colleague)
    xero.disconnect(gone, KOWHAI)
    assert await refusal(auth, first, 403) == "connected"
    assert (await access(auth)).json()["grant"].partition(".")[0] != first.partition(".")[0]
    assert (await stays.identify(KOWHAI_ID)).status_code == 200
    left = colleague if stays is browser else browser
    assert (await left.identify(KOWHAI_ID)).status_code == 404
    assert (await left.identify()).json()["organisations"] == []
    assert await auth.published(OrganisationDisconnected) == []


async def sets_by_owner(auth: Harness) -> dict[str, str]:
    return {row["owner"].rpartition("|")[2]: row["_id"] for row in await auth.db.collection("token_sets").find({})}


async def test_a_refusal_of_a_login_that_left_answers_how_the_organisation_stands_without_it(
    browser: Browser, colleague: Browser, auth: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    left = (await sets_by_owner(auth))["mere"]
    await auth.db.collection("token_sets").delete_one({"_id": left})
    assert await refusal(auth, f"{left}.1", 401) == "connected"
    await auth.db.collection("connections").delete_one({"token_set_id": left})
    assert await refusal(auth, f"{left}.1", 403) == "connected"
    xero.disconnect(TANE, KOWHAI)
    assert await refusal(auth, f"{(await sets_by_owner(auth))['tane']}.1", 403) == "disconnected"
    assert await refusal(auth, f"{left}.1", 403) == "disconnected"


async def test_a_403_with_the_connection_listed_lets_a_colleague_try(browser: Browser, colleague: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    first = (await access(auth)).json()["grant"]
    assert await refusal(auth, first, 403) == "connected"
    assert (await access(auth)).json()["grant"].partition(".")[0] != first.partition(".")[0]


@pytest.mark.parametrize("lie", [{"away": True}, {"connections": {"error": "?"}}, {"unauthorised": True}])
@pytest.mark.parametrize("status", [401, 403])
async def test_a_refusal_changes_nothing_while_xero_is_away(
    browser: Browser, auth: Harness, xero: PretendXero, lie: dict[str, Any], status: int
) -> None:
    await browser.sign_in(MERE)
    grant = (await access(auth)).json()["grant"]
    xero.disconnect(MERE, KOWHAI)
    xero.lie = dict(lie)
    assert await refusal(auth, grant, status) == "connected"
    assert await auth.published(OrganisationDisconnected) == []


async def test_the_refresher_renews_what_is_in_use_and_notices_what_changed(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    refresher = Refresher(auth.app.state.tokens)
    await browser.sign_in(MERE, KOWHAI, PIKE)
    assert not await refresher.check_due(auth.db)
    xero.tenants["mere"][PIKE]["tenantName"] = "Pike & Larkmoor Limited"
    xero.disconnect(MERE, KOWHAI)
    await age(auth, minutes=21.5)
    assert await refresher.check_due(auth.db)
    await refreshed(auth)
    assert xero.refreshes == 1
    assert [event.name for event in await auth.published(OrganisationUpdated)] == ["Pike & Larkmoor Limited"]
    assert [event.organisation_id for event in await auth.published(OrganisationDisconnected)] == [KOWHAI_ID]
    assert not await refresher.check_due(auth.db)
    row = await token_set(auth)
    assert 19 * 60 < (row["check_at"] - await auth.db.now()).total_seconds() <= 20 * 60


async def test_an_idle_login_is_renewed_every_week(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    refresher = Refresher(auth.app.state.tokens)
    await browser.sign_in(MERE)
    await auth.db.collection("sessions").delete_many({})
    await age(auth, minutes=65)
    assert await refresher.check_due(auth.db)
    row = await token_set(auth)
    assert row["generation"] == 2
    assert 6.9 < (row["check_at"] - await auth.db.now()).total_seconds() / 86400 <= 7
    await access(auth)
    assert ((await token_set(auth))["check_at"] - await auth.db.now()).total_seconds() <= 20 * 60


async def test_the_refresher_comes_back_when_xero_was_away(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    refresher = Refresher(auth.app.state.tokens)
    await browser.sign_in(MERE)
    await age(auth, minutes=31)
    xero.lie["away"] = True
    assert await refresher.check_due(auth.db)
    left = ((await token_set(auth))["check_at"] - await auth.db.now()).total_seconds()
    assert 30 < left <= 120


async def test_a_refresh_that_never_reported_is_looked_after_within_the_grace(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    """A process killed between Xero's answer and the save: nobody may ask for this token again for hours."""
    await browser.sign_in(MERE)
    before = TokenSet.model_validate(await token_set(auth))
    assert await store.take_lease(auth.db, before, store.LEASE_SECONDS)
    row = await token_set(auth)
    assert 0 < (row["check_at"] - row["refreshed_at"]).total_seconds() < 60
    await age(auth, minutes=31)
    await auth.db.collection("token_sets").update_one({}, [{"$set": {"lease_until": "$check_at"}}])
    assert await Refresher(auth.app.state.tokens).check_due(auth.db)
    row = await token_set(auth)
    assert (row["generation"], xero.refreshes) == (2, 1)
    assert 19 * 60 < (row["check_at"] - await auth.db.now()).total_seconds() <= 20 * 60


async def test_one_slow_login_does_not_hold_up_the_others(browser: Browser, colleague: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    await age(auth, minutes=31)
    assert await Refresher(auth.app.state.tokens).check_due(auth.db) == 2
    assert xero.refreshes == 2


async def test_a_refusal_is_believed_the_second_time(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await age(auth, minutes=31)
    xero.lie["refuse_once"] = True
    assert (await access(auth)).json()["grant"].endswith(".2")
    assert xero.refreshes == 2
    assert await auth.published(OrganisationNeedsReauth) == []


async def test_a_refusal_of_tokens_that_changed_meanwhile_says_nothing(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    """Our lease ran out while Xero was slow, another process refreshed, and our old token is refused: use what it stored."""
    await browser.sign_in(MERE)
    await age(auth, minutes=31)
    old = dict(xero.refresh_tokens)
    xero.lie["slow"] = 0.5
    asked = asyncio.create_task(access(auth))
    await asyncio.sleep(0.2)
    await browser.sign_in(MERE)
    for token in old:
        del xero.refresh_tokens[token]
    assert (await asked).json()["grant"].endswith(".2")
    assert await auth.published(OrganisationNeedsReauth) == []


async def test_a_list_read_before_a_new_sign_in_ends_nothing(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    before = await auth.app.state.tokens._live(auth.db, (await token_set(auth))["_id"])
    await browser.sign_in(MERE, PIKE)
    await auth.db.transact(connections.follow_xero, before, [], utc_now())
    assert await auth.published(OrganisationDisconnected) == []
