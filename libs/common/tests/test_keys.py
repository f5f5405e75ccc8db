"""Turning a key: known to all before anybody uses it, gone only when nothing needs it, and whole wherever it is interrupted."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from common.crypto import BadRing, KeyRing, Unreadable, seal, unseal
from common.keys import NotYet, add_key, make_keys, read_rings, retire_key, use_key

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
REST = timedelta(days=8)
CONTEXT = ("share", "shr_1")


@pytest.fixture
def copies(tmp_path: Path) -> list[Path]:
    """One ring, held by three services."""
    make_keys(tmp_path, ["sharing", "portal", "notifier"], {"event-seal": ["sharing", "portal", "notifier"]})
    return [tmp_path / service / "rings" / "event-seal.json" for service in ("sharing", "portal", "notifier")]


def states(copies: list[Path]) -> list[dict[str, str]]:
    return [{entry["id"]: entry["state"] for entry in ring["keys"]} for ring in read_rings(copies)]


def everybody_reads(copies: list[Path]) -> None:
    """What any copy seals, every copy opens."""
    rings = [KeyRing.load(path) for path in copies]
    for one in rings:
        for other in rings:
            assert unseal(other, seal(one, b"x", CONTEXT), CONTEXT) == b"x"


def test_all_copies_stay_equal_and_private_through_a_whole_turn(copies: list[Path]) -> None:
    first = seal(KeyRing.load(copies[0]), b"before", CONTEXT)
    assert add_key(copies) == "k2"
    assert states(copies) == [{"k1": "primary", "k2": "decrypt"}] * 3
    use_key(copies, "k2", NOW)
    assert states(copies) == [{"k1": "decrypt", "k2": "primary"}] * 3
    assert unseal(KeyRing.load(copies[2]), first, CONTEXT) == b"before"
    assert retire_key(copies, "k1", NOW + REST, rests=REST) == "disabled"
    with pytest.raises(Unreadable):
        unseal(KeyRing.load(copies[2]), first, CONTEXT)
    assert retire_key(copies, "k1", NOW + REST, rests=REST) == "removed"
    assert states(copies) == [{"k2": "primary"}] * 3
    assert len({path.read_bytes() for path in copies}) == 1
    assert {path.stat().st_mode & 0o777 for path in copies} == {0o600}
    assert [entry.name for path in copies for entry in path.parent.iterdir()] == ["event-seal.json"] * 3


@pytest.mark.parametrize("reached", [1, 2])
def test_a_step_interrupted_between_copies_harms_nobody_and_is_finished_by_doing_it_again(copies: list[Path], reached: int) -> None:
    def interrupted(step: Any, *arguments: Any, **more: Any) -> Any:
        """Only the first copies were written; then the same step is done again."""
        before = [path.read_bytes() for path in copies]
        step(copies, *arguments, **more)
        for path, content in list(zip(copies, before, strict=True))[reached:]:
            path.write_bytes(content)
        everybody_reads(copies)
        return step(copies, *arguments, **more)

    assert interrupted(add_key) == "k2"
    assert states(copies) == [{"k1": "primary", "k2": "decrypt"}] * 3
    interrupted(use_key, "k2", NOW)
    assert states(copies) == [{"k1": "decrypt", "k2": "primary"}] * 3
    assert interrupted(retire_key, "k1", NOW + REST, rests=REST) == "disabled"
    assert interrupted(retire_key, "k1", NOW + REST, rests=REST) == "removed"
    assert len({path.read_bytes() for path in copies}) == 1


def test_a_key_that_one_copy_lacks_does_not_become_primary(copies: list[Path]) -> None:
    add_key(copies[:1])
    with pytest.raises(NotYet, match=r"portal/rings/event-seal\.json does not know the key k2"):
        use_key(copies, "k2", NOW)
    assert add_key(copies) == "k2"
    use_key(copies, "k2", NOW)


def test_the_halves_of_a_use_are_readable_by_both(copies: list[Path]) -> None:
    add_key(copies)
    use_key(copies[:1], "k2", NOW)
    everybody_reads(copies)


def test_a_key_in_use_or_needed_is_not_retired(copies: list[Path]) -> None:
    with pytest.raises(NotYet, match="k1 is the primary key"):
        retire_key(copies, "k1", NOW)
    use_key(copies, add_key(copies), NOW)
    with pytest.raises(NotYet, match="7 records need the key k1; rotate first"):
        retire_key(copies, "k1", NOW, needed=7)
    with pytest.raises(NotYet, match="may be needed until 2026-11-30 10:00 UTC"):
        retire_key(copies, "k1", NOW + REST - timedelta(seconds=1), rests=REST)
    with pytest.raises(NotYet, match="No copy of this ring has a key k9"):
        retire_key(copies, "k9", NOW)
    assert states(copies) == [{"k1": "decrypt", "k2": "primary"}] * 3


def test_a_disabled_key_does_not_become_primary(copies: list[Path]) -> None:
    add_key(copies)
    retire_key(copies, "k2", NOW)
    with pytest.raises(NotYet, match="or has it disabled"):
        use_key(copies, "k2", NOW)


def test_an_old_key_can_be_taken_up_again_and_rests_anew(copies: list[Path]) -> None:
    use_key(copies, add_key(copies), NOW)
    use_key(copies, "k1", NOW + REST)
    with pytest.raises(NotYet, match="may be needed until 2026-12-08"):
        retire_key(copies, "k2", NOW + REST, rests=REST)
    assert add_key(copies) == "k3"


def test_a_damaged_copy_is_named_and_nothing_is_changed(copies: list[Path]) -> None:
    whole = copies[0].read_bytes()
    copies[1].write_text(json.dumps({"version": 1}))
    for step in (lambda: add_key(copies), lambda: use_key(copies, "k1", NOW), lambda: retire_key(copies, "k1", NOW)):
        with pytest.raises(BadRing, match=r"portal/rings/event-seal\.json"):
            step()
    assert copies[0].read_bytes() == whole
