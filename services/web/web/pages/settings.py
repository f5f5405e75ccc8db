"""Settings of an organisation: its connection to Xero and what that connection may read."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from web.permissions import permissions
from web.rendering import render
from web.visits import CurrentVisit

router = APIRouter()


@router.get("/o/{org}/settings")
async def settings(request: Request, visit: CurrentVisit) -> Response:
    """The connection, the login used, and the permissions in words."""
    allowed = permissions(request.app.state.settings.xero_scopes)
    return render(request, "provider/settings.html", **visit.frame(), section="settings", permissions=allowed)
