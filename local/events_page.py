"""docs/events.md: every event, who publishes it, who reacts to it and with which function, and what it carries.

`python -m local.events_page write` renews the page; a test compares it with the code.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Mapping

from client_invoices.installation import SERVICES_ON_THE_BUS
from common import contracts
from common.events import EventData, Handlers
from local.system import ROOT

FILE = ROOT / "docs" / "events.md"
HEAD = """# Events

Made by `make docs` from the contracts in `libs/common/common/contracts/` and the HANDLERS tables of the services; do not edit.

Every event is a CloudEvent (JSON). Its type is its routing key. All carry `version`, which counts the changes of its subject:
whoever has a newer one ignores it. The same event twice has one effect, and events of one subject may arrive in any order.
"""


def text() -> str:
    """The whole page."""
    handlers = all_handlers()
    return HEAD + "".join(section(kind, handlers) for kind in published())


def published() -> list[type[EventData]]:
    """All contracts, by type."""
    for module in pkgutil.iter_modules(contracts.__path__):
        importlib.import_module(f"common.contracts.{module.name}")
    kinds = [kind for kind in EventData.registry.values() if kind.__module__.startswith("common.contracts.")]
    return sorted(kinds, key=lambda kind: str(kind.type))


def all_handlers() -> dict[str, Handlers]:
    """Service name -> its HANDLERS."""
    return {name: importlib.import_module(f"{name.replace('-', '_')}.handlers").HANDLERS for name in SERVICES_ON_THE_BUS}


def section(kind: type[EventData], handlers: Mapping[str, Handlers]) -> str:
    reactions = [f"{name} (`{table[kind].__name__}`)" for name, table in sorted(handlers.items()) if kind in table]
    fields = "\n".join(
        f"| `{name}` | {field.annotation if not inspect.isclass(field.annotation) else field.annotation.__name__!s} |"
        for name, field in kind.model_fields.items()
        if name != "version"
    )
    told = inspect.cleandoc(kind.__doc__ or "")
    return (
        f"\n## {kind.type}\n\n{told}\n\n- published by: {kind.type.partition('.')[0]}\n- consumed by: {', '.join(reactions)}\n\n"
        f"| field | type |\n|---|---|\n{fields.replace('datetime.', '').replace('typing.', '')}\n"
    )


if __name__ == "__main__":
    if sys.argv[1:] != ["write"]:
        raise SystemExit("Usage: python -m local.events_page write")
    FILE.write_text(text())
    print(f"Wrote {FILE.relative_to(ROOT)}")
