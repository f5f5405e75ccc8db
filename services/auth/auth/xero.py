"""Xero's identity side: sign-in, tokens and connections. Nothing here keeps anything about a person between two calls."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.cookiejar
import json
import time
from typing import Any
from urllib.parse import quote, quote_plus

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet, RSAKey
from pydantic import SecretStr, TypeAdapter, ValidationError

from auth.errors import GrantRefused, SignInFailed, XeroUnavailable
from auth.models import Identity, SignIn, XeroConnection, XeroTokens
from auth.settings import Settings
from common.deadlines import remaining
from common.logging import get_logger

CALL_SECONDS = 15.0
LARGEST_ANSWER = 4 * 1024 * 1024
ALGORITHMS = ["RS256"]
LEEWAY_SECONDS = 60
KEYS_REREAD_SECONDS = 60
KEYS_KEPT_SECONDS = 24 * 3600
CONNECTIONS = TypeAdapter(list[XeroConnection])
log = get_logger()


class Unauthorised(Exception):
    """Xero answered 401: this access token is not good (any more)."""


class Xero:
    """A client of Xero's identity server and its list of connections."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        no_cookies = http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[]))
        timeout = httpx.Timeout(CALL_SECONDS, connect=3, pool=2)
        self._http = httpx.AsyncClient(timeout=timeout, cookies=no_cookies, trust_env=False, follow_redirects=False)
        self._keys = KeySet([])
        self._keys_read_at = -float(KEYS_KEPT_SECONDS)
        self._names_itself = False
        self._userinfo_url = ""

    async def aclose(self) -> None:
        await self._http.aclose()

    def sign_in_url(self, sign_in: SignIn, state: str) -> str:
        """Where the browser goes to sign in and consent. Source: OpenID Connect Core 3.1.2.1, RFC 7636."""
        asked = {"redirect_uri": self._settings.redirect_uri, "scope": self._settings.xero_scopes, "state": state, "nonce": sign_in.nonce}
        if sign_in.verifier:
            asked |= {"code_challenge": create_s256_code_challenge(sign_in.verifier), "code_challenge_method": "S256"}
        return str(prepare_grant_uri(self._settings.xero_authorize_url, self._settings.xero_client_id, "code", **asked))

    async def exchange(self, code: str, verifier: str | None) -> XeroTokens:
        """Tokens for a code. No scope in the answer means the one asked for (RFC 6749, 5.1). Raises GrantRefused, XeroUnavailable."""
        form = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._settings.redirect_uri}
        tokens = await self._tokens(form | ({"code_verifier": verifier} if verifier else {}))
        return tokens if tokens.scope else tokens.model_copy(update={"scope": self._settings.xero_scopes})

    async def refresh(self, refresh_token: SecretStr) -> XeroTokens:
        """The next tokens. Raises GrantRefused only for Xero's own `invalid_grant`, XeroUnavailable for everything else."""
        return await self._tokens({"grant_type": "refresh_token", "refresh_token": refresh_token.get_secret_value()})

    async def connections(self, access_token: SecretStr) -> list[XeroConnection]:
        """What the login is connected to, whatever its kind. Raises Unauthorised, XeroUnavailable."""
        status, document = await self._ask("GET", self._settings.xero_connections_url, headers=_bearer(access_token))
        if status == httpx.codes.UNAUTHORIZED:
            raise Unauthorised
        try:
            if status != httpx.codes.OK:
                raise ValueError(status)
            return CONNECTIONS.validate_python(document)
        except ValueError as error:
            raise XeroUnavailable("Xero's list of connections cannot be read.") from error

    async def end_connection(self, access_token: SecretStr, xero_id: str) -> None:
        """Disconnects one organisation of a login; one that is gone already is fine. Raises Unauthorised, XeroUnavailable.

        Xero answers 204, 404 for an unknown one, and 403 where it is another login's.
        """
        url = f"{self._settings.xero_connections_url}/{quote(xero_id, safe='')}"
        status, _ = await self._send("DELETE", url, headers=_bearer(access_token))
        if status == httpx.codes.UNAUTHORIZED:
            raise Unauthorised
        if status not in (httpx.codes.NO_CONTENT, httpx.codes.OK, httpx.codes.NOT_FOUND, httpx.codes.FORBIDDEN):
            raise XeroUnavailable(f"Xero answered {status} to ending a connection.")

    async def revoke(self, refresh_token: SecretStr) -> None:
        """Makes a login's tokens worthless and ends its connections, also for a token Xero does not know. Raises XeroUnavailable.

        Source: RFC 7009.
        """
        form = {"token": refresh_token.get_secret_value(), "token_type_hint": "refresh_token"}
        status, _ = await self._send("POST", self._settings.xero_revocation_url, data=form, auth=self._app())
        if status != httpx.codes.OK:
            log.error("xero.not_revoked", status=status)
            raise XeroUnavailable(f"Xero answered {status} to a revocation.")

    async def identity(self, tokens: XeroTokens, nonce: str) -> Identity:
        """Who signed in, from the ID token. Raises SignInFailed when any part of it is wrong, XeroUnavailable without Xero's keys."""
        if tokens.id_token is None:
            raise SignInFailed("failed", "no ID token")
        token = tokens.id_token.get_secret_value()
        try:
            key = await self._key(jws.extract_compact(token.encode()).headers())
            said = jwt.decode(token, key, algorithms=ALGORITHMS).claims
            self._judge(said, nonce)
            _check_access_token(said, tokens.access_token)
            return _identity(said if said.get("email") else {**await self._userinfo(said, tokens.access_token), **said})
        except (JoseError, ValidationError, KeyError, TypeError, ValueError) as error:
            raise SignInFailed("failed", f"ID token: {type(error).__name__}") from error

    def check_issuer(self, given: str | None) -> None:
        """RFC 9207: the `iss` of a callback must be our issuer's, and be there when the issuer says it always is."""
        if given is not None and given != self._settings.xero_issuer:
            raise SignInFailed("failed", "callback of another issuer")
        if given is None and self._names_itself:
            raise SignInFailed("failed", "callback without the issuer")

    def _judge(self, said: dict[str, Any], nonce: str) -> None:
        registry = jwt.JWTClaimsRegistry(
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": self._settings.xero_issuer},
            exp={"essential": True},
            iat={"essential": True},
            sub={"essential": True},
        )
        registry.validate(said)
        if said["aud"] not in (self._settings.xero_client_id, [self._settings.xero_client_id]):
            raise ValueError("audience")
        if not hmac.compare_digest(str(said["nonce"]).encode(), nonce.encode()):
            raise ValueError("nonce")

    async def _userinfo(self, said: dict[str, Any], access_token: SecretStr) -> dict[str, Any]:
        """Name and address where the ID token leaves them out, as a provider may. Source: OpenID Connect Core 1.0, 5.3 and 5.4."""
        if not self._userinfo_url:
            return {}
        status, told = await self._ask("GET", self._userinfo_url, headers=_bearer(access_token))
        if status != httpx.codes.OK or not isinstance(told, dict) or told.get("sub") != said["sub"]:
            raise ValueError("userinfo")
        return told

    async def _key(self, header: dict[str, Any]) -> RSAKey:
        """The signing key named. An unknown one makes us read the keys again, but at most once a minute."""
        kid = header.get("kid")
        age = time.monotonic() - self._keys_read_at
        if age > KEYS_KEPT_SECONDS or (self._named(kid) is None and age > KEYS_REREAD_SECONDS):
            await self._read_keys()
        key = self._named(kid)
        if key is None:
            raise ValueError("unknown key")
        return key

    def _named(self, kid: str | None) -> RSAKey | None:
        """A token need not name its key where only one is published. Source: OpenID Connect Core 1.0, 10.1."""
        keys = [key for key in self._keys.keys if isinstance(key, RSAKey) and key.get("use") in (None, "sig")]
        if kid is None:
            return keys[0] if len(keys) == 1 else None
        return next((key for key in keys if key.kid == kid), None)

    async def _read_keys(self) -> None:
        """Source: OpenID Connect Discovery 1.0, section 4."""
        _, discovered = await self._ask("GET", self._settings.xero_discovery_url)
        try:
            if discovered["issuer"] != self._settings.xero_issuer:
                raise ValueError("another issuer")
            _, published = await self._ask("GET", str(discovered["jwks_uri"]))
            keys = KeySet.import_key_set(published)
        except (JoseError, KeyError, TypeError, ValueError) as error:
            raise XeroUnavailable("Xero's keys cannot be read.") from error
        self._names_itself = discovered.get("authorization_response_iss_parameter_supported") is True
        self._userinfo_url = str(discovered.get("userinfo_endpoint", ""))
        self._keys, self._keys_read_at = keys, time.monotonic()

    def _app(self) -> httpx.BasicAuth:
        """Our app's own name and secret, encoded first: RFC 6749, 2.3.1."""
        secret = self._settings.xero_client_secret.get_secret_value()
        return httpx.BasicAuth(quote_plus(self._settings.xero_client_id), quote_plus(secret))

    async def _tokens(self, form: dict[str, str]) -> XeroTokens:
        status, document = await self._ask("POST", self._settings.xero_token_url, data=form, auth=self._app())
        refusal = document.get("error") if isinstance(document, dict) else None
        if status == httpx.codes.BAD_REQUEST and refusal == "invalid_grant":
            raise GrantRefused
        try:
            if status != httpx.codes.OK:
                raise ValueError(status)
            return XeroTokens.model_validate(document)
        except ValueError:  # its text may hold the tokens: not chained, not logged
            log.error("xero.tokens_not_given", status=status, refusal=str(refusal)[:40])
        raise XeroUnavailable("Xero gave no tokens.")

    async def _ask(self, method: str, url: str, **content: Any) -> tuple[int, Any]:
        """Status and JSON of the answer. Raises XeroUnavailable as `_send`, and for what is no JSON."""
        status, body = await self._send(method, url, **content)
        try:
            return status, json.loads(body)
        except (ValueError, RecursionError) as error:
            log.warning("xero.no_answer", reason=type(error).__name__)
            raise XeroUnavailable("Xero does not answer.") from error

    async def _send(self, method: str, url: str, **content: Any) -> tuple[int, bytes]:
        """Status and body of the answer. Raises XeroUnavailable for no answer in time, 5xx and 429."""
        try:
            async with asyncio.timeout(remaining(CALL_SECONDS)), self._http.stream(method, url, **content) as answer:
                body = bytearray()
                async for part in answer.aiter_bytes():
                    body += part
                    if len(body) > LARGEST_ANSWER:
                        raise ValueError("too large")
            if answer.is_server_error or answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
                raise ValueError(answer.status_code)
            return answer.status_code, bytes(body)
        except (httpx.HTTPError, TimeoutError, ValueError) as error:
            log.warning("xero.no_answer", reason=type(error).__name__)
            raise XeroUnavailable("Xero does not answer.") from error


