"""One GET of Xero's accounting API: within budget and time, with a token auth vouches for, judged and tried again.

Only GET can leave. Addresses are built from XERO_API_URL and what the caller checked; an address found in data is never called.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx
from prometheus_client import Counter, Histogram

from common.deadlines import remaining
from common.errors import NotFound
from common.ids import tenant_id
from common.logging import get_logger
from common.money import read_json
from common.mongo import Database
from common.turns import outside
from xero_gateway.budget import APP_BLOCK, Budget, Call
from xero_gateway.call_limits import UNKNOWN_LIMIT_SECONDS, Patience
from xero_gateway.clients import AccessTokens
from xero_gateway.errors import XeroBusy, XeroRefused, XeroTooLarge, XeroUnavailable

JSON = "application/json"
LARGEST_ANSWER = 16 * 1024 * 1024
READ_SECONDS = 20.0
TRY_AGAIN_SECONDS = 2.0
"""A call that failed is made once more, when it has at least this long left."""

LARGE = 256 * 1024
LONGEST_PAUSE_SECONDS = 90_000.0
"""A day and an hour: Xero's day limit may say almost a day."""

CALLS = Counter("xero_calls_total", "Calls to Xero by what became of them", ["outcome"])
SECONDS = Histogram("xero_call_seconds", "Time until Xero's whole answer was there")
LIMITS = Counter("xero_limits_total", "Calls Xero refused for a limit; in calm there are none", ["problem"])
log = get_logger()


@dataclass(frozen=True)
class Answer:
    """A good answer; `read_at` is the database's time before its request began."""

    body: bytes
    read_at: datetime


@dataclass(frozen=True)
class Document:
    """The JSON of a good answer."""

    content: Mapping[str, Any]
    read_at: datetime

    def items(self, name: str) -> list[Any]:
        found = self.content.get(name)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise XeroUnavailable("Xero's answer cannot be used.")
        return found

    def pagination(self, name: str) -> int:
        found = self.content.get("pagination")
        number = found.get(name) if isinstance(found, dict) else None
        if not isinstance(number, int):
            raise XeroUnavailable("Xero's answer cannot be used.")
        return number


@dataclass(frozen=True)
class Asked:
    """One question: what is read for which organisation."""

    organisation: str
    path: str
    params: Mapping[str, Any]
    since: datetime | None = None
    accept: str = JSON


class WriteRefused(Exception):
    """Something tried to send Xero another method than GET."""


