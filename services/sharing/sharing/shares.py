"""Giving an address access to a contact's invoices, ending that, and telling the provider how it stands."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal, Self

from pydantic import BaseModel

from common.addresses import InvalidAddress, canonical
from common.contracts.auth import Person
from common.contracts.sharing import ShareCreated, ShareEnded
from common.crypto import KeyRing
from common.identity import ProviderIdentity
from common.ids import new_id
from common.mongo import Database, Reader, Tx
from sharing import leaving_store, store
from sharing.errors import EndingAccess, InvalidShareAddress, OrganisationNotReady
from sharing.invitations import can_open, send_invitation
from sharing.models import Actor, Contact, Mail, MailState, Share, ShareState, contact_key

Outcome = Literal["invited", "resent"]


class LoadProgress(BaseModel):
    """Invoices stored so far of a first load; `total` is None until it is known."""

    stored: int
    total: int | None


class ShareView(BaseModel):
    """A share as the provider sees it. `load_id` and `load` are there while its first load runs."""

    id: str
    organisation_id: str
    contact_id: str
    contact_name: str
    email: str
    state: ShareState
    shared_by: Person
    shared_at: datetime
    opened_at: datetime | None
    last_seen_at: datetime | None
    views: int
    ended_at: datetime | None
    ended_by: Person | None
    load_id: str | None
    load: LoadProgress | None
    mail: MailState | None
    mail_reason: str | None

    @classmethod
    def of(cls, share: Share, contact: Contact) -> Self:
        loading = share.is_live and not contact.is_loaded
        return cls(
            id=share.id,
            organisation_id=share.organisation_id,
            contact_id=share.contact_id,
            contact_name=contact.name,
            email=share.email,
            state=share.state(contact.is_loaded),
            shared_by=_person(share.shared_by),
            shared_at=share.created_at,
            opened_at=share.opened_at,
            last_seen_at=share.last_seen_at,
            views=share.views,
            ended_at=share.ended_at,
            ended_by=_person(share.ended_by) if share.ended_by else None,
            load_id=share.load_id if loading else None,
            load=LoadProgress(stored=contact.stored, total=contact.total) if loading else None,
            mail=share.mail and share.mail.state,
            mail_reason=share.mail and share.mail.reason,
        )


async def invite_client(
    tx: Tx, provider: ProviderIdentity, contact_id: str, email: str, contact_name: str, ring: KeyRing
) -> tuple[Share, Outcome]:
    """Gives an address access to a contact's invoices. One that has it already is mailed again, if it was mailed before.

    Raises InvalidShareAddress, OrganisationNotReady while auth's news of the organisation is on its way, and EndingAccess.
    """
    address = _canonical(email)
    organisation = await store.find_organisation(tx, provider.organisation_id)
    if organisation is None or not organisation.name:
        raise OrganisationNotReady("The organisation was connected moments ago. Try again in a few seconds.")
    if organisation.ending_since or provider.id in organisation.left:
        raise EndingAccess("All access of this organisation was ended moments ago. Try again in a minute.")
    contact, opened_by_this = await _open_contact(tx, organisation.id, contact_id, contact_name)
    there = await store.find_live_share(tx, organisation.id, contact_id, address)
    if there is not None:
        again = await send_invitation(tx, there, contact, organisation, ring) if there.invited_at else there
        return again, "resent"
    share = await _new_share(tx, provider, contact, address, opened_by_this)
    if await can_open(tx, contact):
        share = await send_invitation(tx, share, contact, organisation, ring)
    return share, "invited"


async def end_share(tx: Tx, provider: ProviderIdentity, share_id: str) -> Share:
    """Ends access now and tells others; a share that ended before stays as it is. Raises NotFound.

    The share itself is written first: from then on views wait for this transaction instead of undoing it.
    Its invitations and snapshots need no writing, they count only while the share lives.
    """
    ended = await store.end_share(tx, provider.organisation_id, share_id, _actor(provider), "revoked")
    if ended is None:
        return await store.get_share(tx, provider.organisation_id, share_id)
    await tell_ended(tx, ended)
    return ended


async def tell_ended(tx: Tx, ended: Share) -> None:
    """Tells others that a share has ended, and has its contact looked at when what is stored of it may be due to go."""
    assert ended.ended_at is not None
    assert ended.reason is not None
    event = ShareEnded(
        version=ended.version,
        share_id=ended.id,
        organisation_id=ended.organisation_id,
        contact_id=ended.contact_id,
        reason=ended.reason,
        ended_at=ended.ended_at,
    )
    await tx.emit(ended.id, event)
    await leaving_store.keep_for_a_while(tx, ended.organisation_id, ended.contact_id)


async def note_mail(tx: Tx, share_id: str, number: int, state: MailState, reason: str | None = None) -> None:
    """What became of a share's invitation with this number."""
    await store.save_mail(tx, share_id, Mail(number=number, state=state, reason=reason))


async def view_shares(reader: Reader, shares: Sequence[Share]) -> list[ShareView]:
    """The shares as their provider sees them."""
    contacts = await store.list_contacts(reader, [(share.organisation_id, share.contact_id) for share in shares])
    return [ShareView.of(share, contacts[share.organisation_id, share.contact_id]) for share in shares]


async def view_share(db: Database, provider: ProviderIdentity, share_id: str) -> ShareView:
    """Raises NotFound."""
    (view,) = await view_shares(db, [await store.get_share(db, provider.organisation_id, share_id)])
    return view


async def _open_contact(tx: Tx, organisation_id: str, contact_id: str, name: str) -> tuple[Contact, bool]:
    """The contact, opened when nobody has access to it: then a first load begins, and the second value is True."""
    openings = await store.find_openings(tx, organisation_id, {contact_id})
    contact = await store.find_contact(tx, organisation_id, contact_id)
    if contact is None:
        key = contact_key(organisation_id, contact_id)
        contact = Contact(id=key, organisation_id=organisation_id, contact_id=contact_id, name=name, load_id="")
    if contact_id not in openings:
        contact = contact.reopened(new_id("lod"))
    contact = contact.changed(name=name)
    await store.save_contact(tx, contact)
    return contact, contact_id not in openings


async def _new_share(tx: Tx, provider: ProviderIdentity, contact: Contact, address: str, opens: bool) -> Share:
    share = Share(
        id=new_id("shr"),
        organisation_id=contact.organisation_id,
        contact_id=contact.contact_id,
        email=address,
        load_id=contact.load_id,
        shared_by=_actor(provider),
        created_at=await tx.now(),
    )
    await store.add_share(tx, share)
    event = ShareCreated(
        version=share.version,
        share_id=share.id,
        organisation_id=share.organisation_id,
        contact_id=share.contact_id,
        load_id=contact.load_id if opens else None,
    )
    await tx.emit(share.id, event)
    return share


def _canonical(email: str) -> str:
    try:
        return canonical(email)
    except InvalidAddress as error:
        raise InvalidShareAddress(str(error)) from error


def _actor(provider: ProviderIdentity) -> Actor:
    return Actor(id=provider.id, name=provider.name, email=provider.email)


def _person(actor: Actor) -> Person:
    return Person(name=actor.name, email=actor.email)
