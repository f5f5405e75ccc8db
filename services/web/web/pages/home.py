"""The start page with its two doors, and signing out of the providers' side."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.errors import ServiceError
from web.clients import Behind, Services
from web.models import ClientIdentity, ProviderIdentity
from web.permissions import permissions
from web.rendering import render
from web.security import end_session, session
from web.visits import ProviderForm, organisation_of, remembered_page

router = APIRouter()

XERO_OUTCOMES = frozenset({"declined", "no_organisation", "expired", "failed", "unavailable"})
Known = TypeVar("Known")


@router.get("/")
async def home(request: Request, services: Behind) -> Response:
    """Two doors: for those who are sent invoices, and for those who send them with Xero."""
    provider, client = await asyncio.gather(_if_known(_provider(request, services)), _if_known(_client(request, services)))
    query = request.query_params
    outcome = query.get("xero", "")
    back = remembered_page(request)
    return render(
        request,
        "home.html",
        provider=provider,
        client=client.client if client else None,
        xero=outcome if outcome in XERO_OUTCOMES else None,
        signed_out=query.get("signed_out"),
        sign_in="sign_in" in query,
        bye=query.get("bye") if query.get("bye") in ("provider", "client", "deleted") else None,
        return_to=organisation_of(back) if "signed_out" in query or "sign_in" in query else None,
        permissions=permissions(request.app.state.settings.xero_scopes),
    )


@router.post("/sign-out")
async def sign_out(request: Request, form: ProviderForm, services: Behind) -> Response:
    """Ends the provider's session, or all of that login with `where=everywhere`. The other side's session stays."""
    secret = session(request, "provider")
    if secret:
        await services.auth.end_session(secret, everywhere=form.get("where") == "everywhere")
    response = RedirectResponse("/?bye=provider", 303)
    end_session(response, "provider")
    return response


async def _provider(request: Request, services: Services) -> ProviderIdentity | None:
    secret = session(request, "provider")
    return await services.auth.identify(secret, None, ()) if secret else None


async def _client(request: Request, services: Services) -> ClientIdentity | None:
    secret = session(request, "client")
    return await services.portal.identify(secret, ()) if secret else None


async def _if_known(asked: Awaitable[Known | None]) -> Known | None:
    """The start page opens for everybody, also when nobody can say who they are."""
    try:
        return await asked
    except ServiceError:
        return None
