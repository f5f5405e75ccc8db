"""Identifiers: a prefix that says what a thing is, then 26 characters of Crockford base32."""

from __future__ import annotations

import os
import secrets
import time
from datetime import datetime
from uuid import UUID

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {character: value for value, character in enumerate(ALPHABET)}


def new_id(prefix: str) -> str:
    """A new id that sorts by time of creation, such as `shr_01J…`: 48 bits of milliseconds, 80 random bits (ULID layout)."""
    return f"{prefix}_{_encode(time.time_ns() // 1_000_000 << 80 | int.from_bytes(os.urandom(10)))}"


def first_id(prefix: str, moment: datetime) -> str:
    """Sorts before every id made at `moment` (with its time zone) or later, and after those made before."""
    return f"{prefix}_{_encode(int(moment.timestamp() * 1000) << 80)}"


def new_secret(prefix: str) -> str:
    """256 random bits, URL-safe, with a prefix such as `cil` so that a leaked one can be recognised by a scanner."""
    return f"{prefix}_{secrets.token_urlsafe(32)}"


def organisation_id(tenant_id: str) -> str:
    """Our id of an organisation from Xero's tenant UUID. A bijection, so two services never disagree and no lookup is needed."""
    return f"org_{_encode(UUID(tenant_id).int)}"


def tenant_id(organisation: str) -> str:
    """Xero's tenant UUID from our organisation id. Raises ValueError when it is not one."""
    prefix, _, text = organisation.partition("_")
    if prefix != "org" or len(text) != 26 or any(character not in _VALUES for character in text):
        raise ValueError("not an organisation id")
    number = 0
    for character in text:
        number = number << 5 | _VALUES[character]
    if number >> 128:
        raise ValueError("not an organisation id")
    return str(UUID(int=number))


def _encode(number: int) -> str:
    return "".join(ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))
