"""HTTP in and out: problem documents, correlation, deadlines, who is calling, and the client services call each other with."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from datetime import datetime
from typing import Annotated, Any

import httpx
from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common import tracing
from common.clock import utc_now
from common.correlation import correlated, correlation_id
from common.deadlines import deadline, remaining
from common.errors import BY_STATUS, BadRequest, Forbidden, NotFound, ServiceError, Unavailable
from common.identity import CallerIdentity, ClientIdentity, Identity, PdfCapability, ProviderIdentity, Signer
from common.ids import new_id
from common.logging import get_logger
from common.mongo import Database
from common.telemetry import REQUESTS
from common.turns import Turn, Turns, outside

CALL_SECONDS = 8.0
KEPT_SECONDS = 3.0
READS_AT_ONCE = 8
"""How many GET requests one process works on at a time. The others wait their turn, so that what changes something, ending an access
above all, never queues behind hundreds of people who are reading. Waiting for Xero is no work: see common.turns."""

CORRELATION = "x-correlation-id"
DEADLINE = "x-deadline-ms"
PROBLEM = "application/problem+json"
READ_AT_THE_EDGE = (CORRELATION.encode(), DEADLINE.encode(), b"traceparent")
log = get_logger()


# Dependencies are coroutines even where they await nothing: FastAPI runs a plain function in a thread, once per request and dependency.


async def _now() -> datetime:
    return utc_now()


def kept(name: str) -> Any:
    """A resource of the service, by the name under which `create_service` was given it: `Annotated[Xero, kept("xero")]` as a parameter."""

    async def resource(request: Request) -> Any:
        return getattr(request.app.state, name)

    return Depends(resource)


Db = Annotated[Database, kept("db")]
Now = Annotated[datetime, Depends(_now)]
"""One instant per request, for business dates and display."""


def caller(*services: str) -> Callable[[Request], Awaitable[CallerIdentity]]:
    """A dependency that admits these services, calling in their own name."""

    async def admit(request: Request) -> CallerIdentity:
        identity = _identity(request)
        if not isinstance(identity, CallerIdentity) or identity.service not in services:
            raise Forbidden
        return identity

    admit.admits = tuple(f"service:{name}" for name in services)  # type: ignore[attr-defined]
    return admit


async def _provider(request: Request) -> ProviderIdentity:
    identity = _identity(request)
    if not isinstance(identity, ProviderIdentity):
        raise Forbidden
    if request.path_params.get("organisation_id", identity.organisation_id) != identity.organisation_id:
        raise NotFound
    return identity


async def _client(request: Request) -> ClientIdentity:
    identity = _identity(request)
    if not isinstance(identity, ClientIdentity):
        raise Forbidden
    return identity


async def _pdf(request: Request) -> PdfCapability:
    identity = _identity(request)
    if not isinstance(identity, PdfCapability):
        raise Forbidden
    return identity


_provider.admits = ("provider",)  # type: ignore[attr-defined]
_client.admits = ("client",)  # type: ignore[attr-defined]
_pdf.admits = ("pdf",)  # type: ignore[attr-defined]

CurrentProvider = Annotated[ProviderIdentity, Depends(_provider)]
"""A provider whose token names the organisation in the path; any other organisation is the common 404."""

CurrentClient = Annotated[ClientIdentity, Depends(_client)]
CurrentPdf = Annotated[PdfCapability, Depends(_pdf)]
"""Whoever holds the right to one invoice's PDF; everything about that invoice comes from the token, nothing from the path."""


def admitted(app: FastAPI) -> dict[tuple[str, str], frozenset[str]]:
    """(method, path) -> who may call: service:<name>, provider, client, pdf; empty for a public route. For the access matrix test."""

    def walk(dependant: Any) -> frozenset[str]:
        own = frozenset(getattr(dependant.call, "admits", ()))
        return own.union(*(walk(inner) for inner in dependant.dependencies))

    found = {}
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute):
            for method in route.methods or ():
                found[method, str(route.path)] = walk(route.dependant)
    return found


class ServiceClient:
    """Calls one other service. Every failure to answer in time is Unavailable; every refusal keeps its status and code."""

    def __init__(
        self, base_url: str, *, signer: Signer, audience: str, waits: bool = False, transport: httpx.AsyncBaseTransport | None = None
    ) -> None:
        """`waits`: that service may wait for seconds itself, so a read that calls it gives its turn to others meanwhile.

        `transport` lets a test connect two services inside one process.
        """
        self.audience = audience
        self._while_calling = outside if waits else nullcontext
        self._signer = signer
        # The services close idle connections after 5 s; a request sent into such a closing connection would be lost.
        limits = httpx.Limits(max_connections=100, max_keepalive_connections=20, keepalive_expiry=KEPT_SECONDS)
        self._client = httpx.AsyncClient(base_url=base_url, transport=transport, limits=limits, trust_env=False, follow_redirects=False)

    async def get(self, path: str, *, params: Any = None, token: str | None = None) -> Any:
        return _json(await self._call("GET", path, params=params, token=token))

    async def post(self, path: str, *, json: Any = None, token: str | None = None) -> Any:
        return _json(await self._call("POST", path, json=json, token=token))

    async def download(self, path: str, *, token: str | None = None) -> bytes:
        """The body as it is, for what is no JSON."""
        return (await self._call("GET", path, token=token)).content

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _call(self, method: str, path: str, *, token: str | None, **content: Any) -> httpx.Response:
        seconds = remaining(CALL_SECONDS)
        headers = {
            "authorization": f"Bearer {token or self._signer.service_token(self.audience)}",
            CORRELATION: correlation_id(),
            DEADLINE: str(int(seconds * 1000)),
        }
        called = f"{method} {self.audience}"
        try:
            with tracing.span(called, tracing.CLIENT, http__request__method=method, server__address=self.audience):
                if carrier := tracing.traceparent():
                    headers["traceparent"] = carrier
                async with self._while_calling():
                    answer = await self._ask(method, path, headers=headers, **content)
                tracing.answered(called, answer.status_code)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unavailable(f"{self.audience} does not answer.", code=f"{self.audience}_unavailable") from error
        if answer.is_success:
            return answer
        raise _problem_of(answer, self.audience)

    async def _ask(self, method: str, path: str, **how: Any) -> httpx.Response:
        """Once more where another replica may answer: what reached nobody, and a read whose connection ended under it."""
        try:
            return await self._client.request(method, path, timeout=_time_left(), **how)
        except httpx.ConnectError:
            pass
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            if method != "GET":
                raise
        return await self._client.request(method, path, timeout=_time_left(), **how)


