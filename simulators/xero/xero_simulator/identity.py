"""Sign-in and consent pages, and the OpenID endpoints: discovery, keys, tokens, revocation."""

import base64
import binascii
import hashlib
import re
import secrets
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, unquote_plus, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, RedirectResponse
from joserfc.jwk import KeySet

from xero_simulator import connections, door, ledger, scopes, tokens
from xero_simulator.clock import real_now, to_ms
from xero_simulator.pages import page
from xero_simulator.simulator import Running, Simulator
from xero_simulator.tokens import Consent, hashed

router = APIRouter()
AUTHORIZE = "/identity/connect/authorize"
CODE_LIFE = timedelta(minutes=5)
VERIFIER = re.compile(r"[A-Za-z0-9\-._~]{43,128}")
NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class NoRedirect(Exception):
    """The request is so wrong that the browser stays here, on an error page naming the OAuth error."""


class BackWithError(Exception):
    """The browser goes back to the app with an OAuth error: (error, description)."""


class TokenRefused(Exception):
    """The token endpoint's error code, answered as `{"error":"…"}`."""


@dataclass(frozen=True)
class Asked:
    """A valid authorisation request."""

    redirect_uri: str
    scope: str
    state: str
    nonce: str | None
    challenge: str | None
    challenge_method: str

    def back(self, **parameters: str) -> RedirectResponse:
        given = {**parameters, **({"state": self.state} if self.state else {})}
        separator = "&" if "?" in self.redirect_uri else "?"
        return RedirectResponse(f"{self.redirect_uri}{separator}{urlencode(given)}", 303)


