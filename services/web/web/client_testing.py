"""For tests: portal and sharing as web meets them over HTTP, holding a few people, links and senders in memory, and web itself."""

from __future__ import annotations

import asyncio
import re
import socket
import zlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvicorn
from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse, Response

from common.contracts.xero_gateway import Invoice
from web.main import create_app
from web.settings import Settings
from web.testing_papers import Papers, add_downloads, add_papers

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext

NOW = datetime(2026, 11, 21, 9, 42, tzinfo=UTC)
TODAY = date(2026, 11, 21)
HOME: dict[str, Any] = {"kind": "home", "organisation_id": None, "invoice_id": None}


@dataclass
class Link:
    """A sign-in link: whose, asked by which browser, in which state, leading where."""

    email: str
    browser: str
    state: str = "alive"
    code: str = "123456"
    goal: dict[str, Any] = field(default_factory=lambda: dict(HOME))
    tries_left: int = 5


class Upstream:
    """What the two services hold. `down` names those that answer 503; `requests` are the sign-in mails asked for."""

    def __init__(self) -> None:
        self.sessions: dict[str, str] = {}
        self.links: dict[str, Link] = {}
        self.requests: list[dict[str, Any]] = []
        self.invitations: dict[str, tuple[str, str]] = {}
        self.senders: dict[str, dict[str, dict[str, Any]]] = {}
        self.too_soon: int | None = None
        self.mail_failing_since: str | None = None
        self.down: set[str] = set()
        self.declined: list[tuple[str, str, str]] = []
        self.calls: list[str] = []
        self.papers = Papers()
        self.app = _app(self)

    def signed_in(self, email: str) -> str:
        """A live session of this address."""
        session = f"cis_{len(self.sessions):043d}"
        self.sessions[session] = email
        return session

    def shared_with(self, organisation: str, authorization: str) -> dict[str, Any] | None:
        """What this organisation shares with whom that header names."""
        return self.senders.get(_bearer(authorization), {}).get(organisation)

    def sender(self, email: str, organisation: str, name: str, invoices: list[dict[str, Any]], **more: Any) -> None:
        """Give an address access to these invoices of an organisation."""
        contacts = more.pop("contacts", [{"contact_id": "c-1", "name": "Rātā Joinery"}])
        sender = {
            "organisation_id": organisation, "name": name, "contacts": contacts, "time_zone": "Pacific/Auckland", "as_of": _z(NOW),
            "not_updating_since": None,
        } | more  # fmt: skip
        self.senders.setdefault(email, {})[organisation] = {"sender": sender, "invoices": invoices}


@dataclass
class Site:
    """The site as this machine serves it to a real browser, and what stands behind it."""

    url: str
    upstream: Upstream

    async def sign_in(self, context: BrowserContext, email: str) -> None:
        """Puts a live session of this address into the browser."""
        await self.put_cookie(context, "__Host-client", self.upstream.signed_in(email))

    async def put_cookie(self, context: BrowserContext, name: str, value: str) -> None:
        """Chromium takes a `__Host-` cookie for an https address only, and sends it to localhost all the same."""
        await context.add_cookies([{"name": name, "value": value, "url": "https://localhost", "secure": True, "httpOnly": True}])


@asynccontextmanager
async def a_site(keys: Path, upstream: Upstream, public_url: str = "https://invoices.example", **knobs: Any) -> AsyncIterator[FastAPI]:
    """The web service, its two services behind it over real HTTP."""
    async with served(upstream.app) as behind:
        app = create_app(Settings(keys_dir=keys / "web", public_keys_dir=keys / "public", public_url=public_url,
                                  portal_url=f"{behind}/portal", sharing_url=f"{behind}/sharing",
                                  xero_gateway_url=f"{behind}/gateway", **knobs))  # fmt: skip
        yield app
        await app.state.services.aclose()


