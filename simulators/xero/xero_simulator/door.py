"""The door every API call passes: faults, token, organisation, scope, limits, log; and Xero's error bodies."""

import asyncio
import time
import uuid
from collections.abc import Callable

from fastapi import Request, Response
from fastapi.responses import PlainTextResponse

from xero_simulator import wire
from xero_simulator.calls import LoggedCall
from xero_simulator.limits import Refusal
from xero_simulator.simulator import Simulator
from xero_simulator.tokens import Unauthorized, caller

JSON = "application/json; charset=utf-8"
NOTHING_LEFT = {"minute": "X-MinLimit-Remaining", "day": "X-DayLimit-Remaining", "appminute": "X-AppMinLimit-Remaining"}
Work = Callable[[], Response]


def problem(status: int, detail: str) -> Response:
    """Xero's body for 401 and 403."""
    title = {401: "Unauthorized", 403: "Forbidden"}[status]
    body: dict[str, object] = {
        "Type": None,
        "Title": title,
        "Status": status,
        "Detail": detail,
        "Instance": str(uuid.uuid4()),
        "Extensions": {},
    }
    return Response(wire.dumps(body), status, media_type=JSON)


def api_error(status: int, number: int, kind: str, message: str) -> Response:
    """Xero's body for 400, 500 and 501."""
    return Response(wire.dumps({"ErrorNumber": number, "Type": kind, "Message": message}), status, media_type=JSON)


def not_found() -> Response:
    return PlainTextResponse("The resource you're looking for cannot be found", 404)


def unknown_error() -> Response:
    return api_error(500, 500, "UnknownErrorException", "An error occurred in Xero. Check the API Status page for current service status.")


def offline() -> Response:
    return PlainTextResponse("The Xero API is temporarily unavailable", 503)


def too_many(refusal: Refusal) -> Response:
    headers = {"X-Rate-Limit-Problem": refusal.problem}
    if refusal.retry_after is not None:
        headers["Retry-After"] = str(refusal.retry_after)
    return Response(status_code=429, headers=headers)


def answer_nowhere(simulator: Simulator, request: Request) -> Response:
    """For paths of the API that lead nowhere: logged, but nothing is counted."""
    return _finished(simulator, request, None, not_found(), time.perf_counter())


async def answer_untenanted(simulator: Simulator, request: Request, work: Work) -> Response:
    """For /connections: only the app's own minute counts, and only its header is told."""
    started = time.perf_counter()
    response = offline() if simulator.faults.offline else await _untenanted(simulator, work)
    response.headers.update(simulator.limiter.headers(None, simulator.clock.now()))
    return _finished(simulator, request, None, response, started)


async def _untenanted(simulator: Simulator, work: Work) -> Response:
    await asyncio.sleep(simulator.faults.slow_seconds)
    if not simulator.limiter.enter_app(simulator.clock.now()):
        return too_many(Refusal("appminute"))
    try:
        return work()
    except Unauthorized as refused:
        return problem(401, str(refused))


async def answer_tenanted(simulator: Simulator, request: Request, scopes: set[str], work: Work) -> Response:
    """For the accounting API; one of `scopes` must be held. The limit headers stand on every answer given for an organisation."""
    started = time.perf_counter()
    tenant = request.headers.get("xero-tenant-id", "").strip().lower() or None
    refusal = _refusal(simulator, request, tenant, scopes)
    if refusal is not None or tenant is None:
        return _finished(simulator, request, tenant, refusal or problem(403, "AuthenticationUnsuccessful"), started)
    response = await _within_limits(simulator, tenant, work)
    response.headers.update(simulator.limiter.headers(tenant, simulator.clock.now()))
    if response.status_code == 429 and simulator.faults.limit in NOTHING_LEFT:
        response.headers[NOTHING_LEFT[simulator.faults.limit]] = "0"
    return _finished(simulator, request, tenant, response, started)


def _refusal(simulator: Simulator, request: Request, tenant: str | None, scopes: set[str]) -> Response | None:
    if simulator.faults.offline:
        return offline()
    try:
        who = caller(simulator, request.headers.get("authorization"))
    except Unauthorized as refused:
        return problem(401, str(refused))
    if simulator.faults.forbidden or tenant is None or not _may_reach(simulator, who.login, tenant):
        return problem(403, "AuthenticationUnsuccessful")
    if not who.scopes & scopes:
        return problem(simulator.faults.scope_refusal_status, "AuthorizationUnsuccessful")
    return None


def _may_reach(simulator: Simulator, login: str, tenant: str) -> bool:
    """Connected by this login, who still has a role there."""
    sql = """SELECT 1 FROM connections c JOIN roles r ON r.login = c.login AND r.organisation = c.organisation
        WHERE c.login = ? AND c.organisation = ? AND c.live AND r.live"""
    return simulator.store.row(sql, login, tenant) is not None


async def _within_limits(simulator: Simulator, tenant: str, work: Work) -> Response:
    faults, limiter = simulator.faults, simulator.limiter
    if faults.limit:
        return too_many(limiter.pretend(faults.limit, tenant, simulator.clock.now()))
    refusal = limiter.enter(tenant, simulator.clock.now())
    if refusal is not None:
        return too_many(refusal)
    try:
        await asyncio.sleep(faults.slow_seconds)
        return _faulty(simulator) or work()
    finally:
        limiter.leave(tenant)


def _faulty(simulator: Simulator) -> Response | None:
    if simulator.faults.not_found:
        return not_found()
    if simulator.faults.server_error:
        return unknown_error()
    if simulator.faults.wrong_json:
        return Response('{"Id":"00000000-0000-0000-0000-000000000000","Status":"OK","Invoices":[{"Type":"ACC', 200, media_type=JSON)
    return None


def _finished(simulator: Simulator, request: Request, tenant: str | None, response: Response, started: float) -> Response:
    response.headers["Xero-Correlation-Id"] = str(uuid.uuid4())
    took = round((time.perf_counter() - started) * 1000)
    path, query = request.url.path, request.url.query
    simulator.calls.add(LoggedCall(simulator.clock.now(), request.method, path, query, tenant, response.status_code, took))
    return response
