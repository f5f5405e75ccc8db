"""What a provider sees of a share's other side: the client's pages as they are, every look written down and counted nowhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from common.errors import NotFound
from common.identity import ProviderIdentity
from common.mongo import Database
from sharing import snapshot_store, store
from sharing.client_views import OneInvoice, SenderInvoices, read_invoice, read_sender
from sharing.models import Share


async def preview_sender(
    db: Database, provider: ProviderIdentity, share_id: str, wanted: Mapping[str, Any], now: datetime, default_time_zone: str
) -> SenderInvoices:
    """The sender's page of this share alone. Raises NotFound for a share that ended or is another organisation's."""
    share = await _live_share(db, provider, share_id)
    await snapshot_store.add_preview(db, provider, share, None)
    return await read_sender(db, [share], [share], wanted, now, default_time_zone)


async def preview_invoice(
    db: Database, provider: ProviderIdentity, share_id: str, invoice_id: str, now: datetime, default_time_zone: str
) -> OneInvoice:
    """One invoice as this share shows it. Raises NotFound when it does not."""
    share = await _live_share(db, provider, share_id)
    await snapshot_store.add_preview(db, provider, share, invoice_id)
    return await read_invoice(db, share, invoice_id, now, default_time_zone)


async def _live_share(db: Database, provider: ProviderIdentity, share_id: str) -> Share:
    share = await store.get_share(db, provider.organisation_id, share_id)
    if not share.is_live:
        raise NotFound
    return share
