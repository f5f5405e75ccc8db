"""Six-digit codes: good in the browser that asked, for as long and as often as its request allows."""

from __future__ import annotations

from dataclasses import dataclass

from common.mongo import Tx
from portal import limits, store
from portal.errors import CodeUnknown
from portal.links import WrongTry, code_data
from portal.models import CODE_TRIES, Link, SignInRequest
from portal.settings import Rings


@dataclass(frozen=True)
class RightCode:
    """The live link a code came with, for `links.spend_link` to consume, and the requests the try was counted for."""

    link: Link
    counted: list[str]


async def try_code(tx: Tx, code: str, browser: str, rings: Rings) -> RightCode | WrongTry:
    """Compares a code with those of this browser. The try is counted before the code is looked at.

    A request counts and refuses alike whether or not it led to a mail, so that codes tell nobody which addresses are known: the
    counters are the request's, not the link's. Raises CodeUnknown when this browser has no request open.
    """
    tried = await store.raise_code_tries(tx, browser)
    if not tried:
        raise CodeUnknown
    counted = [request.id for request in tried]
    for digest, link_id, known in await store.list_live_codes(tx, counted):
        if rings.codes.hmac_matches(code_data(link_id, code), known) and (link := await store.find_link(tx, digest)):
            return RightCode(link, counted)
    return await _note_wrong(tx, tried, rings)


async def take_back_try(tx: Tx, right: RightCode) -> None:
    """A right code that could not be used because something is away has cost nothing: it is there for the next press."""
    await store.lower_code_tries(tx, right.counted)


async def _note_wrong(tx: Tx, tried: list[SignInRequest], rings: Rings) -> WrongTry:
    """Counts the wrong code for each address it was tried on, and ends the links whose codes are used up."""
    for subject in sorted({request.subject for request in tried}):
        await limits.count_wrong_code(tx, rings.codes, subject)
    await store.kill_links(tx, [request.id for request in tried if request.code_tries >= CODE_TRIES])
    return WrongTry(max(CODE_TRIES - request.code_tries for request in tried))
