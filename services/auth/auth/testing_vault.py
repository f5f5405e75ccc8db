"""For tests: many logins with sealed tokens, processes that read and renew them, and an operator who turns the key meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from auth import rotation, rotation_store, store, vault
from auth.audit_models import Use
from auth.errors import XeroUnavailable
from auth.testing import MERE, PretendXero
from auth.tokens import Tokens
from common.clock import utc_now
from common.crypto import KeyRing, Unreadable
from common.keys import retire_key
from common.mongo import Database
from common.service import operations
from common.settings import ServiceSettings
from common.testing import Harness


class Vaults:
    """Token sets under the primary key of a ring file of their own; every tenth is out of date, so reading it renews it."""

    def __init__(self, service: Harness, xero: PretendXero, ring_file: Path) -> None:
        self.service = service
        self.db = service.db
        self.xero = xero
        self.ring_file = ring_file
        self.count = 0
        self.reads = self.away = 0
        self.failed: list[str] = []

    async def fill(self, count: int) -> None:
        self.count = count
        ring = KeyRing.load(self.ring_file)
        self.xero.people["mere"] = MERE
        for start in range(0, self.count, 1000):
            numbers = range(start, min(self.count, start + 1000))
            await self.db.collection(store.TOKEN_SETS).insert_many(self._token_set(ring, number) for number in numbers)

    def _token_set(self, ring: KeyRing, number: int) -> dict[str, Any]:
        id, owner, now = f"tks_{number:026}", f"{self.xero.url}|{number}", utc_now()
        until = now + timedelta(hours=1 if number % 10 else -1)
        self.xero.refresh_tokens[f"refresh-{number}"] = {"sub": "mere", "event": "", "nonce": None}
        sealed: dict[str, Any] = {
            field: vault.seal_token(ring, SecretStr(f"{field}-{number}"), id, owner, field, 1)
            for field in store.FIELDS
            if field != "previous" or number % 2
        }
        stands = {"state": "live", "generation": 1, "consent": 1, "provider_id": f"prv_{number:026}"}
        times = {"refresh_at": until, "expires_at": until, "refreshed_at": now, "used_at": now, "check_at": now + timedelta(days=7)}
        return {"_id": id, "owner": owner, **stands, **times, **sealed}

    async def read(self, stop: asyncio.Event) -> None:
        """One process: reads tokens here and there, with the ring as it is when it starts, until told to stop."""
        tokens = Tokens(self.service.app.state.xero, vault.Vault(KeyRing.load(self.ring_file)))
        while not stop.is_set():
            number = random.randrange(self.count)
            try:
                access = await tokens.usable(self.db, f"tks_{number:026}", Use(service="xero-gateway", purpose="access-token"))
                token = access.token.get_secret_value()
                if token != f"access-{number}" and token not in self.xero.secrets:
                    self.failed.append(f"{number}: another token")
            except XeroUnavailable as error:
                if isinstance(error.__cause__, Unreadable):
                    self.failed.append(f"{number}: {error!r}")
                self.away += 1  # no answer from the pretended Xero in time: says nothing about the vault, and callers ask again
            except Exception as error:  # whatever it is, it is a read that failed
                self.failed.append(f"{number}: {error!r}")
            self.reads += 1
        await tokens.aclose()

    async def under(self, key: str) -> int:
        """How many token sets have a token under this key."""
        return await rotation_store.count_wrapped_by(self.db, [key])

    @property
    def environment(self) -> dict[str, str]:
        """What an operator's command has to be told."""
        settings = self.service.runtime.settings
        told = {"MONGO_URL": settings.mongo_url, "MONGO_DATABASE": settings.mongo_database, "KEYS_DIR": self.ring_file.parent.parent}
        return {name: str(value) for name, value in told.items()} | {"XERO_CLIENT_ID": "none", "XERO_CLIENT_SECRET": "none"}

    async def process(self, module: str = "auth") -> asyncio.subprocess.Process:
        """`python -m <module>` with what auth has to be told; `auth.testing_vault` wraps everything with the primary key."""
        line, pipe = (sys.executable, "-m", module), asyncio.subprocess.PIPE
        return await asyncio.create_subprocess_exec(*line, env={**os.environ, **self.environment}, stdout=pipe, stderr=pipe)

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """What auth, started with the ring as it is now, answers an operator; of an answer in lines the last."""
        self.service.app.state.ring = KeyRing.load(self.ring_file)
        transport = httpx.ASGITransport(operations(self.service.runtime))
        headers = self.service.as_service("operations")
        async with httpx.AsyncClient(transport=transport, base_url="http://auth") as http:
            answer = await http.request(method, f"/internal/admin{path}", json=body, headers=headers, timeout=600)
        assert answer.status_code == 200, answer.text
        return json.loads(answer.text.splitlines()[-1])

    async def retire(self, key: str) -> str:
        """As the operator's command does it: `disabled`, then `removed`. Raises NotYet while a token set needs the key."""
        needed = (await self.ask("GET", f"/vault/{key}"))["needed"]
        return retire_key([self.ring_file], key, utc_now(), needed=needed)

    async def rotate_killed_after(self, wrapped: int) -> int:
        """Kills a rotation with -9 once so many token sets are done; how many were left."""
        (key,) = KeyRing.load(self.ring_file).others
        before = await self.under(key)
        process = await self.process("auth.testing_vault")
        while process.returncode is None and await self.under(key) > before - wrapped:
            await self.db.changed(within=0.005)
        if process.returncode is None:
            process.kill()
        await process.wait()
        return await self.under(key)


async def rewrap() -> None:
    """What auth does when an operator has its key turned, in a process that can be killed."""
    settings = ServiceSettings()
    assert settings.mongo_url
    db = Database(settings.mongo_url, "auth", settings.mongo_database)
    await rotation.rewrap_all(db, KeyRing.load(settings.keys_dir / "rings" / f"{vault.RING}.json"), lambda _done, _total: None)
    db.close()


if __name__ == "__main__":
    asyncio.run(rewrap())