def a_browser(app: FastAPI, **cookies: str) -> httpx.AsyncClient:
    """A browser that follows no redirect by itself, says where its requests come from, and holds these cookies."""
    browser = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url=app.state.settings.public_url, headers={"sec-fetch-site": "same-origin"}
    )
    for name, value in cookies.items():
        browser.cookies.set(f"__Host-{name}", value, domain="invoices.example", path="/")
    return browser


async def press(browser: httpx.AsyncClient, page: str, action: str | None = None, **fields: str) -> httpx.Response:
    """Opens a page and posts its form to `action` (the page itself by default) with its form token and these fields."""
    opened = await browser.get(page)
    token = re.search(r'name="form_token" value="([^"]+)"', opened.text)
    assert token is not None, f"{page} has no form: {opened.status_code}"
    return await browser.post(action or page, data={"form_token": token[1], **fields})


@asynccontextmanager
async def served(app: FastAPI, listening: socket.socket | None = None) -> AsyncIterator[str]:
    """An app on a port of this machine; gives its address."""
    with listening or listening_socket() as own:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off", access_log=False))
        task = asyncio.create_task(server.serve(sockets=[own]))
        try:
            yield f"http://127.0.0.1:{own.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


def listening_socket() -> socket.socket:
    """A socket on a free port, for who must know the port before the app exists."""
    own = socket.socket()
    own.bind(("127.0.0.1", 0))
    own.listen()
    return own


def an_invoice(number: str, **changes: Any) -> dict[str, Any]:
    """An invoice of 460.00 NZD, one line, due in ten days, as sharing gives it in full."""
    invoice: dict[str, Any] = {
        "invoice_id": f"11111111-0000-4000-8000-{zlib.crc32(number.encode()):012d}", "type": "ACCREC", "number": number, "reference": "",
        "status": "AUTHORISED", "contact_id": "c-1", "contact_name": "Rātā Joinery", "currency": "NZD", "line_amount_types": "Exclusive",
        "date": "2026-11-01", "due_date": str(TODAY + timedelta(days=10)), "fully_paid_on": None, "sub_total": 40000, "total_tax": 6000,
        "total": 46000, "amount_due": 46000, "amount_paid": 0, "amount_credited": 0, "payments": [], "updated_at": _z(NOW),
        "lines": [a_line()],
    }  # fmt: skip
    return invoice | changes


def a_line(**changes: Any) -> dict[str, Any]:
    """One line of 400.00 at 15 %."""
    line: dict[str, Any] = {
        "line_item_id": "l-1", "description": "Shop drawings, stage two", "item_code": None, "tracking": [],
        "quantity": "4.0000", "unit_amount": "100.0000", "discount_rate": None,
        "tax_type": "OUTPUT2", "tax_amount": 6000, "line_amount": 40000,
    }  # fmt: skip
    return line | changes


def a_payment(amount: int, day: str, kind: str = "payment", reference: str = "") -> dict[str, Any]:
    """Something that reduced what is due."""
    return {"id": f"p-{day}-{amount}", "kind": kind, "date": day, "amount": amount, "reference": reference}


def standing_of(invoice: dict[str, Any]) -> str:
    """What the invoice means on TODAY, by the rule of the contracts."""
    return Invoice.model_validate(invoice).standing(TODAY)


def again_in(seconds: int) -> re.Pattern[str]:
    """The line that says how long to wait, less the seconds a busy machine took to draw it (20 at most)."""
    return re.compile(rf"You can ask again in ({'|'.join(map(str, range(seconds - 20, seconds + 1)))}) seconds\.")


def _app(upstream: Upstream) -> FastAPI:
    app = FastAPI(openapi_url=None)
    _portal(app, upstream)
    _portal_sessions(app, upstream)
    _sharing(app, upstream)
    add_papers(app, upstream.shared_with, lambda held, query: _sender_page(held, query, 10_000))
    add_downloads(app, upstream.papers, upstream.shared_with)
    return app


