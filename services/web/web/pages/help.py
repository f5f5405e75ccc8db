"""Help: what the product does for both sides, how it is kept safe, and what to do when something is missing."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from common.errors import NotFound
from web.permissions import permissions
from web.rendering import render

router = APIRouter()

TOPICS = frozenset({"sending", "receiving", "security", "troubleshooting"})


@router.get("/help")
async def contents(request: Request) -> Response:
    """The topics."""
    return render(request, "help/contents.html")


@router.get("/help/{topic}")
async def topic(request: Request, topic: str) -> Response:
    """One topic."""
    if topic not in TOPICS:
        raise NotFound()
    return render(request, f"help/{topic}.html", permissions=permissions(request.app.state.settings.xero_scopes))
