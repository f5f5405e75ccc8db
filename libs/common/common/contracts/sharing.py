"""Events published by sharing: who may see what, and when that ends."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

from common.contracts.auth import Person
from common.events import EventData


class ShareCreated(EventData, type="sharing.share.created.v1"):
    """An address was given access to a contact's invoices. `load_id` names the first load to make; None when the snapshots are there."""

    share_id: str
    organisation_id: str
    contact_id: str
    load_id: str | None


class ClientInvited(EventData, type="sharing.client.invited.v1"):
    """There is something to open: mail the invitation. `sealed` holds {invitation}, readable by notifier alone.

    `share_id` is the seal's subject. Sent again when the provider asks for it; `invitation_number` counts from 1.
    """

    share_id: str
    organisation_id: str
    organisation_name: str
    contact_name: str
    email: str
    shared_by: Person
    invitation_number: int
    sealed: dict[str, Any]

    @property
    def about(self) -> list[str]:
        return [self.organisation_id, *([self.shared_by.id] if self.shared_by.id else [])]


class ShareEnded(EventData, type="sharing.share.ended.v1"):
    """Access ended, at once and for good. reason: revoked, expired, declined by its address, closed with all of its organisation,
    or carried over to another contact."""

    share_id: str
    organisation_id: str
    contact_id: str
    reason: str
    ended_at: datetime


class WantedPdf(BaseModel):
    """An invoice's PDF as that invoice is stored: of this version, while it belongs to this contact."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    invoice_id: str
    contact_id: str
    updated_at: datetime


class PdfsWanted(EventData, type="sharing.pdfs.wanted.v1"):
    """Somebody who may see these invoices asked for their PDFs at once: read those that are not kept, and tell how far that is."""

    download_id: str
    organisation_id: str
    wanted: list[WantedPdf]
