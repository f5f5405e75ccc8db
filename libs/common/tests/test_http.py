"""Requests in and calls out, over HTTP inside one process."""

from __future__ import annotations

import asyncio
import json
from base64 import urlsafe_b64encode
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
from fastapi import APIRouter, Depends, FastAPI, Request, Response
from joserfc import jwt
from joserfc.jwk import OKPKey
from pydantic import BaseModel

from common.deadlines import deadline, remaining
from common.errors import Conflict, Forbidden, NotFound, RateLimited, ServiceError, Unavailable
from common.http import READS_AT_ONCE, CurrentClient, CurrentPdf, CurrentProvider, ServiceClient, admitted, caller
from common.identity import BadToken, CallerIdentity, PdfCapability, ProviderIdentity, Signer, Verifier
from common.service import create_service
from common.settings import ServiceSettings
from common.turns import outside

router = APIRouter()


class Body(BaseModel):
    number: int


@router.get("/internal/organisations/{organisation_id}/things")
async def things(provider: CurrentProvider) -> dict[str, str]:
    return {"who": provider.id}


@router.get("/internal/mine")
async def mine(client: CurrentClient) -> dict[str, str]:
    return {"who": client.email}


@router.get("/internal/pdf")
async def pdf(right: CurrentPdf) -> Response:
    return Response(f"%PDF of {right.invoice_id}")


@router.post("/internal/numbers")
async def numbers(body: Body, service: Annotated[CallerIdentity, Depends(caller("portal", "auth"))]) -> dict[str, Any]:
    return {"number": body.number, "left": remaining(100)}


ERRORS = {
    "conflict": Conflict("Done before.", code="done_before", at="10:42"),
    "missing": NotFound(),
    "later": RateLimited(retry_after=40),
}


@router.get("/errors/{kind}")
async def errors(kind: str, request: Request) -> None:
    if kind == "bug":
        raise ZeroDivisionError("secret detail")
    raise {
        "conflict": Conflict("Done before.", code="done_before", at="10:42"),
        "missing": NotFound(),
        "later": RateLimited(retry_after=40),
    }[kind]


@pytest.fixture
def app(keys: Path) -> FastAPI:
    return create_service("sharing", ServiceSettings(keys_dir=keys / "sharing", public_keys_dir=keys / "public"), routers=[router])


@pytest.fixture
async def http(app: FastAPI) -> Any:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sharing") as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def provider_token(keys: Path, issuer: str = "auth", audience: str = "sharing") -> str:
    return Signer(issuer, keys / issuer).provider_token(audience, id="prv_1", name="M", email="m@k.example", organisation_id="org_1")


async def test_a_provider_reaches_only_the_organisation_in_the_token(http: httpx.AsyncClient, keys: Path) -> None:
    own = await http.get("/internal/organisations/org_1/things", headers=bearer(provider_token(keys)))
    foreign = await http.get("/internal/organisations/org_2/things", headers=bearer(provider_token(keys)))
    unknown = await http.get("/no/such/path", headers=bearer(provider_token(keys)))
    assert own.json() == {"who": "prv_1"}
    assert foreign.status_code == unknown.status_code == 404
    assert foreign.content == unknown.content


async def test_only_the_service_that_may_say_so_speaks_of_a_person(http: httpx.AsyncClient, keys: Path) -> None:
    path = "/internal/organisations/org_1/things"
    for token in (provider_token(keys, issuer="portal"), provider_token(keys, audience="portal"), "", "a.b.c", provider_token(keys)[:-2]):
        answer = await http.get(path, headers=bearer(token))
        assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
    client = Signer("portal", keys / "portal").client_token("sharing", id="cli_1", email="a@b.example")
    assert (await http.get(path, headers=bearer(client))).status_code == 403
    assert (await http.get("/internal/mine", headers=bearer(client))).json() == {"who": "a@b.example"}
    assert (await http.get("/internal/mine", headers=bearer(provider_token(keys)))).status_code == 403


RIGHT = PdfCapability("org_1", "con_1", "inv_1", datetime(2026, 6, 18, 9, 30, 0, 123000, tzinfo=UTC))


