"""Leaving: three ways side by side, each with a page of its own that says what ends before it asks."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from common.errors import Conflict, NotSignedIn, Unavailable
from web.clients import Behind, Services
from web.errors import ProviderSignedOut
from web.models import Leaving, LeavingKind
from web.rendering import render
from web.security import end_session, session
from web.visits import CurrentAccount, CurrentVisit, ProviderForm, page_address

router = APIRouter()

LEAVE = "/o/{org}/leave"
Way = Literal["disconnect", "end-access", "delete"]
KINDS: Mapping[Way, LeavingKind] = {"disconnect": "disconnect", "end-access": "end_access", "delete": "delete"}


@router.get(LEAVE)
async def choose(request: Request, visit: CurrentVisit, services: Behind, done: str = "") -> Response:
    """The three ways side by side, and how far one under way is."""
    leaving = await services.auth.leaving(_secret(request), visit.org)
    return render(request, "provider/leave.html", **visit.frame(), section="settings", leaving=leaving, done=done)


@router.get(f"{LEAVE}/{{way}}")
async def confirm(request: Request, visit: CurrentVisit, services: Behind, way: Way) -> Response:
    """What this way ends, and the button."""
    leaving = await services.auth.leaving(_secret(request), visit.org)
    return _page(request, visit.frame(), leaving, way, visit.organisation.name)


@router.post(f"{LEAVE}/{{way}}")
async def leave(request: Request, visit: CurrentVisit, services: Behind, form: ProviderForm, way: Way) -> Response:
    """Everything here has ended when this answers; for the last two only with the organisation's name typed."""
    word = visit.organisation.name
    if way != "disconnect" and not _same(str(form.get("name", "")), word):
        leaving = await services.auth.leaving(_secret(request), visit.org)
        return _page(request, visit.frame(), leaving, way, word, form=form, status=422, wrong=True)
    try:
        opens = await _leave(request, services, visit.org, way, form)
    except (Conflict, Unavailable) as error:
        return _not_done(request, error, {**visit.frame(), "section": "settings"}, LEAVE.format(org=visit.org))
    if way == "delete":
        return _gone()
    done = f"?done={way}"
    return RedirectResponse(LEAVE.format(org=visit.org) + done if opens else f"/organisations{done}", 303)


@router.get("/me/delete")
async def confirm_without_organisation(request: Request, account: CurrentAccount, services: Behind) -> Response:
    """Deleting an account from its own page: by the organisation used last, or without one by the address typed."""
    if account.organisations:
        return RedirectResponse(f"/o/{account.organisations[0].id}/leave/delete", 303)
    leaving = await services.auth.leaving(_secret(request), None)
    return _page(request, account.frame(), leaving, "delete", account.me.email)


@router.post("/me/delete")
async def leave_without_organisation(request: Request, account: CurrentAccount, services: Behind, form: ProviderForm) -> Response:
    """The same for a login without any organisation."""
    if account.organisations or not _same(str(form.get("name", "")), account.me.email):
        leaving = await services.auth.leaving(_secret(request), None)
        return _page(request, account.frame(), leaving, "delete", account.me.email, form=form, status=422, wrong=True)
    try:
        await _leave(request, services, None, "delete", form)
    except (Conflict, Unavailable) as error:
        return _not_done(request, error, account.frame(), "/me/delete")
    return _gone()


def _page(request: Request, frame: dict[str, Any], leaving: Leaving, way: Way, word: str, **values: Any) -> Response:
    """`word` is what has to be typed; `values` come after a form that was not right.

    Raises Unavailable when what would end cannot be counted, for then nothing can be ended.
    """
    if way != "disconnect" and any(each.accesses is None for each in leaving.account):
        raise Unavailable(code="sharing_unavailable")
    chosen = values.pop("form").getlist("end") if "form" in values else None
    asked = [each for each in leaving.account if each.colleagues and each.accesses]
    return render(
        request,
        "provider/leave_confirm.html",
        **{"status": 200, "wrong": False, **values},
        **frame,
        section="settings",
        leaving=leaving,
        way=way,
        word=word,
        asked=asked,
        chosen=[each.organisation_id for each in asked] if chosen is None else chosen,
    )


async def _leave(request: Request, services: Services, org: str | None, way: Way, form: ProviderForm) -> bool:
    try:
        ticked = [str(org) for org in form.getlist("end")][:1000]
        return await services.auth.leave(_secret(request), org, KINDS[way], ticked)
    except NotSignedIn as error:
        raise ProviderSignedOut(why=error.code, come_back=page_address(request)) from error


def _not_done(request: Request, error: Conflict | Unavailable, frame: dict[str, Any], overview: str) -> Response:
    """Only where auth says that sharing was out of reach is it certain that nothing was done."""
    if error.code == "sharing_unavailable":
        return render(request, "provider/leave_failed.html", status=503, **frame, back=request.url.path)
    began = isinstance(error, Conflict)
    return render(request, "provider/leave_under_way.html", status=error.status, **frame, began=began, overview=overview)


def _gone() -> Response:
    response = RedirectResponse("/?bye=deleted", 303)
    end_session(response, "provider")
    return response


def _same(typed: str, name: str) -> bool:
    """As people type names: spaces, letter case and ways of writing an accent do not matter."""
    return _plain(typed) == _plain(name)


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _secret(request: Request) -> str:
    return session(request, "provider") or ""
