"""The sealed format of docs/adr/0011, written a second time from its text alone: AES-GCM by hand over single blocks of AES."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from common.crypto import KeyRing, Unreadable, seal, unseal

GOLDEN = json.loads((Path(__file__).parent / "golden_sealed.json").read_text())
LABEL = b"client-invoices.sealed.v2"


@pytest.mark.parametrize("vector", GOLDEN["good"], ids=lambda vector: vector["what"])
def test_every_golden_value_opens_in_both_implementations(vector: dict[str, Any]) -> None:
    keys = {kid: bytes.fromhex(key) for kid, key in vector["keys"].items()}
    ring = KeyRing(vector["purpose"], next(iter(keys)), keys)
    assert unseal(ring, vector["value"], vector["context"]).hex() == vector["plaintext"]
    assert second_unseal(vector["value"], keys, vector["purpose"], vector["context"]).hex() == vector["plaintext"]


@pytest.mark.parametrize("vector", GOLDEN["bad"], ids=lambda vector: vector["what"])
def test_every_spoiled_golden_value_is_refused_by_both(vector: dict[str, Any]) -> None:
    keys = {kid: bytes.fromhex(key) for kid, key in vector["keys"].items()}
    ring = KeyRing(vector["purpose"], next(iter(keys)), keys)
    with pytest.raises(Unreadable):
        unseal(ring, vector["value"], vector["context"])
    with pytest.raises((ValueError, KeyError)):
        second_unseal(vector["value"], keys, vector["purpose"], vector["context"])


@pytest.mark.parametrize("size", [0, 1, 15, 16, 17, 1500])
def test_each_implementation_opens_what_the_other_sealed(size: int) -> None:
    key, context, plaintext = os.urandom(32), ("vault", "tks_1", "https://identity|māui", "refresh", "7"), os.urandom(size)
    ring = KeyRing("xero-token", "k1", {"k1": key})
    assert second_unseal(seal(ring, plaintext, context), {"k1": key}, "xero-token", context) == plaintext
    assert unseal(ring, second_seal(plaintext, "k1", key, "xero-token", context), context) == plaintext


def test_an_hmac_is_the_one_written_down() -> None:
    for vector in GOLDEN["hmac"]:
        ring = KeyRing(vector["purpose"], vector["kid"], {vector["kid"]: bytes.fromhex(vector["key"])})
        assert ring.hmac(vector["data"].encode()) == vector["hmac"]


# --- the second implementation: nothing of common.crypto, no ready-made GCM or HKDF ---------------------------------------


def second_seal(plaintext: bytes, kid: str, key: bytes, purpose: str, context: Any) -> dict[str, Any]:
    data_key, first, second = os.urandom(32), os.urandom(12), os.urandom(12)
    wrapped = first + gcm(key, first, data_key, associated("key", purpose, kid, *context), sealing=True)
    sealed = second + gcm(data_key, second, plaintext, associated("value", purpose, *context), sealing=True)
    parts = {"wrapped": wrapped, "commitment": commitment(data_key), "sealed": sealed}
    return {"v": 2, "kid": kid, **{name: base64.b64encode(part).decode() for name, part in parts.items()}}


def second_unseal(value: dict[str, Any], keys: dict[str, bytes], purpose: str, context: Any) -> bytes:
    if value["v"] != 2:
        raise ValueError("version")
    parts = {name: base64.b64decode(value[name], validate=True) for name in ("wrapped", "commitment", "sealed")}
    wrapped, sealed = parts["wrapped"], parts["sealed"]
    data_key = gcm(keys[value["kid"]], wrapped[:12], wrapped[12:], associated("key", purpose, value["kid"], *context), sealing=False)
    if commitment(data_key) != parts["commitment"]:
        raise ValueError("commitment")
    return gcm(data_key, sealed[:12], sealed[12:], associated("value", purpose, *context), sealing=False)


def associated(*named: str) -> bytes:
    return b"".join(len(part).to_bytes(4, "big") + part for part in (LABEL, *(name.encode() for name in named)))


def commitment(data_key: bytes) -> bytes:
    """HKDF-SHA256 (RFC 5869) with a salt of zeros and one block of output."""
    extracted = hmac.new(bytes(32), data_key, hashlib.sha256).digest()
    return hmac.new(extracted, LABEL + b".commitment" + b"\x01", hashlib.sha256).digest()


def gcm(key: bytes, nonce: bytes, data: bytes, aad: bytes, *, sealing: bool) -> bytes:
    """AES-GCM after NIST SP 800-38D with a nonce of 96 bits; data carries its tag of 128 bits at the end when it is opened."""
    block = Cipher(algorithms.AES(key), modes.ECB()).encryptor().update
    text, tag = (data, b"") if sealing else (data[:-16], data[-16:])
    stream = b"".join(block(nonce + (number + 2).to_bytes(4, "big")) for number in range((len(text) + 15) // 16))
    changed = bytes(one ^ other for one, other in zip(text, stream, strict=False))
    padded = _padded(aad) + _padded(changed if sealing else text)
    lengths = (len(aad) * 8).to_bytes(8, "big") + (len(text) * 8).to_bytes(8, "big")
    hashed = ghash(int.from_bytes(block(bytes(16)), "big"), padded + lengths)
    made = bytes(one ^ other for one, other in zip(hashed, block(nonce + b"\0\0\0\1"), strict=True))
    if not sealing and made != tag:
        raise ValueError("tag")
    return changed + made if sealing else changed


def ghash(subkey: int, data: bytes) -> bytes:
    """Multiplication in GF(2^128), bit by bit."""
    result = 0
    for start in range(0, len(data), 16):
        result ^= int.from_bytes(data[start : start + 16], "big")
        product, factor = 0, subkey
        for bit in range(127, -1, -1):
            product ^= factor if result >> bit & 1 else 0
            factor = factor >> 1 ^ (0xE1 << 120 if factor & 1 else 0)
        result = product
    return result.to_bytes(16, "big")


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 16)
