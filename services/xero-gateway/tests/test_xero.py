"""The client of Xero: reads only, respects its limits, and says what is wrong in four words."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request, Response
from pydantic import SecretStr

from common.errors import NotFound
from common.mongo import Database
from common.testing import ORGANISATION, Harness, HarnessFactory
from xero_gateway.budget import Budget
from xero_gateway.budget_store import BUDGETS
from xero_gateway.call_limits import PEOPLE, Patience
from xero_gateway.clients import AccessToken
from xero_gateway.errors import XeroBusy, XeroUnavailable
from xero_gateway.main import create_app
from xero_gateway.settings import Settings
from xero_gateway.testing import TENANT, WEBHOOK_KEY, an_id
from xero_gateway.xero import Xero
from xero_gateway.xero_calls import LARGEST_ANSWER, Asked, WriteRefused, XeroCalls

METHODS = ["POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


class Tokens:
    """Auth's side, without the way there."""

    def __init__(self) -> None:
        self.refusals: list[int] = []

    async def get(self, _organisation: str) -> AccessToken:
        return AccessToken(access_token=SecretStr("at"), tenant_id=TENANT, expires_at=datetime.now(UTC), grant="grn")

    async def refused(self, _organisation: str, _token: AccessToken, status: int) -> None:
        self.refusals.append(status)

    async def aclose(self) -> None:
        """Nothing is open."""


class Strange:
    """An API that answers whatever a test wants, to see what no well-behaved Xero would send."""

    def __init__(self) -> None:
        self.answers: list[Response] = []
        self.requests: list[Request] = []
        self.running = self.most = 0
        self.app = FastAPI()

        @self.app.api_route("/{path:path}", methods=["GET", *METHODS])
        async def answer(request: Request) -> Response:
            self.requests.append(request)
            self.running += 1
            self.most = max(self.most, self.running)
            await asyncio.sleep(0.05)
            self.running -= 1
            return self.answers.pop(0) if self.answers else Response('{"Contacts":[],"pagination":{"itemCount":0,"pageCount":0}}')


@pytest.fixture
async def gateway(harness: HarnessFactory) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings, xero_webhook_key=WEBHOOK_KEY) as service:
        yield service


@pytest.fixture
def db(gateway: Harness) -> Database:
    return gateway.db


@pytest.fixture
def strange() -> Strange:
    return Strange()


@pytest.fixture
async def xero(strange: Strange, serving: Any) -> AsyncIterator[Any]:
    async with serving(strange.app) as url:
        client = a_client(f"{url}/api.xro/2.0")
        yield client
        await client.aclose()


def a_client(url: str) -> Xero:
    return Xero(XeroCalls(url, Tokens(), Budget(5000)))  # type: ignore[arg-type]


async def ask(xero: Any, db: Database, patience: Patience = PEOPLE) -> Any:
    return await xero._calls.document(db, Asked(ORGANISATION, "Contacts", {}), patience)


async def contacts(xero: Xero, db: Database) -> Any:
    return await xero.find_contacts(db, ORGANISATION, "", 1, 50)


@pytest.mark.parametrize("method", METHODS)
async def test_only_get_can_leave_the_client(xero: Any, strange: Strange, method: str) -> None:
    with pytest.raises(WriteRefused):
        await xero._calls._client.request(method, "Invoices")
    assert strange.requests == []


async def test_everything_the_service_does_to_xero_is_a_get(working: Any, eventually: Any) -> None:
    contact = await working.contact("C-001")
    await working.get("contacts", search="acorn")
    await working.get(f"contacts/{contact['id']}/invoices")
    await working.share(contact["id"], load_id="lod_1")
    invoice = (await working.invoices("C-001", status="AUTHORISED"))[0]
    await working.act(f"invoices/{invoice['id']}/pay")

    async def loaded() -> bool:
        return bool((await working.get("loads/lod_1")).json()["state"] == "complete")

    await eventually(loaded)
    calls = await working.calls()
    assert {call["method"] for call in calls} == {"GET"}
    assert {call["status"] for call in calls} == {200}


