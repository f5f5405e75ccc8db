"""How a share stands, as its provider is told."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Self

from pydantic import BaseModel

from common.contracts.auth import Person
from common.identity import ProviderIdentity
from common.mongo import Database, Reader
from sharing import store
from sharing.models import Actor, Contact, EndReason, MailState, Share, ShareState


class LoadProgress(BaseModel):
    """Invoices stored so far of a first load; `total` is None until it is known."""

    stored: int
    total: int | None


class ShareView(BaseModel):
    """A share as the provider sees it. `load_id` and `load` are there while its first load runs; `picked` counts picked invoices.

    `ended_by` is None when it ran out or the client closed it; `ended_reason` says which.
    """

    id: str
    organisation_id: str
    contact_id: str
    contact_name: str
    email: str
    state: ShareState
    shared_by: Person
    shared_at: datetime
    from_date: date | None
    picked: int | None
    ends_on: date | None
    opened_at: datetime | None
    last_seen_at: datetime | None
    views: int
    ended_at: datetime | None
    ended_by: Person | None
    ended_reason: EndReason | None
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
            from_date=share.policy.from_date,
            picked=None if share.policy.invoice_ids is None else len(share.policy.invoice_ids),
            ends_on=share.ends_on,
            opened_at=share.opened_at,
            last_seen_at=share.last_seen_at,
            views=share.views,
            ended_at=share.ended_at,
            ended_by=_person(share.ended_by) if share.ended_by else None,
            ended_reason=share.reason,
            load_id=share.load_id if loading else None,
            load=LoadProgress(stored=contact.stored, total=contact.total) if loading else None,
            mail=share.mail and share.mail.state,
            mail_reason=share.mail and share.mail.reason,
        )


class AddressUse(BaseModel):
    """An address that has access to a contact of the organisation already."""

    email: str
    contact_id: str
    contact_name: str


async def view_shares(reader: Reader, shares: Sequence[Share]) -> list[ShareView]:
    """The shares as their provider sees them."""
    contacts = await store.list_contacts(reader, [(share.organisation_id, share.contact_id) for share in shares])
    return [ShareView.of(share, contacts[share.organisation_id, share.contact_id]) for share in shares]


async def view_share(db: Database, provider: ProviderIdentity, share_id: str) -> ShareView:
    """Raises NotFound."""
    (view,) = await view_shares(db, [await store.get_share(db, provider.organisation_id, share_id)])
    return view


async def list_uses(db: Database, provider: ProviderIdentity, emails: Sequence[str]) -> list[AddressUse]:
    """What these addresses, in canonical form, have access to in this organisation."""
    shares = await store.list_live_shares_of(db, provider.organisation_id, emails)
    views = await view_shares(db, shares)
    return [AddressUse(email=view.email, contact_id=view.contact_id, contact_name=view.contact_name) for view in views]


def _person(actor: Actor) -> Person:
    return Person(name=actor.name, email=actor.email)
