"""The operator's command, run as a program against everything `make up` runs."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest

from client_invoices.installation import SERVICES, SERVICES_ON_THE_BUS
from local.people import eventually, patiently
from local.rabbitmq import ADMIN
from local.running import Running

pytestmark = pytest.mark.timeout(300)  # each command is a Python program that starts


async def client_invoices(system: Running, *words: str) -> tuple[int, str]:
    """Exit code and all it says."""
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "client_invoices", "--data-dir", str(system.data), *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await child.communicate()
    return child.returncode or 0, said.decode()


async def parked(system: Running) -> list[dict[str, Any]]:
    code, said = await client_invoices(system, "parked", "list", "--json")
    assert code == 0, said
    return list(json.loads(said))


async def test_an_operator_sees_every_service_and_clears_a_parked_event(system: Running) -> None:
    code, said = await client_invoices(system, "status", "--json")
    state = json.loads(said)
    assert {service: each["problem"] for service, each in state.items()} == dict.fromkeys(SERVICES, "")
    assert code == 0

    await publish_nonsense(system)

    async def arrived() -> list[dict[str, Any]]:
        return await parked(system)

    (event,) = await eventually(arrived, "the nonsense is parked")
    assert (event["service"], event["type"]) == ("notifier", "unreadable")
    code, said = await client_invoices(system, "parked", "replay", "notifier", event["id"])
    assert (code, said.strip()) == (1, "notifier refused with 404: not_found")
    code, said = await client_invoices(system, "parked", "drop", "notifier", event["id"])
    assert code == 0, said
    assert (await client_invoices(system, "status"))[0] == 0


async def test_what_cannot_be_done_is_one_sentence(system: Running) -> None:
    code, said = await client_invoices(system, "parked", "list", "nobody")
    assert (code, said.startswith("There is no service nobody")) == (1, True), said
    code, said = await client_invoices(system, "outbox", "replay", "sharing", "--since", "2026-01-01")
    assert code == 0, said
    assert said.startswith("sharing sends ")


async def test_an_operator_sees_connections_and_calls_left_and_has_xero_asked_now(system: Running) -> None:
    studio = (await system.xero.ask("/organisations"))[0]["id"]
    contact = await system.xero.do("/contacts", tenant=studio, name="Operated Ltd", email="operated@demo.example", number="OP-1")
    provider = system.provider()
    await provider.sign_in(organisation=studio)
    await patiently(lambda: provider.share(contact["id"], "operated@demo.example"), "sharing")
    code, said = await client_invoices(system, "connections", "--json")
    mine = [row for row in json.loads(said)["connections"] if row["organisation_id"] == provider.organisation]
    assert (code, mine[0]["state"], mine[0]["idle_days"]) == (0, "live", 0), said
    assert "@" in mine[0]["login"]
    assert "•••" in mine[0]["login"]

    code, said = await client_invoices(system, "reconcile", "--organisation", provider.organisation)
    assert (code, "asked for 1 of 1 organisations" in said) == (0, True), said
    code, said = await client_invoices(system, "budget")
    assert (code, provider.organisation in said) == (0, True), said
    await provider.close()


async def test_a_running_system_is_copied_and_nothing_is_restored_over_it(system: Running, tmp_path: Path) -> None:
    code, said = await client_invoices(system, "backup", str(tmp_path / "copy"))
    assert code == 0, said
    manifest = json.loads((tmp_path / "copy" / "manifest.json").read_text())
    assert set(manifest["services"]) == set(SERVICES_ON_THE_BUS)
    assert set(manifest["services"]["portal"]["collections"]) == {"clients", "erasures", "inbox", "outbox"}
    assert not {"sessions", "sign_ins"} & set(manifest["services"]["auth"]["collections"])
    code, said = await client_invoices(system, "restore", str(tmp_path / "copy"))
    assert (code, "is in use (it holds" in said, "Nothing was changed" in said) == (1, True, True), said


async def test_an_operator_sees_every_key_and_verifies_the_audit(system: Running) -> None:
    code, said = await client_invoices(system, "keys", "status", "--json")
    rows = {(row["ring"], row["key"]): row for row in json.loads(said)}
    assert (code, rows["event-seal", "k1"]["primary_in"]) == (0, ["sharing", "portal", "notifier"]), said
    assert (rows["csrf", "k1"]["state"], rows["csrf", "k1"]["primary_in"]) == ("primary", ["web"])
    code, said = await client_invoices(system, "keys", "retire", "event-seal", "k1")
    assert (code, "k1 is the primary key" in said) == (1, True), said
    code, said = await client_invoices(system, "audit", "verify")
    assert (code, "Every chain is whole." in said) == (0, True), said


async def publish_nonsense(system: Running) -> None:
    """What no service of ours would send, put into notifier's queue as an administrator can."""
    ports = system.state["ports"]
    password = json.loads((system.data / "secrets.json").read_text())["rabbitmq"][ADMIN]
    message = {"properties": {}, "routing_key": "notifier", "payload": "{broken", "payload_encoding": "string"}
    async with httpx.AsyncClient(auth=(ADMIN, password), trust_env=False) as http:
        url = f"http://127.0.0.1:{ports['RABBITMQ_MANAGEMENT_PORT']}/api/exchanges/%2F/amq.default/publish"
        assert (await http.post(url, json=message)).json() == {"routed": True}
