"""Key rings and envelope encryption: AES-256-GCM with a fresh data key for every write.

A ring file: `{"version": 1, "purpose": …, "primary": "k1", "keys": [{"id", "state", "key"}]}`, key = 32 bytes in base64,
state primary (encrypts and decrypts), decrypt, or disabled. A sealed value names its key, so exactly one key is tried.
docs/adr/0011 describes the sealed format byte by byte.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import re
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from common.telemetry import KEYS_HELD

VERSION = 2
KEY_BYTES = 32
NONCE_BYTES = 12
STATES = frozenset({"primary", "decrypt", "disabled"})
KEY_ID = re.compile(r"[a-z0-9-]{1,32}")
LABEL = b"client-invoices.sealed.v2"
NOT_FOR_OTHERS = 0o037
"""The owner may do anything and a group may read, as mounted secrets are given to a service's group; nobody else may do anything."""


class BadRing(ValueError):
    """The ring file cannot be used; the service must not start with it. Says which file and what is wrong, and no key."""


class Unreadable(Exception):
    """A sealed value that no key of the ring opens: changed, moved to another place, or its key is gone."""


class KeyMissing(Unreadable):
    """The key a value names is not in the ring, or disabled: putting it back makes the value readable again."""


class KeyRing:
    """The keys of one purpose."""

    def __init__(self, purpose: str, primary: str, keys: dict[str, bytes], disabled: frozenset[str] = frozenset()) -> None:
        self.purpose = purpose
        self.primary = primary
        self._keys = keys
        self._disabled = disabled

    @classmethod
    def load(cls, path: Path) -> KeyRing:
        """A ring from its file, `<purpose>.json`. Raises BadRing naming the fault."""
        try:
            mode = path.stat().st_mode
            ring = checked(json.loads(path.read_text()), path.stem)
        except (OSError, ValueError) as error:
            reason = str(error) if isinstance(error, BadRing) else f"cannot be read ({type(error).__name__})"
            raise BadRing(f"{path.name}: {reason}") from None  # the error before may quote the file
        if mode & NOT_FOR_OTHERS:
            raise BadRing(f"{path.name}: others than its owner may use it (mode {stat.S_IMODE(mode):04o}); chmod 600 {path.name}")
        if shared := _also_in(path, {entry["key"] for entry in ring["keys"]}):
            raise BadRing(f"{path.name}: a key of it stands in {shared} too; every purpose needs keys of its own")
        for entry in ring["keys"]:
            KEYS_HELD.labels(ring["purpose"], entry["id"], entry["state"]).set(1)
        disabled = frozenset(entry["id"] for entry in ring["keys"] if entry["state"] == "disabled")
        return cls(ring["purpose"], ring["primary"], {entry["id"]: _bytes(entry["key"]) for entry in ring["keys"]}, disabled)

    @property
    def others(self) -> list[str]:
        """Ids of the keys beside the primary, the disabled ones too."""
        return sorted(key_id for key_id in self._keys if key_id != self.primary)

    def key(self, key_id: str) -> bytes:
        """Raises KeyMissing when the key is not there or disabled."""
        if key_id not in self._keys or key_id in self._disabled:
            raise KeyMissing(f"ring {self.purpose} has no usable key {key_id[:32]}")
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


def checked(ring: Any, purpose: str) -> dict[str, Any]:
    """A ring file's content, when it is one for this purpose. Raises BadRing saying the first fault found, without any key."""
    try:
        version, named, primary = ring["version"], ring["purpose"], ring["primary"]
        entries = [(entry["id"], entry["state"], _bytes(entry["key"])) for entry in ring["keys"]]
        ids = [str(key_id) for key_id, _, _ in entries]
        faults = [
            (version != 1, "unknown version"),
            (named != purpose, f"it is a ring for {str(named)[:32]!r}"),
            (not all(isinstance(key_id, str) and KEY_ID.fullmatch(key_id) for key_id, _, _ in entries), "a key has no proper id"),
            (len(set(ids)) != len(ids), "two keys have one id"),
            (len({key for _, _, key in entries}) != len(entries), "two ids have one key"),
            (any(state not in STATES for _, state, _ in entries), "unknown key state"),
            (any(len(key) != KEY_BYTES for _, _, key in entries), f"a key is not {KEY_BYTES} bytes"),
            (
                [key_id for key_id, state, _ in entries if state == "primary"] != [primary],
                "there must be exactly one primary key, the one named",
            ),
        ]
    except (ValueError, KeyError, TypeError):
        raise BadRing("it is not of the form of a ring, or a key is not base64") from None
    for wrong, what in faults:
        if wrong:
            raise BadRing(what)
    found: dict[str, Any] = ring
    return found


