"""How a share stands, and who opened what through it, as the provider is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Self

from pydantic import BaseModel

from common.contracts.auth import Person
from common.contracts.timelines import Happening, timeline
from common.contracts.xero_gateway import Invoice, Standing
from common.errors import NotFound
from common.identity import ProviderIdentity
from common.mongo import Database, Reader
from sharing import snapshot_store, store
from sharing.models import Actor, Contact, EndReason, MailState, Moment, Share, ShareState, Viewing
from sharing.organisations import today_of


class LoadProgress(BaseModel):
    """Invoices stored so far of a first load; `total` is None until it is known."""

    stored: int
    total: int | None


class OtherContact(BaseModel):
    """A contact of the same organisation; its name is known here when it is or was shared."""

    contact_id: str
    name: str | None

    @classmethod
    def of(cls, contact_id: str | None, names: Mapping[str, str]) -> Self | None:
        return cls(contact_id=contact_id, name=names.get(contact_id)) if contact_id else None


class ShareView(BaseModel):
    """A share as the provider sees it. `load_id` and `load` are there while its first load runs; `picked` counts picked invoices.

    `resend_at`: from then on its invitation may be sent again; None before the first.
    `ended_by` is None when it ran out or the client closed it; `ended_reason` says which, `carried_to` the contact it went on with.
    `merged_to`: its contact was merged into that one in Xero, and somebody has to say what becomes of this access.
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
    resend_at: datetime | None
    opened_at: datetime | None
    last_seen_at: datetime | None
    views: int
    ended_at: datetime | None
    ended_by: Person | None
    ended_reason: EndReason | None
    carried_to: OtherContact | None
    merged_to: OtherContact | None
    load_id: str | None
    load: LoadProgress | None
    mail: MailState | None
    mail_reason: str | None

    @classmethod
    def of(cls, share: Share, contact: Contact, names: Mapping[str, str]) -> Self:
        """`names` of other contacts it leads to, by id."""
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
            resend_at=share.resend_at,
            opened_at=share.opened_at,
            last_seen_at=share.last_seen_at,
            views=share.views,
            ended_at=share.ended_at,
            ended_by=_person(share.ended_by) if share.ended_by else None,
            ended_reason=share.reason,
            carried_to=OtherContact.of(share.carried_to, names),
            merged_to=OtherContact.of(contact.merged_to if share.is_live else None, names),
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


class ViewingView(BaseModel):
    """What one address did with one invoice. `number` is there in lists over invoices."""

    share_id: str
    email: str
    invoice_id: str
    number: str | None = None
    opened: int
    downloaded: int
    first_at: datetime
    last_at: datetime
    moments: list[Moment]


class StoredInvoice(BaseModel):
    """One stored invoice for its provider: what it is, what happened to it, and who opened it, the last one first."""

    invoice: Invoice
    standing: Standing
    today: date
    as_of: datetime
    timeline: list[Happening]
    viewings: list[ViewingView]


async def show_stored_invoice(
    db: Database, provider: ProviderIdentity, contact_id: str, invoice_id: str, now: datetime, default_time_zone: str
) -> StoredInvoice:
    """Raises NotFound when nothing of it is stored under this contact."""
    found = (await snapshot_store.list_snapshots(db, provider.organisation_id, [invoice_id])).get(invoice_id)
    if found is None or found.invoice is None or found.load_id is None or found.contact_id != contact_id:
        raise NotFound
    organisation = await store.find_organisation(db, provider.organisation_id)
    contact = await store.find_contact(db, provider.organisation_id, contact_id)
    versions = await snapshot_store.list_versions(db, provider.organisation_id, contact_id, found.load_id, invoice_id)
    viewings = await snapshot_store.list_viewings_of_invoice(db, provider.organisation_id, invoice_id)
    today = today_of(organisation, now, default_time_zone)
    return StoredInvoice(
        invoice=found.invoice,
        standing=found.invoice.standing(today),
        today=today,
        as_of=(contact and contact.as_of) or found.read_at,
        timeline=timeline([version.invoice for version in versions]),
        viewings=[_viewing(viewing) for viewing in viewings],
    )


async def list_viewings(db: Database, provider: ProviderIdentity, share_id: str) -> list[ViewingView]:
    """What was opened through a share, the last one first. Raises NotFound."""
    share = await store.get_share(db, provider.organisation_id, share_id)
    viewings = await snapshot_store.list_viewings_of_share(db, share)
    known = await snapshot_store.list_snapshots(db, provider.organisation_id, {viewing.invoice_id for viewing in viewings})
    numbers = {key: snapshot.invoice.number for key, snapshot in known.items() if snapshot.invoice}
    return [_viewing(viewing, numbers.get(viewing.invoice_id)) for viewing in viewings]


async def view_shares(reader: Reader, shares: Sequence[Share]) -> list[ShareView]:
    """The shares as their provider sees them."""
    contacts = await store.list_contacts(reader, [(share.organisation_id, share.contact_id) for share in shares])
    about = [(share, contacts[share.organisation_id, share.contact_id]) for share in shares]
    others = {(share.organisation_id, other) for share, contact in about for other in (share.carried_to, contact.merged_to) if other}
    names = {key[1]: other.name for key, other in (await store.list_contacts(reader, others)).items()} if others else {}
    return [ShareView.of(share, contact, names) for share, contact in about]


async def view_share(db: Database, provider: ProviderIdentity, share_id: str) -> ShareView:
    """Raises NotFound."""
    (view,) = await view_shares(db, [await store.get_share(db, provider.organisation_id, share_id)])
    return view


async def list_uses(db: Database, provider: ProviderIdentity, emails: Sequence[str]) -> list[AddressUse]:
    """What these addresses, in canonical form, have access to in this organisation."""
    shares = await store.list_live_shares_of(db, provider.organisation_id, emails)
    views = await view_shares(db, shares)
    return [AddressUse(email=view.email, contact_id=view.contact_id, contact_name=view.contact_name) for view in views]


def _viewing(viewing: Viewing, number: str | None = None) -> ViewingView:
    return ViewingView(**viewing.model_dump(exclude={"id"}), number=number)


def _person(actor: Actor) -> Person:
    return Person(name=actor.name, email=actor.email)
