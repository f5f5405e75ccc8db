"""Key rings and sealing: what is sealed opens in its place only, unchanged, under the key it names; a bad ring is refused by name."""

from __future__ import annotations

import base64
import json
from itertools import permutations, product
from pathlib import Path
from typing import Any

import pytest

from common.crypto import BadRing, KeyMissing, KeyRing, Unreadable, rewrap, seal, unseal

CONTEXT = ("vault", "record", "owner", "refresh_token", "7")
KEY = bytes(range(32))


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing("xero-token", "k1", {"k1": KEY})


def test_what_was_sealed_opens_in_its_place_only(ring: KeyRing) -> None:
    sealed = seal(ring, b"secret", CONTEXT)
    assert unseal(ring, sealed, CONTEXT) == b"secret"
    for other in permutations(CONTEXT):
        if other != CONTEXT:
            with pytest.raises(Unreadable):
                unseal(ring, sealed, other)


def test_no_two_contexts_are_the_same_bytes(ring: KeyRing) -> None:
    with pytest.raises(Unreadable):
        unseal(ring, seal(ring, b"x", ("ab", "c")), ("a", "bc"))


def test_every_flipped_bit_of_every_field_is_refused(ring: KeyRing) -> None:
    sealed = seal(ring, b"secret", CONTEXT)
    for name in ("kid", "wrapped", "commitment", "sealed"):
        text = sealed[name].encode()
        for bit in range(len(text) * 8):
            changed = bytearray(text)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(Unreadable):
                unseal(ring, {**sealed, name: changed.decode("latin-1")}, CONTEXT)


def test_parts_of_two_values_of_one_place_do_not_mix(ring: KeyRing) -> None:
    one, two = seal(ring, b"one", CONTEXT), seal(ring, b"two", CONTEXT)
    for chosen in product((one, two), repeat=3):
        mixed = {**one, **{name: of[name] for name, of in zip(("wrapped", "commitment", "sealed"), chosen, strict=True)}}
        if mixed not in (one, two):
            with pytest.raises(Unreadable):
                unseal(ring, mixed, CONTEXT)


MALFORMED = [{}, {"v": 1}, {"kid": None}, {"kid": ["k1"]}, {"wrapped": 7}, {"sealed": "é"}, {"commitment": ""}, {"sealed": ""}]


@pytest.mark.parametrize("wrong", MALFORMED)
def test_what_has_not_the_form_of_a_sealed_value_is_unreadable(ring: KeyRing, wrong: dict[str, Any]) -> None:
    value = {**seal(ring, b"x", CONTEXT), **wrong} if wrong else {}
    with pytest.raises(Unreadable):
        unseal(ring, value, CONTEXT)
    if "sealed" not in wrong:  # to wrap anew nothing of it is opened
        with pytest.raises(Unreadable):
            rewrap(ring, value, CONTEXT)


def test_a_rewrapped_value_opens_under_the_new_key_alone_and_its_text_is_untouched(ring: KeyRing) -> None:
    sealed = seal(ring, b"secret", CONTEXT)
    both = KeyRing("xero-token", "k2", {"k1": KEY, "k2": bytes(32)})
    moved = rewrap(both, sealed, CONTEXT)
    assert unseal(KeyRing("xero-token", "k2", {"k2": bytes(32)}), moved, CONTEXT) == b"secret"
    assert {name: moved[name] for name in ("v", "commitment", "sealed")} == {name: sealed[name] for name in ("v", "commitment", "sealed")}
    with pytest.raises(Unreadable):
        rewrap(both, sealed, (*CONTEXT[:-1], "8"))


def test_a_key_that_is_gone_or_disabled_is_not_guessed_around(ring: KeyRing) -> None:
    sealed = seal(ring, b"x", CONTEXT)
    with pytest.raises(KeyMissing, match="no usable key k1"):
        unseal(KeyRing("xero-token", "k2", {"k2": KEY}), sealed, CONTEXT)
    with pytest.raises(KeyMissing, match="no usable key k1"):
        unseal(KeyRing("xero-token", "k2", {"k1": KEY, "k2": bytes(32)}, frozenset({"k1"})), sealed, CONTEXT)


