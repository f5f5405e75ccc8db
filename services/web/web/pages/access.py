"""Who may see what in an organisation, and ending one access or many."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from fastapi.responses import RedirectResponse, Response

from common.errors import RateLimited, Unavailable
from web.clients import Behind, Services
from web.models import Share
from web.pages.client import find_merge
from web.rendering import render
from web.visits import SHARE_ID, ContactId, CurrentVisit, PageNumber, ProviderForm, ShareId, Visit

router = APIRouter()

MOST_CHOSEN = 50
Chosen = Annotated[Sequence[str], Query(max_length=MOST_CHOSEN)]
END = "/o/{org}/clients/{contact}/shares/{share}/end"


@router.get("/o/{org}/shares")
async def shares(
    request: Request, visit: CurrentVisit, services: Behind, page: PageNumber = 1, done: str = "", share: str = ""
) -> Response:
    """Every live access of the organisation, mail problems first. `share` is the one that was just ended from here."""
    found, hides_awaiting, ended = await asyncio.gather(
        services.sharing.shares(visit.sharing_token, visit.org, page=page),
        services.sharing.hides_awaiting(visit.sharing_token, visit.org),
        _chosen(services, visit, [share] if done == "ended" else []),
    )
    return render(
        request,
        "provider/shares.html",
        **visit.frame(),
        section="shares",
        found=found,
        ended=ended,
        hides_awaiting=hides_awaiting,
    )


@router.post("/o/{org}/shares/awaiting")
async def hide_awaiting(visit: CurrentVisit, services: Behind, form: ProviderForm) -> Response:
    """Hides invoices that await approval from every client of the organisation, or shows them again."""
    await services.sharing.hide_awaiting(visit.sharing_token, visit.org, hidden=form.get("hidden") == "yes")
    return RedirectResponse(f"/o/{visit.org}/shares", 303)


@router.get("/o/{org}/shares/end")
async def confirm_many(request: Request, visit: CurrentVisit, services: Behind, share: Chosen = ()) -> Response:
    """Asks before ending several; nothing selected leads back."""
    found = await _chosen(services, visit, share)
    if not found:
        return RedirectResponse(f"/o/{visit.org}/shares", 303)
    live = [one for one in found if one.state != "ended"]
    return render(request, "provider/end_many.html", **visit.frame(), section="shares", shares=live, ended=None, failed=())


@router.post("/o/{org}/shares/end")
async def end_many(request: Request, visit: CurrentVisit, services: Behind, form: ProviderForm) -> Response:
    """Ends them before answering, and says of each what became of it. Pressed again it answers the same."""
    wanted = [str(name) for name in form.getlist("share")][:MOST_CHOSEN]
    if not wanted:
        return RedirectResponse(f"/o/{visit.org}/shares", 303)
    results = await services.sharing.end_many(visit.sharing_token, visit.org, wanted)
    found = await _chosen(services, visit, [result.share_id for result in results])
    failed = {result.share_id for result in results if result.ended_at is None}
    return render(request, "provider/end_many.html", **visit.frame(), section="shares", shares=found, ended=True, failed=failed)


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


@router.post("/o/{org}/clients/{contact}/carry-over")
async def carry_over(visit: CurrentVisit, services: Behind, form: ProviderForm, contact: ContactId) -> Response:
    """Gives everybody who opens a merged client's invoices the same terms for the client it was merged into, and ends the old ones."""
    merge = await find_merge(services, visit, await services.sharing.shares_of(visit.sharing_token, visit.org, contact))
    if merge is None:
        return RedirectResponse(f"/o/{visit.org}/clients/{contact}", 303)
    if not merge.name:
        raise Unavailable(code="xero_unavailable")
    carried = await services.sharing.carry_over(visit.sharing_token, visit.org, contact, merge.name)
    told = urlencode([("done", "carried"), *(("share", share.id) for share in carried[:MOST_CHOSEN])])
    return RedirectResponse(f"/o/{visit.org}/clients/{merge.contact_id}?{told}", 303)


@router.post("/o/{org}/clients/{contact}/shares/{share}/resend")
async def resend(visit: CurrentVisit, services: Behind, form: ProviderForm, contact: ContactId, share: ShareId) -> Response:
    """Mails the invitation again; within a minute of the last one it says how long to wait."""
    done = "mailed_again"
    try:
        await services.sharing.resend(visit.sharing_token, visit.org, share)
    except RateLimited:
        done = "rests"
    return RedirectResponse(f"/o/{visit.org}/clients/{contact}?done={done}&share={share}", 303)


async def _chosen(services: Services, visit: Visit, shares: Sequence[str]) -> list[Share]:
    """The accesses of these ids, as far as they are this organisation's."""
    names = list(dict.fromkeys(name for name in shares if re.fullmatch(SHARE_ID, name)))[:MOST_CHOSEN]
    return await services.sharing.some_shares(visit.sharing_token, visit.org, names) if names else []
