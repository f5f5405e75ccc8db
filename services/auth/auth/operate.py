"""What an operator does with the vault, run where the service runs: turn its key, retire the old one, verify the audit.

The work is in rotation.py, audit_verifier.py and common/keys.py; here is only what a person sees of it.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from auth import rotation, rotation_store, vault
from auth.audit_verifier import in_words, verify
from common import keys
from common.clock import utc_now
from common.crypto import BadRing, KeyRing
from common.mongo import Database, DatabaseUnavailable
from common.settings import ServiceSettings


def main(arguments: Sequence[str]) -> int:
    """Runs one command; 0 when all is well, 1 when something is wrong or left to do, with a sentence that says what."""
    parser = argparse.ArgumentParser(prog="python -m auth", description="Without a command: the service.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("rotate", help="wrap every token by the ring's primary key; may be repeated")
    commands.add_parser("keys", help="how many token sets each key of the ring wraps")
    commands.add_parser("retire", help="disable a key that wraps nothing; remove it when it is disabled").add_argument("key")
    audit = commands.add_parser("verify-audit", help="read every chain and name the first broken link")
    audit.add_argument("--known", action="append", default=[], metavar="NUMBER:HASH", help="an anchor as the log told it")
    chosen = parser.parse_args(arguments)
    settings = ServiceSettings()
    if not settings.mongo_url:
        return _refuse("MONGO_URL is not set; run this with the settings of the service.")
    run: dict[str, Callable[[Database, Path], Awaitable[int]]] = {
        "rotate": rotate,
        "keys": show_keys,
        "retire": lambda db, ring: retire(db, ring, chosen.key),
        "verify-audit": lambda db, _ring: verify_audit(db, chosen.known),
    }
    ring_file = settings.keys_dir / "rings" / f"{vault.RING}.json"
    return asyncio.run(_with_database(run[chosen.command], settings, ring_file))


async def rotate(db: Database, ring_file: Path) -> int:
    ring = KeyRing.load(ring_file)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(file=sys.stderr)) as bar:
        task = bar.add_task(f"Wrapping with {ring.primary}", total=None)
        left, unreadable = await rotation.rewrap_all(db, ring, lambda done, total: bar.update(task, completed=done, total=total))
    if unreadable:
        return _refuse(
            f"{len(unreadable)} token sets cannot be unwrapped, among them {', '.join(sorted(unreadable)[:5])}. They were left alone."
        )
    if left:
        return _refuse(f"{left} token sets are under another key again: a process still uses the old ring. Restart it, then repeat this.")
    _say(f"Every token set is wrapped by {ring.primary}.")
    return 0


async def show_keys(db: Database, ring_file: Path) -> int:
    (ring,) = keys.read_rings([ring_file])
    counted = await rotation_store.count_by_key(db)
    for entry in ring["keys"]:
        _say(f"{entry['id']:<8} {entry['state']:<9} {counted.pop(entry['id'], 0):>8} token sets")
    for key, sets in counted.items():
        _say(f"{key:<8} {'missing':<9} {sets:>8} token sets that cannot be opened")
    return 1 if counted else 0


async def retire(db: Database, ring_file: Path, key: str) -> int:
    done = keys.retire_key([ring_file], key, utc_now(), needed=await rotation_store.count_wrapped_by(db, [key]))
    _say(f"{key} is {done}." + (" Restart auth; retire it again to remove it from the ring." if done == "disabled" else ""))
    return 0


async def verify_audit(db: Database, known: Sequence[str]) -> int:
    anchors = {int(number): hash for number, _, hash in (each.partition(":") for each in known)}
    report = await verify(db, anchors)
    for line in in_words(report):
        _say(line)
    return 1 if report.broken else 0


async def _with_database(run: Callable[[Database, Path], Awaitable[int]], settings: ServiceSettings, ring_file: Path) -> int:
    assert settings.mongo_url
    db = Database(settings.mongo_url, "auth", settings.mongo_database)
    try:
        return await run(db, ring_file)
    except (keys.NotYet, BadRing, ValueError) as error:
        return _refuse(str(error))
    except DatabaseUnavailable as error:
        return _refuse(f"{error} Nothing is half done; repeat this when it answers.")
    finally:
        db.close()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _refuse(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return 1
