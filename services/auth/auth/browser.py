"""The two routes browsers see: the start of a sign-in and Xero's callback. Both answer with redirects and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any, get_args

from authlib.common.security import generate_token
from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse
from starlette.datastructures import QueryParams

from auth import xero_sign_in
from auth.errors import GrantRefused, SignInFailed, XeroUnavailable
from auth.models import Goal, Next, SignIn, XeroConnection, XeroTokens, just_chosen, missing_scopes, organisations_of, unasked_scopes
from auth.settings import Settings
from auth.xero import Unauthorised, Xero, auth_event_id
from auth.xero_sign_in import NewSession
from common.crypto import digest
from common.errors import Unavailable
from common.http import Db, Now
from common.ids import new_secret, tenant_id
from common.logging import get_logger
from common.mongo import Database

PRE_COOKIE, SESSION_COOKIE = "__Host-pre-xero", "__Host-provider"
PRE_SECONDS = 600
NO_TRACE = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
PRE = re.compile(r"pre_[A-Za-z0-9_-]{43}")
LONGEST_PARAMETER = 4096
LONGEST_AGENT = 300
router = APIRouter()
log = get_logger()


@router.get("/auth/xero/start")
async def start(request: Request, db: Db) -> RedirectResponse:
    """302 to Xero. `next`, `organisation` and `contact` are names of ours; what is none of them leads to the clients' page."""
    settings, xero = _settings(request), _xero(request)
    browser = request.cookies.get(PRE_COOKIE, "")
    if not PRE.fullmatch(browser):
        browser = new_secret("pre")
    state = generate_token(43)
    verifier = generate_token(64) if settings.xero_pkce == "on" else None
    sign_in = SignIn(id=digest(state), nonce=generate_token(43), verifier=verifier, goal=goal_of(request.query_params))
    await db.transact(xero_sign_in.begin_sign_in, sign_in, digest(browser))
    answer = RedirectResponse(xero.sign_in_url(sign_in, state), 302, NO_TRACE)
    _set_cookie(answer, PRE_COOKIE, browser, PRE_SECONDS)
    return answer


@router.get("/auth/xero/callback")
async def callback(request: Request, db: Db, now: Now) -> RedirectResponse:
    """303 to where the sign-in was meant to lead, or to the start page with the reason it came to nothing."""
    home = _settings(request).public_url.rstrip("/")
    try:
        session, path = await sign_in_with(request, db, now)
    except SignInFailed as failed:
        log.warning("sign_in.failed", failure=failed.failure, reason=failed.reason)
        return RedirectResponse(f"{home}/?xero={failed.failure}", 303, NO_TRACE)
    except Unavailable as away:
        log.warning("sign_in.unavailable", reason=away.code)
        return RedirectResponse(f"{home}/?xero=unavailable", 303, NO_TRACE)
    answer = RedirectResponse(home + path, 303, NO_TRACE)
    _set_cookie(answer, SESSION_COOKIE, session, None)
    answer.delete_cookie(PRE_COOKIE, path="/", secure=True, httponly=True, samesite="lax")
    return answer


@dataclass(frozen=True)
class Callback:
    """What Xero sent the browser back with."""

    state: str
    code: str | None
    error: str | None
    issuer: str | None


async def sign_in_with(request: Request, db: Database, now: datetime) -> tuple[str, str]:
    """The new session's secret and the path to go to. Raises SignInFailed, Unavailable."""
    xero, settings = _xero(request), _settings(request)
    given = callback_of(request.query_params)
    browser = request.cookies.get(PRE_COOKIE, "")
    began = await db.transact(xero_sign_in.use_sign_in, digest(given.state), digest(browser))
    if began is None:
        raise SignInFailed("expired", "unknown, used, expired, or begun in another browser")
    tokens = await _exchanged(xero, given, began)
    _refuse_writing(settings, tokens)
    identity = await xero.identity(tokens, began.nonce)
    xero.check_issuer(given.issuer)
    listed = await _organisations(xero, tokens)
    opened = _opened(began.goal, listed, tokens) if listed else None
    session, before = new_secret("pis"), request.cookies.get(SESSION_COOKIE)
    opening = NewSession(digest(session), digest(before) if before else None, request.headers.get("user-agent", "")[:LONGEST_AGENT])
    if not await db.transact(xero_sign_in.complete_sign_in, request.app.state.ring, identity, tokens, listed, opened, opening, now):
        raise SignInFailed("no_organisation", "no organisation connected")
    return session, xero_sign_in.destination(began.goal, opened)


async def _exchanged(xero: Xero, given: Callback, began: SignIn) -> XeroTokens:
    if given.error:
        raise SignInFailed("declined" if given.error == "access_denied" else "failed", f"Xero answered {given.error[:40]}")
    if not given.code:
        raise SignInFailed("failed", "callback without a code")
    xero.check_issuer(given.issuer)
    try:
        return await xero.exchange(given.code, began.verifier)
    except GrantRefused:
        raise SignInFailed("failed", "Xero does not know the code") from None


def _refuse_writing(settings: Settings, tokens: XeroTokens) -> None:
    """We promise to read only: a grant that could also write is not kept. Reading ones from earlier consents are flagged."""
    reading, writing = unasked_scopes(tokens.scope, settings.xero_scopes)
    if writing:
        raise SignInFailed("failed", f"granted beyond what was asked: {' '.join(writing)}")
    if reading:
        log.warning("sign_in.wider_scope", scopes=" ".join(reading))
    if missing := missing_scopes(tokens.scope, settings.xero_scopes):
        log.warning("sign_in.narrower_scope", scopes=" ".join(missing))


async def _organisations(xero: Xero, tokens: XeroTokens) -> list[XeroConnection]:
    try:
        return organisations_of(await xero.connections(tokens.access_token))
    except Unauthorised as error:
        raise XeroUnavailable("Xero refuses the token it just gave.") from error


def _opened(goal: Goal, listed: list[XeroConnection], tokens: XeroTokens) -> str:
    """The organisation to open: the one the sign-in was begun for, else the one picked at Xero."""
    if goal.organisation_id in {entry.organisation_id for entry in listed}:
        return str(goal.organisation_id)
    return just_chosen(listed, auth_event_id(tokens.access_token)).organisation_id


def goal_of(given: QueryParams) -> Goal:
    """Names only; anything else is left out, so nothing from the address can become a place to go to."""
    page, organisation, contact = given.get("next"), given.get("organisation"), given.get("contact")
    try:
        tenant_id(organisation or "")
    except ValueError:
        organisation = None
    known: Any = page if page in get_args(Next) else "clients"
    return Goal(page=known, organisation_id=organisation, contact_id=contact if contact and UUID.fullmatch(contact) else None)


def callback_of(given: QueryParams) -> Callback:
    """Raises SignInFailed when a parameter stands twice, is overlong, or the state is missing."""
    names = [name for name, _ in given.multi_items()]
    if len(set(names)) != len(names) or any(len(value) > LONGEST_PARAMETER for value in given.values()):
        raise SignInFailed("failed", "malformed callback")
    if not given.get("state"):
        raise SignInFailed("failed", "callback without a state")
    return Callback(given["state"], given.get("code"), given.get("error"), given.get("iss"))


def _set_cookie(answer: RedirectResponse, name: str, value: str, seconds: int | None) -> None:
    """`__Host-` makes browsers hold it to this host, path / and a secure connection (localhost counts as one)."""
    answer.set_cookie(name, value, max_age=seconds, path="/", secure=True, httponly=True, samesite="lax")


def _settings(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def _xero(request: Request) -> Xero:
    xero: Xero = request.app.state.xero
    return xero
