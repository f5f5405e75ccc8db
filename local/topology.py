"""Exchanges, queues, bindings and users of the broker, generated from the services' HANDLERS tables.

`python -m local.topology write` renews deploy/rabbitmq/topology.json, which holds no users, for they have passwords.
"""

import importlib
import json
import sys
from collections.abc import Mapping
from typing import Any

from client_invoices.installation import SERVICES_ON_THE_BUS
from common import bus
from local.system import ROOT

FILE = ROOT / "deploy" / "rabbitmq" / "topology.json"


def definitions(passwords: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What `POST /api/definitions` takes; with passwords it also makes the services' users."""
    handlers = {service: importlib.import_module(f"{service.replace('-', '_')}.handlers").HANDLERS for service in SERVICES_ON_THE_BUS}
    return bus.definitions(handlers, passwords=passwords)


def text() -> str:
    """What topology.json holds."""
    return json.dumps(definitions(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        raise SystemExit("Usage: python -m local.topology write")
    FILE.parent.mkdir(parents=True, exist_ok=True)
    FILE.write_text(text())
    print(f"Wrote {FILE.relative_to(ROOT)}")
