"""The static files, under names that hold a hash of their content."""

from __future__ import annotations

from fastapi import APIRouter, Response

from common.errors import NotFound
from web import rendering

router = APIRouter()

A_YEAR = "public, max-age=31536000, immutable"


@router.get("/static/{name:path}")
async def static_file(name: str) -> Response:
    """One file. A name that is not exactly that of a present file is not found."""
    found = rendering.static_file(name)
    if found is None:
        raise NotFound()
    content, media_type = found
    return Response(content, media_type=media_type, headers={"cache-control": A_YEAR})
