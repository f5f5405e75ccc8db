"""Key rings and envelope encryption: AES-256-GCM with a fresh data key for every write.

A ring file: `{"version": 1, "purpose": …, "primary": "k1", "keys": [{"id", "state", "key"}]}`, key = 32 bytes in base64,
state primary (encrypts and decrypts), decrypt, or disabled. A sealed value names its key, so exactly one key is tried.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

KEY_BYTES = 32
NONCE_BYTES = 12
STATES = frozenset({"primary", "decrypt", "disabled"})
LABEL = b"client-invoices.sealed.v1"


class BadRing(ValueError):
    """The ring file cannot be used; the service must not start with it."""


class Unreadable(Exception):
    """A sealed value that no key of the ring opens: changed, moved to another place, or its key is gone."""


class KeyRing:
    """The keys of one purpose."""

    def __init__(self, purpose: str, primary: str, keys: dict[str, bytes], disabled: frozenset[str] = frozenset()) -> None:
        self.purpose = purpose
        self.primary = primary
        self._keys = keys
        self._disabled = disabled

    @classmethod
    def load(cls, path: Path) -> KeyRing:
        """A ring from its file. Raises BadRing naming the fault: no primary, two, a double id, a key of the wrong size."""
        try:
            ring = json.loads(path.read_text())
            entries = [(entry["id"], entry["state"], base64.b64decode(entry["key"], validate=True)) for entry in ring["keys"]]
            purpose, primary = ring["purpose"], ring["primary"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadRing(f"{path.name}: cannot be read ({type(error).__name__})") from error
        ids = [key_id for key_id, _, _ in entries]
        primaries = [key_id for key_id, state, _ in entries if state == "primary"]
        faults = [
            (len(set(ids)) != len(ids), "two keys have one id"),
            (len({key for _, _, key in entries}) != len(entries), "two ids have one key"),
            (any(state not in STATES for _, state, _ in entries), "unknown key state"),
            (any(len(key) != KEY_BYTES for _, _, key in entries), f"a key is not {KEY_BYTES} bytes"),
            (primaries != [primary], "there must be exactly one primary key, the one named"),
        ]
        for wrong, what in faults:
            if wrong:
                raise BadRing(f"{path.name}: {what}")
        disabled = frozenset(key_id for key_id, state, _ in entries if state == "disabled")
        return cls(purpose, primary, {key_id: key for key_id, _, key in entries}, disabled)

    def key(self, key_id: str) -> bytes:
        """Raises Unreadable when the key is not there or disabled."""
        if key_id not in self._keys or key_id in self._disabled:
            raise Unreadable(f"ring {self.purpose} has no usable key {key_id}")
        return self._keys[key_id]

    def hmac(self, data: bytes, key_id: str | None = None) -> str:
        """HMAC-SHA256 in hex under the primary key, or under the key named, with the key's id in front: `k1:9f…`."""
        key_id = key_id or self.primary
        return f"{key_id}:{hmac.new(self.key(key_id), data, hashlib.sha256).hexdigest()}"

    def hmac_matches(self, data: bytes, known: str) -> bool:
        """Whether `known` is the HMAC of `data`, under the key that `known` names; compared in constant time."""
        try:
            return hmac.compare_digest(self.hmac(data, known.partition(":")[0]), known)
        except Unreadable:
            return False


def seal(ring: KeyRing, plaintext: bytes, context: Sequence[str]) -> dict[str, Any]:
    """Encrypts under a new data key, wrapped by the ring's primary. `context` binds the value to its place; it is not stored."""
    data_key, wrap_nonce, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES), os.urandom(NONCE_BYTES)
    bound = _bound(ring.purpose, ring.primary, context)
    return {
        "v": 1,
        "kid": ring.primary,
        "wrapped": _text(wrap_nonce + AESGCM(ring.key(ring.primary)).encrypt(wrap_nonce, data_key, bound)),
        "commitment": _text(_commitment(data_key)),
        "sealed": _text(nonce + AESGCM(data_key).encrypt(nonce, plaintext, bound)),
    }


def unseal(ring: KeyRing, value: dict[str, Any], context: Sequence[str]) -> bytes:
    """The plaintext. Raises Unreadable when anything of it, its key or its context differs."""
    try:
        if value["v"] != 1:
            raise Unreadable("unknown version of a sealed value")
        bound = _bound(ring.purpose, value["kid"], context)
        wrapped, sealed = _bytes(value["wrapped"]), _bytes(value["sealed"])
        data_key = AESGCM(ring.key(value["kid"])).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound)
        if not hmac.compare_digest(_commitment(data_key), _bytes(value["commitment"])):
            raise Unreadable("the data key is not the one committed to")
        return AESGCM(data_key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound)
    except (InvalidTag, KeyError, TypeError, ValueError) as error:
        raise Unreadable("a sealed value was changed or does not belong here") from error


def digest(secret: str) -> str:
    """SHA-256 in hex: what is stored of a secret of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _bound(purpose: str, key_id: str, context: Sequence[str]) -> bytes:
    """Associated data: every part with its length in front, so that no two contexts give the same bytes."""
    parts = [LABEL, purpose.encode(), key_id.encode(), *(part.encode() for part in context)]
    return b"".join(len(part).to_bytes(4, "big") + part for part in parts)


def _commitment(data_key: bytes) -> bytes:
    """Binds the ciphertext to one key: AES-GCM alone lets an attacker craft a text that opens under two."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=LABEL + b".commitment").derive(data_key)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text, validate=True)
