"""The page a sign-in link opens. It shows what the link is worth in this browser; only its button spends it."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from common.errors import Conflict, NotFound, Unprocessable
from web.client_models import Goal, LinkState
from web.pages.client_sign_in import SignInRoute, ask, text_of
from web.pages.client_visit import LONGEST_VALUE, Asked, client_session, enter, goal_path, redeeming, services_of
from web.rendering import render
from web.security import browser, form_of

PressedForm = Annotated[FormData, Depends(form_of("anonymous"))]
READY = ("ready_here", "ready_elsewhere", "signed_in_as_other")

router = APIRouter(route_class=SignInRoute)


@router.get("/s/{token:path}")
async def link(request: Request, token: str) -> Response:
    """What this link is, here and now. A browser that is signed in as the link's address goes straight on and spends nothing."""
    state = await _inspect(request, token)
    if state.state == "signed_in":
        return RedirectResponse(goal_path(state.goal or Goal()), 303)
    return render(request, "client/link.html", link=state, typed="", error=None)


@router.post("/s/{token:path}")
async def open_link(request: Request, token: str, form: PressedForm) -> Response:
    """Spends the link, or asks for a new one to the address it was sent to. Afterwards the address bar holds no token."""
    if text_of(form, "press") == "renew":
        return await ask(request, Asked("link", token[:LONGEST_VALUE] or "-"))
    if "email" in form and not text_of(form, "email"):
        return await _page_again(request, token, "", error="empty")
    email = text_of(form, "email") or None
    try:
        redeemed = await services_of(request).portal.redeem_link(token, **redeeming(request), email=email)
    except Unprocessable as refusal:
        error = "empty" if email is None else "wrong" if refusal.code == "wrong_address" else "invalid"
        return await _page_again(request, token, email or "", error=error)
    except (Conflict, NotFound):
        return RedirectResponse(request.url.path, 303)
    return await enter(request, redeemed.session, redeemed.goal)


async def _page_again(request: Request, token: str, typed: str, *, error: str) -> Response:
    """The page with what was wrong. A link that died of it, or meanwhile, shows what it is now instead."""
    state = await _inspect(request, token)
    if state.state not in READY:
        return RedirectResponse(request.url.path, 303)
    return render(request, "client/link.html", status=422, link=state, typed=typed, error=error)


async def _inspect(request: Request, token: str) -> LinkState:
    """A link mangled beyond what a token can be is as unknown as any other."""
    if not 0 < len(token) <= LONGEST_VALUE:
        return LinkState(state="unknown")
    return await services_of(request).portal.inspect_link(token, browser=browser(request), session=client_session(request))
