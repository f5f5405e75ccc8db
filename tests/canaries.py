"""Looks for secrets of the running product in every place where they must not stand."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx

from auth import vault
from auth.models import TokenSet
from auth.store import FIELDS, TOKEN_SETS
from client_invoices.installation import SERVICES, SERVICES_ON_THE_BUS
from common.crypto import KeyRing
from common.mongo import Database
from local import mongod
from local.people import Browser
from local.running import Running

OUTSIDE = ("xero", "inbox", "keys")
"""Folders of what stands for the outside world, and of the keys themselves."""


async def xero_tokens(system: Running) -> list[str]:
    """Every token in the vault, opened with its ring, as a whole and by the part nobody else's has."""
    ring = KeyRing.load(system.data / "keys" / "auth" / "rings" / f"{vault.RING}.json")
    db = _database(system, "auth")
    sets = [TokenSet.model_validate(row) for row in await db.collection(TOKEN_SETS).find({})]
    db.close()
    tokens = [vault.open_token(ring, each, field).get_secret_value() for each in sets for field in FIELDS if getattr(each, field)]
    return sorted({part for token in tokens for part in (token, token.rpartition(".")[2])})


def cookies(browser: Browser) -> list[str]:
    """The session secrets a browser holds; the cookies that only tie a form to it are no secrets of ours."""
    return [str(cookie.value) for cookie in browser.http.cookies.jar if cookie.name in ("__Host-provider", "__Host-client")]


async def found(system: Running, secrets: list[str]) -> list[str]:
    """Where a secret stands: in a document of any service's database, in what a service tells about itself, in any file of the product."""
    wanted = [secret.encode() for secret in secrets]
    places = [place for place, content in _files(system.data) if any(secret in content for secret in wanted)]
    async for place, content in _documents(system):
        if any(secret in content for secret in secrets):
            places.append(place)
    async with httpx.AsyncClient(trust_env=False) as http:
        for service in SERVICES:
            port = system.state["ports"][f"{service.upper().replace('-', '_')}_HEALTH_PORT"]
            for path in ("/metrics", "/readyz"):
                told = (await http.get(f"http://127.0.0.1:{port}{path}")).text
                if any(secret in told for secret in secrets):
                    places.append(f"{service}{path}")
    return places


def _files(data: Path) -> Iterator[tuple[str, bytes]]:
    """Logs, and the database's and the broker's files as they lie on the disk."""
    for path in sorted(data.rglob("*")):
        inside = path.relative_to(data)
        if path.is_file() and inside.parts[0] not in OUTSIDE:
            yield str(inside), path.read_bytes()


async def _documents(system: Running) -> AsyncIterator[tuple[str, str]]:
    for service in SERVICES_ON_THE_BUS:
        db = _database(system, service)
        for name in await db.client[service].list_collection_names():
            for row in await db.collection(name).find({}):
                yield f"{service}.{name} {row['_id']}", str(row)
        db.close()


def _database(system: Running, service: str) -> Database:
    return Database(mongod.url(system.state["ports"]["MONGO_PORT"]), service)
