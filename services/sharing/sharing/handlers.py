"""What sharing does when others have done something."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial

from common.contracts.auth import OrganisationConnected, OrganisationDisconnected, OrganisationNeedsReauth, OrganisationUpdated
from common.contracts.notifier import EmailFailed, EmailSent
from common.contracts.xero_gateway import ContactChanged, InvoicesChanged, InvoicesFetched, OrganisationChecked, PdfsFetched
from common.crypto import KeyRing
from common.events import Event, EventData, Handlers
from common.mongo import Tx
from sharing import contacts, downloads, organisations, shares, snapshots
from sharing.models import MailState


def handlers_with(ring: KeyRing) -> Handlers:
    """All handlers, those that may invite somebody given the ring that seals invitations."""
    return {**HANDLERS, **{kind: partial(handle, ring=ring) for kind, handle in INVITING.items()}}


async def welcome_organisation(tx: Tx, event: Event[OrganisationConnected]) -> None:
    told = event.data
    facts = {"name": told.name, "time_zone": told.time_zone, "state": "connected", "since": event.time}
    await organisations.note_organisation(tx, told.organisation_id, told.version, **facts)


async def rename_organisation(tx: Tx, event: Event[OrganisationUpdated]) -> None:
    told = event.data
    await organisations.note_organisation(tx, told.organisation_id, told.version, name=told.name, time_zone=told.time_zone)


async def mark_as_not_updating(tx: Tx, event: Event[OrganisationNeedsReauth]) -> None:
    told = event.data
    facts = {"name": told.name, "state": "needs_reauth", "since": told.since}
    await organisations.note_organisation(tx, told.organisation_id, told.version, **facts)


async def mark_as_disconnected(tx: Tx, event: Event[OrganisationDisconnected]) -> None:
    told = event.data
    facts = {"name": told.name, "state": "disconnected", "since": told.since}
    await organisations.note_organisation(tx, told.organisation_id, told.version, **facts)


async def note_check(tx: Tx, event: Event[OrganisationChecked]) -> None:
    told = event.data
    await organisations.note_organisation(tx, told.organisation_id, told.version, checked_at=told.checked_at)


async def note_contact(tx: Tx, event: Event[ContactChanged]) -> None:
    await contacts.note_contact(tx, event.data)


async def store_fetched_invoices(tx: Tx, event: Event[InvoicesFetched], ring: KeyRing) -> None:
    await snapshots.store_batch(tx, event.data, ring)


async def store_changed_invoices(tx: Tx, event: Event[InvoicesChanged], ring: KeyRing) -> None:
    await snapshots.store_changes(tx, event.data, ring)


async def note_download(tx: Tx, event: Event[PdfsFetched]) -> None:
    await downloads.note_progress(tx, event.data)


async def note_sent_invitation(tx: Tx, event: Event[EmailSent]) -> None:
    await shares.note_mail(tx, event.data.share_id, event.data.version, event.data.at, "sent")


async def note_failed_invitation(tx: Tx, event: Event[EmailFailed]) -> None:
    state: MailState = "returned" if event.data.returned else "failed"
    await shares.note_mail(tx, event.data.share_id, event.data.version, event.data.at, state, event.data.reason)


INVITING: Mapping[type[EventData], Callable[..., Awaitable[None]]] = {
    InvoicesFetched: store_fetched_invoices,
    InvoicesChanged: store_changed_invoices,
}
"""Handlers that take the ring beside the event."""

HANDLERS: Handlers = {
    OrganisationConnected: welcome_organisation,
    OrganisationUpdated: rename_organisation,
    OrganisationNeedsReauth: mark_as_not_updating,
    OrganisationDisconnected: mark_as_disconnected,
    OrganisationChecked: note_check,
    ContactChanged: note_contact,
    PdfsFetched: note_download,
    EmailSent: note_sent_invitation,
    EmailFailed: note_failed_invitation,
    **INVITING,
}
"""The events sharing consumes; run by `handlers_with`."""