def pdf_token(keys: Path, issuer: str = "sharing", audience: str = "xero-gateway") -> str:
    return Signer(issuer, keys / issuer).pdf_token(
        audience, organisation_id="org_1", contact_id="con_1", invoice_id="inv_1", updated_at=RIGHT.updated_at
    )


def test_the_right_to_a_pdf_comes_from_sharing_alone_and_says_which_version(keys: Path) -> None:
    verifier = Verifier(keys / "public", "xero-gateway")
    assert verifier.read(pdf_token(keys)) == RIGHT
    for token in (pdf_token(keys, "auth"), pdf_token(keys, "portal"), pdf_token(keys, "web"), pdf_token(keys, audience="sharing")):
        with pytest.raises(BadToken):
            verifier.read(token)


async def test_a_file_comes_as_it_is_and_only_for_its_capability(client: ServiceClient, keys: Path) -> None:
    assert await client.download("/internal/pdf", token=pdf_token(keys, audience="sharing")) == b"%PDF of inv_1"
    for token in (provider_token(keys), None):
        with pytest.raises(Forbidden):
            await client.download("/internal/pdf", token=token)


async def test_a_route_admits_only_the_services_it_names(http: httpx.AsyncClient, keys: Path) -> None:
    for service, status in (("portal", 200), ("auth", 200), ("web", 403), ("notifier", 403)):
        token = Signer(service, keys / service).service_token("sharing")
        assert (await http.post("/internal/numbers", json={"number": 1}, headers=bearer(token))).status_code == status


def test_a_token_is_worth_nothing_after_its_minute_or_under_another_algorithm(keys: Path) -> None:
    verifier = Verifier(keys / "public", "sharing")
    key = OKPKey.import_key((keys / "auth" / "identity.k1.key").read_bytes())
    said = {"iss": "auth", "aud": "sharing", "sub": "prv_1", "role": "provider", "name": "M", "email": "m@k.example", "org": "org_1"}
    old = jwt.encode({"alg": "Ed25519", "kid": "k1"}, {**said, "iat": 1, "exp": 61}, key, algorithms=["Ed25519"])
    unsigned = (
        ".".join(urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "none", "kid": "k1"}, said)) + "."
    )
    for token in (old, unsigned):
        with pytest.raises(BadToken):
            verifier.read(token)
    assert isinstance(verifier.read(provider_token(keys)), ProviderIdentity)


def _base64(part: dict[str, str]) -> str:
    return urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")


def test_a_key_id_cannot_lead_out_of_the_folder(keys: Path) -> None:
    key = OKPKey.import_key((keys / "auth" / "identity.k1.key").read_bytes())
    for issuer, kid in (("../auth", "k1"), ("auth", "../k1"), ("auth", "k1/../k1"), ("", "k1"), ("auth", "nokey")):
        token = jwt.encode({"alg": "Ed25519", "kid": kid}, {"iss": issuer, "aud": "sharing"}, key, algorithms=["Ed25519"])
        with pytest.raises(BadToken):
            Verifier(keys / "public", "sharing").read(token)


async def test_every_route_says_who_may_call_it(app: FastAPI) -> None:
    assert admitted(app) == {
        ("GET", "/internal/organisations/{organisation_id}/things"): {"provider"},
        ("GET", "/internal/mine"): {"client"},
        ("GET", "/internal/pdf"): {"pdf"},
        ("POST", "/internal/numbers"): {"service:portal", "service:auth"},
        ("GET", "/errors/{kind}"): frozenset(),
    }


