"""A client's timeline for the provider: accesses, mails, openings, payments and changes, newest first, told from what is stored."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, Field

from common.contracts.auth import Person
from common.contracts.timelines import Happening, begun, between
from common.contracts.xero_gateway import Invoice
from common.mongo import Database, Document
from sharing import snapshot_store, store, timeline_store
from sharing.models import Actor, Doing, EndReason, MailState, Share, Version
from sharing.share_views import OtherContact
from sharing.timeline_store import Place, VersionPlace

Kind = Literal["shares", "mails", "openings", "payments", "changes"]
KINDS: tuple[Kind, ...] = ("shares", "mails", "openings", "payments", "changes")
PAYMENTS = frozenset({"settled", "unsettled"})

VERSIONS_AT_ONCE = 60
MOST_VERSIONS = 1200
"""So many changed invoices are looked through for one page; a page that ends there is short, and more may follow."""


class Entry(BaseModel):
    """One thing that happened, and where its kind says more: `access` (how it began or ended), `mail`, `doing`, `happening`.

    `email` is the address an access, a mail or an opening is of. `invoice_id` may be a `Paper`; `number` is None when no longer stored.
    """

    place: Place = Field(exclude=True)
    at: datetime
    kind: Kind
    share_id: str | None = None
    email: str | None = None
    access: Literal["shared", "ended"] | None = None
    by: Person | None = None
    ended_reason: EndReason | None = None
    carried_to: OtherContact | None = None
    mail: MailState | None = None
    mail_reason: str | None = None
    doing: Doing | Literal["pressed", "signed_in"] | None = None
    invoice_id: str | None = None
    number: str | None = None
    currency: str | None = None
    happening: Happening | None = None


class Timeline(BaseModel):
    """One page. `next` is where the following one begins, None when nothing is older. `contact_name` is None for a contact never shared."""

    contact_name: str | None
    as_of: datetime | None
    entries: list[Entry]
    next: str | None


@dataclass(frozen=True)
class Part:
    """Entries from one source, newest first, and down to where they are all it has; None: down to the beginning."""

    entries: Sequence[Entry]
    whole_to: Place | None = None


async def show_timeline(
    db: Database, organisation_id: str, contact_id: str, kind: Kind | None, below: Place | None, limit: int
) -> Timeline:
    """At most `limit` entries of this kind, or of all, below a place. Of an unknown contact there are none."""
    contact = await store.find_contact(db, organisation_id, contact_id)
    if contact is None:
        return Timeline(contact_name=None, as_of=None, entries=[], next=None)
    organisation = await store.find_organisation(db, organisation_id)
    shares = {share.id: share for share in await store.list_shares_of_contact(db, organisation_id, contact_id)}
    wanted = frozenset(KINDS if kind is None else (kind,))
    parts = [_from_shares(shares.values(), wanted, below)]
    if "mails" in wanted:
        parts.append(_part([_mail(row, shares) for row in await timeline_store.list_mails(db, list(shares), below, limit + 1)], limit))
    if "openings" in wanted:
        rows = await timeline_store.list_openings(db, list(shares), below, limit + 1)
        parts.append(_part([_opening(row, shares) for row in rows], limit))
    if wanted & {"payments", "changes"}:
        parts.append(await _from_versions(db, organisation_id, contact_id, wanted, below, limit))
    entries, following = merged(parts, limit)
    return Timeline(
        contact_name=contact.name,
        as_of=organisation.as_of(contact) if organisation else contact.as_of,
        entries=await _named(db, organisation_id, entries),
        next=str(following) if following else None,
    )


def merged(parts: Sequence[Part], limit: int) -> tuple[list[Entry], Place | None]:
    """The newest entries of all parts, as far down as every part is whole, and the place below which the rest stands."""
    floor = max((part.whole_to for part in parts if part.whole_to), default=None)
    found = [entry for part in parts for entry in part.entries if floor is None or entry.place >= floor]
    found.sort(key=lambda entry: entry.place, reverse=True)
    return (found[:limit], found[limit - 1].place) if len(found) > limit else (found, floor)


def _part(entries: Sequence[Entry], limit: int) -> Part:
    """Of a source asked for one more than a page holds."""
    return Part(entries, entries[-1].place if len(entries) > limit else None)


def _from_shares(shares: Iterable[Share], wanted: frozenset[Kind], below: Place | None) -> Part:
    entries = [entry for share in shares for entry in _of_share(share) if entry.kind in wanted]
    return Part([entry for entry in entries if below is None or entry.place < below])


def _of_share(share: Share) -> list[Entry]:
    told = [_access(share, share.created_at, "shared", by=_person(share.shared_by))]
    if share.opened_at:
        told.append(_access(share, share.opened_at, "pressed"))
    if share.active_at:
        told.append(_access(share, share.active_at, "signed_in"))
    if share.ended_at:
        to = OtherContact.of(share.carried_to, {})
        told.append(_access(share, share.ended_at, "ended", by=_person(share.ended_by), ended_reason=share.reason, carried_to=to))
    return told


def _access(share: Share, at: datetime, what: str, **facts: object) -> Entry:
    is_access = what in ("shared", "ended")
    told = {"kind": "shares", "access": what} if is_access else {"kind": "openings", "doing": what}
    fields = {"place": Place(at, f"share:{share.id}~{what}"), "at": at, "share_id": share.id, "email": share.email}
    return Entry.model_validate(fields | told | facts)


def _mail(row: Document, shares: Mapping[str, Share]) -> Entry:
    return _through(row, shares, kind="mails", mail=row["state"], mail_reason=row["reason"])


def _opening(row: Document, shares: Mapping[str, Share]) -> Entry:
    return _through(row, shares, kind="openings", doing=row["doing"], invoice_id=row["invoice_id"])


def _through(row: Document, shares: Mapping[str, Share], **facts: Any) -> Entry:
    """Of a stored row that belongs to one of these shares."""
    share = shares[row["share_id"]]
    return Entry(place=Place(row["at"], row["key"]), at=row["at"], share_id=share.id, email=share.email, **facts)


async def _from_versions(
    db: Database, organisation_id: str, contact_id: str, wanted: frozenset[Kind], below: Place | None, limit: int
) -> Part:
    entries: list[Entry] = []
    last: VersionPlace | None = None
    for _ in range(MOST_VERSIONS // VERSIONS_AT_ONCE):
        rows = await timeline_store.list_changed(db, organisation_id, contact_id, below, last, VERSIONS_AT_ONCE)
        found = [entry for version, before in rows for entry in _of_version(version, before)]
        entries += [entry for entry in found if entry.kind in wanted and (below is None or entry.place < below)]
        if len(rows) < VERSIONS_AT_ONCE:
            return Part(entries)
        last = VersionPlace.of(rows[-1][0])
        if len(entries) > limit:
            break
    assert last is not None  # the loop ran
    return Part(entries, Place(last.updated_at, last.key(0)))


def _of_version(version: Version, before: Invoice | None) -> list[Entry]:
    """The last of what happened first. Without a version before it the invoice came to this client."""
    happened = between(before, version.invoice) if before else begun(version.invoice)
    here = VersionPlace.of(version)
    entries = [
        Entry(
            place=Place(version.updated_at, here.key(number)),
            at=version.updated_at,
            kind="payments" if one.kind in PAYMENTS else "changes",
            invoice_id=version.invoice_id,
            number=version.invoice.number,
            currency=version.invoice.currency,
            happening=one,
        )
        for number, one in enumerate(happened)
    ]
    return entries[::-1]


async def _named(db: Database, organisation_id: str, entries: Sequence[Entry]) -> list[Entry]:
    """With the numbers of the invoices that were opened, and the names of contacts accesses were carried over to."""
    opened = {entry.invoice_id for entry in entries if entry.kind == "openings" and entry.invoice_id}
    known = await snapshot_store.list_snapshots(db, organisation_id, opened) if opened else {}
    others = {(organisation_id, entry.carried_to.contact_id) for entry in entries if entry.carried_to}
    names = {key[1]: other.name for key, other in (await store.list_contacts(db, others)).items()} if others else {}
    return [_with_names(entry, {id: it.invoice.number for id, it in known.items() if it.invoice}, names) for entry in entries]


def _with_names(entry: Entry, numbers: Mapping[str, str], names: Mapping[str, str]) -> Entry:
    if entry.carried_to:
        return entry.model_copy(update={"carried_to": OtherContact.of(entry.carried_to.contact_id, names)})
    if entry.kind == "openings" and entry.invoice_id:
        return entry.model_copy(update={"number": numbers.get(entry.invoice_id)})
    return entry


def _person(actor: Actor | None) -> Person | None:
    return Person(id=actor.id, name=actor.name, email=actor.email) if actor else None