def _time_left() -> httpx.Timeout:
    return httpx.Timeout(remaining(CALL_SECONDS), pool=2)


def _json(answer: httpx.Response) -> Any:
    return answer.json() if answer.content else None


def _problem_of(answer: httpx.Response, service: str) -> ServiceError:
    kind = BY_STATUS.get(answer.status_code)
    try:
        document = json.loads(answer.content)
    except ValueError:
        document = {}
    if kind is None or not isinstance(document, dict) or "code" not in document:
        return Unavailable(f"{service} answered {answer.status_code}.", code=f"{service}_unavailable")
    wait = answer.headers.get("retry-after", "")
    extra = {name: value for name, value in document.items() if name not in _MEMBERS}
    return kind(str(document.get("detail", "")), code=str(document["code"]), retry_after=float(wait) if wait.isdigit() else None, **extra)


_MEMBERS = {"type", "title", "status", "detail", "code", "correlation_id"}


def problem(error: ServiceError) -> Response:
    """The error as an RFC 9457 problem document. A 404 holds nothing that differs, its reference stands in the header alone."""
    body: dict[str, Any] = {"type": "about:blank", "title": error.title, "status": error.status, "code": error.code}
    if error.detail:
        body["detail"] = error.detail
    if error.status != NotFound.status:
        body["correlation_id"] = correlation_id()
    headers = {"retry-after": str(max(1, round(error.retry_after)))} if error.retry_after is not None else {}
    return JSONResponse({**body, **error.extra}, error.status, headers, media_type=PROBLEM)


def install(app: FastAPI) -> None:
    """Gives an app the error rendering and the middleware every service has."""

    async def service_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, ServiceError)
        return problem(error)

    async def invalid(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        faults = [{"field": ".".join(str(part) for part in fault["loc"][1:]), "problem": fault["msg"]} for fault in error.errors()]
        malformed = any(fault["type"] == "json_invalid" for fault in error.errors())
        kind = BadRequest("The body is not JSON.") if malformed else BY_STATUS[422]("Look at the fields named.", fields=faults)
        return problem(kind)

    async def http_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == NotFound.status:
            return problem(NotFound())
        kind = type("HttpError", (ServiceError,), {"status": error.status_code, "title": str(error.detail)})
        return problem(kind(code=str(error.detail).lower().replace(" ", "_")))

    app.add_exception_handler(ServiceError, service_error)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, http_error)
    app.add_middleware(Edge)


class Edge:
    """Outermost layer: correlation id, deadline, turns, no-store, metrics, and an empty-handed 500 for what nobody foresaw."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._reads: Turns = asyncio.Semaphore(READS_AT_ONCE)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name: value.decode("latin-1") for name, value in scope["headers"] if name in READ_AT_THE_EDGE}
        correlation = headers.get(b"x-correlation-id", "")
        if not (correlation.startswith("cor_") and len(correlation) == 30 and correlation[4:].isalnum()):
            correlation = new_id("cor")
        limit = headers.get(b"x-deadline-ms", "")
        seconds = min(int(limit) / 1000, CALL_SECONDS) if limit.isdigit() else self._limit(scope)
        above = headers.get(b"traceparent")
        method = scope["method"]
        with correlated(correlation), deadline(seconds), tracing.span(method, tracing.SERVER, parent=above, http__request__method=method):
            if scope["method"] not in ("GET", "HEAD"):
                await self._answer(scope, receive, send, correlation)
                return
            async with Turn(self._reads):
                await self._answer(scope, receive, send, correlation)

    @staticmethod
    def _limit(scope: Scope) -> float:
        return float(getattr(scope["app"].state, "request_seconds", CALL_SECONDS)) if "app" in scope else CALL_SECONDS

    async def _answer(self, scope: Scope, receive: Receive, send: Send, correlation: str) -> None:
        began, status = time.monotonic(), 0

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                names = {name for name, _ in message["headers"]}
                added = [(CORRELATION.encode(), correlation.encode())]
                if b"cache-control" not in names:
                    added.append((b"cache-control", b"no-store"))
                if "app" in scope and getattr(scope["app"].state, "draining", False):
                    added.append((b"connection", b"close"))  # or the caller's next request would meet a connection that ends
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # the last net: log it with its trace, tell the caller nothing but the reference
            log.error("request.failed", method=scope["method"], exc_info=error)
            if status:
                raise
            await problem(ServiceError())(scope, receive, sending)
        finally:
            route = getattr(scope.get("route"), "path", "unknown")
            REQUESTS.labels(scope["method"], route, str(status or 500)).observe(time.monotonic() - began)
            tracing.answered(f"{scope['method']} {route}", status or 500, http__route=route)


def _identity(request: Request) -> Identity:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    identity: Identity = request.app.state.verifier.read(token if scheme == "Bearer" else "")
    return identity