def _portal(app: FastAPI, upstream: Upstream) -> None:
    @app.middleware("http")
    async def record(request: Request, call_next: Any) -> Any:
        service = request.url.path.split("/")[1]
        upstream.calls.append(f"{request.method} {request.url.path}")
        return _problem(503, "unavailable") if service in upstream.down else await call_next(request)

    @app.post("/portal/internal/identify")
    async def identify(body: dict[str, Any]) -> Any:
        email = upstream.sessions.get(body["session"])
        if email is None:
            return _problem(401, "not_signed_in")
        return {"client": {"id": "cli_" + email, "email": email}, "tokens": dict.fromkeys(body["audiences"], email)}

    @app.post("/portal/internal/sign-in-requests", status_code=202)
    async def request_sign_in(body: dict[str, Any]) -> Any:
        if upstream.too_soon is not None:
            return _problem(429, "too_soon", {"retry-after": str(upstream.too_soon)})
        if body.get("email") is not None and "@" not in body["email"]:
            return _problem(422, "invalid_address")
        upstream.requests.append(body)
        return {"wait_seconds": 60}

    @app.post("/portal/internal/links/inspect")
    async def inspect(body: dict[str, Any]) -> Any:
        link = upstream.links.get(body["token"])
        signed_in_as = upstream.sessions.get(body.get("session") or "")
        return _inspected(link, body["browser"], signed_in_as)

    @app.post("/portal/internal/links/redeem")
    async def redeem(body: dict[str, Any]) -> Any:
        link = upstream.links.get(body["token"])
        if link is None or link.state == "dead":
            return _problem(404, "link_unknown")
        if link.state != "alive":
            return _problem(409, f"link_{link.state}")
        if link.browser != body["browser"] and body.get("email") != link.email:
            return _wrong(link, "wrong_address")
        link.state = "used"
        return {"session": upstream.signed_in(link.email), "goal": link.goal}

    @app.post("/portal/internal/codes/redeem")
    async def redeem_code(body: dict[str, Any]) -> Any:
        link = next((link for link in upstream.links.values() if link.browser == body["browser"] and link.state == "alive"), None)
        if link is None:
            return _problem(404, "code_unknown")
        if link.code != body["code"]:
            return _wrong(link, "wrong_code")
        link.state = "used"
        return {"session": upstream.signed_in(link.email), "goal": link.goal}

    @app.get("/portal/internal/mail-server")
    async def mail_server() -> Any:
        return {"failing_since": upstream.mail_failing_since}


def _portal_sessions(app: FastAPI, upstream: Upstream) -> None:
    @app.post("/portal/internal/sessions/list")
    async def sessions(body: dict[str, Any]) -> Any:
        email = upstream.sessions.get(body["session"])
        if email is None:
            return _problem(401, "not_signed_in")
        mine = [secret for secret, held_by in upstream.sessions.items() if held_by == email]
        return {"sessions": [_device(secret, current=secret == body["session"]) for secret in mine]}

    @app.post("/portal/internal/sessions/end-other", status_code=204)
    async def end_other(body: dict[str, Any]) -> Response:
        email = upstream.sessions.get(body["session"])
        for secret, held_by in list(upstream.sessions.items()):
            if held_by == email and _device(secret, current=False)["id"] == body["other"]:
                del upstream.sessions[secret]
        return Response(status_code=204)

    @app.post("/portal/internal/sessions/end", status_code=204)
    async def end(body: dict[str, Any]) -> Response:
        ended = upstream.sessions.pop(body["session"], None)
        if body["everywhere"]:
            upstream.sessions = {secret: email for secret, email in upstream.sessions.items() if email != ended}
        return Response(status_code=204)


