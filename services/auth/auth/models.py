"""What auth keeps and what Xero tells it, with the rules that need no database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr

from common.ids import organisation_id

State = Literal["connected", "needs_reauth", "disconnected"]
Next = Literal["clients", "organisations", "share"]
LeavingKind = Literal["disconnect", "end_access", "delete"]
"""Disconnect; disconnect and end all access; delete the account."""


class Stored(BaseModel):
    """A document of our database."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    id: str = Field(alias="_id")


class Goal(BaseModel):
    """Where a sign-in leads: a named page, perhaps of one organisation and contact. Never a URL."""

    model_config = ConfigDict(frozen=True)
    page: Next = "clients"
    organisation_id: str | None = None
    contact_id: str | None = None


class SignIn(Stored):
    """A sign-in that was begun in one browser; its id is the hash of the state parameter."""

    nonce: str
    verifier: str | None
    goal: Goal


class Provider(Stored):
    """A person by their Xero login: (issuer, subject) is who they are, name and address only how they are called."""

    issuer: str
    subject: str
    name: str
    email: str


class Session(Stored):
    """A signed-in browser; its id is the hash of its secret. `agent` is what the browser calls itself."""

    provider_id: str
    agent: str = ""
    created_at: datetime
    last_seen_at: datetime | None = None


class Organisation(Stored):
    """An organisation of Xero. `version` counts what was published about it; a new one has version 0 and waits for its first judgement."""

    tenant_id: str
    name: str
    state: State
    since: datetime | None = None
    cause: str | None = None
    time_zone: str | None = None
    version: int = 0


class Connection(Stored):
    """One provider's way into one organisation.

    live: its token set works. needs_reauth: its token set is dead. ended: Xero no longer lists it; `was_last` when the
    organisation was left without any, so that this provider may still see it as disconnected and reconnect it.
    """

    provider_id: str
    organisation_id: str
    token_set_id: str
    state: Literal["live", "needs_reauth", "ended"]
    was_last: bool = False
    last_used_at: datetime | None = None
    refused_at: datetime | None = None


class TokenSet(Stored):
    """The tokens of one provider for our app, sealed: Xero gives one set per login and app, not one per organisation.

    `generation` counts the tokens, `consent` the sign-ins, `scope` is what Xero granted. `fresh`, `valid` and `in_grace` were
    judged by the database's clock.
    """

    provider_id: str
    owner: str
    state: Literal["live", "dead"]
    generation: int
    consent: int
    access: dict[str, Any]
    refresh: dict[str, Any]
    previous: dict[str, Any] | None = None
    scope: str = ""
    expires_at: datetime
    fresh: bool = False
    valid: bool = False
    in_grace: bool = False
    just_refreshed: bool = False


class TokensUse(Stored):
    """When a token set served somebody last, and when it was last renewed."""

    used_at: datetime
    refreshed_at: datetime


class Leaving(Stored):
    """A way to leave that was chosen and is under way. `step` is the one to take next.

    access: sharing ends what is in `ending` (nothing of `erasing` stays). here: the connection or the account ends with us.
    xero: Xero is told, and the tokens are destroyed. `name` and `email` go with the account.
    """

    kind: LeavingKind
    step: Literal["access", "here", "xero"]
    provider_id: str
    name: str = ""
    email: str = ""
    organisation_id: str
    connection_id: str | None = None
    token_set_id: str | None = None
    organisations: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    erasing: tuple[str, ...] = ()

    @property
    def subject(self) -> str:
        """What leaves, which can be under way once only."""
        return self.connection_id or self.provider_id


class Identity(BaseModel):
    """Who signed in, from a verified ID token."""

    model_config = ConfigDict(frozen=True)
    issuer: str
    subject: str
    name: str
    email: str


class XeroTokens(BaseModel):
    """The token endpoint's answer. A missing refresh token fails here: without it the connection would last half an hour."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    access_token: SecretStr = Field(min_length=1)
    refresh_token: SecretStr = Field(min_length=1)
    id_token: SecretStr | None = None
    expires_in: int = Field(gt=0)
    token_type: str = Field(pattern="^(?i:bearer)$")
    scope: str = ""


class XeroConnection(BaseModel):
    """One entry of GET /connections. Its instants have seven decimals and no zone, and sort as text."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    id: str
    tenant_id: str = Field(alias="tenantId")
    tenant_type: str = Field(alias="tenantType")
    tenant_name: str | None = Field(alias="tenantName", default=None)
    auth_event_id: str | None = Field(alias="authEventId", default=None)
    updated: str = Field(alias="updatedDateUtc", default="")

    @property
    def organisation_id(self) -> str:
        return organisation_id(self.tenant_id)

    @property
    def name(self) -> str:
        return self.tenant_name or "Unnamed organisation"


def organisations_of(listed: Iterable[XeroConnection]) -> list[XeroConnection]:
    """Only organisations: a practice or another kind of tenant has no invoices to read."""
    return [entry for entry in listed if entry.tenant_type == "ORGANISATION"]


def just_chosen(listed: Sequence[XeroConnection], auth_event_id: str | None) -> XeroConnection:
    """The organisation picked in this consent; by the newest change where the event is unknown (it was seen unchanged on a reconnect)."""
    of_event = [entry for entry in listed if auth_event_id and entry.auth_event_id == auth_event_id]
    return max(of_event or listed, key=lambda entry: entry.updated)


def standing(connections: Iterable[Connection]) -> State:
    """An organisation is as well as the best of its connections."""
    states = {connection.state for connection in connections}
    if "live" in states:
        return "connected"
    return "needs_reauth" if "needs_reauth" in states else "disconnected"


def may_open(connection: Connection, organisation: Organisation) -> bool:
    """Whether this connection lets its provider work in the organisation: not once Xero ended it while others have theirs."""
    return connection.state != "ended" or (connection.was_last and organisation.state == "disconnected")


def missing_scopes(granted: str, asked: str) -> list[str]:
    return sorted(set(asked.split()) - set(granted.split()))


def unasked_scopes(granted: str, asked: str) -> tuple[list[str], list[str]]:
    """Scopes Xero granted beyond those asked, as (reading, writing).

    Xero adds up what was ever consented, so reading ones stay from an earlier configuration; anything else could change books.
    """
    extra = sorted(set(granted.split()) - set(asked.split()))
    harmless = {"openid", "profile", "email", "offline_access"}
    reading = [scope for scope in extra if scope in harmless or scope.endswith(".read")]
    return reading, [scope for scope in extra if scope not in reading]
