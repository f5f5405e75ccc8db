"""Giving an address access to a contact's invoices, and ending that."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from common.addresses import InvalidAddress, canonical
from common.clock import end_of_day
from common.contracts.sharing import ShareCreated, ShareEnded
from common.crypto import KeyRing
from common.identity import ProviderIdentity
from common.ids import new_id
from common.logging import get_logger
from common.mongo import Tx
from sharing import leaving_store, store
from sharing.errors import EndDateOver, EndingAccess, InvalidShareAddress, OrganisationNotReady
from sharing.invitations import can_open, send_invitation
from sharing.models import Actor, Contact, Mail, MailState, Policy, Share, contact_key

Outcome = Literal["invited", "resent", "known"]
"""A new access; one that was there and is mailed again; one that was mailed less than a minute ago and is not mailed now."""
log = get_logger()


@dataclass(frozen=True)
class Terms:
    """What an access shows and on which day, the organisation's own, it ends; `time_zone` where Xero does not tell it."""

    policy: Policy
    ends_on: date | None
    time_zone: str


async def invite_client(
    tx: Tx, provider: ProviderIdentity, contact_id: str, email: str, contact_name: str, terms: Terms, ring: KeyRing
) -> tuple[Share, Outcome]:
    """Gives an address access to a contact's invoices. One that has it already gets these terms, and its mail again if it was mailed,

    though not within a minute: pressing Send twice is one mail.

    Raises InvalidShareAddress, EndDateOver, EndingAccess, and OrganisationNotReady while auth's news of the organisation is on its way.
    """
    address = address_of(email)
    organisation = await store.find_organisation(tx, provider.organisation_id)
    if organisation is None or not organisation.name:
        raise OrganisationNotReady("The organisation was connected moments ago. Try again in a few seconds.")
    if organisation.ending_since or provider.id in organisation.left:
        raise EndingAccess("All access of this organisation was ended moments ago. Try again in a minute.")
    ends_at = end_of_day(terms.ends_on, organisation.time_zone or terms.time_zone) if terms.ends_on else None
    if ends_at and ends_at <= await tx.now():
        raise EndDateOver("Choose a day that is not over yet.")
    granted: dict[str, object] = {"policy": terms.policy, "ends_on": terms.ends_on, "ends_at": ends_at}
    there = await _find_running_share(tx, organisation.id, contact_id, address)
    contact, opened_by_this = await _open_contact(tx, organisation.id, contact_id, contact_name)
    if there is not None:
        share = there.changed(**granted)
        await store.save_granted(tx, share)
    else:
        share = await _new_share(tx, provider, contact, address, granted, opened_by_this)
    if share.resend_at and share.resend_at > await tx.now():
        return share, "known"
    if share.invited_at or await can_open(tx, share, contact):
        share = await send_invitation(tx, share, contact, organisation, ring)
    return share, "resent" if there else "invited"


async def revoke_share(tx: Tx, provider: ProviderIdentity, share_id: str) -> Share:
    """Ends access now and tells others; a share that ended before stays as it is. Raises NotFound.

    The share itself is written first: from then on views wait for this transaction instead of undoing it.
    Its invitations and snapshots need no writing, they count only while the share lives.
    """
    ended = await store.end_share(tx, provider.organisation_id, share_id, _actor(provider), "revoked")
    if ended is None:
        return await store.get_share(tx, provider.organisation_id, share_id)
    await tell_ended(tx, ended)
    return ended


async def expire_share(tx: Tx, share: Share) -> bool:
    """Ends a share that is past its end; its address has seen nothing since that moment. False when it is not, or ended before."""
    ended = await store.end_share(tx, share.organisation_id, share.id, None, "expired")
    if ended is not None:
        await tell_ended(tx, ended)
    return ended is not None


async def decline_share(tx: Tx, share: Share) -> None:
    """Ends a share because its own address says that it was not meant for it."""
    ended = await store.end_share(tx, share.organisation_id, share.id, None, "declined")
    if ended is not None:
        await tell_ended(tx, ended)


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
    log.info("share.ended", share_id=ended.id, organisation_id=ended.organisation_id, contact_id=ended.contact_id, reason=ended.reason)
    await leaving_store.keep_for_a_while(tx, ended.organisation_id, ended.contact_id)


async def note_mail(tx: Tx, share_id: str, number: int, at: datetime, state: MailState, reason: str | None = None) -> None:
    """What became of a share's invitation with this number, and when."""
    mail = Mail(number=number, state=state, reason=reason)
    await store.save_mail(tx, share_id, mail)
    await store.add_news(tx, share_id, mail, at)


def address_of(text: str) -> str:
    """What was typed in its canonical form. Raises InvalidShareAddress."""
    try:
        return canonical(text)
    except InvalidAddress as error:
        raise InvalidShareAddress(str(error)) from error


async def _find_running_share(tx: Tx, organisation_id: str, contact_id: str, address: str) -> Share | None:
    """The live share of this address; one that ran out a moment ago is ended first, so that it makes room for a new one."""
    there = await store.find_live_share(tx, organisation_id, contact_id, address)
    return None if there is None or await expire_share(tx, there) else there


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


async def _new_share(tx: Tx, provider: ProviderIdentity, contact: Contact, address: str, granted: dict[str, object], opens: bool) -> Share:
    share = Share(
        id=new_id("shr"),
        organisation_id=contact.organisation_id,
        contact_id=contact.contact_id,
        email=address,
        load_id=contact.load_id,
        shared_by=_actor(provider),
        created_at=await tx.now(),
    ).changed(**granted)
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


def _actor(provider: ProviderIdentity) -> Actor:
    return Actor(id=provider.id, name=provider.name, email=provider.email)
