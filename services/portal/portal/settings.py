"""What the portal service can be told, from the environment, and the key rings it holds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from common.crypto import KeyRing
from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """`sharing_url` is where sharing answers calls between services."""

    sharing_url: str = "http://127.0.0.1:8103"


@dataclass(frozen=True)
class Rings:
    """`events` seals what notifier alone may read, and invitations while they wait here; `codes` keys the HMACs."""

    events: KeyRing
    codes: KeyRing

    @classmethod
    def load(cls, keys_dir: Path) -> Rings:
        """Raises common.crypto.BadRing when a ring cannot be used."""
        return cls(*(KeyRing.load(keys_dir / "rings" / f"{purpose}.json") for purpose in ("event-seal", "codes")))
