"""A backup as files: a folder for each service with one BSON file for each collection, as mongodump lays them out, and `manifest.json`.

The manifest names every file with its documents, bytes and SHA-256, and is written last: without it there is no backup.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from client_invoices.services import Refused
from common.bson_stream import Cutter, NoBson

FORMAT, VERSION = "client-invoices-backup", 1
NAMED = "%Y-%m-%dT%H-%M-%SZ"
"""How a backup is called among others: the time, in UTC, at which it was begun."""
PIECE = 1024 * 1024
Moved = Callable[[int], None]
"""Told the bytes of each piece that passed."""


@dataclass(frozen=True)
class Kept:
    """One file of a backup."""

    documents: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """One service's part of a backup: when it was taken (ISO 8601, UTC), and its collections."""

    taken_at: str
    collections: dict[str, Kept]

    @property
    def bytes(self) -> int:
        return sum(kept.bytes for kept in self.collections.values())


def begin(directory: Path) -> None:
    """Makes the folder, for its owner alone. Raises Refused when something is in it."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(directory.iterdir()):
            raise Refused(f"{directory} is not empty. A backup is written into a folder of its own.")
        directory.chmod(0o700)
    except OSError as error:
        raise Refused(f"{directory} cannot be used: {error.strerror}.") from error


def write(directory: Path, service: str, collection: str, pieces: Iterable[bytes], moved: Moved) -> Kept:
    """One collection into its file. Raises Refused."""
    digest, cutter, documents, size = hashlib.sha256(), Cutter(), 0, 0
    path = file_of(directory, service, collection)
    path.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            for piece in pieces:
                file.write(piece)
                digest.update(piece)
                documents, size = documents + len(cutter.cut(piece)), size + len(piece)
                moved(len(piece))
            cutter.end()
            os.fsync(file.fileno())
    except NoBson as error:
        raise Refused(f"What {service} sent of {collection} is not whole: {error}.") from error
    except OSError as error:
        raise Refused(f"{path} cannot be written: {error.strerror}.") from error
    return Kept(documents, size, digest.hexdigest())


def finish(directory: Path, parts: dict[str, Part]) -> None:
    """The manifest, in one step."""
    services = {
        service: {"taken_at": part.taken_at, "collections": {name: vars(kept) for name, kept in part.collections.items()}}
        for service, part in parts.items()
    }
    text = json.dumps({"format": FORMAT, "version": VERSION, "services": services}, indent=1)
    fresh = directory / ".manifest.json"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
        os.fsync(file.fileno())
    fresh.replace(directory / "manifest.json")


def read_manifest(directory: Path) -> dict[str, Part]:
    """Raises Refused when it is no backup of ours, or one of a newer version."""
    try:
        manifest = json.loads((directory / "manifest.json").read_text())
        ours = manifest["format"] == FORMAT
        version = int(manifest["version"])
    except FileNotFoundError:
        raise Refused(f"{directory} holds no backup: there is no manifest.json. One that was broken off has none.") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise Refused(f"{directory}/manifest.json cannot be read, or is not of a backup.") from None
    if not ours:
        raise Refused(f"{directory} is not a backup of Client Invoices.")
    if version > VERSION:
        raise Refused(f"This backup was written by a newer version (format {version}, known here: {VERSION}). Use that one to restore it.")
    try:
        return {service: _part(told) for service, told in manifest["services"].items()}
    except (KeyError, TypeError, AttributeError):
        raise Refused(f"{directory}/manifest.json is damaged.") from None


def check(directory: Path, service: str, part: Part, moved: Moved) -> None:
    """Reads every file of a service's part. Raises Refused naming the one that is not what the manifest says."""
    for collection, kept in part.collections.items():
        path = file_of(directory, service, collection)
        digest, size = hashlib.sha256(), 0
        for piece in pieces_of(path, moved):
            digest.update(piece)
            size += len(piece)
        if (size, digest.hexdigest()) != (kept.bytes, kept.sha256):
            raise Refused(f"{path} is damaged: it is not what the manifest says. Nothing was restored.")


def name_at(moment: datetime) -> str:
    """The folder, among those of other backups, of one begun at this moment."""
    return moment.astimezone(UTC).strftime(NAMED)


def remove_older(home: Path, days: int, now: datetime) -> list[str]:
    """Deletes backups in `home` begun more than so many days before `now`, and gives their names; what is not called as one stays.

    Raises Refused when one cannot be deleted.
    """
    removed = []
    for folder in sorted(home.iterdir()):
        try:
            begun = datetime.strptime(folder.name, NAMED).replace(tzinfo=UTC)
        except ValueError:
            continue
        if folder.is_dir() and begun < now - timedelta(days=days):
            try:
                shutil.rmtree(folder)
            except OSError as error:
                raise Refused(f"{folder} cannot be deleted: {error.strerror}. The new backup is whole.") from error
            removed.append(folder.name)
    return removed


def pieces_of(path: Path, moved: Moved) -> Iterator[bytes]:
    """The bytes of a file, some at a time. Raises Refused."""
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                moved(len(piece))
                yield piece
    except OSError as error:
        raise Refused(f"{path} cannot be read: {error.strerror}. Nothing was restored.") from error


def file_of(directory: Path, service: str, collection: str) -> Path:
    """Raises Refused for a name that would lead elsewhere."""
    if any("/" in name or name.startswith(".") for name in (service, collection)):
        raise Refused(f"The manifest names a file {service}/{collection}, which no backup has.")
    return directory / service / f"{collection}.bson"


def _part(told: dict[str, Any]) -> Part:
    return Part(str(told["taken_at"]), {name: Kept(**kept) for name, kept in told["collections"].items()})
