"""Who may see what in an organisation, and ending an access."""

from __future__ import annotations

import asyncio
import re
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from web.clients import Behind, Services
from web.models import Share
from web.rendering import render
from web.visits import SHARE_ID, ContactId, CurrentVisit, PageNumber, ProviderForm, ShareId, Visit

router = APIRouter()

END = "/o/{org}/clients/{contact}/shares/{share}/end"


@router.get("/o/{org}/shares")
async def shares(
    request: Request, visit: CurrentVisit, services: Behind, page: PageNumber = 1, done: str = "", share: str = ""
) -> Response:
    """Every live access of the organisation. `share` is the one that was just ended from here."""
    found, ended = await asyncio.gather(
        services.sharing.shares(visit.sharing_token, visit.org, page=page),
        _just_ended(services, visit, share if done == "ended" else ""),
    )
    problems_first = sorted(found.shares, key=lambda one: not one.undelivered)
    return render(request, "provider/shares.html", **visit.frame(), section="shares", found=found, shares=problems_first, ended=ended)


@router.get(END)
async def confirm(
    request: Request, visit: CurrentVisit, services: Behind, contact: ContactId, share: ShareId, back: str = "", correct: str = ""
) -> Response:
    """Asks before ending. `back` names the page to return to; `correct` comes from a refused mail and leads on to a new invitation."""
    found = await services.sharing.share(visit.sharing_token, visit.org, share)
    return render(
        request,
        "provider/end_access.html",
        **visit.frame(),
        section="clients",
        share=found,
        contact_id=contact,
        back_to_shares=back == "shares",
        correct=bool(correct),
    )


@router.post(END)
async def end(visit: CurrentVisit, services: Behind, form: ProviderForm, contact: ContactId, share: ShareId) -> Response:
    """Ends the access before answering, then says when."""
    ended = await services.sharing.end(visit.sharing_token, visit.org, share)
    if form.get("then") == "correct":
        return RedirectResponse(f"/o/{visit.org}/clients/{contact}/share?{urlencode({'email': ended.email})}", 303)
    page = f"/o/{visit.org}/shares" if form.get("then") == "shares" else f"/o/{visit.org}/clients/{contact}"
    return RedirectResponse(f"{page}?done=ended&share={ended.id}", 303)


@router.post("/o/{org}/clients/{contact}/shares/{share}/resend")
async def resend(visit: CurrentVisit, services: Behind, form: ProviderForm, contact: ContactId, share: ShareId) -> Response:
    """Mails the invitation again."""
    await services.sharing.resend(visit.sharing_token, visit.org, share)
    return RedirectResponse(f"/o/{visit.org}/clients/{contact}?done=mailed_again&share={share}", 303)


async def _just_ended(services: Services, visit: Visit, share: str) -> Share | None:
    return await services.sharing.share(visit.sharing_token, visit.org, share) if re.fullmatch(SHARE_ID, share) else None
