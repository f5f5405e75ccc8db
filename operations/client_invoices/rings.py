"""Commands about keys: make them, see them, turn the key of a ring step by step, let an old one go."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from client_invoices.installation import RESTS, RINGS
from client_invoices.progress import watched
from client_invoices.screen import console
from client_invoices.services import Installation, Refused
from common import keys as key_files
from common.clock import utc_now
from common.crypto import BadRing
from common.keys import Entry

VAULT = "xero-token"
keys = typer.Typer(no_args_is_help=True, help="Identity keys and key rings.")
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table")]
Folder = Annotated[Path | None, typer.Option("--folder", help="Where all keys are kept, a folder for each service", envvar="INSTALLATION")]
RingName = Annotated[str, typer.Argument(help="xero-token, event-seal, codes or csrf")]


@keys.command("init")
def init(folder: Folder = None, mongo: str = "mongo:27017", rabbitmq: str = "rabbitmq:5672", replica_set: str = "rs0") -> None:
    """Make every key, ring, password and address of an installation that is missing; what is there stays."""
    from client_invoices import setup  # not above: the drivers it needs would slow every other command by a second

    if folder is None:
        raise Refused("Say where with --folder.")
    setup.make_files(folder, mongo=mongo, rabbitmq=rabbitmq, replica_set=replica_set)
    console.print(f"Keys, rings and passwords are in {folder}. Back them up apart from the databases.")


@keys.command("status")
def status(context: typer.Context, folder: Folder = None, as_json: AsJson = False) -> None:
    """Every key of every ring: its state in the files, who runs with it, how many tokens it wraps. Exit code 1 for a missing one."""
    installation: Installation = context.obj
    held = {service: installation.get(service, "/rings")["rings"] for service in sorted({name for them in RINGS.values() for name in them})}
    sets: dict[str, int] = installation.get("auth", "/vault")["keys"]
    rows = []
    for ring in RINGS:
        for entry in _entries(_copies(installation, folder, ring)):
            primary_in = [service for service in RINGS[ring] if held[service].get(ring, {}).get(entry["id"]) == "primary"]
            known_in = [service for service in RINGS[ring] if entry["id"] in held[service].get(ring, {})]
            needed = sets.pop(entry["id"], 0) if ring == VAULT else None
            rows.append({"ring": ring, **_shown(entry), "known_in": known_in, "primary_in": primary_in, "token_sets": needed})
    rows += [{"ring": VAULT, "key": key, "state": "missing", "since": None, "token_sets": count} for key, count in sets.items()]
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
    else:
        _table(rows)
    if sets:
        raise typer.Exit(1)


@keys.command("rotate")
def rotate(
    context: typer.Context,
    ring: RingName,
    folder: Folder = None,
    begin: Annotated[bool, typer.Option("--begin", help="Make a new key although an older one has yet to be let go")] = False,
) -> None:
    """Take the next step of turning a ring's key, and say what comes after it. Repeat until it says that all is done."""
    installation: Installation = context.obj
    copies = _copies(installation, folder, ring)
    services, names = RINGS[ring], ", ".join(RINGS[ring])
    _complete(copies)
    entries = _entries(copies)
    begun = next((entry["id"] for entry in entries if entry["state"] == "decrypt" and "retired" not in entry), None)
    old = [entry["id"] for entry in entries if entry["state"] == "decrypt" and "retired" in entry]
    primary = next(entry["id"] for entry in entries if entry["state"] == "primary")
    if begun:
        _refuse_unless_held(installation, services, ring, begun, ("decrypt", "primary"))
        key_files.use_key(copies, begun, utc_now())
        console.print(f"{begun} is primary in the files. Restart {names}, then run this again.")
        return
    _refuse_unless_held(installation, services, ring, primary, ("primary",))
    if ring == VAULT and installation.get("auth", "/vault")["left"]:
        _rewrap(installation, primary)
    elif not old or begin:
        console.print(f"{key_files.add_key(copies)} is known to the files. Restart {names}, then run this again.")
        return
    for key in old:
        console.print(f"All is done. When it is time, let {key} go: client-invoices keys retire {ring} {key}")


