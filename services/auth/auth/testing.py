"""For tests: an identity server that can be told to lie in one way at a time, and a browser that signs in with it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import secrets
import socket
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from joserfc import jwt
from joserfc.jwk import Key, KeySet, RSAKey

from auth.browser import PRE_COOKIE, SESSION_COOKIE
from common.ids import organisation_id
from common.testing import Harness

CLIENT_ID, CLIENT_SECRET = "our-app", "our-secret"
KOWHAI, PIKE = "5f1f7b3a-0000-4000-8000-000000000001", "5f1f7b3a-0000-4000-8000-000000000002"
GRACE_SECONDS = 1800
NO_KILL: tuple[str, Callable[[], None]] = ("", lambda: None)
KOWHAI_ID, PIKE_ID = organisation_id(KOWHAI), organisation_id(PIKE)
SCOPES = "openid profile email offline_access accounting.contacts.read accounting.invoices.read"
MERE = {"sub": "mere", "given_name": "Mere", "family_name": "Hart", "email": "mere@kowhai.example"}
TANE = {"sub": "tane", "given_name": "Tāne", "family_name": "Pike", "email": "tane@kowhai.example"}


class PretendXero:
    """Xero's identity server and connections on a real port, honest until one of the `lie` settings is made."""

    def __init__(self) -> None:
        self.url = ""
        self.key = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig"})  # no "alg", so that only our own list can refuse one
        self.published: list[Key] = [self.key]
        self.reset()
        self.app = FastAPI()
        self.app.add_api_route("/.well-known/openid-configuration", self._discovery)
        self.app.add_api_route("/jwks", self._jwks)
        self.app.add_api_route("/connect/token", self._token, methods=["POST"])
        self.app.add_api_route("/userinfo", self._userinfo)
        self.app.add_api_route("/connections", self._connections)
        self.app.add_api_route("/connections/{id}", self._end_connection, methods=["DELETE"])
        self.app.add_api_route("/connect/revocation", self._revoke, methods=["POST"])

    def reset(self) -> None:
        """Honest again, nobody known, nothing counted."""
        self.published = [self.key]
        self.people: dict[str, dict[str, str]] = {}
        self.tenants: dict[str, dict[str, dict[str, Any]]] = {}
        self.codes: dict[str, dict[str, Any]] = {}
        self.refresh_tokens: dict[str, dict[str, Any]] = {}
        self.spent: dict[str, float] = {}
        self.refreshed: Counter[str] = Counter()
        self.clock = 0.0
        self.keys_read = self.consents = 0
        self.secrets: list[str] = []
        self.revoked: list[str] = []
        self.lie: dict[str, Any] = {}
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {}

    @property
    def refreshes(self) -> int:
        """How often a refresh token was shown."""
        return self.refreshed.total()

    @property
    def settings(self) -> dict[str, Any]:
        """Settings of an auth service that uses this server."""
        return {
            "xero_client_id": CLIENT_ID,
            "xero_client_secret": CLIENT_SECRET,
            "xero_issuer": self.url,
            "xero_discovery_url": f"{self.url}/.well-known/openid-configuration",
            "xero_authorize_url": f"{self.url}/authorize",
            "xero_token_url": f"{self.url}/connect/token",
            "xero_connections_url": f"{self.url}/connections",
            "xero_revocation_url": f"{self.url}/connect/revocation",
        }

    def consent(self, url: str, person: dict[str, str], *tenants: str, name: str = "Kōwhai & Hart Studio Ltd") -> dict[str, str]:
        """What pressing "Allow access" leads back with; `tenants` become connections of this consent."""
        asked = dict(parse_qsl(urlsplit(url).query))
        event, code = str(uuid.uuid4()), secrets.token_urlsafe(24)
        self.people[person["sub"]] = person
        for tenant in tenants:
            self.connect(person, tenant, event, name=name if tenant == KOWHAI else "Pike & Larkmoor LLP")
        self.codes[code] = {"sub": person["sub"], "event": event, **asked}
        return {"code": code, "state": asked["state"], "scope": asked["scope"]}

    def connect(self, person: dict[str, str], tenant: str, event: str, *, name: str, kind: str = "ORGANISATION") -> None:
        self.consents += 1
        updated = f"2026-11-21T09:00:00.{self.consents:07}"
        entry = {"id": str(uuid.uuid4()), "authEventId": event, "tenantId": tenant, "tenantType": kind, "tenantName": name}
        self.tenants.setdefault(person["sub"], {})[tenant] = {**entry, "createdDateUtc": updated, "updatedDateUtc": updated}

    def disconnect(self, person: dict[str, str], tenant: str) -> None:
        del self.tenants[person["sub"]][tenant]

    def forget_grants(self) -> None:
        """Every refresh token becomes worthless."""
        self.refresh_tokens.clear()

    async def _discovery(self) -> Response:
        found = {"issuer": self.url, "jwks_uri": f"{self.url}/jwks", **self.lie.get("discovery", {})}
        return self._away() or JSONResponse(found)

    async def _jwks(self) -> Response:
        self.keys_read += 1
        return self._away() or JSONResponse(KeySet([*self.published]).as_dict(private=False))

    async def _token(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        await asyncio.sleep(self.lie.get("slow", 0))
        if self.lie.get("html"):
            return Response("<html>Access denied by a proxy</html>", self.lie["html"], media_type="text/html")
        if request.headers["authorization"] != f"Basic {base64.b64encode(f'{CLIENT_ID}:{CLIENT_SECRET}'.encode()).decode()}":
            return JSONResponse({"error": "invalid_client"}, 400)
        refreshing = form["grant_type"] == "refresh_token"
        stage, kill = self.lie.pop("kill", NO_KILL) if refreshing else NO_KILL
        if stage == "asked":
            kill()
            return Response("Bad gateway", 502)
        granted = self._rotated(form) if refreshing else self._code(form)
        away = self._away() or (JSONResponse({"error": self.lie["error"]}, 400) if "error" in self.lie else None)
        if away or granted is None:
            return away or JSONResponse({"error": "invalid_grant"}, 400)
        answer = self._tokens(granted)
        if stage == "rotated":
            kill()
        if stage == "answered":
            asyncio.get_running_loop().call_later(secrets.randbelow(30) / 1000, kill)
        if self.lie.pop("cut", None):
            return StreamingResponse(_cut(), media_type="application/json")
        return JSONResponse({**answer, **self.lie.get("answer", {})})

    def _code(self, form: dict[str, str]) -> dict[str, Any] | None:
        granted = self.codes.pop(form["code"], None)
        challenge = (granted or {}).get("code_challenge")
        given = base64.urlsafe_b64encode(hashlib.sha256(form.get("code_verifier", "").encode()).digest()).rstrip(b"=").decode()
        return granted if granted and form["redirect_uri"] == granted["redirect_uri"] and challenge in (None, given) else None

    def _rotated(self, form: dict[str, str]) -> dict[str, Any] | None:
        """The old token stays good for a second try for half an hour of `clock`, Xero's grace."""
        granted = self.refresh_tokens.get(form["refresh_token"])
        self.refreshed[granted["sub"] if granted else ""] += 1
        if self.lie.pop("refuse_once", None) or self.clock - self.spent.setdefault(form["refresh_token"], self.clock) > GRACE_SECONDS:
            return None
        return granted

    def _tokens(self, granted: dict[str, Any]) -> dict[str, Any]:
        now, person = int(time.time()), self.people[granted["sub"]]
        refresh = secrets.token_urlsafe(32)
        self.refresh_tokens[refresh] = granted
        access = jwt.encode(
            {"alg": "RS256", "kid": "k1"},
            {"sub": granted["sub"], "authentication_event_id": granted["event"], "jti": secrets.token_hex(8)},
            self.key,
        )
        self.secrets += [refresh, access]
        half = base64.urlsafe_b64encode(hashlib.sha256(access.encode()).digest()[:16]).rstrip(b"=").decode()
        said = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": granted["nonce"], "at_hash": half, **person}
        said = {name: value for name, value in {**said, **self.claims}.items() if value is not None}
        header = {name: value for name, value in {"alg": "RS256", "kid": "k1", **self.header}.items() if value is not None}
        tokens = {"id_token": self._signed(header, said), "access_token": access, "refresh_token": refresh}
        return {**tokens, "expires_in": 1800, "token_type": "Bearer", "scope": SCOPES}

    def _signed(self, header: dict[str, Any], said: dict[str, Any]) -> str:
        """An ID token as the lie wants it: unsigned, or with the public key as a shared secret, or by a key of any algorithm."""
        if header["alg"] == "none":
            return f"{_part(header)}.{_part(said)}."
        if header["alg"] == "HS256":
            text = f"{_part(header)}.{_part(said)}"
            made = hmac.new(self.key.as_pem(private=False), text.encode(), hashlib.sha256).digest()
            return f"{text}.{base64.urlsafe_b64encode(made).rstrip(b'=').decode()}"
        pem = self.lie.get("key", self.key).as_pem(private=True)
        return jwt.encode(header, said, RSAKey.import_key(pem), algorithms=["RS256", "RS512"])

    async def _userinfo(self) -> Response:
        return self._away() or JSONResponse(self.lie["userinfo"])

    async def _connections(self, request: Request) -> Response:
        if self.lie.get("unauthorised"):
            return JSONResponse({"Title": "Unauthorized"}, 401)
        payload = jwt.decode(request.headers["authorization"].removeprefix("Bearer "), self.key, algorithms=["RS256"]).claims
        listed = list(self.tenants.get(payload["sub"], {}).values())
        return self._away() or JSONResponse(self.lie.get("connections", listed))

    async def _end_connection(self, id: str, request: Request) -> Response:
        payload = jwt.decode(request.headers["authorization"].removeprefix("Bearer "), self.key, algorithms=["RS256"]).claims
        theirs = self.tenants.get(payload["sub"], {})
        found = [tenant for tenant, entry in theirs.items() if entry["id"] == id]
        if self._away() or not found:
            return self._away() or Response(status_code=404)
        del theirs[found[0]]
        return Response(status_code=204)

    async def _revoke(self, request: Request) -> Response:
        """Every token and connection of the token's owner is gone."""
        form = {name: values[0] for name, values in parse_qs((await request.body()).decode()).items()}
        if away := self._away():
            return away
        assert "authorization" in request.headers
        if granted := self.refresh_tokens.get(form["token"]):
            self.revoked.append(granted["sub"])
            self.tenants.pop(granted["sub"], None)
            self.refresh_tokens = {token: other for token, other in self.refresh_tokens.items() if other["sub"] != granted["sub"]}
        return Response(status_code=200)

    def _away(self) -> Response | None:
        return Response("Bad gateway", 502) if self.lie.get("away") else None


@asynccontextmanager
async def pretended_xero() -> AsyncIterator[PretendXero]:
    """The server on a free port."""
    xero = PretendXero()
    listening = socket.create_server(("127.0.0.1", 0), backlog=500)
    server = uvicorn.Server(uvicorn.Config(xero.app, log_config=None, lifespan="off"))
    task = asyncio.create_task(server.serve([listening]))
    xero.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    yield xero
    server.should_exit = True
    await task


class Browser:
    """A browser of one person: it keeps cookies and never follows a redirect by itself."""

    def __init__(self, service: Harness, xero: PretendXero) -> None:
        self.service = service
        self.xero = xero
        self.cookies: dict[str, str] = {}
        self.agent = "Mozilla/5.0 (X11; Linux x86_64) Chrome/156.0"

    async def get(self, path: str, **params: str) -> httpx.Response:
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        headers = {"user-agent": self.agent} | ({"cookie": cookie} if cookie else {})
        answer = await self.service.http.get(path, params=params, headers=headers)
        self.service.http.cookies.clear()
        for header in answer.headers.get_list("set-cookie"):
            name, _, value = header.partition(";")[0].partition("=")
            self.cookies[name] = value
        return answer

    async def start(self, **params: str) -> str:
        """Where the sign-in leads to at Xero."""
        return str((await self.get("/auth/xero/start", **params)).headers["location"])

    async def sign_in(self, person: dict[str, str], *tenants: str, **goal: str) -> httpx.Response:
        """The whole way; answers the callback's redirect."""
        return await self.get("/auth/xero/callback", **self.xero.consent(await self.start(**goal), person, *(tenants or (KOWHAI,))))

    @property
    def session(self) -> str:
        return self.cookies[SESSION_COOKIE]

    async def identify(self, organisation: str | None = None, *audiences: str) -> httpx.Response:
        """Who auth says this browser belongs to."""
        asked = {"session": self.cookies.get(SESSION_COOKIE, "none"), "organisation_id": organisation, "audiences": audiences}
        return await self.service.http.post("/internal/identify", json=asked, headers=self.service.as_service("web"))

    def forget_start(self) -> None:
        self.cookies.pop(PRE_COOKIE, None)


def _part(document: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


async def _cut() -> AsyncIterator[bytes]:
    yield b'{"access_token": "'
    raise ConnectionError("the answer is lost on the way")
