"""Auth, which alone holds Xero's tokens: an access token for an organisation, and the report that Xero refused one."""

from __future__ import annotations

import time
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, SecretStr

from common.clock import utc_now
from common.errors import NotFound, ServiceError, Unavailable
from common.http import ServiceClient
from common.ids import tenant_id
from common.logging import get_logger
from xero_gateway.errors import XeroNeedsReauth, XeroUnavailable

KEPT_SECONDS = 60.0
SPARE_SECONDS = 5.0
log = get_logger()


class AccessToken(BaseModel):
    """`grant` names the set of tokens it came from, so that a refusal finds it again."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    access_token: SecretStr
    tenant_id: str
    expires_at: datetime
    grant: str


class AccessTokens:
    """Access tokens by organisation, kept in memory for at most a minute and never beyond their own end."""

    def __init__(self, auth: ServiceClient) -> None:
        self._auth = auth
        self._kept: dict[str, tuple[float, AccessToken]] = {}

    async def get(self, organisation_id: str) -> AccessToken:
        """Raises XeroNeedsReauth, also for an organisation auth does not know or knows as disconnected, or XeroUnavailable."""
        until, token = self._kept.get(organisation_id, (0.0, None))
        if token and time.monotonic() < until:
            return token
        token = AccessToken.model_validate(await self._post(organisation_id, "access-token"))
        if token.tenant_id != tenant_id(organisation_id):
            log.error("token.of_another_tenant", organisation_id=organisation_id)
            raise XeroUnavailable("The access token does not belong to this organisation.")
        self._forget_old()
        self._kept[organisation_id] = (time.monotonic() + _usable_seconds(token), token)
        return token

    async def refused(self, organisation_id: str, token: AccessToken, status: int) -> None:
        """Tells auth that Xero answered 401 or 403 to this token. Raises XeroNeedsReauth when nobody's token is left."""
        self._kept.pop(organisation_id, None)
        answer = await self._post(organisation_id, "refusals", {"grant": token.grant, "status": status})
        if answer["state"] != "connected":
            raise XeroNeedsReauth

    async def aclose(self) -> None:
        await self._auth.aclose()

    async def _post(self, organisation_id: str, what: str, body: dict[str, object] | None = None) -> Any:
        try:
            return await self._auth.post(f"/internal/organisations/{organisation_id}/{what}", json=body)
        except ServiceError as error:
            if error.code == XeroNeedsReauth.code or isinstance(error, NotFound):
                raise XeroNeedsReauth(error.detail) from error
            if not isinstance(error, Unavailable):
                log.error("auth.refused", what=what, status=error.status, code=error.code)
            raise XeroUnavailable(error.detail, retry_after=error.retry_after) from error

    def _forget_old(self) -> None:
        now = time.monotonic()
        self._kept = {key: kept for key, kept in self._kept.items() if kept[0] > now}


def _usable_seconds(token: AccessToken) -> float:
    """Auth's clock and ours may differ by a little, and a token at its end is refused on the way."""
    left = (token.expires_at - utc_now()).total_seconds() - SPARE_SECONDS
    return max(0.0, min(KEPT_SECONDS, left))
