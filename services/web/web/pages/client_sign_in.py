"""How a client gets in: by address, by invitation, by link or by code. Opening any of these pages changes nothing anywhere."""

from __future__ import annotations

import re
from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import RedirectResponse
from fastapi.routing import APIRoute
from starlette.datastructures import FormData

from common.clock import utc_now
from common.errors import NotFound, RateLimited, ServiceError, Unavailable, Unprocessable
from web.pages.client_visit import LONGEST_VALUE, Asked, Visitor, asked_of, asking, enter, redeeming, remember_asked, services_of, visitor
from web.rendering import render
from web.security import form_of

PressedForm = Annotated[FormData, Depends(form_of("anonymous"))]
CODE = re.compile(r"\d{6}")
LONGEST_WAIT = 24 * 3600


class SignInRoute(APIRoute):
    """Says in its own words that signing in is down: the mail in the person's hand stays good, and that is what they fear for."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        answer = super().get_route_handler()

        async def answer_or_say_down(request: Request) -> Response:
            try:
                return await answer(request)
            except Unavailable:
                response = render(request, "client/sign_in_down.html", status=503)
                response.headers["retry-after"] = "30"
                return response

        return answer_or_say_down


router = APIRouter(route_class=SignInRoute)


@router.get("/sign-in")
async def sign_in(request: Request) -> Response:
    """The address field. Who is signed in already goes on to the invoices."""
    if await visitor(request):
        return RedirectResponse("/invoices", 303)
    return await _sign_in_page(request)


@router.post("/sign-in")
async def ask_by_address(request: Request, form: PressedForm) -> Response:
    """Asks for a sign-in mail to the typed address; the answer is the same for every address."""
    email = text_of(form, "email")
    if not email:
        return await _sign_in_page(request, email, error="empty")
    try:
        return await ask(request, Asked("email", email))
    except Unprocessable:
        return await _sign_in_page(request, email, error="invalid")


@router.get("/sign-in/sent")
async def sent(request: Request) -> Response:
    """“Look in your inbox”, with the box for the code."""
    asked = asked_of(request.cookies)
    return await _sent_page(request, asked) if asked else RedirectResponse("/sign-in", 303)


@router.get("/sign-in/mail-line")
async def mail_line(request: Request) -> Response:
    """Whether mails leave at all, for who has been waiting in front of the page before."""
    return render(request, "client/mail_line.html", mail_failing_since=await services_of(request).portal.mail_failing_since())


@router.post("/sign-in/sent")
async def ask_again(request: Request, _form: PressedForm) -> Response:
    """“Send it again”: the same request once more."""
    asked = asked_of(request.cookies)
    try:
        return await ask(request, asked) if asked else RedirectResponse("/sign-in", 303)
    except Unprocessable:
        return RedirectResponse("/sign-in", 303)


@router.post("/sign-in/code")
async def redeem_code(request: Request, form: PressedForm) -> Response:
    """Signs in with the 6 digits. What cannot be a code is told apart here and costs no try."""
    asked = asked_of(request.cookies)
    if asked is None:
        return RedirectResponse("/sign-in", 303)
    typed = text_of(form, "code")
    code = re.sub(r"[\s\-‐‑‒–—]", "", typed)
    if not CODE.fullmatch(code) or not code.isascii():
        return await _sent_page(request, asked, typed=typed, error="incomplete")
    try:
        redeemed = await services_of(request).portal.redeem_code(code, **redeeming(request))
    except Unprocessable as refusal:
        return await _sent_page(request, asked, typed=typed, error="wrong", tries_left=_tries_left(refusal))
    except NotFound:
        return await _sent_page(request, asked, error="dead")
    return await enter(request, redeemed.session, redeemed.goal)


@router.get("/i/{invitation:path}")
async def invitation(request: Request, invitation: str) -> Response:
    """One static page for every id. Only a signed-in browser learns more: its own invitation leads on to the sender."""
    known = await visitor(request, "sharing")
    sender = await _own_sender(request, known, invitation) if known else None
    if sender:
        return RedirectResponse(f"/invoices/{sender}", 303)
    return render(request, "client/invitation.html", signed_in_as=known.email if known else None)


@router.post("/i/{invitation:path}")
async def ask_by_invitation(request: Request, invitation: str, _form: PressedForm) -> Response:
    """Asks for a sign-in mail to the invited address; answers the same whether or not one was sent."""
    return await ask(request, Asked("invitation", invitation[:LONGEST_VALUE] or "-"))


async def _own_sender(request: Request, known: Visitor, invitation: str) -> str | None:
    try:
        return await services_of(request).sharing.invitation_sender(known.token, invitation)
    except NotFound:
        return None


async def ask(request: Request, asked: Asked) -> Response:
    """One request to portal, remembered in the browser. A press within the rest is no error: the page says how long it rests."""
    refused = False
    try:
        wait: float = await services_of(request).portal.ask_for_link(by=asked.by, value=asked.value, **asking(request))
    except RateLimited as limit:
        wait, refused = limit.retry_after or 60, True
    response = RedirectResponse("/sign-in/sent", 303)
    again_at = int(utc_now().timestamp() + min(wait, LONGEST_WAIT))
    remember_asked(response, Asked(asked.by, asked.value, again_at, refused))
    return response


async def _sign_in_page(request: Request, email: str = "", error: str | None = None) -> Response:
    return render(
        request,
        "client/sign_in.html",
        status=422 if error else 200,
        email=email,
        error=error,
        signed_out=request.query_params.get("signed_out"),
        mail_failing_since=await services_of(request).portal.mail_failing_since(),
    )


async def _sent_page(
    request: Request, asked: Asked, *, typed: str = "", error: str | None = None, tries_left: int | None = None
) -> Response:
    known = await visitor(request)
    rests = max(0, asked.again_at - int(utc_now().timestamp()))
    return render(
        request,
        "client/sent.html",
        status=422 if error else 200,
        asked=asked,
        rests=rests,
        typed=typed,
        error=error,
        tries_left=tries_left,
        signed_in_as=known.email if known else None,
        mail_failing_since=await services_of(request).portal.mail_failing_since(),
    )


def _tries_left(refusal: ServiceError) -> int:
    left = refusal.extra.get("tries_left")
    return left if isinstance(left, int) else 0


def text_of(form: FormData, name: str) -> str:
    value = form.get(name)
    return value.strip()[:LONGEST_VALUE] if isinstance(value, str) else ""
