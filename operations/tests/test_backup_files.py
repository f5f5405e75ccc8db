"""A backup's files are for their owner alone, and one that is not whole, not ours or of a newer version is refused in a sentence."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from client_invoices import backup_files
from client_invoices.backup_files import Part
from client_invoices.services import Refused

DOCUMENTS = b"\x05\x00\x00\x00\x00" * 7


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    directory = tmp_path / "copy"
    backup_files.begin(directory)
    kept = backup_files.write(directory, "auth", "providers", [DOCUMENTS[:12], DOCUMENTS[12:]], nothing)
    backup_files.finish(directory, {"auth": Part("2026-06-01T00:00:00Z", {"providers": kept})})
    return directory


def nothing(_size: int) -> None:
    pass


def changed(copy: Path, **members: Any) -> Path:
    file = copy / "manifest.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | members))
    return copy


def test_what_was_written_is_read_again_and_nobody_else_may_read_it(copy: Path) -> None:
    part = backup_files.read_manifest(copy)["auth"]
    assert (part.collections["providers"].documents, part.bytes) == (7, 35)
    backup_files.check(copy, "auth", part, nothing)
    assert {oct(path.stat().st_mode & 0o777) for path in copy.rglob("*") if path.is_file()} == {"0o600"}
    assert oct(copy.stat().st_mode & 0o777) == "0o700"
    with pytest.raises(Refused, match="is not empty"):
        backup_files.begin(copy)


def test_a_file_that_was_changed_or_is_missing_is_named(copy: Path) -> None:
    part = backup_files.read_manifest(copy)["auth"]
    file = copy / "auth" / "providers.bson"
    file.write_bytes(DOCUMENTS[:-5] + b"\x05\x00\x00\x00\x01")
    with pytest.raises(Refused, match="bson is damaged"):
        backup_files.check(copy, "auth", part, nothing)
    file.unlink()
    with pytest.raises(Refused, match="cannot be read"):
        backup_files.check(copy, "auth", part, nothing)


def test_what_is_no_backup_of_ours_is_refused(copy: Path, tmp_path: Path) -> None:
    for directory, members, why in (
        (tmp_path, {}, "there is no manifest.json"),
        (copy, {"version": 2}, "written by a newer version"),
        (copy, {"version": 1, "services": {"auth": {}}}, "is damaged"),
        (copy, {"format": "another"}, "is not a backup of Client Invoices"),
    ):
        with pytest.raises(Refused, match=why):
            backup_files.read_manifest(changed(directory, **members) if members else directory)
    with pytest.raises(Refused, match="which no backup has"):
        backup_files.file_of(copy, "auth", "../../keys")


def test_a_stream_that_is_cut_off_makes_no_backup(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="is not whole"):
        backup_files.write(tmp_path, "auth", "providers", [DOCUMENTS[:-1]], nothing)


def test_backups_older_than_so_many_days_go_and_nothing_else_does(tmp_path: Path) -> None:
    now = datetime(2026, 6, 20, 2, 30, tzinfo=UTC)
    assert backup_files.name_at(now) == "2026-06-20T02-30-00Z"
    for name in (
        "2026-06-20T02-30-00Z",
        "2026-06-06T02-30-00Z",
        "2026-06-06T02-29-59Z",
        "2025-01-01T00-00-00Z",
        "2025-01-01",
        "before-upgrade",
    ):
        (tmp_path / name / "auth").mkdir(parents=True)
    (tmp_path / "2025-01-02T00-00-00Z").write_text("no folder")
    assert backup_files.remove_older(tmp_path, 14, now) == ["2025-01-01T00-00-00Z", "2026-06-06T02-29-59Z"]
    assert {path.name for path in tmp_path.iterdir()} == {
        "2026-06-20T02-30-00Z", "2026-06-06T02-30-00Z", "2025-01-01", "before-upgrade", "2025-01-02T00-00-00Z"
    }  # fmt: skip