async def test_a_call_names_its_tenant_and_asks_for_json(xero: Any, strange: Strange, db: Database) -> None:
    await contacts(xero, db)
    headers = strange.requests[0].headers
    assert (headers["xero-tenant-id"], headers["authorization"], headers["accept"]) == (TENANT, "Bearer at", "application/json")


async def test_a_redirect_is_not_followed(xero: Any, strange: Strange, db: Database) -> None:
    strange.answers = [Response(status_code=302, headers={"location": "/elsewhere"})]
    with pytest.raises(XeroUnavailable):
        await contacts(xero, db)
    assert len(strange.requests) == 1


@pytest.mark.parametrize(
    "body",
    ["", "{", "[]", "5", "<html>", "[" * 5000, '{"Contacts":5}', '{"Contacts":[5]}', '{"Contacts":[{"Name":"no id"}]}', '{"Invoices":[]}'],
)
async def test_an_answer_that_makes_no_sense_is_unavailable(xero: Any, strange: Strange, db: Database, body: str) -> None:
    strange.answers = [Response(body)]
    with pytest.raises(XeroUnavailable):
        await contacts(xero, db)


@pytest.mark.parametrize("status", [400, 404, 412, 501])
async def test_other_answers_are_unavailable_for_a_list(xero: Any, strange: Strange, db: Database, status: int) -> None:
    strange.answers = [Response("The resource you're looking for cannot be found", status)]
    with pytest.raises(XeroUnavailable):
        await contacts(xero, db)
    assert len(strange.requests) == 1


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_a_failure_is_tried_again_once(xero: Any, strange: Strange, db: Database, status: int) -> None:
    strange.answers = [Response(status_code=status)]
    assert (await contacts(xero, db)).contacts == []
    strange.answers = [Response(status_code=status), Response(status_code=status)]
    with pytest.raises(XeroUnavailable):
        await contacts(xero, db)
    assert len(strange.requests) == 4


async def test_one_contact_that_is_not_there_is_not_found(xero: Any, strange: Strange, db: Database) -> None:
    strange.answers = [Response("The resource you're looking for cannot be found", 404)]
    with pytest.raises(NotFound):
        await xero.contact(db, ORGANISATION, an_id("c"))


@pytest.mark.parametrize("text", ["", "..", "../Invoices", "1?x=1", "Contacts", an_id("c") + "/x"])
async def test_only_ids_get_into_an_address(xero: Any, strange: Strange, db: Database, text: str) -> None:
    with pytest.raises(NotFound):
        await xero.contact(db, ORGANISATION, text)
    with pytest.raises(NotFound):
        await xero.invoices_by_ids(db, ORGANISATION, [text])
    assert strange.requests == []


async def test_an_endless_answer_is_cut(xero: Any, strange: Strange, db: Database) -> None:
    strange.answers = [Response(b" " * (LARGEST_ANSWER + 1))]
    with pytest.raises(XeroUnavailable, match="larger"):
        await contacts(xero, db)


async def test_nobody_waits_longer_than_their_patience(xero: Any, strange: Strange, db: Database) -> None:
    with pytest.raises(XeroUnavailable):
        await ask(xero, db, Patience(seconds=0.02, turn=1, people=True))


async def test_an_unreachable_xero_is_unavailable(db: Database) -> None:
    client = a_client("http://127.0.0.1:1")
    with pytest.raises(XeroUnavailable):
        await contacts(client, db)
    await client.aclose()


