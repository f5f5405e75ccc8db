"""Events published by auth: the life of an organisation's connection to Xero."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from common.events import EventData


class Person(BaseModel):
    """A provider, as far as others need to know: the name and address of their Xero login. By `id` they are found when they leave."""

    name: str
    email: str
    id: str | None = None


class OrganisationConnected(EventData, type="auth.organisation.connected.v1"):
    """An organisation can be read (again). `time_zone` is an IANA name; None when Xero's settings scope is not granted."""

    organisation_id: str
    tenant_id: str
    name: str
    time_zone: str | None


class OrganisationUpdated(EventData, type="auth.organisation.updated.v1"):
    """The name or time zone changed in Xero."""

    organisation_id: str
    name: str
    time_zone: str | None


class OrganisationNeedsReauth(EventData, type="auth.organisation.needs_reauth.v1"):
    """No login of this organisation works any more; somebody in `people` has to sign in with Xero again."""

    organisation_id: str
    name: str
    cause: str
    since: datetime
    people: list[Person]

    @property
    def about(self) -> list[str]:
        return [self.organisation_id, *(person.id for person in self.people if person.id)]


class OrganisationDisconnected(EventData, type="auth.organisation.disconnected.v1"):
    """The organisation was disconnected, by us or inside Xero. Snapshots stay readable and are marked as not updating."""

    organisation_id: str
    name: str
    since: datetime


class ProviderDeleted(EventData, type="auth.provider.deleted.v1"):
    """A provider deleted their account: what is kept about them goes, and about the organisations nobody else had connected.

    Their clients' access ended before, by a call. `about` is empty: the ids alone say nothing of anybody.
    """

    provider_id: str
    organisation_ids: list[str]