def test_an_hmac_names_its_key_and_survives_a_rotation(ring: KeyRing) -> None:
    known = ring.hmac(b"123456")
    rotated = KeyRing("xero-token", "k2", {"k1": KEY, "k2": bytes(32)})
    assert rotated.hmac_matches(b"123456", known)
    assert not rotated.hmac_matches(b"123457", known)
    assert not rotated.hmac_matches(b"123456", "k9:00")


def _entry(key_id: str, state: str, key: bytes) -> dict[str, Any]:
    return {"id": key_id, "state": state, "key": base64.b64encode(key).decode()}


GOOD: dict[str, Any] = {"version": 1, "purpose": "codes", "primary": "k1", "keys": [_entry("k1", "primary", KEY)]}
BAD: list[tuple[dict[str, Any], str]] = [
    ({"version": 2}, "unknown version"),
    ({"purpose": "csrf"}, "it is a ring for 'csrf'"),
    ({"keys": []}, "exactly one primary"),
    ({"keys": [_entry("k1", "decrypt", KEY)]}, "exactly one primary"),
    ({"keys": [_entry("k1", "primary", KEY), _entry("k2", "primary", bytes(32))]}, "exactly one primary"),
    ({"keys": [_entry("k2", "primary", KEY)]}, "exactly one primary"),
    ({"primary": None}, "exactly one primary"),
    ({"keys": [_entry("k1", "primary", KEY), _entry("k1", "decrypt", bytes(32))]}, "two keys have one id"),
    ({"keys": [_entry("k1", "primary", KEY), _entry("k2", "decrypt", KEY)]}, "two ids have one key"),
    ({"keys": [_entry("k1", "primary", KEY[:31])]}, "a key is not 32 bytes"),
    ({"keys": [_entry("k1", "primary", KEY), _entry("k2", "old", bytes(32))]}, "unknown key state"),
    ({"keys": [_entry("k:1", "primary", KEY)], "primary": "k:1"}, "no proper id"),
    ({"keys": [{"id": 1, "state": "primary", "key": _entry("", "", KEY)["key"]}], "primary": 1}, "no proper id"),
    ({"keys": [{"id": "k1", "state": "primary"}]}, "not of the form"),
    ({"keys": [{"id": "k1", "state": "primary", "key": "no base64"}]}, "not base64"),
    ({"keys": None}, "not of the form"),
]


def _ring_file(folder: Path, text: str, mode: int = 0o600) -> Path:
    path = folder / "codes.json"
    path.write_text(text)
    path.chmod(mode)
    return path


@pytest.mark.parametrize(("wrong", "said"), BAD)
def test_a_bad_ring_is_refused_by_name_and_without_its_keys(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(BadRing, match=said) as refused:
        KeyRing.load(_ring_file(tmp_path, json.dumps({**GOOD, **wrong})))
    assert str(refused.value).startswith("codes.json: ")
    assert base64.b64encode(KEY).decode()[:8] not in str(refused.value)


@pytest.mark.parametrize("text", ["{", "[]", "7", '"text"', "\x00"])
def test_a_file_that_is_no_ring_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadRing, match=r"codes\.json: (it is not|cannot be read)"):
        KeyRing.load(_ring_file(tmp_path, text))


def test_a_missing_ring_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRing, match=r"codes\.json: cannot be read \(FileNotFoundError\)"):
        KeyRing.load(tmp_path / "codes.json")


def test_two_rings_with_one_key_are_refused(tmp_path: Path) -> None:
    path = _ring_file(tmp_path, json.dumps(GOOD))
    (tmp_path / "csrf.json").write_text("{")
    assert KeyRing.load(path).primary == "k1"
    (tmp_path / "csrf.json").write_text(json.dumps({**GOOD, "purpose": "csrf"}))
    with pytest.raises(BadRing, match=r"codes\.json: a key of it stands in csrf\.json too"):
        KeyRing.load(path)


@pytest.mark.parametrize(("mode", "good"), [(0o600, True), (0o400, True), (0o440, True), (0o604, False), (0o620, False), (0o644, False)])
def test_a_ring_that_others_may_use_is_refused(tmp_path: Path, mode: int, good: bool) -> None:
    path = _ring_file(tmp_path, json.dumps(GOOD), mode)
    if good:
        assert KeyRing.load(path).primary == "k1"
    else:
        with pytest.raises(BadRing, match=f"others than its owner may use it \\(mode {mode:04o}\\); chmod 600"):
            KeyRing.load(path)