class _GetOnly(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            raise WriteRefused(request.method)
        return await super().handle_async_request(request)


class _Refused(Exception):
    """Xero did not take the token; `lacks_scope`: for want of a permission."""

    def __init__(self, status: int, *, lacks_scope: bool) -> None:
        self.status = status
        self.lacks_scope = lacks_scope


class _Failed(Exception):
    """Xero is not well: worth another try."""


class XeroCalls:
    """Raises NotFound, XeroNeedsReauth, XeroUnavailable or XeroBusy, and DatabaseUnavailable."""

    def __init__(self, base_url: str, tokens: AccessTokens, budget: Budget) -> None:
        self._tokens = tokens
        self._budget = budget
        self._client = httpx.AsyncClient(
            base_url=f"{base_url.rstrip('/')}/",
            transport=_GetOnly(limits=httpx.Limits(max_connections=200, max_keepalive_connections=50)),
            timeout=httpx.Timeout(READ_SECONDS, connect=3.0, pool=2.0),
            headers={"user-agent": "client-invoices"},
            follow_redirects=False,
            trust_env=False,
        )

    async def document(self, db: Database, asked: Asked, patience: Patience) -> Document:
        """The JSON of the answer. A large one is read in a thread, so that others are served meanwhile."""
        answer = await self.get(db, asked, patience)
        try:
            content = await asyncio.to_thread(read_json, answer.body) if len(answer.body) > LARGE else read_json(answer.body)
        except (ValueError, RecursionError) as error:
            log.warning("xero.no_json", organisation_id=asked.organisation, path=asked.path.partition("/")[0])
            raise XeroUnavailable("Xero's answer cannot be used.") from error
        if not isinstance(content, dict):
            raise XeroUnavailable("Xero's answer cannot be used.")
        return Document(content, answer.read_at)

    async def get(self, db: Database, asked: Asked, patience: Patience) -> Answer:
        """The answer. A refused token is reported and replaced once; a failure is tried again once, a little later."""
        seconds = remaining(patience.overall)
        try:
            async with outside(), asyncio.timeout(seconds):
                return await self._tried(db, asked, patience, until=time.monotonic() + seconds - TRY_AGAIN_SECONDS)
        except TimeoutError as error:
            log.warning("xero.no_answer", organisation_id=asked.organisation, reason="out of time")
            raise XeroUnavailable from error
        except _Failed as error:
            raise XeroUnavailable from error
        except _Refused as error:
            raise XeroRefused(error.status, scope=error.lacks_scope) from error

    async def aclose(self) -> None:
        await self._client.aclose()
        await self._tokens.aclose()

    async def _tried(self, db: Database, asked: Asked, patience: Patience, until: float) -> Answer:
        seen: set[type[Exception]] = set()
        while True:
            try:
                return await self._once(db, asked, patience)
            except (_Refused, _Failed) as problem:
                if type(problem) in seen or time.monotonic() > until:
                    raise
                seen.add(type(problem))
                await asyncio.sleep(0.2 + random.random() * 0.8 if isinstance(problem, _Failed) else 0)

    async def _once(self, db: Database, asked: Asked, patience: Patience) -> Answer:
        """One request, counted. Raises _Refused when the token was not taken, _Failed when another try may help."""
        token = await self._tokens.get(asked.organisation)
        async with self._budget.call(db, asked.organisation, patience) as call:
            status, headers, body = await self._send(asked, token.access_token.get_secret_value(), call, patience)
        CALLS.labels(str(status)).inc()
        if status in (401, 403):
            log.warning("xero.refused", organisation_id=asked.organisation, status=status)
            await self._tokens.refused(asked.organisation, token, status)
            raise _Refused(status, lacks_scope=_lacks_scope(body))
        if status == 429:
            await self._limited(db, asked.organisation, headers)
        if call.told.app_left is not None and call.told.app_left < APP_BLOCK:
            await self._budget.limited(db, asked.organisation, "appminute", UNKNOWN_LIMIT_SECONDS)
        _judge(asked, status)
        return Answer(body, call.at)

    async def _send(self, asked: Asked, token: str, call: Call, patience: Patience) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body; `call` learns what they tell of Xero, cancelled or not."""
        headers = {"authorization": f"Bearer {token}", "xero-tenant-id": tenant_id(asked.organisation), "accept": asked.accept}
        if asked.since:
            headers["if-modified-since"] = asked.since.strftime("%Y-%m-%dT%H:%M:%S")
        call.told.well = False
        began = time.monotonic()
        try:
            request = self._client.stream("GET", asked.path, params=dict(asked.params), headers=headers)
            async with asyncio.timeout(patience.seconds), request as answer:
                if answer.status_code != 429:
                    call.told.read(answer.headers)
                call.told.well = None if answer.status_code in (401, 403, 429) else answer.status_code < 500
                body = await _read(answer, asked)
        except httpx.HTTPError as error:
            CALLS.labels("none").inc()
            log.warning("xero.no_answer", organisation_id=asked.organisation, reason=type(error).__name__)
            raise _Failed from error
        SECONDS.observe(time.monotonic() - began)
        return answer.status_code, answer.headers, body

    async def _limited(self, db: Database, organisation: str, headers: httpx.Headers) -> None:
        problem, seconds = headers.get("x-rate-limit-problem", "unknown").lower(), _retry_after(headers)
        LIMITS.labels(problem if problem in ("minute", "day", "concurrent", "appminute") else "unknown").inc()
        log.warning("xero.limit", organisation_id=organisation, problem=problem, seconds=seconds)
        await self._budget.limited(db, organisation, problem, seconds)
        raise XeroBusy(retry_after=seconds, limit="day" if problem == "day" else "minute")


async def _read(answer: httpx.Response, asked: Asked) -> bytes:
    body = bytearray()
    async for chunk in answer.aiter_bytes():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            log.warning("xero.answer_too_large", organisation_id=asked.organisation, path=asked.path.partition("/")[0])
            raise XeroTooLarge("Xero's answer is larger than can be taken.")
    return bytes(body)


def _lacks_scope(body: bytes) -> bool:
    """Xero's own word for a missing permission, seen with 401 and said to come with 403 too; keys come in either case."""
    try:
        told = {str(name).lower(): value for name, value in dict(read_json(body)).items()}
    except (ValueError, TypeError, RecursionError):
        return False
    return str(told.get("detail", "")).lower() == "authorizationunsuccessful"


def _judge(asked: Asked, status: int) -> None:
    """Raises what an answer that cannot be used means. 400 is Xero's word for asking one thing what it has not, such as a draft's link."""
    if status in (400, 404) and "/" in asked.path:
        raise NotFound
    if status != 200:
        log.warning("xero.failed", organisation_id=asked.organisation, status=status, path=asked.path.partition("/")[0])
        raise _Failed if status >= 500 and status != 501 else XeroUnavailable


def _retry_after(headers: httpx.Headers) -> float:
    text = headers.get("retry-after", "")
    return max(1.0, min(float(text), LONGEST_PAUSE_SECONDS)) if text.isascii() and text.isdigit() else UNKNOWN_LIMIT_SECONDS
