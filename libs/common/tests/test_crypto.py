"""Sealing, checked against a second implementation written from the format's description."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from common.crypto import BadRing, KeyRing, Unreadable, seal, unseal

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


def test_every_flipped_bit_is_refused(ring: KeyRing) -> None:
    sealed = seal(ring, b"secret", CONTEXT)
    for name in ("wrapped", "commitment", "sealed"):
        raw = base64.b64decode(sealed[name])
        for bit in range(len(raw) * 8):
            changed = bytearray(raw)
            changed[bit // 8] ^= 1 << bit % 8
            with pytest.raises(Unreadable):
                unseal(ring, {**sealed, name: base64.b64encode(bytes(changed)).decode()}, CONTEXT)


def test_a_second_implementation_reads_the_same_format(ring: KeyRing) -> None:
    sealed = seal(ring, b"secret", CONTEXT)
    assert _second_unseal(sealed, KEY, "xero-token", CONTEXT) == b"secret"


def test_the_format_of_last_year_still_opens(ring: KeyRing) -> None:
    golden = json.loads((Path(__file__).parent / "golden_sealed.json").read_text())
    assert unseal(ring, golden, CONTEXT) == b"a token kept since version 1"


def test_a_key_that_is_gone_or_disabled_is_not_guessed_around(ring: KeyRing) -> None:
    sealed = seal(ring, b"x", CONTEXT)
    with pytest.raises(Unreadable, match="no usable key k1"):
        unseal(KeyRing("xero-token", "k2", {"k2": KEY}), sealed, CONTEXT)
    with pytest.raises(Unreadable, match="no usable key k1"):
        unseal(KeyRing("xero-token", "k2", {"k1": KEY, "k2": bytes(32)}, frozenset({"k1"})), sealed, CONTEXT)


def test_an_hmac_names_its_key_and_survives_a_rotation(ring: KeyRing) -> None:
    known = ring.hmac(b"123456")
    rotated = KeyRing("xero-token", "k2", {"k1": KEY, "k2": bytes(32)})
    assert rotated.hmac_matches(b"123456", known)
    assert not rotated.hmac_matches(b"123457", known)
    assert not rotated.hmac_matches(b"123456", "k9:00")


def _entry(key_id: str, state: str, key: bytes) -> dict[str, Any]:
    return {"id": key_id, "state": state, "key": base64.b64encode(key).decode()}


BAD = {
    "no primary": [_entry("k1", "decrypt", KEY)],
    "two primaries": [_entry("k1", "primary", KEY), _entry("k2", "primary", bytes(32))],
    "another primary": [_entry("k2", "primary", KEY)],
    "double id": [_entry("k1", "primary", KEY), _entry("k1", "decrypt", bytes(32))],
    "double key": [_entry("k1", "primary", KEY), _entry("k2", "decrypt", KEY)],
    "short key": [_entry("k1", "primary", KEY[:31])],
    "unknown state": [_entry("k1", "primary", KEY), _entry("k2", "old", bytes(32))],
    "no key": [],
}


@pytest.mark.parametrize("keys", BAD.values(), ids=BAD.keys())
def test_a_bad_ring_is_refused(tmp_path: Path, keys: list[dict[str, Any]]) -> None:
    path = tmp_path / "ring.json"
    path.write_text(json.dumps({"version": 1, "purpose": "p", "primary": "k1", "keys": keys}))
    with pytest.raises(BadRing):
        KeyRing.load(path)


def test_a_missing_or_broken_ring_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadRing):
        KeyRing.load(tmp_path / "none.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(BadRing):
        KeyRing.load(tmp_path / "broken.json")


def _second_unseal(sealed: dict[str, Any], key: bytes, purpose: str, context: tuple[str, ...]) -> bytes:
    aad = b""
    for part in (b"client-invoices.sealed.v1", purpose.encode(), sealed["kid"].encode(), *map(str.encode, context)):
        aad += len(part).to_bytes(4, "big") + part
    wrapped, body = base64.b64decode(sealed["wrapped"]), base64.b64decode(sealed["sealed"])
    data_key = AESGCM(key).decrypt(wrapped[:12], wrapped[12:], aad)
    extracted = hmac.new(bytes(32), data_key, hashlib.sha256).digest()
    commitment = hmac.new(extracted, b"client-invoices.sealed.v1.commitment\x01", hashlib.sha256).digest()
    assert commitment == base64.b64decode(sealed["commitment"])
    return AESGCM(data_key).decrypt(body[:12], body[12:], aad)
