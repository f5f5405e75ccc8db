"""What sharing keeps, and the rules these things obey. Pure: no database, no network, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer, model_validator

from common.contracts.invoice_lists import MOST_PICKED
from common.contracts.xero_gateway import SHAREABLE, Invoice

ShareState = Literal["preparing", "waiting_invoice", "invited", "opened", "active", "ended"]
Connection = Literal["connected", "needs_reauth", "disconnected"]
MailState = Literal["queued", "sent", "failed", "returned"]

Doing = Literal["opened", "downloaded"]
Paper = Literal["list", "statement"]
"""What is taken away of all invoices of a share at once; it stands where a viewing names its invoice."""

EndReason = Literal["revoked", "expired", "declined", "closed", "carried"]
"""By the provider; by its date; by its own address, for which it was not meant; with all others of the organisation; carried over to
the contact its own was merged into."""

KEPT = SHAREABLE | {"VOIDED"}
"""Statuses of a sales invoice whose content is stored."""

NEVER = datetime(1, 1, 1, tzinfo=UTC)
RESEND_REST = timedelta(seconds=60)
"""So long an invitation rests before it may be sent again."""

Day = Annotated[date, PlainSerializer(date.isoformat)]
"""A date, kept as its ISO text: BSON has only moments."""


class Document(BaseModel):
    """Something with an id, as it is stored."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    id: str = Field(alias="_id")

    def changed(self, **changes: Any) -> Self:
        """The same with some values changed."""
        return self.model_copy(update=changes)


class Actor(BaseModel):
    """The provider who did something."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str
    name: str
    email: str


class Mail(BaseModel):
    """What became of the invitation with this number; `reason` is a text for people."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    number: int
    state: MailState
    reason: str | None = None


class Policy(BaseModel):
    """Which of a contact's shareable invoices an access shows: all, now and later; those dated from a day on; or picked ones."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    from_date: Day | None = None
    invoice_ids: tuple[str, ...] | None = Field(default=None, min_length=1, max_length=MOST_PICKED)

    @model_validator(mode="after")
    def _one_of_them(self) -> Self:
        if self.from_date and self.invoice_ids:
            raise ValueError("Either a date or picked invoices.")
        return self

    def admits(self, invoice: Invoice) -> bool:
        """Whether an invoice, in this version of it, is among those."""
        if self.invoice_ids is not None:
            return invoice.invoice_id in self.invoice_ids
        return self.from_date is None or (invoice.date is not None and invoice.date >= self.from_date)


class Share(Document):
    """One address's access to one contact's invoices. Its state is the facts below; `load_id` names the contact's opening.

    A contact opens with its first live share and closes with its last: all shares that live at the same time have one
    `load_id`, and an invoice is seen through a share only when it was stored during that opening.
    It runs out at `ends_at`, the end of the day `ends_on` where the organisation is, by the database's clock.
    `version` counts what others were told about this share. `mailed_at`: the last
    invitation's time, `carried_to`: the contact it was carried over to when it ended.
    """

    organisation_id: str
    contact_id: str
    email: str
    load_id: str
    shared_by: Actor
    created_at: datetime
    invited_at: datetime | None = None
    mailed_at: datetime | None = None
    opened_at: datetime | None = None
    active_at: datetime | None = None
    last_seen_at: datetime | None = None
    views: int = 0
    policy: Policy = Policy()
    ends_on: Day | None = None
    ends_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: Actor | None = None
    reason: EndReason | None = None
    carried_to: str | None = None
    mail: Mail | None = None
    invitation_number: int = 0
    version: int = 1

    @property
    def is_live(self) -> bool:
        return self.ended_at is None

    @property
    def resend_at(self) -> datetime | None:
        """From when on its invitation may be sent again; None before the first."""
        return self.mailed_at and self.mailed_at + RESEND_REST

    def state(self, loaded: bool) -> ShareState:
        """What people are told. `loaded`: everything of its opening's first load is stored."""
        if not self.is_live:
            return "ended"
        if self.active_at:
            return "active"
        if self.opened_at:
            return "opened"
        if self.invited_at:
            return "invited"
        return "waiting_invoice" if loaded else "preparing"

    def invited(self, now: datetime) -> Share:
        """With the next invitation on its way; the first one decides since when the share is open to its address."""
        number = self.invitation_number + 1
        return self.changed(
            invited_at=self.invited_at or now,
            mailed_at=now,
            invitation_number=number,
            mail=Mail(number=number, state="queued"),
            version=self.version + 1,
        )


class Contact(Document):
    """A contact somebody shares or shared: its name now, and how far the first load of its opening is. `merged_to` is the contact that
    took its place in Xero.

    `revision` changes with everything stored for the contact, so that deciding and storing never miss each other.
    """

    organisation_id: str
    contact_id: str
    name: str
    name_version: int = 0
    merged_to: str | None = None
    load_id: str
    applied: tuple[int, ...] = ()
    batches: int | None = None
    stored: int = 0
    total: int | None = None
    as_of: datetime | None = None
    revision: int = 0

    @property
    def is_loaded(self) -> bool:
        """Every batch of the first load arrived."""
        return self.batches is not None and len(self.applied) >= self.batches

    def reopened(self, load_id: str) -> Contact:
        """At the beginning of a new first load."""
        return self.changed(load_id=load_id, applied=(), batches=None, stored=0, total=None, as_of=None)

    def with_batch(self, number: int, *, stored: int, total: int | None, batches: int | None, read_at: datetime) -> Contact:
        """With one batch applied. Batches come in any order and again; the end is the same."""
        return self.changed(
            applied=tuple(sorted({*self.applied, number})),
            batches=self.batches if batches is None else batches,
            stored=max(self.stored, stored),
            total=max((known for known in (self.total, total) if known is not None), default=None),
            as_of=max(self.as_of or read_at, read_at),
        )


