"""A Xero that keeps its limits to the letter and remembers every call, and an auth beside it: `python -m tests.strict_xero PORT MINUTE`.

It holds as many invoices as it is asked for, all of one contact in every organisation, computed from their number. The simulator has
books that people change; this one has 100,000 invoices and takes no memory, so that what is measured is xero-gateway.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import uvicorn
from fastapi import FastAPI, Request, Response

from common.ids import tenant_id
from xero_gateway.testing import a_raw_invoice
from xero_simulator.limits import Limiter

CONTACT = str(UUID(int=7))
ANSWER_SECONDS = 0.1
PLACE = "00000000-0000-0000-0000-00000000f1a9"


def invoice_id(number: int) -> str:
    """Ids that sort by number."""
    return str(UUID(int=number + 1))


def create_app(minute: float) -> FastAPI:
    """The app with its own limiter, whose minute lasts so many seconds; GET /report tells what it saw."""
    app = FastAPI(openapi_url=None)
    limiter, seen = Limiter(), Seen(minute)
    raw = a_raw_invoice(InvoiceID=PLACE, InvoiceNumber=PLACE, Contact={"ContactID": CONTACT, "Name": "Every One Ltd"})
    template = json.dumps(raw, default=float)
    app.state.total = 0

    @app.post("/internal/organisations/{organisation}/access-token")
    async def access_token(organisation: str) -> dict[str, str]:
        ends = (datetime.now(UTC) + timedelta(minutes=30)).isoformat()
        return {"access_token": "at", "tenant_id": tenant_id(organisation), "expires_at": ends, "grant": "grn_1"}

    @app.put("/total/{total}")
    async def set_total(total: int) -> None:
        app.state.total = total

    @app.get("/report")
    async def report() -> dict[str, Any]:
        return seen.report()

    @app.get("/api.xro/2.0/{path:path}")
    async def answer(path: str, request: Request) -> Response:
        tenant = request.headers["xero-tenant-id"]
        limiter.budget(tenant).minute.length = round(minute * 1000)
        refusal = limiter.enter(tenant, datetime.now(UTC))
        seen.call(tenant, limiter.budget(tenant).running, refusal.problem if refusal else None)
        if refusal:
            headers = {"x-rate-limit-problem": refusal.problem}
            return Response(status_code=429, headers=headers | ({"retry-after": str(refusal.retry_after)} if refusal.retry_after else {}))
        try:
            await asyncio.sleep(ANSWER_SECONDS)
            body = _body(path, request, template, app.state.total)
        finally:
            limiter.leave(tenant)
        return Response(body, headers=limiter.headers(tenant, datetime.now(UTC)), media_type="application/json")

    return app


class Seen:
    """Every call with its moment, and the most that were in flight for one organisation."""

    def __init__(self, minute: float) -> None:
        self._minute = minute
        self.calls: dict[str, list[float]] = defaultdict(list)
        self.refused: dict[str, int] = defaultdict(int)
        self.most_in_flight = 0

    def call(self, tenant: str, running: int, problem: str | None) -> None:
        self.calls[tenant].append(datetime.now(UTC).timestamp())
        self.most_in_flight = max(self.most_in_flight, running)
        if problem:
            self.refused[problem] += 1

    def report(self) -> dict[str, Any]:
        most = max((_most_within(times, self._minute) for times in self.calls.values()), default=0)
        return {"calls": self.calls, "refused": self.refused, "most_in_flight": self.most_in_flight, "most_in_a_minute": most}


def _most_within(times: list[float], seconds: float) -> int:
    """In any span of that length, whenever it begins."""
    first = most = 0
    for place, moment in enumerate(times):
        while moment - times[first] >= seconds:
            first += 1
        most = max(most, place - first + 1)
    return most


def _body(path: str, request: Request, template: str, total: int) -> str:
    if path.startswith("Contacts/"):
        contact = {"ContactID": CONTACT, "Name": "Every One Ltd", "UpdatedDateUTC": "/Date(1541176592690+0000)/"}
        return json.dumps({"Contacts": [contact]})
    query, name = request.query_params, path.partition("/")[0]
    size = int(query.get("pageSize", 100))
    if "IDs" in query:
        found = [UUID(text).int - 1 for text in query["IDs"].split(",")]
        count = len(found)
    elif "ContactIDs" in query and "if-modified-since" not in request.headers:
        first = (int(query["page"]) - 1) * size
        found, count = list(range(first, min(first + size, total))), total
    else:
        found, count = [], 0
    pagination = json.dumps({"page": 1, "pageSize": size, "pageCount": -(-count // size), "itemCount": count})
    items = ",".join(template.replace(PLACE, invoice_id(number)) for number in found) if name == "Invoices" else ""
    return f'{{"{name}":[{items}],"pagination":{pagination}}}'


if __name__ == "__main__":
    uvicorn.run(create_app(float(sys.argv[2])), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning", access_log=False)
