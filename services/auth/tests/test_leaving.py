"""The three ways to leave, with sharing's real service behind auth: what ends, what stays, and who goes on when a process dies."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import uvicorn

from auth import audit_verifier, leaving_store, leavings, store
from auth.departures import Departures
from auth.leaver import Leaver
from auth.main import create_app
from auth.models import Leaving
from auth.settings import Settings
from auth.testing import KOWHAI, KOWHAI_ID, MERE, PIKE, PIKE_ID, TANE, Browser, PretendXero
from common.clock import utc_now
from common.contracts.auth import OrganisationConnected, OrganisationDisconnected, ProviderDeleted
from common.mongo import Document, Tx
from common.testing import Harness, HarnessFactory, Headers
from sharing.main import create_app as create_sharing
from sharing.settings import Settings as SharingSettings
from sharing.store import SHARES
from sharing.testing import Desk, an_invoice, connected

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
async def sharing(harness: HarnessFactory) -> AsyncIterator[Harness]:
    """Sharing answering on a port, with one share of each organisation."""
    async with harness(create_sharing, SharingSettings) as service:
        for organisation in (KOWHAI_ID, PIKE_ID):
            await service.deliver(connected(organisation, name="Kōwhai & Hart"))
            await Desk(service, organisation).share([an_invoice()])
        yield service


@pytest.fixture
async def sharing_url(sharing: Harness) -> AsyncIterator[str]:
    listening = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(sharing.app, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve([listening]))
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    await task


@pytest.fixture
async def auth(harness: HarnessFactory, xero: PretendXero, sharing_url: str) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings, sharing_url=sharing_url, **xero.settings) as service:
        yield service


async def choose(browser: Browser, kind: str, organisation: str = KOWHAI_ID, *end: str) -> httpx.Response:
    body = {"session": browser.session, "organisation_id": organisation, "kind": kind, "end": end}
    return await browser.service.http.post("/internal/leavings", json=body, headers=browser.service.as_service("web"))


async def look(browser: Browser, organisation: str = KOWHAI_ID) -> Any:
    body = {"session": browser.session, "organisation_id": organisation}
    answer = await browser.service.http.post("/internal/leavings/look", json=body, headers=browser.service.as_service("web"))
    assert answer.is_success, answer.text
    return answer.json()


async def go_on(auth: Harness) -> None:
    """Everything that waits is due, whoever held it is dead, and the loop takes every step."""
    due = [{"$set": {"due_at": "$$NOW", "lease_until": {"$cond": [{"$ifNull": ["$lease", False]}, "$$NOW", "$$REMOVE"]}}}]
    await auth.db.collection(leaving_store.LEAVINGS).update_many({"state": "pending"}, due)
    while await Leaver(auth.app.state.departures).go_on_with_one(auth.db):
        pass


async def count(auth: Harness, name: str) -> int:
    return await auth.db.collection(name).count({})


async def seen(sharing: Harness, organisation: str = KOWHAI_ID) -> set[str] | None:
    return await Desk(sharing, organisation).numbers_seen()


async def everything(service: Harness) -> str:
    """Every document of the database as text."""
    return str([await service.db.collection(name).find({}) for name in service.runtime.indexes]).casefold()


async def test_disconnecting_ends_the_connection_at_xero_and_destroys_tokens_nobody_needs(
    browser: Browser, auth: Harness, sharing: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE)
    assert (await choose(browser, "disconnect")).json() == {"opens": True}
    (told,) = await auth.published(OrganisationDisconnected)
    assert (told.organisation_id, told.name) == (KOWHAI_ID, "Kōwhai & Hart Studio Ltd")
    await go_on(auth)
    assert xero.tenants["mere"] == {}
    assert xero.revoked == []
    assert await count(auth, store.TOKEN_SETS) == 0
    assert (await audit_verifier.verify(auth.db, {})).broken == {}
    assert await seen(sharing) == {"INV-1"}, "snapshots stay readable"
    opened = (await browser.identify(KOWHAI_ID)).json()["organisation"]
    assert (opened["state"], opened["cause"]) == ("disconnected", "left")
    assert (await look(browser))["under_way"] is None


async def test_tokens_another_organisation_needs_stay(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    await choose(browser, "disconnect")
    await go_on(auth)
    assert set(xero.tenants["mere"]) == {PIKE}
    as_gateway = auth.as_service("xero-gateway")
    answers = {
        org: (await auth.http.post(f"/internal/organisations/{org}/access-token", headers=as_gateway)).status_code
        for org in (KOWHAI_ID, PIKE_ID)
    }
    assert answers == {KOWHAI_ID: 409, PIKE_ID: 200}


async def test_disconnecting_works_while_xero_is_away_and_xero_is_told_later(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    xero.lie["away"] = True
    assert (await choose(browser, "disconnect")).status_code == 200
    await go_on(auth)
    assert (await look(browser))["under_way"]["tells_xero"] is True
    assert await count(auth, store.TOKEN_SETS) == 1
    xero.lie.clear()
    await go_on(auth)
    assert xero.tenants["mere"] == {}
    assert await count(auth, store.TOKEN_SETS) == 0


async def test_two_connections_that_end_while_xero_is_away_both_end_there(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    xero.lie["away"] = True
    await choose(browser, "disconnect")
    await choose(browser, "disconnect", PIKE_ID)
    await go_on(auth)
    xero.lie.clear()
    await go_on(auth)
    assert xero.tenants["mere"] == {}
    assert await count(auth, store.TOKEN_SETS) == 0


async def test_an_account_deleted_after_a_disconnect_xero_was_not_told_of_is_revoked(
    browser: Browser, auth: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE)
    xero.lie["away"] = True
    await choose(browser, "disconnect")
    await choose(browser, "delete")
    xero.lie.clear()
    await go_on(auth)
    assert xero.revoked == ["mere"]
    assert await count(auth, store.TOKEN_SETS) == 0


async def test_of_two_that_finish_at_once_the_second_destroys_the_tokens(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    xero.lie["away"] = True
    await choose(browser, "disconnect")
    await choose(browser, "disconnect", PIKE_ID)
    await auth.db.collection(leaving_store.LEAVINGS).update_many({}, {"$set": {"lease": "lse"}})
    rows = await auth.db.collection(leaving_store.LEAVINGS).find({"state": "pending"})
    assert len(rows) == 2
    both = asyncio.Barrier(2)

    async def finish(row: Document) -> None:
        waited = False

        async def together(tx: Tx) -> None:
            nonlocal waited
            await store.find_token_set(tx, row["token_set_id"])  # from here on the transaction sees the database as it is now
            if not waited:
                waited = True
                await both.wait()
            assert await leavings.finish(tx, row, 1)

        await auth.db.transact(together)

    await asyncio.gather(*(finish(row) for row in rows))
    assert await count(auth, store.TOKEN_SETS) == 0


async def test_a_later_choice_to_end_all_access_ends_it_although_xero_has_yet_to_hear_of_a_disconnect(
    browser: Browser, auth: Harness, sharing: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE)
    xero.lie["away"] = True
    await choose(browser, "disconnect")
    await go_on(auth)
    assert (await choose(browser, "end_access")).status_code == 200
    assert await seen(sharing) is None
    (row,) = await auth.db.collection(leaving_store.LEAVINGS).find({})
    assert (row["kind"], row["step"]) == ("end_access", "xero")
    xero.lie.clear()
    await go_on(auth)
    assert xero.tenants["mere"] == {}
    assert len(await auth.published(OrganisationDisconnected)) == 1


async def test_disconnecting_again_after_reconnecting_ends_the_new_connection_and_no_access(
    browser: Browser, auth: Harness, sharing: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE)
    xero.lie["away"] = True
    await choose(browser, "end_access")
    await go_on(auth)
    xero.lie.clear()
    await browser.sign_in(MERE)
    xero.lie["away"] = True
    assert (await choose(browser, "disconnect")).status_code == 200
    (row,) = await auth.db.collection(leaving_store.LEAVINGS).find({})
    assert (row["kind"], row["step"], row["ending"]) == ("disconnect", "xero", [])
    assert (await browser.identify(KOWHAI_ID)).json()["organisation"]["state"] == "disconnected"
    xero.lie.clear()
    await go_on(auth)
    assert xero.tenants["mere"] == {}
    assert await count(auth, store.TOKEN_SETS) == 0


async def test_a_later_choice_that_cannot_begin_leaves_the_one_before_as_it_was(
    browser: Browser, auth: Harness, sharing: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE)
    xero.lie["away"] = True
    await choose(browser, "disconnect")
    auth.app.state.sharing._http._client.base_url = NOBODY
    assert (await choose(browser, "end_access")).status_code == 503
    xero.lie.clear()
    await go_on(auth)
    assert xero.tenants["mere"] == {}
    assert await seen(sharing) == {"INV-1"}
    (row,) = await auth.db.collection(leaving_store.LEAVINGS).find({})
    assert (row["kind"], row["state"]) == ("disconnect", "done")


@pytest.mark.parametrize("kind", ["end_access", "delete"])
async def test_what_sharing_did_although_its_answer_was_lost_goes_on_by_itself(
    browser: Browser, auth: Harness, sharing: Harness, xero: PretendXero, kind: str
) -> None:
    await browser.sign_in(MERE)
    http = auth.app.state.sharing._http._client
    losing = LosesAnswers(http._transport)
    http._transport = losing
    answer = await choose(browser, kind)
    assert (answer.status_code, answer.json()["code"]) == (409, "leaving_under_way")
    assert await seen(sharing) is None
    http._transport = losing.inner
    if kind == "end_access":
        assert (await choose(browser, "disconnect")).status_code == 200, "what was still to be ended is ended along with it"
    await go_on(auth)
    (row,) = await auth.db.collection(leaving_store.LEAVINGS).find({})
    assert (row["kind"], row["state"]) == (kind, "done")
    assert (await browser.identify(KOWHAI_ID)).status_code == (401 if kind == "delete" else 200)
    assert xero.tenants.get("mere", {}) == {}


class LosesAnswers(httpx.AsyncBaseTransport):
    """Delivers every request and loses what comes back."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await (await self.inner.handle_async_request(request)).aread()
        raise httpx.ReadTimeout("lost", request=request)


