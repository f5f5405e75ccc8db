"""Cookies, form tokens and the headers every answer carries.

Interface for pages:
- `Form = Annotated[FormData, Depends(form_of("provider"))]` (or "client", "anonymous") checks where an unsafe request came from
  and its form token, then gives the form. Every route with an unsafe method depends on one; a test walks them all.
- In templates `{{ form_token("provider") }}` stands inside each `<form method="post">`.
- `set_session(response, side, secret)`, `end_session(response, side)`, `session(request, side)` for the two session cookies.
- `browser(request)` is the random `__Host-pre` value of this browser: it identifies the asking browser to portal and carries
  anonymous form tokens. A page that renders a form for "anonymous" sets it; a POST without it raises CookiesRefused.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Literal

from fastapi import Request, Response
from markupsafe import Markup
from starlette.datastructures import FormData, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.crypto import KeyRing
from common.ids import new_secret
from web.errors import CookiesRefused, CrossSite, StaleForm

Side = Literal["provider", "client", "anonymous"]

COOKIES: dict[Side, str] = {"provider": "__Host-provider", "client": "__Host-client", "anonymous": "__Host-pre"}
KEPT_SECONDS: dict[Side, int] = {"client": 7 * 24 * 3600, "anonymous": 180 * 24 * 3600}
"""How long a browser keeps a cookie after it is closed: a client's as long as portal keeps a session, at most; the browser's name long
enough that its own allowance of sign-in mails outlives a quarter. A provider's goes with the browser."""

TOKEN_FIELD = "form_token"
MOST_FIELDS = 700
"""The Share form may hold 500 picked invoices."""

LONGEST_SECRET = 200

PREVIEWERS = re.compile(
    r"facebookexternalhit|slackbot|twitterbot|whatsapp|telegrambot|linkedinbot|discordbot|skypeuripreview|redditbot|bitlybot|embedly|iframely",
    re.IGNORECASE,
)
"""Programs that fetch a link to draw a preview of it beside a message."""

HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=()",
}


def is_unseen(request: Request) -> bool:
    """Whether nobody looks: a browser fetches ahead of a press, or a program draws a preview of a link.

    Source: Sec-Purpose of the Fetch standard (“prefetch”, “prefetch;prerender”), and what browsers sent before there was one.
    """
    said = [request.headers.get(name, "").lower() for name in ("sec-purpose", "purpose", "x-purpose", "x-moz")]
    ahead = any(word in one for one in said for word in ("prefetch", "prerender", "preview"))
    return ahead or bool(PREVIEWERS.search(request.headers.get("user-agent", "")))


def session(request: Request, side: Side) -> str | None:
    """The value of this side's cookie, if the browser sent one that can be one."""
    value = request.cookies.get(COOKIES[side])
    return value if value and len(value) <= LONGEST_SECRET else None


def set_session(response: Response, side: Side, secret: str) -> None:
    """Sets the cookie of a side: for this host only, over a secure channel only, out of reach of scripts."""
    kept = KEPT_SECONDS.get(side)
    response.set_cookie(COOKIES[side], secret, max_age=kept, path="/", secure=True, httponly=True, samesite="lax")


def end_session(response: Response, side: Side) -> None:
    """Takes the cookie of a side away."""
    response.delete_cookie(COOKIES[side], path="/", secure=True, httponly=True, samesite="lax")


def browser(request: Request) -> str:
    """The random value that names this browser; a new one is made once per request and set by `keep_browser`."""
    known = session(request, "anonymous")
    if known:
        return known
    if not hasattr(request.state, "new_browser"):
        request.state.new_browser = new_secret("cib")
    return str(request.state.new_browser)


def keep_browser(request: Request, response: Response) -> None:
    """Sets the cookie that `browser` made during this request, if it made one."""
    if hasattr(request.state, "new_browser"):
        set_session(response, "anonymous", request.state.new_browser)


def form_token(request: Request, side: Side) -> Markup:
    """The hidden field that proves a form came from a page this browser was given in this session."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(TOKEN_FIELD, _ring(request).hmac(_bound(request, side)))


def form_of(side: Side) -> Callable[[Request], Awaitable[FormData]]:
    """A dependency that gives the posted form of a page of that side, or raises CrossSite, CookiesRefused or StaleForm."""

    async def checked(request: Request) -> FormData:
        came_from_us(request)
        if side == "anonymous" and session(request, side) is None:
            raise CookiesRefused()
        form = await request.form(max_fields=MOST_FIELDS, max_files=0)
        given = form.get(TOKEN_FIELD)
        if not isinstance(given, str) or not given.isascii() or not _ring(request).hmac_matches(_bound(request, side), given):
            raise StaleForm()
        return form

    return checked


def came_from_us(request: Request) -> None:
    """Raises CrossSite unless the browser says that one of our own pages sent this request.

    Sec-Fetch-Site cannot be set by a page (Fetch Metadata Request Headers, W3C); browsers without it send Origin on every POST.
    """
    where = request.headers.get("sec-fetch-site")
    if where is None and request.headers.get("origin") == request.app.state.settings.public_url:
        return
    if where != "same-origin":
        raise CrossSite()


def _ring(request: Request) -> KeyRing:
    ring: KeyRing = request.app.state.csrf_ring
    return ring


def _bound(request: Request, side: Side) -> bytes:
    secret = browser(request) if side == "anonymous" else session(request, side) or ""
    return f"{side}\n{secret}".encode()


class SecurityHeaders:
    """Puts HEADERS on every answer, and no-store on those that do not say how long they may be kept."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes the request on and adds the headers to the start of the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("cache-control", "no-store")
            await send(message)

        await self.app(scope, receive, with_headers)
