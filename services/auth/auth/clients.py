"""Sharing, as auth meets it: what there is to end when a provider leaves, and ending it."""

from __future__ import annotations

from collections.abc import Sequence

import httpx
from pydantic import BaseModel, TypeAdapter

from auth.models import Leaving
from common.errors import Unavailable
from common.http import ServiceClient


class Accesses(BaseModel):
    """The live accesses of an organisation, and while all are being ended how many there were when that began."""

    live: int
    ending: int | None


ACCESSES = TypeAdapter(dict[str, Accesses])


def never_left(error: Unavailable) -> bool:
    """Whether the call certainly did not reach the other service: there was no connection to send it on."""
    return isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


class SharingClient:
    """All calls raise Unavailable when sharing does not answer."""

    def __init__(self, http: ServiceClient) -> None:
        self._http = http

    async def look(self, organisation_ids: Sequence[str]) -> dict[str, Accesses]:
        """What there is to end, by organisation."""
        answer = await self._http.post("/internal/departures/look", json={"organisation_ids": list(organisation_ids)})
        return ACCESSES.validate_python(answer["accesses"])

    async def depart(self, leaving: Leaving) -> None:
        """When this has returned, no access of the organisations in `ending` opens anything. May be called again."""
        asked = {
            "provider": {"id": leaving.provider_id, "name": leaving.name, "email": leaving.email},
            "organisations": leaving.organisations,
            "ending": leaving.ending,
            "erasing": leaving.erasing,
            "deleting": leaving.kind == "delete",
        }
        await self._http.post("/internal/departures", json=asked)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()