def contact_key(organisation_id: str, contact_id: str) -> str:
    """The id of a contact or an invoice here: Xero's UUIDs are unique within their organisation."""
    return f"{organisation_id}:{contact_id}"


class Organisation(Document):
    """An organisation as auth's events tell it. `since`: when its connection came into this state. `checked_at`: when Xero last had
    nothing for any of its contacts that is not stored here.

    `versions` holds, for each fact, the version of the event it came from: events name different facts and come in any order.
    `ending_since` is there while all its accesses are being ended: from that moment none of them opens anything. `left` are the
    ids of providers who deleted their accounts. `hides_awaiting`: clients see no invoice that awaits approval.
    """

    name: str = ""
    time_zone: str | None = None
    state: Connection = "connected"
    since: datetime | None = None
    checked_at: datetime | None = None
    versions: Mapping[str, int] = {}
    ending_since: datetime | None = None
    left: tuple[str, ...] = ()
    hides_awaiting: bool = False

    def told(self, version: int, **facts: Any) -> Organisation:
        """With those facts that are newer than what is known."""
        newer = {name: value for name, value in facts.items() if version > self.versions.get(name, 0)}
        return self.changed(**newer, versions={**self.versions, **dict.fromkeys(newer, version)})

    def as_of(self, contact: Contact) -> datetime | None:
        """When the contact's stored invoices were last true to Xero; None before the first."""
        return max(contact.as_of, self.checked_at or NEVER) if contact.as_of else None

    @property
    def not_updating_since(self) -> datetime | None:
        """Since when changes in Xero no longer arrive; None while they do."""
        return None if self.state == "connected" else self.since


class Snapshot(Document):
    """The newest version of one invoice, and what its versions together say. Only sales invoices come in here.

    A version of a contact nobody has access to, a draft and a deleted invoice leave no content: what stays is the mark
    that older versions are out of date. `load_id` is the contact's opening this version was stored in. `finalised_in` are
    the openings in which some version was shareable; `voided_at` is when Xero was first seen to have voided it.
    """

    organisation_id: str
    invoice_id: str
    contact_id: str = ""
    load_id: str | None = None
    finalised_in: tuple[str, ...] = ()
    voided_at: datetime | None = None
    updated_at: datetime = NEVER
    read_at: datetime = NEVER
    invoice: Invoice | None = None

    @property
    def is_visible(self) -> bool:
        """Finalised, or voided after it was finalised in this opening."""
        if self.invoice is None or self.load_id is None or not self.invoice.is_sale:
            return False
        return self.invoice.is_shareable or (self.invoice.status == "VOIDED" and self.load_id in self.finalised_in)

    def told(self, invoice: Invoice, read_at: datetime, load_id: str | None) -> Snapshot:
        """After one version was read, in whatever order versions come. `load_id`: the opening of that version's contact, if any."""
        told = self
        if load_id and invoice.is_shareable:
            told = told.changed(finalised_in=tuple(sorted({*told.finalised_in, load_id})))
        if invoice.status == "VOIDED":
            told = told.changed(voided_at=min(told.voided_at or read_at, read_at))
        if (invoice.updated_at, read_at) <= (self.updated_at, self.read_at):
            return told
        kept = load_id is not None and invoice.status in KEPT
        return told.changed(
            contact_id=invoice.contact_id,
            load_id=load_id,
            updated_at=invoice.updated_at,
            read_at=read_at,
            invoice=invoice if kept else None,
        )


def blank_snapshot(organisation_id: str, invoice_id: str) -> Snapshot:
    """What is known of an invoice before its first version."""
    return Snapshot(id=contact_key(organisation_id, invoice_id), organisation_id=organisation_id, invoice_id=invoice_id)


class Version(Document):
    """One invoice as it was in Xero once, of a contact somebody had access to. Kept as long as the contact's snapshots.

    `from_load`: it came with the first load of its contact's opening, and so tells nothing that happened since.
    """

    organisation_id: str
    invoice_id: str
    contact_id: str
    load_id: str
    updated_at: datetime
    read_at: datetime
    from_load: bool = False
    invoice: Invoice


class Download(Document):
    """PDFs of many invoices that one address asked for at once, and how far xero-gateway is with them.

    `kept` of `total` are Xero's own; of `missed` Xero holds another version or none. `reason` and `limit` say why the rest waits.
    It says nothing of what may be seen: that is asked for every invoice when it is taken away.
    """

    organisation_id: str
    email: str
    contact_ids: tuple[str, ...]
    invoice_ids: tuple[str, ...]
    created_at: datetime
    purge_at: datetime
    kept: int = 0
    missed: int = 0
    reason: str | None = None
    limit: str | None = None
    version: int = 0

    @property
    def is_ready(self) -> bool:
        return self.kept + self.missed >= len(self.invoice_ids)


class Moment(BaseModel):
    """One opening or download."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    at: datetime
    kind: Doing


class Viewing(Document):
    """What one address did with one invoice, or with a `Paper`, through one share: how often, and the latest moments.

    A provider's preview never counts.
    """

    share_id: str
    invoice_id: str
    email: str
    opened: int
    downloaded: int
    first_at: datetime
    last_at: datetime
    moments: tuple[Moment, ...]