@keys.command("retire")
def retire(context: typer.Context, ring: RingName, key: str, folder: Folder = None) -> None:
    """Disable a key that nothing needs any more; called again, remove it."""
    installation: Installation = context.obj
    needed = installation.get("auth", f"/vault/{key}")["needed"] if ring == VAULT else 0
    rests = {"rests": RESTS[ring]} if ring in RESTS else {}
    done = key_files.retire_key(_copies(installation, folder, ring), key, utc_now(), needed=needed, **rests)
    then = " Restart {0}, look at their logs, then retire it again to remove it." if done == "disabled" else " Restart {0}."
    console.print(f"{key} is {done}.{then.format(', '.join(RINGS[ring]))}")


def _rewrap(installation: Installation, primary: str) -> None:
    found = watched(installation, "auth", "/vault/rewrap", f"Wrapping with {primary}")
    if found["unreadable"]:
        some = ", ".join(found["unreadable"][:5])
        raise Refused(f"{len(found['unreadable'])} token sets cannot be unwrapped, among them {some}. They were left alone.")
    if found["left"]:
        raise Refused(
            f"{found['left']} token sets are under another key again: a process still uses the old ring. Restart it, then repeat this."
        )
    console.print(f"Every token set is wrapped by {primary}.")


def _refuse_unless_held(installation: Installation, services: Sequence[str], ring: str, key: str, states: Sequence[str]) -> None:
    """Whether whoever answers for each service was restarted since the files say so."""
    for service in services:
        held = installation.get(service, "/rings")["rings"].get(ring, {})
        if held.get(key) not in states:
            raise Refused(f"{service} does not run with {key} as the files have it: restart all of its processes, then run this again.")


def _copies(installation: Installation, folder: Path | None, ring: str) -> list[Path]:
    """Where the services that share a ring hold it. Raises Refused."""
    if ring not in RINGS:
        raise Refused(f"There is no ring {ring}; the rings are {', '.join(RINGS)}.")
    home = folder or installation.keys.parent
    copies = [home / service / "rings" / f"{ring}.json" for service in RINGS[ring]]
    if missing := [str(path) for path in copies if not path.exists()]:
        raise Refused(f"{missing[0]} is not there. Name the folder of all keys with --folder.")
    return copies


def _entries(copies: Sequence[Path]) -> list[Entry]:
    found: list[Entry] = key_files.read_rings(copies)[0]["keys"]
    return found


def _complete(copies: Sequence[Path]) -> None:
    """Does the last step in the copies that lack it, when it was interrupted between two of them."""
    rings = key_files.read_rings(copies)
    primaries = {ring["primary"] for ring in rings}
    ids = [{entry["id"] for entry in ring["keys"] if entry["state"] == "decrypt" and "retired" not in entry} for ring in rings]
    if len(primaries) > 1:
        key_files.use_key(copies, max(primaries, key=lambda id: (len(id), id)), utc_now())
    elif set.union(*ids) != set.intersection(*ids):
        key_files.add_key(copies)


def _shown(entry: Entry) -> dict[str, Any]:
    return {"key": entry["id"], "state": entry["state"], "since": entry.get("retired")}


def _table(rows: Sequence[dict[str, Any]]) -> None:
    table = Table("ring", "key", "state", "primary until", "known in", "seals in", "token sets")
    for row in rows:
        until = f"{datetime.fromisoformat(row['since']):%Y-%m-%d %H:%M}" if row["since"] else ""
        where = (", ".join(row.get("known_in", ())), ", ".join(row.get("primary_in", ())))
        table.add_row(row["ring"], row["key"], row["state"], until, *where, "" if row["token_sets"] is None else str(row["token_sets"]))
    console.print(table)


PROBLEMS = (key_files.NotYet, BadRing)
"""What a command about keys says in one sentence."""
