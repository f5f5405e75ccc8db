"""Contracts: their names, what they may hold, and that they only ever grow."""

from __future__ import annotations

import importlib
import json
import pkgutil
from pathlib import Path
from typing import Any

import pytest
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from common import contracts
from common.clock import utc_now
from common.contracts.auth import OrganisationConnected
from common.contracts.sharing import ShareEnded
from common.contracts.xero_gateway import Invoice
from common.events import EventData, decode, new_event
from common.mongo import OUTBOX, Database, Tx

SCHEMAS = Path(__file__).parent / "schemas"
PUBLISHERS = [module.name for module in pkgutil.iter_modules(contracts.__path__)]
for _name in PUBLISHERS:
    importlib.import_module(f"common.contracts.{_name}")
CONTRACTS = {kind.type: kind for kind in EventData.registry.values() if kind.__module__.startswith("common.contracts.")}


@pytest.mark.parametrize("kind", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_a_contract_only_grows_by_optional_fields(kind: type[EventData]) -> None:
    """The committed schema is a promise to events already stored. To renew it after a compatible change: delete the file, run again."""
    path = SCHEMAS / f"{kind.type}.json"
    now = kind.model_json_schema()
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(now, indent=1, sort_keys=True) + "\n")
    promised = json.loads(path.read_text())
    assert _breaks(promised, now) == []


@pytest.mark.parametrize("kind", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_an_events_type_names_its_publisher_and_carries_no_secret(kind: type[EventData]) -> None:
    publisher = kind.__module__.rpartition(".")[2].replace("_", "-")
    assert kind.type.startswith(f"{publisher}.")
    assert kind.type.split(".")[-1] == "v1"
    secret = {"token", "secret", "code", "link", "invitation", "password"}
    assert not secret & {part for name in kind.model_fields for part in [name]}


def test_the_envelope_is_a_cloud_event() -> None:
    data = ShareEnded(share_id="shr_1", organisation_id="org_1", contact_id="c", reason="revoked", ended_at=utc_now(), version=3)
    event = new_event("sharing", "shr_1", data, correlation="cor_1")
    body = event.model_dump_json()
    read = JSONFormat().read(CloudEvent, body)
    assert (read.get_id(), read.get_type(), read.get_subject()) == (event.id, "sharing.share.ended.v1", "shr_1")
    assert read.get_extension("correlationid") == "cor_1"
    assert decode(body) == event


def test_a_reader_ignores_fields_it_does_not_know() -> None:
    data = ShareEnded(share_id="shr_1", organisation_id="org_1", contact_id="c", reason="revoked", ended_at=utc_now(), version=3)
    raw = json.loads(new_event("sharing", "shr_1", data, correlation="cor_1").model_dump_json())
    raw["data"]["new_field"] = raw["newextension"] = 1
    assert decode(json.dumps(raw)).data == data


def test_money_of_an_invoice_survives_the_wire_to_the_last_hundredth() -> None:
    raw = Invoice.model_json_schema()
    for name in ("sub_total", "total_tax", "total", "amount_due", "amount_paid", "amount_credited"):
        assert raw["properties"][name]["type"] == "integer"


def _breaks(promised: dict[str, Any], now: dict[str, Any], where: str = "") -> list[str]:
    """What readers of the promised schema would miss, or writers of it would lack."""
    old, new = promised.get("properties", {}), now.get("properties", {})
    found = [f"{where}{name} is gone" for name in old if name not in new]
    found += [f"{where}{name} changed" for name in old if name in new and _bare(old[name]) != _bare(new[name])]
    found += [f"{where}{name} is new and required" for name in now.get("required", []) if name not in old]
    for name, part in promised.get("$defs", {}).items():
        found += _breaks(part, now.get("$defs", {}).get(name, {}), f"{where}{name}.")
    return found


def _bare(schema: Any) -> Any:
    return {key: value for key, value in schema.items() if key not in ("description", "title", "default")}


async def test_an_emitted_event_keeps_its_empty_fields(database: Database) -> None:
    """A required field that may be None must be there for the reader, who parks the event otherwise."""
    empty = OrganisationConnected(organisation_id="org_1", tenant_id="t", name="n", time_zone=None, version=1)

    async def say(tx: Tx) -> None:
        await tx.emit("org_1", empty)

    await database.transact(say)
    (row,) = await database.collection(OUTBOX).find({})
    assert decode(row["body"]).data == empty
