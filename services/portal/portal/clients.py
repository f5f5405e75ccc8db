"""Sharing, as portal meets it: is this address known, whose is this invitation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel

from common.errors import NotFound
from common.http import ServiceClient
from portal.models import Link


class Lookup(BaseModel):
    """`known`: something was shared with the address at some time; `live`: how many accesses it holds now."""

    known: bool
    live: int


class Press(BaseModel):
    """A living invitation: whom it was sent to, by which organisation, for which access."""

    email: str
    share_id: str
    organisation_id: str
    organisation_name: str
    invited_at: datetime


class SharingClient:
    """All calls raise Unavailable when sharing does not answer."""

    def __init__(self, http: ServiceClient) -> None:
        self._http = http

    async def look_up(self, email: str) -> Lookup:
        """What an address holds."""
        return Lookup.model_validate(await self._http.post("/internal/addresses/lookup", json={"email": email}))

    async def holding(self, emails: Sequence[str]) -> set[str]:
        """Those of these addresses that hold any access now; at most 100 are asked for at a time."""
        return set((await self._http.post("/internal/addresses/holding", json={"emails": list(emails)}))["holding"])

    async def press(self, invitation: str) -> Press | None:
        """Marks an invitation as opened; None when it is unknown or its access has ended."""
        try:
            return Press.model_validate(await self._http.post("/internal/invitations/press", json={"invitation": invitation}))
        except NotFound:
            return None

    async def lets_live(self, link: Link) -> bool:
        """False for a link asked for from an invitation once its address holds no access at all."""
        return link.share_id is None or (await self.look_up(link.email)).live > 0

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()
