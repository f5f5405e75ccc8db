"""Inviting an address: when there is something to open, and what its invitation leads to."""

from __future__ import annotations

import json
import math
from datetime import datetime

from pydantic import BaseModel

from common.contracts.auth import Person
from common.contracts.sharing import ClientInvited
from common.crypto import KeyRing, seal
from common.errors import NotFound
from common.ids import new_secret
from common.mongo import Reader, Tx
from sharing import snapshot_store, store
from sharing.errors import ResendTooSoon
from sharing.models import Contact, Organisation, Share


class PressedInvitation(BaseModel):
    """Where a sign-in mail goes after the invitation's button was pressed."""

    email: str
    share_id: str
    organisation_id: str
    organisation_name: str
    invited_at: datetime


async def send_invitation(tx: Tx, share: Share, contact: Contact, organisation: Organisation, ring: KeyRing) -> Share:
    """A new invitation for this share, sealed for notifier alone; older ones keep working while the share lives."""
    invited = share.invited(await tx.now())
    token = new_secret("cii")
    await store.add_invitation(tx, token, invited)
    await store.save_invited(tx, invited)
    sealed = seal(ring, json.dumps({"invitation": token}).encode(), (ClientInvited.type, share.id, share.email))
    event = ClientInvited(
        version=invited.version,
        share_id=share.id,
        organisation_id=organisation.id,
        organisation_name=organisation.name,
        contact_name=contact.name,
        email=share.email,
        shared_by=Person(id=share.shared_by.id, name=share.shared_by.name, email=share.shared_by.email),
        invitation_number=invited.invitation_number,
        sealed=sealed,
    )
    await tx.emit(share.id, event)
    return invited


async def resend_invitation(tx: Tx, organisation_id: str, share_id: str, ring: KeyRing) -> None:
    """Mails a share's invitation again. One that ended, or whose first invitation still waits, stays as it is.

    Raises NotFound, and ResendTooSoon within a minute of the last one.
    """
    share = await store.get_share(tx, organisation_id, share_id)
    if not share.is_live or share.invited_at is None:
        return
    rests = (share.resend_at - await tx.now()).total_seconds() if share.resend_at else 0
    if rests > 0:
        raise ResendTooSoon("The invitation was sent a moment ago.", retry_after=math.ceil(rests))
    contact = await store.find_contact(tx, organisation_id, share.contact_id)
    organisation = await store.find_organisation(tx, organisation_id)
    assert contact is not None  # both were there when it was invited
    assert organisation is not None
    await send_invitation(tx, share, contact, organisation, ring)


async def invite_waiting(tx: Tx, contact: Contact, ring: KeyRing) -> None:
    """Invites whoever waits for this contact's invoices, once everything is loaded and something can be opened."""
    if not contact.is_loaded:
        return
    waiting = await store.list_waiting_shares(tx, contact.organisation_id, contact.contact_id)
    ready = [share for share in waiting if await snapshot_store.has_shareable(tx, share)]
    if not ready:
        return
    organisation = await store.find_organisation(tx, contact.organisation_id)
    assert organisation is not None  # nothing is shared before the organisation is known
    if organisation.ending_since:
        return
    for share in ready:
        await send_invitation(tx, share, contact, organisation, ring)


async def invite_waiting_of(tx: Tx, organisation_id: str, contact_id: str, ring: KeyRing) -> None:
    """Invites whoever waits for a contact although nothing of it changed. Writes the contact, so that invoices stored at the same
    time are not missed."""
    contact = await store.find_contact(tx, organisation_id, contact_id)
    if contact is not None:
        await store.save_contact(tx, contact)
        await invite_waiting(tx, contact, ring)


async def can_open(reader: Reader, share: Share, contact: Contact) -> bool:
    """Everything is loaded and at least one invoice is there for this share."""
    return contact.is_loaded and await snapshot_store.has_shareable(reader, share)


async def press_invitation(tx: Tx, token: str) -> PressedInvitation:
    """Whom a pressed invitation belongs to. Raises NotFound when it is unknown or its share ended."""
    found = await store.find_open_share_by_invitation(tx, token)
    share = await store.mark_opened(tx, found.id) if found else None
    if share is None or share.invited_at is None:
        raise NotFound
    organisation = await store.find_organisation(tx, share.organisation_id)
    assert organisation is not None  # nothing is shared before the organisation is known
    return PressedInvitation(
        email=share.email,
        share_id=share.id,
        organisation_id=organisation.id,
        organisation_name=organisation.name,
        invited_at=share.invited_at,
    )


async def find_sender_of_invitation(reader: Reader, email: str, token: str) -> str:
    """The organisation behind an invitation to this very address. Raises NotFound for every other one."""
    share = await store.find_open_share_by_invitation(reader, token)
    if share is None or share.email != email:
        raise NotFound
    return share.organisation_id
