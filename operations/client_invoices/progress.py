"""Work that a service does and tells of as it goes: lines of JSON, how far it is, then what it found."""

from __future__ import annotations

import json
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from client_invoices.services import Installation, Refused


def watched(installation: Installation, service: str, path: str, title: str, body: Any = None, *, shown: bool = True) -> dict[str, Any]:
    """What the work found. Raises Refused, also when it broke off; it may be asked again."""
    last: dict[str, Any] = {}
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with (
        Progress(*columns, console=Console(stderr=True), disable=not shown) as bar,
        installation.stream("POST", service, path, json=body) as pieces,
    ):
        task, rest = bar.add_task("", total=None), b""
        for piece in pieces:
            *lines, rest = (rest + piece).split(b"\n")
            for line in lines:
                last = json.loads(line)
                if "done" in last:
                    bar.update(task, completed=last["done"], total=max(last["total"], last["done"]))
    if not last or "done" in last:
        raise Refused(f"{service} ended before it was done; its log says why. It may be asked again.")
    return last
