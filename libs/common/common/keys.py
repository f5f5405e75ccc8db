"""Makes every identity key and key ring an installation needs, and turns the keys of a ring; files for their owner alone (0600).

A key is turned in two steps, the services restarted after each: `add_key` makes it known to everybody who holds the ring, `use_key` makes
everybody use it. When nothing needs the old one any more, `retire_key` disables it, and at the second call removes it. A step
that was interrupted between two copies of a ring is done again and changes only the copies that lack it.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from joserfc.jwk import OKPKey

from common.crypto import BadRing, checked

FIRST = "k1"
Ring = dict[str, Any]
Entry = dict[str, Any]


class NotYet(Exception):
    """A step that would make something unreadable; says what has to happen first."""


def make_keys(folder: Path, services: Sequence[str], rings: Mapping[str, Sequence[str]]) -> None:
    """Creates what is missing and leaves what is there.

    `<folder>/<service>/identity.<kid>.key` and `<folder>/public/<service>.<kid>.pub` for every service;
    `<folder>/<service>/rings/<purpose>.json` for every purpose and the services that share its ring.
    """
    (folder / "public").mkdir(parents=True, exist_ok=True)
    for service in services:
        if not list((folder / service).glob("identity.*.key")):
            key = OKPKey.generate_key("Ed25519")
            _write(folder / service / f"identity.{FIRST}.key", key.as_pem(private=True))
            _write(folder / "public" / f"{service}.{FIRST}.pub", key.as_pem(private=False))
    for purpose, owners in rings.items():
        held = [folder / owner / "rings" / f"{purpose}.json" for owner in owners]
        there = next((path.read_bytes() for path in held if path.exists()), None)
        for path in held:
            if not path.exists():
                there = there or _new_ring(purpose)
                _write(path, there)


def read_rings(copies: Sequence[Path]) -> list[Ring]:
    """The copies of one ring, `<purpose>.json` each. Raises BadRing naming the file."""
    rings = []
    for path in copies:
        try:
            rings.append(checked(json.loads(path.read_text()), path.stem))
        except (OSError, ValueError) as error:
            raise BadRing(f"{path}: {error if isinstance(error, BadRing) else type(error).__name__}") from None
    return rings


def add_key(copies: Sequence[Path]) -> str:
    """Puts a new key, to decrypt with, into every copy of a ring; answers its id."""
    rings = read_rings(copies)
    everywhere = set.intersection(*(set(_entries(ring)) for ring in rings))
    known = [entry for ring in rings for id, entry in _entries(ring).items() if id not in everywhere]
    begun = [entry for entry in known if entry["state"] == "decrypt" and "retired" not in entry]
    new = {**begun[0], "state": "decrypt"} if begun else _new_entry(_next_id(rings), "decrypt")

    def add(ring: Ring) -> None:
        if new["id"] not in _entries(ring):
            ring["keys"].append(new)

    _change(copies, rings, add)
    return str(new["id"])


def use_key(copies: Sequence[Path], key_id: str, now: datetime) -> None:
    """Makes a key that every copy knows the primary one; the one before only decrypts. Raises NotYet."""
    rings = read_rings(copies)
    for path, ring in zip(copies, rings, strict=True):
        if _entries(ring).get(key_id, {"state": "missing"})["state"] not in ("primary", "decrypt"):
            raise NotYet(f"{path} does not know the key {key_id}, or has it disabled. Add it there first, then restart its service.")

    def use(ring: Ring) -> None:
        if ring["primary"] != key_id:
            _entries(ring)[ring["primary"]].update(state="decrypt", retired=now.isoformat(timespec="seconds"))
            _entries(ring)[key_id].update(state="primary")
            _entries(ring)[key_id].pop("retired", None)
            ring["primary"] = key_id

    _change(copies, rings, use)


def retire_key(copies: Sequence[Path], key_id: str, now: datetime, *, rests: timedelta = timedelta(0), needed: int = 0) -> str:
    """Disables a key that is not primary; removes it when it is disabled. Answers `disabled` or `removed`.

    `rests`: how long after it was primary something may still be sealed with it; `needed`: how many records are. Raises NotYet.
    """
    rings = read_rings(copies)
    found = [entries[key_id] for ring in rings if key_id in (entries := _entries(ring))]
    if not found:
        raise NotYet(f"No copy of this ring has a key {key_id}.")
    if any(entry["state"] == "primary" for entry in found):
        raise NotYet(f"{key_id} is the primary key; make another one primary first.")
    if needed:
        raise NotYet(f"{needed} records need the key {key_id}; rotate first.")
    until = max((datetime.fromisoformat(entry["retired"]) + rests for entry in found if "retired" in entry), default=now)
    if now < until:
        raise NotYet(f"What was sealed with {key_id} may be needed until {until:%Y-%m-%d %H:%M} UTC.")
    removing = all(entry["state"] == "disabled" for entry in found)

    def retire(ring: Ring) -> None:
        if removing:
            ring["keys"] = [entry for entry in ring["keys"] if entry["id"] != key_id]
        else:
            _entries(ring)[key_id].update(state="disabled")

    _change(copies, rings, retire)
    return "removed" if removing else "disabled"


def _change(copies: Sequence[Path], rings: Sequence[Ring], change: Callable[[Ring], None]) -> None:
    """Writes each changed copy in one step; a reader sees the old ring or the new one."""
    for path, ring in zip(copies, rings, strict=True):
        change(ring)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        _write(fresh, json.dumps(checked(ring, path.stem), indent=1).encode())
        os.chown(fresh, path.stat().st_uid, path.stat().st_gid)
        fresh.chmod(path.stat().st_mode & 0o740)
        fresh.replace(path)


def _entries(ring: Ring) -> dict[str, Entry]:
    return {entry["id"]: entry for entry in ring["keys"]}


def _next_id(rings: Sequence[Ring]) -> str:
    """k and a number higher than any in use."""
    numbers = [int(id[1:]) for ring in rings for id in _entries(ring) if re.fullmatch(r"k\d{1,9}", id)]
    return f"k{max(numbers, default=0) + 1}"


def _new_entry(id: str, state: str) -> Entry:
    return {"id": id, "state": state, "key": base64.b64encode(os.urandom(32)).decode()}


def _new_ring(purpose: str) -> bytes:
    ring = {"version": 1, "purpose": purpose, "primary": FIRST, "keys": [_new_entry(FIRST, "primary")]}
    return json.dumps(ring, indent=1).encode()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
