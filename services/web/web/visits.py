"""A provider's visit: who it is, which organisation the page is about, and what to call other services with."""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import Depends, Path, Query, Request
from starlette.datastructures import FormData

from common.errors import NotSignedIn
from web.clients import Behind, Services
from web.errors import ProviderSignedOut
from web.models import Login, Organisation
from web.security import form_of, session

OrganisationId = Annotated[str, Path(pattern=r"^org_[0-9A-HJKMNP-TV-Z]{26}$")]
ContactId = Annotated[str, Path(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")]
InvoiceId = ContactId
"""Xero names both by UUIDs."""

SHARE_ID = r"^shr_[0-9A-HJKMNP-TV-Z]{26}$"
ShareId = Annotated[str, Path(pattern=SHARE_ID)]
PageNumber = Annotated[int, Query(ge=1, le=100_000)]
Search = Annotated[str, Query(max_length=100)]
ProviderForm = Annotated[FormData, Depends(form_of("provider"))]

AUDIENCES = ("xero-gateway", "sharing")
RETURN_COOKIE = "__Host-return"
RETURN_SECONDS = 30 * 60
OWN_PAGE = re.compile(r"/o/(org_[0-9A-HJKMNP-TV-Z]{26})/[a-zA-Z0-9_/-]+(?:\?[\x21-\x7e]*)?", re.ASCII)
"""A page of an organisation on this site: the only thing the return cookie may hold."""


@dataclass(frozen=True)
class Account:
    """A provider who is signed in, and the organisations of that login, last used first."""

    me: Login
    organisations: list[Organisation]

    def frame(self) -> dict[str, Any]:
        """What the provider frame of base.html needs."""
        return {"me": self.me, "organisations": self.organisations, "organisation": None}


@dataclass(frozen=True)
class Visit:
    """A provider on a page of one organisation; the two tokens speak for both at the service they are named after."""

    me: Login
    organisations: list[Organisation]
    organisation: Organisation
    gateway_token: str
    sharing_token: str

    @property
    def org(self) -> str:
        """The organisation's id."""
        return self.organisation.id

    def frame(self, reason: str | None = None) -> dict[str, Any]:
        """What the provider frame of base.html needs, and the time zone to write times in.

        `reason` says why Xero was not read: the gateway may learn before auth that somebody has to sign in again.
        """
        asks_again = reason == "xero_needs_reauth" and self.organisation.state == "connected"
        return {
            "me": self.me,
            "organisations": self.organisations,
            "organisation": self.organisation.model_copy(update={"state": "needs_reauth", "since": None})
            if asks_again
            else self.organisation,
            "time_zone": self.organisation.time_zone,
        }


async def current_account(request: Request, services: Behind) -> Account:
    """The provider of a page about no organisation. Raises ProviderSignedOut."""
    secret = session(request, "provider")
    try:
        if not secret:
            raise NotSignedIn
        known = await services.auth.identify(secret, None, ())
    except NotSignedIn as error:
        raise ProviderSignedOut(why=error.code if secret else None, come_back=page_address(request)) from error
    return Account(known.provider, known.organisations)


async def visit_of(request: Request, services: Services, org: str, *, come_back: str | None = None) -> Visit:
    """The provider's visit to an organisation, by the one identity call of a page.

    Kept as `request.state.visit`, so that a page about a failure keeps the band. Raises ProviderSignedOut, which leads back to
    `come_back` (default: this page) after signing in, and NotFound for an organisation that is not this login's.
    """
    secret = session(request, "provider")
    try:
        if not secret:
            raise NotSignedIn
        known = await services.auth.identify(secret, org, AUDIENCES)
    except NotSignedIn as error:
        raise ProviderSignedOut(why=error.code if secret else None, come_back=come_back or page_address(request)) from error
    assert known.organisation is not None, "auth answers an identify that names an organisation with that organisation"
    visit = Visit(known.provider, known.organisations, known.organisation, known.tokens["xero-gateway"], known.tokens["sharing"])
    request.state.visit = visit
    return visit


async def _current_visit(request: Request, services: Behind, org: OrganisationId) -> Visit:
    return await visit_of(request, services, org)


CurrentAccount = Annotated[Account, Depends(current_account)]
CurrentVisit = Annotated[Visit, Depends(_current_visit)]


def page_address(request: Request) -> str:
    """The address of the page asked for, or the one a posted form or a piece drawn anew stands on, without what has just happened."""
    with suppress(ValueError):  # it is the browser's word, and kept only if it is the address of a page of ours
        if stands_on := request.headers.get("hx-current-url"):
            page = urlsplit(stands_on)
            return f"{page.path}?{page.query}" if page.query else page.path
    query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
    return f"{request.url.path}{query}"


def remembered_page(request: Request) -> str | None:
    """The page to return to after signing in, if this browser was on one within the last half hour."""
    address = request.cookies.get(RETURN_COOKIE, "")
    return address if OWN_PAGE.fullmatch(address) else None


def organisation_of(address: str | None) -> str | None:
    """The organisation a remembered page is about."""
    found = OWN_PAGE.fullmatch(address or "")
    return found[1] if found else None
