"""What other services answer, as far as the pages read it. Money is in hundredths beside its currency."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from common.contracts.invoice_lists import InvoiceList as InvoiceList
from common.contracts.invoice_lists import InvoiceRow as InvoiceRow

ShareState = Literal["preparing", "waiting_invoice", "invited", "opened", "active", "ended"]


class Answer(BaseModel):
    """Read from another service: unknown fields are ignored, and it is never changed."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Person(Answer):
    """Somebody with a name and an address; a contact's person in Xero may lack either."""

    name: str = ""
    email: str | None = None


class Login(Answer):
    """The provider who is signed in, by their Xero login."""

    id: str
    name: str
    email: str


class Device(Answer):
    """A browser that is signed in. `agent`: a provider's User-Agent header, a client's browser in words; `current`: the one that asks."""

    id: str
    agent: str
    signed_in_at: datetime
    last_seen_at: datetime
    current: bool


class Organisation(Answer):
    """An organisation this login has connected. `cause` and `time_zone` are known only for the one a page is about."""

    id: str
    name: str
    state: Literal["connected", "needs_reauth", "disconnected"]
    since: datetime | None = None
    cause: str | None = None
    time_zone: str | None = None


class ProviderIdentity(Answer):
    """Auth's answer to a provider's cookie: `organisations` last used first, `tokens` by the service they are for."""

    provider: Login
    organisations: list[Organisation]
    organisation: Organisation | None
    tokens: dict[str, str]


class ClientLogin(Answer):
    """The client who is signed in; `email` is the canonical address they proved to own."""

    id: str
    email: str


class ClientIdentity(Answer):
    """Portal's answer to a client's cookie."""

    client: ClientLogin
    tokens: dict[str, str]


class XeroLogin(Answer):
    """Somebody whose Xero login reaches an organisation; `works` is False when they have to sign in again."""

    name: str
    email: str
    works: bool
    you: bool


class Connection(Answer):
    """An organisation's connection to Xero: what was granted (empty when not known), to whom, and how many the app has of its cap."""

    scopes: list[str]
    logins: list[XeroLogin]
    connections_used: int
    connections_cap: int


class CallsLeft(Answer):
    """Calls to Xero left today, None before the first; `paused` names the limit because of which Xero is not asked until then."""

    left: int | None
    a_day: int
    resets_at: datetime | None
    paused: str | None
    paused_until: datetime | None


class Updates(Answer):
    """How changes in Xero come here. `checked_at` is None before Xero was first asked what changed."""

    instant: bool
    last_webhook_at: datetime | None
    checked_at: datetime | None
    checked_every_seconds: int


LeavingKind = Literal["disconnect", "end_access", "delete"]


class Affected(Answer):
    """An organisation of a login: its live accesses (None when they cannot be counted now), while all are being ended how many there
    were at first, and how many colleagues work in it with logins of their own."""

    organisation_id: str
    name: str
    connected: bool
    accesses: int | None
    ending: int | None = None
    colleagues: int


class LeavingUnderWay(Answer):
    """A way to leave that was chosen and goes on. `tells_xero`: only Xero has yet to answer."""

    kind: LeavingKind
    since: datetime
    tells_xero: bool


class Leaving(Answer):
    """What leaving would end: in the organisation of the page, if it is about one, and in all of the account."""

    organisation: Affected | None
    account: list[Affected]
    under_way: LeavingUnderWay | None


class ContactRow(Answer):
    """A contact of Xero in a list."""

    id: str
    name: str
    email: str | None = None
    number: str | None = None
    is_customer: bool = True
    is_supplier: bool = False


class Contacts(Answer):
    """One page of contacts."""

    contacts: list[ContactRow]
    page: int
    page_size: int
    total: int


class Contact(Answer):
    """A contact with the persons Xero holds for it."""

    id: str
    name: str
    email: str | None = None
    number: str | None = None
    status: str = "ACTIVE"
    persons: list[Person] = []


class LoadProgress(Answer):
    """How far the first load of a share is, as sharing has stored it; `total` is not known at first."""

    stored: int
    total: int | None


class Load(Answer):
    """The same load as xero-gateway sees it: why it waits, if it does."""

    state: Literal["loading", "waiting", "complete", "cancelled"]
    stored: int
    total: int | None
    waiting_since: datetime | None = None
    reason: str | None = None
    limit: Literal["minute", "day"] | None = None
    continues_at: datetime | None = None
    calls_a_day: int = 0


class OtherContact(Answer):
    """Another client of the organisation; its name where sharing knows it."""

    contact_id: str
    name: str | None = None


class Share(Answer):
    """One address's access to one client's invoices. `merged_to`: its client was merged into that one in Xero, and nobody has said
    yet what becomes of this access; `carried_to`: where it went on."""

    id: str
    organisation_id: str
    contact_id: str
    contact_name: str
    email: str
    state: ShareState
    shared_by: Person
    shared_at: datetime
    from_date: date | None = None
    picked: int | None = None
    ends_on: date | None = None
    resend_at: datetime | None = None
    opened_at: datetime | None = None
    last_seen_at: datetime | None = None
    views: int = 0
    ended_at: datetime | None = None
    ended_by: Person | str | None = None
    ended_reason: Literal["revoked", "expired", "declined", "closed", "carried"] | None = None
    carried_to: OtherContact | None = None
    merged_to: OtherContact | None = None
    load_id: str | None = None
    load: LoadProgress | None = None
    mail: Literal["queued", "sent", "failed", "returned"] | None = None
    mail_reason: str | None = None

    @property
    def undelivered(self) -> bool:
        """Its invitation reached nobody, as far as mail servers told."""
        return self.state != "ended" and self.mail in ("failed", "returned")

    @property
    def ended_by_name(self) -> str | None:
        """The name of the person who ended it, however sharing says it."""
        return self.ended_by.name if isinstance(self.ended_by, Person) else self.ended_by


class Shares(Answer):
    """One page of an organisation's live accesses."""

    shares: list[Share]
    page: int
    page_size: int
    total: int


class Invited(Answer):
    """What became of one address: a new access, the mail of one that is there sent again, one that is there and

    was mailed within the minute, or refused and why (an error's code)."""

    email: str
    outcome: Literal["invited", "resent", "known", "refused"]
    reason: str | None = None
    share: Share | None = None


class Ended(Answer):
    """What became of one access that should end; without `ended_at` it did not."""

    share_id: str
    ended_at: datetime | None = None
    reason: str | None = None


class AddressUse(Answer):
    """An address that opens a client's invoices already."""

    email: str
    contact_id: str
    contact_name: str


class SharedClient(Answer):
    """A client of the organisation somebody has access to, with when its invoices were last read from Xero."""

    contact_id: str
    name: str
    shares: int
    as_of: datetime | None = None


class SharedClients(Answer):
    """One page of the clients shared with."""

    clients: list[SharedClient]
    page: int
    page_size: int
    total: int


def query(**values: Any) -> dict[str, str]:
    """The query values that are there."""
    return {name: str(value) for name, value in values.items() if value not in (None, "")}