def _sharing(app: FastAPI, upstream: Upstream) -> None:
    @app.get("/sharing/internal/client/home")
    async def home(authorization: str = Header()) -> Any:
        mine = upstream.senders.get(_bearer(authorization), {})
        senders = [_home_sender(**held) for held in mine.values()]
        return {
            "senders": senders,
            "totals": _due([i for held in mine.values() for i in held["invoices"]]),
        }

    @app.get("/sharing/internal/client/invitations/{token}")
    async def invitation(token: str, authorization: str = Header()) -> Any:
        email, organisation = upstream.invitations.get(token, ("", ""))
        return {"organisation_id": organisation} if email == _bearer(authorization) else _problem(404, "not_found")

    @app.get("/sharing/internal/client/senders/{organisation}")
    async def sender(organisation: str, request: Request, authorization: str = Header()) -> Any:
        held = upstream.senders.get(_bearer(authorization), {}).get(organisation)
        return _problem(404, "not_found") if held is None else _sender_page(held, request.query_params)

    @app.get("/sharing/internal/client/senders/{organisation}/invoices/{invoice_id}")
    async def invoice(organisation: str, invoice_id: str, authorization: str = Header()) -> Any:
        held = upstream.senders.get(_bearer(authorization), {}).get(organisation) or {"invoices": []}
        found = next((item for item in held["invoices"] if item["invoice_id"] == invoice_id), None)
        if found is None:
            return _problem(404, "not_found")
        return _one(held, found)

    @app.post("/sharing/internal/client/senders/{organisation}/invoices/{invoice_id}/pdf")
    async def grant(organisation: str, invoice_id: str, authorization: str = Header()) -> Any:
        shown = await invoice(organisation, invoice_id, authorization)
        return shown if isinstance(shown, Response) else {"token": f"right to {invoice_id}", "shown": shown}

    @app.post("/sharing/internal/client/senders/{organisation}/decline")
    async def decline(organisation: str, contact: str = "", authorization: str = Header()) -> Any:
        held = upstream.senders.get(_bearer(authorization), {}).pop(organisation, None)
        upstream.declined.append((_bearer(authorization), organisation, contact))
        return _problem(404, "not_found") if held is None else {"declined": 1}

    @app.get("/gateway/internal/invoice-pdf")
    async def pdf(kept: bool = False, authorization: str = Header()) -> Response:
        if kept and _bearer(authorization).removeprefix("right to ") in upstream.papers.unkept:
            return _problem(503, "pdf_not_kept")
        return Response(b"%PDF of " + _bearer(authorization).encode(), media_type="application/pdf")