async def test_errors_are_problem_documents_and_bugs_tell_nothing(http: httpx.AsyncClient) -> None:
    conflict = await http.get("/errors/conflict")
    assert conflict.headers["content-type"] == "application/problem+json"
    assert conflict.headers["cache-control"] == "no-store"
    assert {**conflict.json(), "correlation_id": ""} == {
        "type": "about:blank",
        "title": "Not possible in the present state",
        "status": 409,
        "code": "done_before",
        "detail": "Done before.",
        "at": "10:42",
        "correlation_id": "",
    }
    later = await http.get("/errors/later")
    assert (later.status_code, later.headers["retry-after"]) == (429, "40")
    bug = await http.get("/errors/bug")
    assert (bug.status_code, bug.json()["code"]) == (500, "internal_error")
    assert "secret" not in bug.text
    assert bug.headers["x-correlation-id"] == bug.json()["correlation_id"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "bad_request"),
        (b'{"number": "x"}', 422, "invalid_request"),
        (b"{}", 422, "invalid_request"),
        (b"[]", 422, "invalid_request"),
    ],
)
async def test_bad_bodies_get_a_clear_answer(http: httpx.AsyncClient, keys: Path, body: bytes, status: int, code: str) -> None:
    headers = {**bearer(Signer("portal", keys / "portal").service_token("sharing")), "content-type": "application/json"}
    answer = await http.post("/internal/numbers", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert (await http.put("/internal/numbers", headers=headers)).status_code == 405


@pytest.fixture
def client(app: FastAPI, keys: Path) -> ServiceClient:
    return ServiceClient("http://sharing", signer=Signer("portal", keys / "portal"), audience="sharing", transport=httpx.ASGITransport(app))


async def test_a_call_keeps_the_code_of_a_refusal_and_what_it_says(client: ServiceClient) -> None:
    with pytest.raises(Conflict) as conflict:
        await client.get("/errors/conflict")
    assert (conflict.value.code, conflict.value.detail, conflict.value.extra) == ("done_before", "Done before.", {"at": "10:42"})
    with pytest.raises(NotFound):
        await client.get("/errors/missing")
    with pytest.raises(RateLimited) as later:
        await client.get("/errors/later")
    assert later.value.retry_after == 40
    with pytest.raises(Unavailable):
        await client.get("/errors/bug")


async def test_a_call_hands_on_the_time_that_is_left(client: ServiceClient) -> None:
    with deadline(2):
        assert (await client.post("/internal/numbers", json={"number": 1}))["left"] <= 2
    assert 2 < (await client.post("/internal/numbers", json={"number": 1}))["left"] <= 8


async def test_a_service_that_does_not_answer_is_unavailable(keys: Path) -> None:
    async def hang(_request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(60)
        raise AssertionError

    async def html(_request: httpx.Request) -> httpx.Response:
        return httpx.Response(502, text="<html>bad gateway</html>")

    faults: list[Any] = [hang, html, *(_raising(kind) for kind in _transport_errors())]
    for fault in faults:
        client = ServiceClient("http://x", signer=Signer("portal", keys / "portal"), audience="sharing", transport=_Transport(fault))
        with deadline(0.3), pytest.raises(Unavailable) as caught:
            await asyncio.wait_for(client.get("/"), 5)
        assert caught.value.code == "sharing_unavailable"
        await client.aclose()


@pytest.mark.parametrize(
    ("method", "fault", "asked"),
    [
        ("get", httpx.ConnectError, 2),
        ("post", httpx.ConnectError, 2),
        ("get", httpx.RemoteProtocolError, 2),
        ("get", httpx.ReadError, 2),
        ("post", httpx.RemoteProtocolError, 1),
        ("post", httpx.ReadError, 1),
        ("get", httpx.ReadTimeout, 1),
    ],
)
async def test_only_what_cannot_happen_twice_is_asked_again(keys: Path, method: str, fault: type[Exception], asked: int) -> None:
    requests: list[httpx.Request] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if len(requests) == 1:
            raise fault("broken")
        return httpx.Response(200, json="done")

    client = ServiceClient("http://x", signer=Signer("portal", keys / "portal"), audience="sharing", transport=_Transport(answer))
    if asked == 2:
        assert await getattr(client, method)("/") == "done"
    else:
        with pytest.raises(Unavailable):
            await getattr(client, method)("/")
    assert len(requests) == asked
    await client.aclose()


def _transport_errors() -> list[type[Exception]]:
    return [
        httpx.ConnectError,
        httpx.ReadTimeout,
        httpx.PoolTimeout,
        httpx.RemoteProtocolError,
        httpx.DecodingError,
        httpx.TooManyRedirects,
    ]


def _raising(kind: type[Exception]) -> Any:
    async def fault(_request: httpx.Request) -> httpx.Response:
        raise kind("broken")

    return fault


class _Transport(httpx.AsyncBaseTransport):
    """Stands where the network would; hangs only as long as a real socket would be read."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        seconds = request.extensions["timeout"]["read"]
        try:
            answer: httpx.Response = await asyncio.wait_for(self._answer(request), seconds)
        except TimeoutError as error:
            raise httpx.ReadTimeout("too slow") from error
        return answer


def test_the_error_tree_in_the_docstring_is_the_real_one() -> None:
    from common import errors

    for kind in ServiceError.__subclasses__():
        if kind.__module__ == errors.__name__:
            assert f"{kind.__name__} " in (errors.__doc__ or "")
            assert str(kind.status) in (errors.__doc__ or "")


def test_production_refuses_the_secrets_of_this_repository() -> None:
    with pytest.raises(ValueError, match="RABBITMQ_URL"):
        ServiceSettings(environment="production", rabbitmq_url="amqp://guest:guest@broker/")
    assert ServiceSettings(environment="development", rabbitmq_url="amqp://guest:guest@broker/").rabbitmq_url


async def test_reads_wait_their_turn_and_a_change_never_waits_behind_them(keys: Path) -> None:
    """With every turn taken by reads that hang, a POST is answered; when they end, the reads that waited are."""
    hold, waiting, begun = asyncio.Event(), APIRouter(), []

    @waiting.get("/read")
    async def read() -> str:
        begun.append(1)
        await hold.wait()
        return "read"

    @waiting.post("/change")
    async def change() -> str:
        return "changed"

    app = create_service("sharing", ServiceSettings(keys_dir=keys / "sharing", public_keys_dir=keys / "public"), routers=[waiting])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sharing") as http:
        reads = [asyncio.create_task(http.get("/read")) for _ in range(READS_AT_ONCE * 3)]
        await asyncio.sleep(0.05)
        assert (await http.post("/change")).json() == "changed"
        assert len(begun) == READS_AT_ONCE
        hold.set()
        assert {answer.status_code for answer in await asyncio.gather(*reads)} == {200}


async def test_reads_that_wait_for_somebody_outside_keep_no_other_read_waiting(keys: Path) -> None:
    """Many more reads than there are turns wait, for two things at once or for a service that waits; another is answered all the same."""
    hold, slow, far = asyncio.Event(), APIRouter(), FastAPI()
    running = most = 0

    @far.get("/far")
    async def answer() -> None:
        await hold.wait()

    signer = Signer("portal", keys / "portal")
    other = ServiceClient("http://far", signer=signer, audience="far", waits=True, transport=httpx.ASGITransport(far))

    @slow.get("/outside")
    async def wait_outside() -> str:
        nonlocal running, most

        async def one() -> None:
            async with outside():
                await hold.wait()

        await asyncio.gather(one(), one())
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.005)
        running -= 1
        return "back"

    @slow.get("/calling")
    async def call() -> str:
        await other.get("/far")
        return "back"

    @slow.get("/quick")
    async def quick() -> str:
        return "quick"

    app = create_service("sharing", ServiceSettings(keys_dir=keys / "sharing", public_keys_dir=keys / "public"), routers=[slow])
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://sharing") as http:
        waiting = [asyncio.create_task(http.get(path)) for path in ("/outside", "/calling") for _ in range(READS_AT_ONCE * 2)]
        await asyncio.sleep(0.05)
        async with asyncio.timeout(7):  # a read that gets no turn goes on after 8 seconds
            assert (await http.get("/quick")).json() == "quick"
        hold.set()
        assert {answer.json() for answer in await asyncio.gather(*waiting)} == {"back"}
        assert most == READS_AT_ONCE
        assert (await asyncio.gather(*(http.get("/quick") for _ in range(READS_AT_ONCE * 2))))[-1].json() == "quick"
