"""Makes every identity key and key ring an installation needs, once, readable by their owner alone (0600)."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from joserfc.jwk import OKPKey

FIRST = "k1"


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


def _new_ring(purpose: str) -> bytes:
    key = base64.b64encode(os.urandom(32)).decode()
    ring = {"version": 1, "purpose": purpose, "primary": FIRST, "keys": [{"id": FIRST, "state": "primary", "key": key}]}
    return json.dumps(ring, indent=1).encode()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(content)
