"""Carrying accesses over when their contact was merged into another one in Xero. Nothing moves by itself: a provider decides."""

from __future__ import annotations

from common.crypto import KeyRing
from common.errors import NotFound
from common.identity import ProviderIdentity
from common.mongo import Reader, Tx
from sharing import store
from sharing.models import Actor, Share
from sharing.shares import Terms, expire_share, invite_client, tell_ended

MOST_CARRIED = 200


async def list_to_carry(reader: Reader, organisation_id: str, contact_id: str) -> list[Share]:
    """Live accesses of a contact that was merged into another. Raises NotFound for a contact that was not."""
    contact = await store.find_contact(reader, organisation_id, contact_id)
    if contact is None or contact.merged_to is None:
        raise NotFound
    shares = await store.list_shares_of_contact(reader, organisation_id, contact_id)
    return [share for share in shares if share.is_live][:MOST_CARRIED]


async def carry_over(
    tx: Tx, provider: ProviderIdentity, share_id: str, contact_name: str, default_time_zone: str, ring: KeyRing
) -> Share | None:
    """Ends an access and gives its address the same terms for the contact its own was merged into; None when it had ended already.

    An address that opens the other contact already keeps the terms it has there. Picked invoices stay picked, for a merge keeps
    their ids. Raises NotFound, and what `invite_client` raises; then nothing has changed.
    """
    share = await store.get_share(tx, provider.organisation_id, share_id)
    contact = await store.find_contact(tx, share.organisation_id, share.contact_id)
    if contact is None or contact.merged_to is None:
        raise NotFound
    if await expire_share(tx, share):
        return None
    by = Actor(id=provider.id, name=provider.name, email=provider.email)
    ended = await store.end_share(tx, share.organisation_id, share.id, by, "carried", contact.merged_to)
    if ended is None:
        return None
    await tell_ended(tx, ended)
    there = await store.find_live_share(tx, share.organisation_id, contact.merged_to, share.email)
    if there is not None and not await expire_share(tx, there):
        return there
    terms = Terms(share.policy, share.ends_on, default_time_zone)
    carried, _ = await invite_client(tx, provider, contact.merged_to, share.email, contact_name, terms, ring)
    return carried
