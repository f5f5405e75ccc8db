"""Who is at the client's side of the site: the signed-in address, the browser that asks, and where signing in leads."""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from fastapi import Request, Response
from fastapi.responses import RedirectResponse

from common.errors import NotSignedIn, Unavailable
from web import security
from web.client_models import Goal
from web.clients import Services

ASKED = "__Host-asked"
ASKED_SECONDS = 15 * 60
"""As long as the code in the mail is good; afterwards there is nothing left to type."""

LONGEST_VALUE = 300
LONGEST_NETWORK = 64
BROWSERS = (("Edg", "Edge"), ("OPR/", "Opera"), ("SamsungBrowser", "Samsung Internet"), ("Firefox/", "Firefox"), ("FxiOS", "Firefox"),
            ("CriOS", "Chrome"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))  # fmt: skip
SYSTEMS = (("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("CrOS", "ChromeOS"), ("Windows", "Windows"),
           ("Mac OS X", "macOS"), ("Linux", "Linux"))  # fmt: skip


@dataclass(frozen=True)
class Visitor:
    """A signed-in client and the token that shows sharing who asks."""

    id: str
    email: str
    token: str


@dataclass(frozen=True)
class Asked:
    """The sign-in mail this browser asked for last: by address, invitation or dead link. `again_at`: epoch seconds from when it may
    ask again; `refused`: the last press sent nothing because it came before that."""

    by: Literal["email", "invitation", "link"]
    value: str
    again_at: int = 0
    refused: bool = False


async def visitor(request: Request, *audiences: str) -> Visitor | None:
    """The client this browser is signed in as, None when it is not. Raises Unavailable when portal cannot tell."""
    session = client_session(request)
    if not session:
        return None
    try:
        known = await services_of(request).portal.identify(session, audiences)
    except NotSignedIn:
        return None
    return Visitor(known.client.id, known.client.email, known.tokens.get("sharing", ""))


def client_session(request: Request) -> str | None:
    """The session cookie, unless it is so long that it cannot be one of ours."""
    held = security.session(request, "client")
    return held if held and len(held) <= LONGEST_VALUE else None


def services_of(request: Request) -> Services:
    """The services behind this page."""
    services: Services = request.app.state.services
    return services


def goal_path(goal: Goal) -> str:
    """Where a goal is. An invoice is marked as arrived at, so that one no longer granted leads home instead of nowhere."""
    if goal.kind == "home" or not goal.organisation_id:
        return "/invoices"
    if goal.kind == "invoice" and goal.invoice_id:
        return f"/invoices/{goal.organisation_id}/{goal.invoice_id}?arrived=1"
    return f"/invoices/{goal.organisation_id}"


async def enter(request: Request, session: str, goal: Goal) -> Response:
    """Signs this browser in and goes where it wanted. A session it had before ends: it would otherwise live on unseen."""
    before = client_session(request)
    if before and before != session:
        with contextlib.suppress(Unavailable):
            await services_of(request).portal.end_session(before)
    response = RedirectResponse(goal_path(goal), 303)
    security.set_session(response, "client", session)
    forget_asked(response)
    return response


def asking(request: Request) -> dict[str, str]:
    """What portal wants to know about the browser that asks: the same, and its network address."""
    return {**redeeming(request), "network": network_of(request)[:LONGEST_NETWORK]}


def network_of(request: Request) -> str:
    """The address this request came from, as the outermost proxy of ours saw it: each of them wrote one into X-Forwarded-For, last ours.

    What stands further left was written by whoever sent the request, and is not believed.
    """
    hops: int = request.app.state.settings.trusted_hops
    seen = [address.strip() for address in ",".join(request.headers.getlist("x-forwarded-for")).split(",") if address.strip()]
    return seen[-min(hops, len(seen))] if seen else (request.client.host if request.client else "")


def redeeming(request: Request) -> dict[str, str]:
    """What portal wants to know about the browser that spends a link or code: its secret, and what to call it."""
    return {"browser": security.browser(request), "agent": describe(request.headers.get("user-agent", ""))}


def describe(agent: str) -> str:
    """A browser in words a person knows, such as “Firefox on Windows”, from its User-Agent header; guesses nothing beyond."""
    browser = next((name for mark, name in BROWSERS if mark in agent), "")
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    return f"{browser} on {system}" if browser and system else browser or system or "an unknown browser"


def remember_asked(response: Response, asked: Asked) -> None:
    """Keeps in the browser what it asked for: the next page needs it, and this service stores nothing."""
    text = json.dumps(asdict(asked), separators=(",", ":"))
    value = base64.urlsafe_b64encode(text.encode()).decode()
    response.set_cookie(ASKED, value, max_age=ASKED_SECONDS, path="/", secure=True, httponly=True, samesite="lax")


def forget_asked(response: Response) -> None:
    """Takes that memory away."""
    response.delete_cookie(ASKED, path="/", secure=True, httponly=True, samesite="lax")


def asked_of(cookies: Mapping[str, str]) -> Asked | None:
    """What this browser asked for, None when it asked for nothing or the cookie is not one of ours."""
    try:
        held: Any = json.loads(base64.urlsafe_b64decode(cookies.get(ASKED, "")))
        by, value, again_at, refused = held["by"], held["value"], held["again_at"], held["refused"]
    except (ValueError, KeyError, TypeError):
        return None
    if by not in ("email", "invitation", "link") or not isinstance(value, str) or not isinstance(again_at, int):
        return None
    return Asked(by, value[:LONGEST_VALUE], again_at, refused is True)