def _also_in(path: Path, keys: set[str]) -> str | None:
    """The ring beside this one that has a key in common with it. One that cannot be read says so itself when it is loaded."""
    for other in sorted(path.parent.glob("*.json")):
        with suppress(OSError, ValueError):
            if other != path and keys & {entry["key"] for entry in checked(json.loads(other.read_text()), other.stem)["keys"]}:
                return other.name
    return None


def held_keys() -> dict[str, dict[str, str]]:
    """By ring, id and state of every key this process has loaded."""
    held: dict[str, dict[str, str]] = {}
    for sample in (sample for metric in KEYS_HELD.collect() for sample in metric.samples):
        held.setdefault(sample.labels["ring"], {})[sample.labels["key"]] = sample.labels["state"]
    return held


def seal(ring: KeyRing, plaintext: bytes, context: Sequence[str]) -> dict[str, Any]:
    """Encrypts under a new data key, wrapped by the ring's primary. `context` binds the value to its place; it is not stored."""
    data_key, nonce = os.urandom(KEY_BYTES), os.urandom(NONCE_BYTES)
    return {
        "v": VERSION,
        **_wrapped(ring, data_key, context),
        "commitment": _text(_commitment(data_key)),
        "sealed": _text(nonce + AESGCM(data_key).encrypt(nonce, plaintext, _bound(b"value", ring.purpose, *context))),
    }


def unseal(ring: KeyRing, value: Mapping[str, Any], context: Sequence[str]) -> bytes:
    """The plaintext. Raises Unreadable when anything of it, its key or its context differs; KeyMissing when its key is not there."""
    try:
        data_key, sealed = _data_key(ring, value, context), _bytes(value["sealed"])
        return AESGCM(data_key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(b"value", ring.purpose, *context))
    except (InvalidTag, KeyError, TypeError, ValueError) as error:
        raise Unreadable("a sealed value was changed or does not belong here") from error


def rewrap(ring: KeyRing, value: Mapping[str, Any], context: Sequence[str]) -> dict[str, Any]:
    """The same value with its data key wrapped by the ring's primary; what was sealed is not opened. Raises as `unseal`."""
    try:
        return {**value, **_wrapped(ring, _data_key(ring, value, context), context)}
    except (InvalidTag, KeyError, TypeError, ValueError) as error:
        raise Unreadable("a sealed value was changed or does not belong here") from error


def digest(secret: str) -> str:
    """SHA-256 in hex: what is stored of a secret of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _wrapped(ring: KeyRing, data_key: bytes, context: Sequence[str]) -> dict[str, str]:
    nonce, bound = os.urandom(NONCE_BYTES), _bound(b"key", ring.purpose, ring.primary, *context)
    return {"kid": ring.primary, "wrapped": _text(nonce + AESGCM(ring.key(ring.primary)).encrypt(nonce, data_key, bound))}


def _data_key(ring: KeyRing, value: Mapping[str, Any], context: Sequence[str]) -> bytes:
    """The data key, once it is the one committed to."""
    version, kid, wrapped = value["v"], value["kid"], _bytes(value["wrapped"])
    if version != VERSION or not isinstance(kid, str):
        raise Unreadable("unknown version of a sealed value")
    bound = _bound(b"key", ring.purpose, kid, *context)
    data_key = AESGCM(ring.key(kid)).decrypt(wrapped[:NONCE_BYTES], wrapped[NONCE_BYTES:], bound)
    if not hmac.compare_digest(_commitment(data_key), _bytes(value["commitment"])):
        raise Unreadable("the data key is not the one committed to")
    return data_key


def _bound(part: bytes, *named: str) -> bytes:
    """Associated data: every part with its length in front, so that no two contexts give the same bytes."""
    parts = [LABEL, part, *(name.encode() for name in named)]
    return b"".join(len(each).to_bytes(4, "big") + each for each in parts)


def _commitment(data_key: bytes) -> bytes:
    """Binds the ciphertext to one key: AES-GCM alone lets an attacker craft a text that opens under two."""
    return HKDF(SHA256(), KEY_BYTES, salt=None, info=LABEL + b".commitment").derive(data_key)


def _text(raw: bytes) -> str:
    return base64.b64encode(raw).decode()


def _bytes(text: str) -> bytes:
    """Base64 in its one canonical spelling: the spare bits of the last character are part of the value too."""
    raw = base64.b64decode(text, validate=True)
    if _text(raw) != text:
        raise ValueError("not canonical base64")
    return raw