def _one(held: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    issued = {"kind": "issued", "on": found["date"]}
    moved = {"field": "due_date", "before": "2026-11-20", "after": found["due_date"] or ""}
    changed = {"kind": "changed", "at": _z(NOW), "changes": [moved, {"field": "total", "before": "45000", "after": str(found["total"])}]}
    parts = [{"kind": "settled", "on": part["date"], "settlement": part["kind"], "amount": part["amount"]} for part in found["payments"]]
    return {
        "sender": held["sender"], "invoice": found, "standing": standing_of(found), "today": str(TODAY), "as_of": _z(NOW),
        "timeline": [issued, changed, *parts],
    }  # fmt: skip


def _inspected(link: Link | None, browser: str, signed_in_as: str | None) -> dict[str, Any]:
    answer: dict[str, Any] = dict.fromkeys(("masked_email", "signed_in_as", "at", "tries_left", "goal")) | {
        "state": "unknown",
        "asked_here": False,
    }
    if link is None or link.state == "dead":
        return answer
    asked_here = link.browser == browser
    if signed_in_as == link.email:
        return answer | {"state": "signed_in", "goal": link.goal}
    if link.state != "alive":
        return answer | {"state": link.state, "at": _z(NOW)}
    state = "signed_in_as_other" if signed_in_as else "ready_here" if asked_here else "ready_elsewhere"
    masked = f"{link.email[0]}•••@{link.email.split('@')[1]}" if asked_here else None
    return answer | {
        "state": state, "asked_here": asked_here, "signed_in_as": signed_in_as, "masked_email": masked, "tries_left": link.tries_left,
    }  # fmt: skip


def _device(secret: str, *, current: bool) -> dict[str, Any]:
    agent = "Chrome on Linux" if current else "Safari on iPhone"
    return {"id": f"id-of-{secret}", "agent": agent, "signed_in_at": _z(NOW), "last_seen_at": _z(NOW), "current": current}


def _wrong(link: Link, code: str) -> JSONResponse:
    link.tries_left -= 1
    link.state = "alive" if link.tries_left else "dead"
    return _problem(422, code, tries_left=link.tries_left)


def _home_sender(sender: dict[str, Any], invoices: list[dict[str, Any]]) -> dict[str, Any]:
    unpaid = [_row(item) for item in _ordered(invoices) if standing_of(item) in VIEWS["to_pay"]]
    return sender | {"totals": _due(invoices), "unpaid": unpaid[:5], "count": len(invoices), "today": str(TODAY)}


LEFT_OUT = ("draft", "bill", "voided", "deleted")
VIEWS = {
    "to_pay": {"open", "due_today", "overdue"},
    "overdue": {"overdue"},
    "open": {"open", "due_today"},
    "paid": {"paid", "credited"},
    "all": {"open", "due_today", "overdue", "paid", "credited", "awaiting", "voided"},
}


def _sender_page(held: dict[str, Any], query: Any, size: int = 50) -> dict[str, Any]:
    view, page = query.get("view") or "to_pay", int(query.get("page") or 1)
    contact = query.get("contact")
    granted = [item for item in _ordered(held["invoices"]) if not contact or item["contact_id"] == contact]
    listed = [item for item in granted if standing_of(item) in VIEWS[view] and _matches(item, query)]
    counts = {name: sum(standing_of(item) in wanted for item in granted) for name, wanted in VIEWS.items()}
    counts["unpaid"] = counts.pop("to_pay")
    totals = [{"currency": row["currency"], "unpaid": row["to_pay"], "overdue": row["overdue"]} for row in _totals(granted)]
    contacts = [item for item in held["sender"]["contacts"] if not contact or item["contact_id"] == contact]
    return {
        "sender": held["sender"] | {"contacts": contacts}, "invoices": [_row(item) for item in listed[(page - 1) * size : page * size]],
        "page": page, "page_size": size, "total": len(listed), "view": view, "counts": counts, "totals": totals, "today": str(TODAY),
        "as_of": held["sender"]["as_of"], "shareable": {"count": 0, "totals": []}, "left_out": dict.fromkeys(LEFT_OUT, 0),
    }  # fmt: skip


def _matches(item: dict[str, Any], query: Any) -> bool:
    search = (query.get("search") or "").lower()
    since, until = query.get("date_from"), query.get("date_to")
    found = search in item["number"].lower() or search in item["reference"].lower()
    return found and (not since or item["date"] >= since) and (not until or item["date"] <= until)


def _ordered(invoices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(invoices, key=lambda item: (standing_of(item) != "overdue", item["due_date"] or "9", item["number"]))


def _row(item: dict[str, Any]) -> dict[str, Any]:
    hidden = {"lines", "sub_total", "total_tax", "line_amount_types", "fully_paid_on", "contact_id"}
    return {key: value for key, value in item.items() if key not in hidden} | {"standing": standing_of(item), "link": None}


def _due(invoices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in _totals(invoices) if row["to_pay"]]


def _totals(invoices: list[dict[str, Any]]) -> list[dict[str, Any]]:
    sums: dict[str, dict[str, int]] = {}
    for item in invoices:
        sums.setdefault(item["currency"], {"overdue": 0, "to_pay": 0})
        if standing_of(item) in VIEWS["to_pay"]:
            sums[item["currency"]]["to_pay"] += item["amount_due"]
            sums[item["currency"]]["overdue"] += item["amount_due"] if standing_of(item) == "overdue" else 0
    return [{"currency": currency} | figures for currency, figures in sorted(sums.items())]


def _bearer(authorization: str) -> str:
    return authorization.removeprefix("Bearer ")


def _problem(status: int, code: str, headers: dict[str, str] | None = None, **extra: Any) -> JSONResponse:
    body = {"type": "about:blank", "title": code, "status": status, "detail": "", "code": code, "correlation_id": "cor_1", **extra}
    return JSONResponse(body, status, headers, media_type="application/problem+json")


def _z(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
