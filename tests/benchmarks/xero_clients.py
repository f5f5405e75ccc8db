"""Reads one contact's 10,000 invoices with our client, with the official xero-python and with pyxero, each in a process of its own.

All three ask the same simulator for the same invoices, 1,000 a call, and make objects of them. `compared` tells time, the reader's
CPU time, memory and calls.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from common.ids import organisation_id
from common.mongo import Database
from local.processes import free_ports
from xero_gateway.budget import Budget
from xero_gateway.clients import AccessToken
from xero_gateway.store import INDEXES
from xero_gateway.xero import Xero
from xero_gateway.xero_calls import XeroCalls
from xero_simulator.testing import process, sign_in

INVOICES = 10_000
PAGE = 1000
STATUSES = ["AUTHORISED", "PAID", "SUBMITTED"]


async def compared(mongo: str) -> AsyncIterator[tuple[str, str]]:
    """(reader, its figures), one after the other."""
    with tempfile.TemporaryDirectory(prefix="invoices-bench-") as folder:
        (port,) = free_ports(1)
        with process(Path(folder), port, LARGE_INVOICES=str(5 * INVOICES)) as (_, simulator):
            task = await _task(str(simulator.base_url), mongo)
            for name in READERS:
                simulator.post("/control/limits", json={"clear": True})
                simulator.delete("/control/calls")
                found = await _in_a_process(name, task)
                calls = len(simulator.get("/control/calls", params={"last": 1000}).json()["calls"])
                used = f"{found['seconds']:.1f} s, {found['cpu']:.1f} s CPU, {found['memory']} MB, {calls} calls"
                yield name, f"{used} ({found['invoices']} invoices)"


async def _task(url: str, mongo: str) -> dict[str, str]:
    async with httpx.AsyncClient(base_url=url, timeout=60) as http:
        connection = await sign_in(http, "large", "large-01")
        (contact,) = (await http.get("/control/contacts", params={"tenant": "large-01", "number": "V-001"})).json()
    return {"url": url, "mongo": mongo, "tenant": connection.tenant, "token": connection.tokens["access_token"], "contact": contact["id"]}


async def _in_a_process(name: str, task: dict[str, str]) -> dict[str, Any]:
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.benchmarks.xero_clients", name, json.dumps(task)),
        env={**os.environ, "OAUTHLIB_INSECURE_TRANSPORT": "1"},  # else pyxero refuses the simulator, which has no https
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await child.communicate()
    found: dict[str, Any] = json.loads(told)
    return found


def read_with_ours(task: dict[str, str]) -> int:
    return asyncio.run(_read(task))


async def _read(task: dict[str, str]) -> int:
    db = Database(task["mongo"], "bench", "bench-xero-clients")
    await db.prepare(INDEXES)
    xero = Xero(XeroCalls(f"{task['url']}/api.xro/2.0", _OneToken(task), Budget(5000)))  # type: ignore[arg-type]
    organisation, number, count = organisation_id(task["tenant"]), 1, 0
    while True:
        page = await xero.shareable_invoices(db, organisation, task["contact"], number, PAGE)
        count += len(page.invoices)
        if number >= page.pages:
            break
        number += 1
    await xero.aclose()
    await db.drop()
    return count


class _OneToken:
    """Auth's side, without the way there."""

    def __init__(self, task: dict[str, str]) -> None:
        ends = datetime.now(UTC) + timedelta(minutes=5)
        self._token = AccessToken(access_token=SecretStr(task["token"]), tenant_id=task["tenant"], expires_at=ends, grant="grn")

    async def get(self, _organisation: str) -> AccessToken:
        return self._token

    async def aclose(self) -> None:
        """Nothing is open."""


def read_with_xero_python(task: dict[str, str]) -> int:
    from xero_python.accounting import AccountingApi
    from xero_python.api_client import ApiClient
    from xero_python.api_client.configuration import Configuration
    from xero_python.api_client.oauth2 import OAuth2Token

    tokens = {"access_token": task["token"], "token_type": "Bearer", "expires_in": 1800, "expires_at": time.time() + 1800, "scope": []}
    client = ApiClient(
        Configuration(oauth2_token=OAuth2Token("id", "secret")), oauth2_token_saver=lambda _: None, oauth2_token_getter=lambda: tokens
    )
    api, number, count = AccountingApi(client, base_url=f"{task['url']}/api.xro/2.0"), 1, 0
    asked = {"contact_i_ds": [task["contact"]], "statuses": STATUSES, "where": 'Type=="ACCREC"', "order": "InvoiceID ASC", "unitdp": 4}
    while True:
        page = api.get_invoices(task["tenant"], page=number, page_size=PAGE, **asked)
        count += len(page.invoices)
        if number >= page.pagination.page_count:
            return count
        number += 1


def read_with_pyxero(task: dict[str, str]) -> int:
    from xero import Xero as PyXero
    from xero.auth import OAuth2Credentials

    credentials = OAuth2Credentials("id", "secret", token={"access_token": task["token"], "token_type": "Bearer"}, tenant_id=task["tenant"])
    credentials.base_url = task["url"]
    invoices, number, count = PyXero(credentials, unit_price_4dps=True).invoices, 1, 0
    asked = {"ContactIDs": [task["contact"]], "Statuses": STATUSES, "raw": 'Type=="ACCREC"', "order": "InvoiceID ASC"}
    while found := invoices.filter(page=number, pageSize=PAGE, **asked):
        count += len(found)
        if len(found) < PAGE:
            break
        number += 1
    return count


READERS: dict[str, Callable[[dict[str, str]], int]] = {
    "ours": read_with_ours,
    "xero-python": read_with_xero_python,
    "pyxero": read_with_pyxero,
}
IMPORTED = {"xero-python": ("xero_python.accounting", "xero_python.api_client.oauth2"), "pyxero": ("xero", "xero.auth")}


def measure(name: str, task: dict[str, str]) -> None:
    """One reader in this process; prints its figures as JSON. What imports cost is counted for none."""
    for module in IMPORTED.get(name, ()):
        import_module(module)
    began, before = time.monotonic(), _cpu()
    count = READERS[name](task)
    figures = {"seconds": time.monotonic() - began, "cpu": _cpu() - before, "invoices": count}
    print(json.dumps({**figures, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    measure(sys.argv[1], json.loads(sys.argv[2]))
