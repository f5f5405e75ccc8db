"""Sign-in links: made once a request turns out to be somebody's, looked at without any change, and spent once."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from common.contracts.portal import SignInLinkRequested
from common.crypto import digest, seal
from common.ids import new_id, new_secret
from common.mongo import Database, Document, Reader, Tx
from portal import limits, store
from portal.errors import LinkUnknown
from portal.models import ADDRESS_TRIES, LINK_MINUTES, Browser, Goal, Link, Session, SignInRequest
from portal.sessions import SignedIn, start_session
from portal.settings import Rings
from portal.sign_in_requests import subject_of


@dataclass(frozen=True)
class Recipient:
    """Whom a request turned out to be for. `share_id`: the access the link dies with.

    `organisation_name` and `invited_at` are set when an invitation was pressed, and told in the mail.
    """

    email: str
    goal: Goal
    share_id: str | None = None
    organisation_name: str | None = None
    invited_at: datetime | None = None


@dataclass(frozen=True)
class WrongTry:
    """What was typed did not match; so many tries are left."""

    tries_left: int


async def make_link(tx: Tx, row: Document, recipient: Recipient, rings: Rings) -> None:
    """Makes the link and code of a claimed request, voids this browser's earlier ones for the address, and has them mailed.

    Token and code exist here and, sealed for notifier, in the event; stored are a hash and an HMAC. Raises claims.LeaseLost.
    """
    request = SignInRequest.model_validate(row)
    subject = subject_of(rings, recipient.email)
    token, link_id = new_secret("cil"), new_id("lnk")
    code = f"{secrets.randbelow(1_000_000):06d}" if await limits.may_mail_code(tx, rings.codes, subject) else None
    now = await tx.now()
    link = Link(
        id=digest(token),
        link_id=link_id,
        request_id=request.id,
        email=recipient.email,
        browser=request.browser,
        code=rings.codes.hmac(code_data(link_id, code)) if code else None,
        made_at=now,
        expires_at=now + timedelta(minutes=LINK_MINUTES),
        goal=recipient.goal,
        share_id=recipient.share_id,
    )
    await store.replace_older_links(tx, link.email, link.browser, request.id)
    await store.add_link(tx, link)
    await store.finish_request(tx, row, "sent", subject)
    await tx.emit(link_id, _mail(link, request, recipient, rings, token, code))


async def leave_unanswered(tx: Tx, row: Document, state: str = "unanswered") -> None:
    """Ends a claimed request for which there is nobody to write to. Raises claims.LeaseLost."""
    await store.finish_request(tx, row, state, row["subject"])


async def look_up(reader: Reader, token: str, session: str | None) -> tuple[Link | None, Session | None]:
    """A link by its token and a live session by its secret; changes nothing."""
    link = await store.find_link(reader, digest(token))
    return link, await store.find_session(reader, digest(session)) if session else None


async def redeem_link(tx: Tx, token: str, browser: Browser, email: str | None, rings: Rings) -> SignedIn | WrongTry:
    """Spends a link for the browser that presses. One that did not ask for it must name the address the link went to.

    A missing address costs no try, so that a mail scanner pressing the button ends nothing; a wrong one does. The address never
    changes, so it may be compared before the one update that spends or counts. Raises LinkUsed, LinkExpired, LinkReplaced, LinkUnknown.
    """
    link = await store.find_link(tx, digest(token))
    if link is None:
        raise LinkUnknown
    link.refuse_unless_alive()
    here = link.asked_by(browser.id)
    if not here and email is None:
        return WrongTry(link.tries_left)
    if not here and not link.was_sent_to(email or ""):
        counted = await store.count_wrong_address(tx, link.id, ADDRESS_TRIES)
        return WrongTry(counted.tries_left if counted else 0)
    signed_in = await spend_link(tx, link, browser, rings)
    if signed_in is None:
        raise LinkUnknown
    return signed_in


async def spend_link(tx: Tx, link: Link, browser: Browser, rings: Rings) -> SignedIn | None:
    """Consumes a link and signs the browser in; None when it was not alive any more.

    Its code stays open where another browser asked: what that one sees must not tell whether somebody signed in.
    """
    if not await store.spend_link(tx, link.id):
        return None
    await store.close_code(tx, browser.id, link.request_id)
    return await start_session(tx, link.email, browser, link.goal, rings)


async def forget(db: Database, organisation_id: str, asked_at: datetime) -> None:
    """Links made before that moment that lead to this organisation lead to home, where its address sees what it still holds."""
    await store.redirect_links(db, organisation_id, asked_at, Goal())


def code_data(link_id: str, code: str) -> bytes:
    """What a code's HMAC is made of: it is worth something with its own link alone."""
    return f"code:{link_id}:{code}".encode()


def _mail(link: Link, request: SignInRequest, recipient: Recipient, rings: Rings, token: str, code: str | None) -> SignInLinkRequested:
    """`share_id` goes along only when the invitation itself was pressed: a renewed link may outlive that access."""
    pressed = recipient.organisation_name is not None
    return SignInLinkRequested(
        version=1,
        link_id=link.link_id,
        email=link.email,
        agent=request.agent,
        expires_at=link.expires_at,
        organisation_name=recipient.organisation_name,
        invited_at=recipient.invited_at,
        organisation_id=link.goal.organisation_id,
        share_id=recipient.share_id if pressed else None,
        sealed=seal(
            rings.events, json.dumps({"token": token, "code": code}).encode(), (SignInLinkRequested.type, link.link_id, link.email)
        ),
    )
