"""What sharing can be told beside the settings all services have."""

from __future__ import annotations

from pathlib import Path

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """`default_time_zone` decides what is overdue where Xero does not tell an organisation's own time zone."""

    default_time_zone: str = "Pacific/Auckland"

    @property
    def event_seal_ring(self) -> Path:
        """The key ring shared with notifier, under which invitations travel."""
        return self.keys_dir / "rings" / "event-seal.json"
