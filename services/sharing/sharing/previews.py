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
from sharing.models import Actor, Policy, Share


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


async def preview_terms(
    db: Database,
    provider: ProviderIdentity,
    contact_id: str,
    policy: Policy,
    wanted: Mapping[str, Any],
    now: datetime,
    default_time_zone: str,
) -> SenderInvoices | None:
    """The sender's page as a share with this policy would show it; None when nothing is stored of the contact."""
    await snapshot_store.add_look(db, provider, contact_id, None)
    share = await _imagined_share(db, provider, contact_id, policy)
    return await read_sender(db, [share], [share], wanted, now, default_time_zone) if share else None


async def preview_invoice_of_terms(
    db: Database, provider: ProviderIdentity, contact_id: str, invoice_id: str, policy: Policy, now: datetime, default_time_zone: str
) -> OneInvoice | None:
    """One invoice as a share with this policy would show it; None as above. Raises NotFound when it would not be shown."""
    await snapshot_store.add_look(db, provider, contact_id, invoice_id)
    share = await _imagined_share(db, provider, contact_id, policy)
    return await read_invoice(db, share, invoice_id, now, default_time_zone) if share else None


async def _imagined_share(db: Database, provider: ProviderIdentity, contact_id: str, policy: Policy) -> Share | None:
    """A share made now, stored nowhere, so that what it would show is decided where it is decided for all. None without a whole load."""
    contact = await store.find_contact(db, provider.organisation_id, contact_id)
    openings = await store.find_openings(db, provider.organisation_id, {contact_id})
    if contact is None or not contact.is_loaded or openings.get(contact_id) != contact.load_id:
        return None
    return Share(
        id="",
        organisation_id=provider.organisation_id,
        contact_id=contact_id,
        email="",
        load_id=contact.load_id,
        shared_by=Actor(id=provider.id, name=provider.name, email=provider.email),
        created_at=await db.now(),
        policy=policy,
    )


async def _live_share(db: Database, provider: ProviderIdentity, share_id: str) -> Share:
    share = await store.get_share(db, provider.organisation_id, share_id)
    if not share.is_live:
        raise NotFound
    return share
