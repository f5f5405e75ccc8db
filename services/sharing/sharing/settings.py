"""What sharing can be told beside the settings all services have."""

from __future__ import annotations

from pathlib import Path

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """Nothing of its own beside where its key ring is."""

    @property
    def event_seal_ring(self) -> Path:
        """The key ring shared with notifier, under which invitations travel."""
        return self.keys_dir / "rings" / "event-seal.json"