def auth_event_id(access_token: SecretStr) -> str | None:
    """The consent an access token came from, by its own claim. Only a hint which organisation was picked, so not verified."""
    try:
        said = json.loads(jws.extract_compact(access_token.get_secret_value().encode()).payload)
        return str(said["authentication_event_id"])
    except (JoseError, ValueError, KeyError, TypeError):
        return None


def _bearer(access_token: SecretStr) -> dict[str, str]:
    return {"authorization": f"Bearer {access_token.get_secret_value()}", "accept": "application/json"}


def _check_access_token(said: dict[str, Any], access_token: SecretStr) -> None:
    """OpenID Connect Core 3.1.3.8: where the ID token has the access token's hash, they belong together."""
    if "at_hash" in said:
        half = hashlib.sha256(access_token.get_secret_value().encode()).digest()[:16]
        if not hmac.compare_digest(str(said["at_hash"]).encode(), base64.urlsafe_b64encode(half).rstrip(b"=")):
            raise ValueError("at_hash")


def _identity(said: dict[str, Any]) -> Identity:
    parts = [str(said[name]).strip() for name in ("given_name", "family_name") if said.get(name)]
    email = str(said["email"]).strip()
    if not email or not said["sub"]:
        raise ValueError("nobody named")
    name = " ".join(parts) or str(said.get("name") or "").strip() or email
    return Identity(issuer=said["iss"], subject=said["sub"], name=name, email=email)