@router.get("/.well-known/openid-configuration")
async def discovery(simulator: Running) -> Response:
    if simulator.faults.offline:
        return door.offline()
    issuer, inside = simulator.settings.issuer, simulator.settings.inside
    return JSONResponse(
        {
            "issuer": issuer,
            "jwks_uri": f"{inside}/.well-known/openid-configuration/jwks",
            "authorization_endpoint": f"{issuer}{AUTHORIZE}",
            "token_endpoint": f"{inside}/connect/token",
            "revocation_endpoint": f"{inside}/connect/revocation",
            "scopes_supported": [*scopes.OPENID, *scopes.GRANULAR, *(f"{scope}.read" for scope in scopes.GRANULAR)],
            "grant_types_supported": ["authorization_code", "refresh_token"],
            "response_types_supported": ["code"],
            "response_modes_supported": ["query"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "subject_types_supported": ["public"],
            "code_challenge_methods_supported": ["plain", "S256"],
        }
    )


@router.get("/.well-known/openid-configuration/jwks")
async def keys(simulator: Running) -> Response:
    return door.offline() if simulator.faults.offline else JSONResponse(KeySet([simulator.key]).as_dict(private=False))


@router.get(AUTHORIZE)
async def authorise_page(request: Request, simulator: Running) -> Response:
    """The demo logins, each with its organisations and one button; nothing is granted by looking."""
    return _authorise(simulator, request, dict(request.query_params), None)


@router.post(AUTHORIZE)
async def decide(request: Request, simulator: Running) -> Response:
    """Allow or decline, from the page's form; the original request comes along and is checked again."""
    form = {name: str(value) for name, value in (await request.form()).items()}
    return _authorise(simulator, request, form, form.get("decision", ""))


def _authorise(simulator: Simulator, request: Request, given: dict[str, str], decision: str | None) -> Response:
    if simulator.faults.offline:
        return page(request, "offline.html", status=503)
    try:
        asked = _read_request(simulator, given)
    except NoRedirect as error:
        return page(request, "refused.html", {"error": str(error), "product_url": simulator.settings.product_url}, status=500)
    try:
        _check_request(simulator, given, asked)
        if decision == "decline":
            raise BackWithError("access_denied", "The user declined")
        if decision == "allow":
            return _allow(simulator, asked, given.get("login", ""), given.get("organisation", ""))
    except BackWithError as error:
        return asked.back(error=error.args[0], error_description=error.args[1])
    return page(request, "sign_in.html", _choices(simulator, given, asked))


def _read_request(simulator: Simulator, given: Mapping[str, str]) -> Asked:
    """What a browser may be sent back for. Raises NoRedirect otherwise."""
    if given.get("client_id") != simulator.settings.client_id:
        raise NoRedirect("unauthorized_client: Unknown client or client not enabled")
    if given.get("redirect_uri") not in simulator.settings.registered_redirects:
        raise NoRedirect("invalid_request: Invalid redirect_uri")
    scope = " ".join(dict.fromkeys(given.get("scope", "").split()))
    unknown = [one for one in scope.split() if scopes.meaning(one) is None and one != "app.connections"]
    if not scope or unknown:
        raise NoRedirect(f"invalid_scope: Invalid scope for client {' '.join(unknown)}".rstrip())
    if given.get("response_type") != "code":
        raise NoRedirect("unsupported_response_type")
    method = given.get("code_challenge_method", "plain")
    return Asked(given["redirect_uri"], scope, given.get("state", ""), given.get("nonce"), given.get("code_challenge") or None, method)


def _check_request(simulator: Simulator, given: Mapping[str, str], asked: Asked) -> None:
    if "app.connections" in asked.scope.split():
        raise BackWithError("access_denied", "Requested wrong apps scopes")
    if asked.challenge and simulator.faults.refuse_pkce:
        raise BackWithError("access_denied", "Requested wrong apps scopes")
    if asked.challenge and asked.challenge_method not in ("plain", "S256"):
        raise BackWithError("invalid_request", "Transform algorithm not supported")


def _choices(simulator: Simulator, given: Mapping[str, str], asked: Asked) -> dict[str, Any]:
    rows = [
        {"login": login, "organisations": ledger.organisations_of(simulator.store, login.id)} for login in ledger.logins(simulator.store)
    ]
    kept = {name: value for name, value in given.items() if name not in ("decision", "login", "organisation")}
    meanings = [(scope, scopes.meaning(scope)) for scope in asked.scope.split()]
    return {"rows": rows, "kept": kept, "scopes": meanings, "action": AUTHORIZE}


def _allow(simulator: Simulator, asked: Asked, login_key: str, organisation_id: str) -> Response:
    """Records the consent, connects the chosen organisation and sends a code. Raises BackWithError for an impossible choice."""
    try:
        login = ledger.login(simulator.store, login_key)
    except ledger.NotFound:
        raise BackWithError("access_denied", "Unknown login") from None
    may_choose = {organisation.id for organisation in ledger.organisations_of(simulator.store, login.id)}
    if organisation_id and organisation_id not in may_choose:
        raise BackWithError("access_denied", "No role in that organisation")
    code, auth_event, session = secrets.token_urlsafe(32), str(uuid.uuid4()), uuid.uuid4().hex
    with simulator.change() as now:
        granted = _add_consent(simulator, login.id, asked.scope)
        if organisation_id and scopes.is_for_organisations(asked.scope):
            connections.connect(simulator, login.id, organisation_id, auth_event, now)
        place = (hashed(code), login.id, asked.redirect_uri, granted, asked.nonce, asked.challenge, asked.challenge_method)
        times = (auth_event, session, int(real_now().timestamp()), to_ms(now + CODE_LIFE))
        simulator.store.run("INSERT INTO codes VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", *place, *times)
    return asked.back(code=code, scope=granted, session_state=f"{secrets.token_urlsafe(32)}.{session}")


def _add_consent(simulator: Simulator, login: str, scope: str) -> str:
    """Scopes add up over a login's consents; only revocation takes them back."""
    row = simulator.store.row("SELECT scopes FROM consents WHERE login = ?", login)
    together = " ".join(dict.fromkeys([*scope.split(), *(row["scopes"].split() if row else [])]))
    simulator.store.run("INSERT OR REPLACE INTO consents VALUES (?, ?)", login, together)
    return together


@router.post("/connect/token")
async def token(request: Request, simulator: Running) -> Response:
    """Codes and refresh tokens against tokens; every error is 400 with a body of one key."""
    if simulator.faults.offline:
        return door.offline()
    try:
        given = await _authenticated_form(request, simulator)
        with simulator.store.transaction():
            answer = _grant(simulator, given)
    except TokenRefused as error:
        return Response(f'{{"error":"{error}"}}', 400, media_type="application/json", headers=NO_STORE)
    if given["grant_type"] == "refresh_token" and simulator.faults.lose_refresh_answers:
        simulator.faults.lose_refresh_answers -= 1
        return Response(status_code=502)
    return JSONResponse(answer, headers=NO_STORE)


@router.post("/connect/revocation")
async def revocation(request: Request, simulator: Running) -> Response:
    """Ends the owner's tokens and connections; 200 with no body, also for a token nobody knows."""
    if simulator.faults.offline:
        return door.offline()
    try:
        given = await _authenticated_form(request, simulator)
    except TokenRefused as error:
        return Response(f'{{"error":"{error}"}}', 400, media_type="application/json", headers=NO_STORE)
    with simulator.store.transaction():
        tokens.revoke(simulator, given.get("token", ""))
    return Response(status_code=200)


async def _authenticated_form(request: Request, simulator: Simulator) -> dict[str, str]:
    """The form of a client that proved itself by Basic or in the body. Raises TokenRefused."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise TokenRefused("invalid_request")
    given = dict(parse_qsl((await request.body()).decode("utf-8", "replace"), keep_blank_values=True))
    client_id, secret = _basic(request.headers.get("authorization", "")) or (given.get("client_id", ""), given.get("client_secret", ""))
    if not client_id:
        raise TokenRefused("invalid_request")
    settings = simulator.settings
    right = secrets.compare_digest(client_id.encode(), settings.client_id.encode())
    if not (secrets.compare_digest(secret.encode(), settings.client_secret.encode()) and right):
        raise TokenRefused("invalid_client")
    return given


def _basic(header: str) -> tuple[str, str] | None:
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote_plus(client_id), unquote_plus(secret)


def _grant(simulator: Simulator, given: Mapping[str, str]) -> dict[str, Any]:
    kind = given.get("grant_type")
    if kind == "authorization_code":
        return _spend_code(simulator, given)
    if kind == "refresh_token":
        consent = tokens.rotate(simulator, given.get("refresh_token", ""))
        if consent is None:
            raise TokenRefused("invalid_grant")
        return tokens.answer(simulator, consent, None)
    raise TokenRefused("unauthorized_client" if kind == "client_credentials" else "unsupported_grant_type")


def _spend_code(simulator: Simulator, given: Mapping[str, str]) -> dict[str, Any]:
    """A code is good once, for five minutes, for the redirect it was made for, with the verifier of its challenge."""
    row = simulator.store.row("SELECT * FROM codes WHERE hash = ?", hashed(given.get("code", "")))
    simulator.store.run("DELETE FROM codes WHERE hash = ? OR expires < ?", hashed(given.get("code", "")), to_ms(simulator.clock.now()))
    if row is None or to_ms(simulator.clock.now()) >= row["expires"] or row["redirect_uri"] != given.get("redirect_uri"):
        raise TokenRefused("invalid_grant")
    if row["challenge"] and not _verifies(given.get("code_verifier", ""), row["challenge"], row["challenge_method"]):
        raise TokenRefused("invalid_grant")
    consent = Consent(row["login"], row["scopes"], row["auth_event"], row["session"], row["auth_time"])
    return tokens.answer(simulator, consent, row["nonce"])


def _verifies(verifier: str, challenge: str, method: str) -> bool:
    if not VERIFIER.fullmatch(verifier):
        return False
    if method == "S256":
        verifier = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    return secrets.compare_digest(verifier, challenge)
