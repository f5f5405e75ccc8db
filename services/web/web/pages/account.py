"""A provider's account: who is signed in, on which browsers, and how to end that."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.errors import NotSignedIn
from web.clients import Behind
from web.errors import ProviderSignedOut
from web.pages.client_visit import describe
from web.rendering import render
from web.security import session
from web.themes import keep_theme
from web.visits import CurrentAccount, ProviderForm

router = APIRouter()
HERE = "/me"


@router.get(HERE)
async def account(request: Request, current: CurrentAccount, services: Behind, ended: str = "", chosen: str = "") -> Response:
    """The login and every browser it is signed in on."""
    devices = await services.auth.sessions(session(request, "provider") or "")
    return render(
        request, "provider/account.html", **current.frame(), devices=devices, describe=describe, ended=bool(ended), chosen=bool(chosen)
    )


@router.post(f"{HERE}/sessions/end")
async def end_session(request: Request, form: ProviderForm, services: Behind) -> Response:
    """Signs one other browser out."""
    try:
        await services.auth.end_other_session(session(request, "provider") or "", str(form.get("session", ""))[:200])
    except NotSignedIn as error:
        raise ProviderSignedOut(why=error.code, come_back=HERE) from error
    return RedirectResponse(f"{HERE}?ended=1", 303)


@router.post(f"{HERE}/theme")
async def choose_theme(form: ProviderForm) -> Response:
    """Keeps Auto, Light or Dark in this browser."""
    response = RedirectResponse(f"{HERE}?chosen=1", 303)
    keep_theme(response, form.get("theme"))
    return response