async def test_a_connection_made_anew_before_xero_was_told_stays(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    xero.lie["away"] = True
    await choose(browser, "disconnect")
    await go_on(auth)
    xero.lie.clear()
    await browser.sign_in(MERE)
    await go_on(auth)
    assert set(xero.tenants["mere"]) == {KOWHAI}
    assert (await browser.identify(KOWHAI_ID)).json()["organisation"]["state"] == "connected"
    assert [event.version for event in await auth.published(OrganisationConnected)] == [1, 3]


async def test_a_colleague_keeps_the_organisation_connected(browser: Browser, colleague: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    assert (await look(browser))["organisation"]["colleagues"] == 1
    assert (await choose(browser, "disconnect")).json() == {"opens": False}
    await go_on(auth)
    assert await auth.published(OrganisationDisconnected) == []
    assert set(xero.tenants["tane"]) == {KOWHAI}
    assert (await browser.identify(KOWHAI_ID)).status_code == 404
    assert (await colleague.identify(KOWHAI_ID)).json()["organisation"]["state"] == "connected"


async def test_disconnecting_and_ending_all_access_closes_this_organisation_alone(
    browser: Browser, auth: Harness, sharing: Harness
) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    assert (await look(browser))["organisation"]["accesses"] == 1
    await choose(browser, "end_access")
    assert await seen(sharing) is None
    assert await seen(sharing, PIKE_ID) == {"INV-1"}
    await go_on(auth)
    (row,) = await auth.db.collection(leaving_store.LEAVINGS).find({})
    assert row["state"] == "done"
    assert "mere" not in str(row)


async def test_deleting_the_account_ends_all_access_before_it_answers(
    browser: Browser, auth: Harness, sharing: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    assert (await choose(browser, "delete")).json() == {"opens": False}
    assert (await seen(sharing), await seen(sharing, PIKE_ID)) == (None, None)
    assert (await browser.identify()).status_code == 401
    (told,) = await auth.published(ProviderDeleted)
    assert sorted(told.organisation_ids) == sorted([KOWHAI_ID, PIKE_ID])
    await go_on(auth)
    assert xero.revoked == ["mere"]
    await auth.erase()
    left = await everything(auth)
    canaries = ["mere", "hart", "kōwhai", "pike &", *(secret.casefold() for secret in xero.secrets)]
    assert [canary for canary in canaries if canary in left] == []
    assert {
        name: await count(auth, name) for name in (store.PROVIDERS, store.SESSIONS, store.CONNECTIONS, store.TOKEN_SETS)
    } == dict.fromkeys((store.PROVIDERS, store.SESSIONS, store.CONNECTIONS, store.TOKEN_SETS), 0)
    assert (await audit_verifier.verify(auth.db, {})).broken == {}


async def test_a_colleagues_organisation_stays_as_it_is_unless_it_was_ticked(
    browser: Browser, colleague: Browser, auth: Harness, sharing: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    await colleague.sign_in(TANE, KOWHAI, PIKE)
    assert [row["colleagues"] for row in (await look(browser))["account"]] == [1, 1]
    await choose(browser, "delete", KOWHAI_ID, PIKE_ID)
    assert (await seen(sharing), await seen(sharing, PIKE_ID)) == ({"INV-1"}, None)
    await go_on(auth)
    assert set(xero.tenants["tane"]) == {KOWHAI, PIKE}
    assert {row["state"] for row in (await colleague.identify()).json()["organisations"]} == {"connected"}
    (told,) = await auth.published(ProviderDeleted)
    assert told.organisation_ids == [], "nothing of a colleague's organisation is erased"


async def test_where_no_colleagues_login_works_access_ends_unasked_and_their_history_stays(
    browser: Browser, colleague: Browser, auth: Harness, sharing: Harness
) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    await auth.db.collection(store.CONNECTIONS).update_one(
        {"token_set_id": await token_set_of(auth, "tane")}, {"$set": {"state": "needs_reauth"}}
    )
    assert (await look(browser))["organisation"]["colleagues"] == 0
    await choose(browser, "delete")
    assert await seen(sharing) is None
    (told,) = await auth.published(ProviderDeleted)
    assert told.organisation_ids == []
    opened = (await colleague.identify(KOWHAI_ID)).json()["organisation"]
    assert (opened["state"], opened["name"]) == ("needs_reauth", "Kōwhai & Hart Studio Ltd")


async def test_without_sharing_nothing_is_done_and_the_account_is_still_there(
    browser: Browser, auth: Harness, sharing: Harness, xero: PretendXero, harness: HarnessFactory
) -> None:
    await browser.sign_in(MERE)
    auth.app.state.sharing._http._client.base_url = NOBODY
    for kind in ("end_access", "delete"):
        answer = await choose(browser, kind)
        assert (answer.status_code, answer.json()["code"]) == (503, "sharing_unavailable")
    assert (await look(browser))["organisation"]["accesses"] is None
    await go_on(auth)
    assert await count(auth, leaving_store.LEAVINGS) == 0
    assert (await browser.identify(KOWHAI_ID)).json()["organisation"]["state"] == "connected"
    assert set(xero.tenants["mere"]) == {KOWHAI}
    assert await seen(sharing) == {"INV-1"}


async def test_pressing_twice_is_pressing_once(browser: Browser, auth: Harness, sharing: Harness) -> None:
    await browser.sign_in(MERE)
    answers = await asyncio.gather(*(choose(browser, "delete") for _ in range(5)))
    codes = [answer.status_code for answer in answers]
    assert codes.count(200) == 1
    assert set(codes) <= {200, 401, 409}
    assert len(await auth.published(ProviderDeleted)) == 1


@pytest.mark.parametrize("kind", ["end_access", "delete"])
@pytest.mark.parametrize(
    "died", ["before sharing was asked", "before it ended here", "before xero was told", "before tokens were destroyed"]
)
async def test_whoever_dies_between_two_steps_is_followed_to_the_same_end(
    browser: Browser, auth: Harness, sharing: Harness, xero: PretendXero, kind: str, died: str
) -> None:
    await browser.sign_in(MERE)
    await as_far_as(browser, auth, xero, kind, died)
    await go_on(auth)
    assert await seen(sharing) is None
    assert await count(auth, store.TOKEN_SETS) == 0
    assert xero.tenants.get("mere", {}) == {}
    (row,) = await auth.db.collection(leaving_store.LEAVINGS).find({})
    assert (row["state"], row.get("name"), row.get("email")) == ("done", None, None)
    assert len(await auth.published(OrganisationDisconnected)) == 1
    assert len(await auth.published(ProviderDeleted)) == (kind == "delete")
    assert (await browser.identify(KOWHAI_ID)).status_code == (401 if kind == "delete" else 200)
    assert (await audit_verifier.verify(auth.db, {})).broken == {}


async def as_far_as(browser: Browser, auth: Harness, xero: PretendXero, kind: Any, died: str) -> None:
    """The steps a process took before it was killed, by the very functions it takes them with."""
    provider_id = (await browser.identify()).json()["provider"]["id"]
    row = await begun(auth, provider_id, kind)
    departures: Departures = auth.app.state.departures
    if died == "before sharing was asked":
        return
    await auth.app.state.sharing.depart(Leaving.model_validate(row))
    if died == "before it ended here":
        return
    await auth.db.transact(leavings.leave_here, row, utc_now())
    if died == "before xero was told":
        return
    token_set = await store.find_token_set_of(auth.db, provider_id)
    assert token_set is not None
    if kind == "delete":
        token = await departures._opened(auth.db, token_set)
        assert token is not None
        await auth.app.state.xero.revoke(token)
    else:
        found = await leaving_store.find_own_connection(auth.db, provider_id, KOWHAI_ID)
        assert found is not None
        await departures._end_at_xero(auth.db, token_set.id, found[1])


async def begun(auth: Harness, provider_id: str, kind: Any) -> Document:
    provider = await store.find_provider(auth.db, provider_id)
    organisation = await store.find_organisation(auth.db, KOWHAI_ID)
    own = await leaving_store.find_own_connection(auth.db, provider_id, KOWHAI_ID)
    assert provider is not None
    assert organisation is not None
    assert own is not None
    affected = await leavings.affected_by(auth.db, provider_id, [organisation])
    leaving = leavings.leaving_of(kind, provider, KOWHAI_ID, (own[0].id, own[0].token_set_id), affected, [])
    added = await leaving_store.add_leaving(auth.db, leaving, 60)
    assert added is not None
    return added[0]


async def test_signing_in_again_after_deleting_is_a_new_account(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    before = (await browser.identify()).json()["provider"]["id"]
    xero.lie["away"] = True
    await choose(browser, "delete")
    await go_on(auth)
    xero.lie.clear()
    await browser.sign_in(MERE)
    assert (await browser.identify()).json()["provider"]["id"] != before
    await go_on(auth)
    assert xero.revoked == [], "revoking the old tokens would end the new connections"
    assert (await browser.identify(KOWHAI_ID)).json()["organisation"]["name"] == "Kōwhai & Hart Studio Ltd"
    versions = [event.version for event in await auth.published(OrganisationConnected)]
    assert versions == sorted(set(versions))
    assert await count(auth, store.TOKEN_SETS) == 1


async def test_tokens_nobody_could_revoke_for_a_week_are_destroyed(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    xero.lie["away"] = True
    await choose(browser, "delete")
    await go_on(auth)
    week = {"$dateAdd": {"startDate": "$$NOW", "unit": "day", "amount": -8}}
    await auth.db.collection(leaving_store.LEAVINGS).update_many({}, [{"$set": {"began_at": week}}])
    await go_on(auth)
    assert await count(auth, store.TOKEN_SETS) == 0


@pytest.mark.parametrize("organisation", [PIKE_ID, "org_00000000000000000000000000", "$ne", ""])
async def test_a_foreign_or_unknown_organisation_is_the_one_404(browser: Browser, colleague: Browser, organisation: str) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE, PIKE)
    headers: Headers = browser.service.as_service("web")
    body = {"session": browser.session, "organisation_id": organisation}
    answers = [await choose(browser, kind, organisation) for kind in ("disconnect", "end_access", "delete")]
    answers.append(await browser.service.http.post("/internal/leavings/look", json=body, headers=headers))
    assert {(answer.status_code, answer.text) for answer in answers} == {
        (404, (await browser.identify("org_7ZZZZZZZZZZZZZZZZZZZZZZZZZ")).text)
    }


async def test_a_foreign_organisation_cannot_be_ended_along_with_an_account(browser: Browser, colleague: Browser, sharing: Harness) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE, PIKE)
    await choose(browser, "delete", KOWHAI_ID, PIKE_ID)
    assert await seen(sharing, PIKE_ID) == {"INV-1"}


async def test_the_share_that_was_ended_names_who_ended_it_unless_their_account_goes(
    browser: Browser, auth: Harness, sharing: Harness
) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    await choose(browser, "end_access")
    await choose(browser, "delete", PIKE_ID)
    rows = await sharing.db.collection("endings").find({}, sort=[("began_at", 1)])
    assert [(row["_id"], row["by"]["name"], row["erase"]) for row in rows] == [(KOWHAI_ID, "", True), (PIKE_ID, "", True)]
    assert await sharing.db.collection(SHARES).count({"ended_at": None}) == 2, "the flag closes them; the ender writes them"


async def token_set_of(auth: Harness, subject: str) -> str:
    (row,) = [row for row in await auth.db.collection(store.TOKEN_SETS).find({}) if row["owner"].endswith(subject)]
    return str(row["_id"])
