"""Commands that copy the services' databases into files and back: `backup` and `restore`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from client_invoices import backup_files
from client_invoices.backup_files import Kept, Part
from client_invoices.installation import SERVICES_ON_THE_BUS
from client_invoices.screen import console
from client_invoices.services import Installation, Refused
from common.clock import utc_now

TAKEN = ("notifier", "xero-gateway", "portal", "auth", "sharing")
"""In this order, because whoever is copied earlier is told again by those copied later, and an access that ends meanwhile stays ended."""

PLACED = ("sharing", "portal", "xero-gateway", "notifier", "auth")
"""Whoever publishes stands after those who are to hear it."""

Directory = Annotated[Path, typer.Argument(help="The folder of the backup")]
KeepDays = Annotated[
    int | None, typer.Option(min=1, help="DIRECTORY holds many backups: add one named by its time, then delete those older than this")
]
Chosen = Annotated[list[str] | None, typer.Option("--service", help="Only this service; may be repeated")]


def backup(context: typer.Context, directory: Directory, service: Chosen = None, keep_days: KeepDays = None) -> None:
    """Copy every service's database into a new folder, while everything runs. Keys are not in it; keep them apart."""
    installation: Installation = context.obj
    services = _known(service)
    home, now = directory, utc_now()
    if keep_days:
        directory = home / backup_files.name_at(now)
    backup_files.begin(directory)
    parts = {}
    with _bar() as bar:
        for name in (each for each in TAKEN if each in services):
            parts[name] = _copied(installation, directory, name, bar, bar.add_task(name, total=None))
    backup_files.finish(directory, parts)
    documents = sum(kept.documents for part in parts.values() for kept in part.collections.values())
    console.print(f"{documents} documents of {len(parts)} services are in {directory}.", soft_wrap=True)
    if keep_days and (removed := backup_files.remove_older(home, keep_days, now)):
        console.print(f"Deleted, for they are older than {keep_days} days: {', '.join(removed)}.", soft_wrap=True)


def restore(context: typer.Context, directory: Directory, service: Chosen = None) -> None:
    """Put a backup into an empty installation that has the same keys. Everything is checked before anything is changed."""
    installation: Installation = context.obj
    parts = backup_files.read_manifest(directory)
    services = [name for name in PLACED if name in (_known(service) if service else parts)]
    if missing := [name for name in services if name not in parts]:
        raise Refused(f"The backup holds nothing of {', '.join(missing)}.")
    services, waiting = _left(installation, services)
    with _bar() as bar:
        for name in waiting:
            task = bar.add_task(f"Checking {name}", total=parts[name].bytes)
            backup_files.check(directory, name, parts[name], lambda size, task=task: bar.advance(task, size))  # type: ignore[misc]
        for name in waiting:
            _load(installation, directory, name, parts[name], bar, bar.add_task(f"Loading {name}", total=parts[name].bytes))
    for name in services:
        installation.post(name, "/restore/finish", long=True)
    told = sum(installation.post(name, "/restore/release", long=True)["changed"] for name in services)
    since = min(parts[name].taken_at for name in services)
    console.print(f"{', '.join(services)}: restored as of {since}; {told} events are told again.", soft_wrap=True)
    console.print("What was done after that is lost, accesses ended since are open again: see “After a restore” in docs/operating.md.")


def _copied(installation: Installation, directory: Path, service: str, bar: Progress, task: TaskID) -> Part:
    snapshot: dict[str, Any] = installation.get(service, "/backup")
    collections: dict[str, Kept] = {}
    for name in (each["name"] for each in snapshot["collections"]):
        with installation.stream("GET", service, f"/backup/{name}", params={"moment": snapshot["moment"]}) as pieces:
            collections[name] = backup_files.write(directory, service, name, pieces, lambda size: bar.advance(task, size))
    part = Part(snapshot["taken_at"], collections)
    bar.update(task, total=part.bytes)
    return part


def _left(installation: Installation, services: Sequence[str]) -> tuple[list[str], list[str]]:
    """The services that do not stand yet, and those of them that are still empty: a restore may have been broken off. Raises Refused."""
    states = {name: installation.get(name, "/restore") for name in services}
    broken_off = any(found["state"] in ("placing", "held") for found in states.values())
    for name, found in states.items():
        if found["state"] == "in use" or (found["state"] == "done" and not broken_off):
            holds = f" (it holds {', '.join(found['filled'])})" if found["filled"] else ""
            raise Refused(f"{name} is in use{holds}. A backup goes back into an empty installation only. Nothing was changed.")
    left = [name for name, found in states.items() if found["state"] != "done"]
    return left, [name for name in left if states[name]["state"] == "empty"]


def _load(installation: Installation, directory: Path, service: str, part: Part, bar: Progress, task: TaskID) -> None:
    installation.post(service, "/restore/begin", {"taken_at": part.taken_at}, long=True)
    for name, kept in part.collections.items():
        pieces = backup_files.pieces_of(backup_files.file_of(directory, service, name), lambda size: bar.advance(task, size))
        try:
            loaded = installation.upload(service, f"/restore/collections/{name}", pieces)["changed"]
        except Refused as refusal:
            raise Refused(f"{name}: {refusal} If it is unknown there, the backup is of a newer version of {service}.") from refusal
        if loaded != kept.documents:
            raise Refused(f"{service} took {loaded} of {kept.documents} documents of {name}. Run this again.")


def _known(services: Sequence[str] | None) -> Sequence[str]:
    for name in services or ():
        if name not in SERVICES_ON_THE_BUS:
            raise Refused(f"{name} has no database; those that have are {', '.join(SERVICES_ON_THE_BUS)}.")
    return services or SERVICES_ON_THE_BUS


@contextmanager
def _bar() -> Iterator[Progress]:
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar
