"""A client's account: the address, what senders see, the browsers that are signed in, and the way out of each."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from starlette.datastructures import FormData

from common.errors import NotSignedIn, Unavailable
from web.pages.client_sign_in import text_of
from web.pages.client_visit import Visitor, client_session, services_of
from web.pages.portal import Client, ClientRoute, ClientSignedOut
from web.rendering import render
from web.security import end_session, form_of
from web.themes import keep_theme

PressedForm = Annotated[FormData, Depends(form_of("client"))]
MOST_NAMES = 20
router = APIRouter(route_class=ClientRoute)


@router.get("/account")
async def account(request: Request, client: Client, ended: str = "", chosen: str = "") -> Response:
    """The address, what senders see, and who else is signed in as this address."""
    try:
        devices, senders = await asyncio.gather(services_of(request).portal.sessions(_session(request)), _senders(request, client))
    except NotSignedIn as error:
        raise ClientSignedOut from error
    return render(request, "client/account.html", client=client, devices=devices, senders=senders, ended=bool(ended), chosen=bool(chosen))


@router.post("/account/sessions/end")
async def end_other(request: Request, form: PressedForm) -> Response:
    """Signs one other browser out."""
    try:
        await services_of(request).portal.end_other_session(_session(request), text_of(form, "session") or "-")
    except NotSignedIn as error:
        raise ClientSignedOut from error
    return RedirectResponse("/account?ended=1", 303)


@router.post("/account/theme")
async def choose_theme(form: PressedForm) -> Response:
    """Keeps Auto, Light or Dark in this browser."""
    response = RedirectResponse("/account?chosen=1", 303)
    keep_theme(response, form.get("theme"))
    return response


@router.post("/invoices/sign-out")
async def sign_out(request: Request, form: PressedForm) -> Response:
    """Ends this browser's client session, or all of this client; a provider's session in the same browser goes on."""
    held = client_session(request)
    everywhere = form.get("where") == "everywhere"
    if held:
        await services_of(request).portal.end_session(held, everywhere=everywhere)
    response = RedirectResponse(f"/sign-in?signed_out={'everywhere' if everywhere else '1'}", 303)
    end_session(response, "client")
    return response


def _session(request: Request) -> str:
    held = client_session(request)
    if held is None:
        raise ClientSignedOut
    return held


async def _senders(request: Request, client: Visitor) -> list[str]:
    """The names of who sees what this address opens; none when there are too many to read, or sharing cannot tell."""
    try:
        senders = (await services_of(request).sharing.client_home(client.token)).senders
    except Unavailable:
        return []
    return [sender.name for sender in senders] if len(senders) <= MOST_NAMES else []