async def test_a_limit_pauses_the_organisation_for_as_long_as_xero_says(xero: Any, strange: Strange, db: Database) -> None:
    strange.answers = [Response(status_code=429, headers={"retry-after": "17", "x-rate-limit-problem": "minute"})]
    with pytest.raises(XeroBusy) as busy:
        await contacts(xero, db)
    assert (busy.value.retry_after, busy.value.extra) == (17, {"limit": "minute"})
    with pytest.raises(XeroBusy) as still:
        await contacts(xero, db)
    assert 10 < (still.value.retry_after or 0) <= 17
    assert len(strange.requests) == 1
    await db.collection(BUDGETS).update_many({}, {"$set": {"paused_until": datetime(1970, 1, 1, tzinfo=UTC)}})
    await contacts(xero, db)
    assert len(strange.requests) == 2


@pytest.mark.parametrize("said", [None, "", "soon", "-5", "Wed, 21 Oct 2026 07:28:00 GMT", "\u00b2"])
async def test_a_limit_without_a_time_pauses_shortly(xero: Any, strange: Strange, db: Database, said: str | None) -> None:
    headers = {"x-rate-limit-problem": "concurrent"} | ({"retry-after": said} if said is not None else {})
    strange.answers = [Response(status_code=429, headers=headers)]
    with pytest.raises(XeroBusy) as busy:
        await contacts(xero, db)
    assert busy.value.retry_after == 5


async def test_one_organisations_pause_is_not_anothers(world: Any) -> None:
    pike = await world.auth.connect("pike")
    await world.service.app.state.budget.limited(world.db, world.kowhai, "minute", 60)
    assert (await world.get("contacts")).status_code == 503
    assert (await world.get("contacts", pike)).status_code == 200


async def test_a_refused_token_is_reported_and_replaced_once(world: Any) -> None:
    good = world.auth.tokens[world.kowhai]
    world.auth.tokens[world.kowhai] = good[:-6] + "broken"
    assert (await world.get("contacts")).status_code == 200
    assert world.auth.refusals == [(world.kowhai, 401)]
    assert [call["status"] for call in await world.calls()] == [401, 200]


async def test_a_connection_ended_in_xero_is_reported_and_needs_signing_in(world: Any) -> None:
    await world.act("disconnect", tenant="kowhai")
    answer = await world.get("contacts")
    assert (answer.status_code, answer.json()["code"]) == (409, "xero_needs_reauth")
    assert world.auth.refusals == [(world.kowhai, 403)]


async def test_a_token_refused_twice_is_unavailable(xero: Any, strange: Strange, db: Database) -> None:
    strange.answers = [Response(status_code=401), Response(status_code=403)]
    with pytest.raises(XeroUnavailable):
        await contacts(xero, db)
    assert xero._calls._tokens.refusals == [401, 403]


async def test_a_token_is_fetched_once_a_minute_at_most(world: Any) -> None:
    for _ in range(3):
        await world.get("contacts")
    assert world.auth.asked == [world.kowhai]


async def test_an_organisation_auth_does_not_know_needs_signing_in(world: Any) -> None:
    del world.auth.state[world.kowhai]
    answer = await world.get("contacts")
    assert (answer.status_code, answer.json()["code"]) == (409, "xero_needs_reauth")


async def test_a_token_of_another_tenant_is_never_used(world: Any) -> None:
    pike = await world.auth.connect("pike")

    async def wrong(_organisation: str) -> str:
        return str(world.auth_tenant)

    world.auth_tenant = (await world.xero.get("/control/organisations")).json()[0]["id"]
    world.auth._tenant = wrong
    answer = await world.get("contacts", pike)
    assert (answer.status_code, answer.json()["code"]) == (503, "xero_unavailable")
    assert await world.calls() == []


async def test_auth_away_is_unavailable(harness: HarnessFactory) -> None:
    async with harness(create_app, Settings, xero_webhook_key=WEBHOOK_KEY, auth_url="http://127.0.0.1:1") as service:
        path = f"/internal/organisations/{ORGANISATION}/contacts"
        answer: httpx.Response = await service.http.get(path, headers=service.as_provider())
        assert (answer.status_code, answer.json()["code"]) == (503, "xero_unavailable")
        with pytest.raises(XeroUnavailable):
            await service.app.state.xero._calls._tokens.get(ORGANISATION)
