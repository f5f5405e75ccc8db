"""Tokens: per login and app, signed with RS256; lifetimes run on the simulator's clock, the JWTs themselves carry real time."""

import base64
import hashlib
import secrets
import uuid
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from xero_simulator import ledger
from xero_simulator.clock import from_ms, real_now, to_ms
from xero_simulator.documents import Login
from xero_simulator.simulator import Simulator
from xero_simulator.store import Store

ACCESS, ID, REFRESH, GRACE = timedelta(minutes=30), timedelta(minutes=5), timedelta(days=60), timedelta(minutes=30)


class Unauthorized(Exception):
    """The access token is not good; the text is the Detail of Xero's 401."""


@dataclass(frozen=True)
class Consent:
    """What one press of "Allow access" granted; every token made from it repeats it."""

    login: str
    scopes: str
    auth_event: str
    session: str
    auth_time: int


@dataclass(frozen=True)
class Caller:
    login: str
    scopes: frozenset[str]


def signing_key(store: Store) -> RSAKey:
    """The key kept in the store, made at the first start."""
    if pem := store.fact("signing_key"):
        return RSAKey.import_key(pem, {"kid": store.fact("signing_kid") or "", "use": "sig", "alg": "RS256"})
    kid = secrets.token_hex(20).upper()
    key = RSAKey.generate_key(2048, {"kid": kid, "use": "sig", "alg": "RS256"})
    store.remember("signing_key", key.as_pem(private=True).decode())
    store.remember("signing_kid", kid)
    return key


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def answer(simulator: Simulator, consent: Consent, nonce: str | None) -> dict[str, Any]:
    """The token endpoint's answer, with exactly Xero's keys."""
    scopes = consent.scopes.split()
    access = _access_token(simulator, consent)
    made: dict[str, Any] = {}
    if "openid" in scopes:
        made["id_token"] = _id_token(simulator, consent, access, nonce)
    made.update(access_token=access, expires_in=int(ACCESS.total_seconds()), token_type="Bearer")
    if "offline_access" in scopes:
        made["refresh_token"] = _refresh_token(simulator, consent)
    return {**made, "scope": consent.scopes}


def _access_token(simulator: Simulator, consent: Consent) -> str:
    real, jti = int(real_now().timestamp()), uuid.uuid4().hex.upper()
    expires = to_ms(simulator.clock.now() + ACCESS)
    simulator.store.run("DELETE FROM access_tokens WHERE expires < ?", to_ms(simulator.clock.now() - timedelta(days=1)))
    simulator.store.run("INSERT INTO access_tokens VALUES (?, ?)", jti, expires)
    issuer = simulator.settings.issuer
    claims = {
        "nbf": real,
        "exp": real + int(ACCESS.total_seconds()),
        "iss": issuer,
        "aud": f"{issuer}/resources",
        "client_id": simulator.settings.client_id,
        "sub": subject(consent.login),
        "auth_time": consent.auth_time,
        "xero_userid": consent.login,
        "global_session_id": consent.session,
        "jti": jti,
        "authentication_event_id": consent.auth_event,
        "scope": consent.scopes.split(),
    }
    return _signed(simulator.key, claims)


def _id_token(simulator: Simulator, consent: Consent, access: str, nonce: str | None) -> str:
    real, login = int(real_now().timestamp()), ledger.login(simulator.store, consent.login)
    half = hashlib.sha256(access.encode()).digest()[:16]
    claims: dict[str, Any] = {
        "nbf": real,
        "exp": real + int(ID.total_seconds()),
        "iss": simulator.settings.issuer,
        "aud": simulator.settings.client_id,
        "iat": real,
        "at_hash": base64.urlsafe_b64encode(half).rstrip(b"=").decode(),
        "sid": consent.session,
        "sub": subject(consent.login),
        "auth_time": consent.auth_time,
        "xero_userid": consent.login,
        "global_session_id": consent.session,
        **_personal_claims(login, consent.scopes.split()),
    }
    if nonce is not None:
        claims["nonce"] = nonce
    return _signed(simulator.key, claims)


def _personal_claims(login: Login, scopes: list[str]) -> dict[str, str]:
    claims: dict[str, str] = {}
    if "profile" in scopes:
        claims.update(preferred_username=login.email, given_name=login.given_name, family_name=login.family_name)
    if "email" in scopes:
        claims["email"] = login.email
    return claims


def subject(login_id: str) -> str:
    """Xero's `sub` is an opaque string of its own, not the user's id."""
    return hashlib.sha256(f"subject {login_id}".encode()).hexdigest()[:32]


def _signed(key: RSAKey, claims: dict[str, Any]) -> str:
    header = {"alg": "RS256", "typ": "JWT", "x5t": base64.urlsafe_b64encode(bytes.fromhex(str(key.kid))).rstrip(b"=").decode()}
    return jwt.encode({**header, "kid": key.kid}, claims, key)


def _refresh_token(simulator: Simulator, consent: Consent) -> str:
    secret = secrets.token_urlsafe(32)
    expires = to_ms(simulator.clock.now() + REFRESH)
    values = (hashed(secret), consent.login, consent.scopes, consent.auth_event, consent.session, consent.auth_time, expires)
    simulator.store.run("INSERT INTO refresh_tokens VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", *values)
    return secret


def rotate(simulator: Simulator, secret: str) -> Consent | None:
    """Spends a refresh token; within 30 minutes of its first use it may be spent again. None when it is not good."""
    now = to_ms(simulator.clock.now())
    row = simulator.store.row("SELECT * FROM refresh_tokens WHERE hash = ?", hashed(secret))
    if row is None or now >= row["expires"]:
        return None
    if row["rotated"] is not None and now >= row["rotated"] + to_ms(from_ms(0) + GRACE):
        return None
    simulator.store.run("UPDATE refresh_tokens SET rotated = COALESCE(rotated, ?) WHERE hash = ?", now, hashed(secret))
    return Consent(row["login"], row["scopes"], row["auth_event"], row["session"], row["auth_time"])


def revoke(simulator: Simulator, secret: str) -> None:
    """Ends every token of the refresh token's owner and all connections made by them; an unknown token is no error."""
    row = simulator.store.row("SELECT login FROM refresh_tokens WHERE hash = ?", hashed(secret))
    if row is None:
        return
    now = to_ms(simulator.clock.now())
    simulator.store.run("DELETE FROM refresh_tokens WHERE login = ?", row["login"])
    simulator.store.run("DELETE FROM consents WHERE login = ?", row["login"])
    simulator.store.run("UPDATE connections SET live = 0, updated = ? WHERE login = ? AND live", now, row["login"])


def caller(simulator: Simulator, authorization: str | None) -> Caller:
    """Who calls, from the Authorization header. Raises Unauthorized."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token:
        raise Unauthorized("AuthenticationUnsuccessful")
    try:
        claims = jwt.decode(token, simulator.key, algorithms=["RS256"]).claims
    except (JoseError, ValueError):
        raise Unauthorized("TokenInvalidSignature") from None
    row = simulator.store.row("SELECT expires FROM access_tokens WHERE jti = ?", str(claims.get("jti")))
    if row is None:
        raise Unauthorized("AuthenticationUnsuccessful")
    expires = from_ms(row["expires"])
    if simulator.clock.now() >= expires or simulator.faults.token_expired:
        raise Unauthorized(f"TokenExpired: token expired at {expires:%m/%d/%Y %H:%M:%S}")
    return Caller(str(claims["xero_userid"]), frozenset(claims["scope"]))
