"""Settings of an organisation: its connection to Xero, what that may read, how much of it is used, and a test of it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.errors import Unavailable
from web.clients import Behind
from web.permissions import permissions
from web.rendering import render
from web.security import session
from web.visits import CurrentVisit, ProviderForm

router = APIRouter()
OUTCOMES = frozenset({"ok", "credential", "scope", "organisation", "limit", "network", "untested"})
Known = TypeVar("Known")


@router.get("/o/{org}/settings")
async def settings(request: Request, visit: CurrentVisit, services: Behind) -> Response:
    """What cannot be known right now is said to be so; the rest of the page stands."""
    connection, calls, updates = await asyncio.gather(
        _if_known(services.auth.connection(session(request, "provider") or "", visit.org)),
        _if_known(services.gateway.calls_left(visit.gateway_token, visit.org)),
        _if_known(services.gateway.updates(visit.gateway_token, visit.org)),
    )
    asked = request.app.state.settings.xero_scopes
    granted = " ".join(connection.scopes) if connection and connection.scopes else asked
    outcome = request.query_params.get("test")
    return render(
        request,
        "provider/settings.html",
        **visit.frame(),
        section="settings",
        connection=connection,
        calls=calls,
        updates=updates,
        permissions=permissions(granted),
        missing=permissions(" ".join(scope for scope in asked.split() if scope not in granted.split())),
        outcome=outcome if outcome in OUTCOMES else None,
    )


@router.post("/o/{org}/settings/test")
async def test(visit: CurrentVisit, _form: ProviderForm, services: Behind) -> Response:
    """Asks Xero one thing, changes nothing, and says on the same page how that went."""
    try:
        outcome = await services.gateway.test_connection(visit.gateway_token, visit.org)
    except Unavailable:
        outcome = "untested"
    return RedirectResponse(f"/o/{visit.org}/settings?test={outcome if outcome in OUTCOMES else 'untested'}", 303)


async def _if_known(asked: Awaitable[Known]) -> Known | None:
    try:
        return await asked
    except Unavailable:
        return None
