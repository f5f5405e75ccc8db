"""Routes of portal, all for web: parse, admit, run one use case, answer."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from common.addresses import InvalidAddress, canonical
from common.crypto import digest
from common.errors import Unavailable
from common.http import Db, caller, kept
from common.identity import Signer
from portal import codes, limits, links, mail_server, sessions, sign_in_requests
from portal.clients import SharingClient
from portal.errors import AddressInvalid, CodeUnknown, LinkUnknown, WrongAddress, WrongCode
from portal.models import Browser, Goal, Kind, LinkView, link_view
from portal.settings import Rings

Text = Annotated[str, StringConstraints(min_length=1, max_length=300)]
Agent = Annotated[str, StringConstraints(max_length=120)]
SEPARATORS = re.compile(r"[\s\-‐‑‒–—]")
CODE = re.compile(r"[0-9]{6}")


def _six_digits(text: str) -> str:
    """Spaces and dashes are welcome. Raises ValueError for what cannot be a code, which costs no try."""
    code = SEPARATORS.sub("", text)
    if not CODE.fullmatch(code):
        raise ValueError("a code has 6 digits")
    return code


OurRings = Annotated[Rings, kept("rings")]
Sharing = Annotated[SharingClient, kept("sharing")]
OurSigner = Annotated[Signer, kept("signer")]
router = APIRouter(dependencies=[Depends(caller("web"))])


class Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class IdentifyBody(Body):
    session: Text
    audiences: Annotated[list[Literal["sharing"]], Field(max_length=1)]


class SessionBody(Body):
    session: Text


class SessionEnd(SessionBody):
    """Whose sign-out it is: this browser's, or that of all browsers of the same client."""

    everywhere: bool = False


class SignInRequestBody(Body):
    """Exactly one of `email`, `invitation` and `link`. `browser`: the secret of the asking browser; `agent`: what to call it in the
    mail; `network`: its IP address."""

    email: Text | None = None
    invitation: Text | None = None
    link: Text | None = None
    browser: Text
    agent: Agent
    network: Annotated[str, StringConstraints(max_length=64)]

    @model_validator(mode="after")
    def asks_with_one_thing(self) -> SignInRequestBody:
        if sum(value is not None for value in (self.email, self.invitation, self.link)) != 1:
            raise ValueError("exactly one of email, invitation and link")
        return self

    def asked_with(self) -> tuple[Kind, str]:
        """How it is asked, and with what. Raises AddressInvalid."""
        if self.email is not None:
            return "email", _address(self.email)
        return ("invitation", self.invitation) if self.invitation is not None else ("link", self.link or "")


class InspectBody(Body):
    token: Text
    browser: Text
    session: Text | None = None


class RedeemLinkBody(Body):
    token: Text
    browser: Text
    agent: Agent
    email: Text | None = None


class RedeemCodeBody(Body):
    code: Annotated[str, StringConstraints(max_length=40), AfterValidator(_six_digits)]
    browser: Text
    agent: Agent


class OtherSession(SessionBody):
    """`other`: the id of a session of the same client."""

    other: Text


class ClientView(BaseModel):
    id: str
    email: str


class Identified(BaseModel):
    client: ClientView
    tokens: dict[str, str]


class Accepted(BaseModel):
    """`wait_seconds`: until the same thing may be asked again."""

    wait_seconds: int


class SessionView(BaseModel):
    """A signed-in browser. `current`: the one that asks."""

    id: str
    agent: str
    signed_in_at: datetime
    last_seen_at: datetime
    current: bool


class Sessions(BaseModel):
    sessions: list[SessionView]


class MailServerView(BaseModel):
    """`failing_since`: no mail leaves for anybody since then; None while they leave."""

    failing_since: datetime | None


class SignedInView(BaseModel):
    session: str
    goal: Goal


@router.post("/internal/identify")
async def identify(body: IdentifyBody, db: Db, signer: OurSigner) -> Identified:
    """Who a browser is signed in as, with a 60-second token for each audience."""
    session = await sessions.identify(db, body.session)
    tokens = {audience: signer.client_token(audience, id=session.client_id, email=session.email) for audience in body.audiences}
    return Identified(client=ClientView(id=session.client_id, email=session.email), tokens=tokens)


@router.post("/internal/sign-in-requests", status_code=202)
async def request_sign_in(body: SignInRequestBody, db: Db, rings: OurRings) -> Accepted:
    """Asks for a sign-in mail. The answer is the same for every address; whether one is sent shows in the inbox alone."""
    kind, value = body.asked_with()
    asked = await sign_in_requests.with_stored_address(db, kind, value, digest(body.browser), body.agent)
    allowance = await sign_in_requests.allowance_of(db, asked, rings)
    wait = await limits.admit_request(db, rings.codes, network=body.network, allowance=allowance)
    await db.transact(sign_in_requests.ask_for_link, asked, rings)
    return Accepted(wait_seconds=wait)


@router.post("/internal/links/inspect")
async def inspect_link(body: InspectBody, db: Db, sharing: Sharing) -> LinkView:
    """What a link is worth in a browser; changes nothing."""
    link, session = await links.look_up(db, body.token, body.session)
    signed_in_as = session.email if session else None
    if link and link.email != signed_in_as and not await sharing.lets_live(link):
        link = None
    return link_view(link, digest(body.browser), signed_in_as)


@router.post("/internal/links/redeem")
async def redeem_link(body: RedeemLinkBody, db: Db, rings: OurRings, sharing: Sharing) -> SignedInView:
    """Spends a link: read, ask sharing whether its access lives, then write."""
    email = _address(body.email) if body.email is not None else None
    link, _ = await links.look_up(db, body.token, None)
    if link is None or not await sharing.lets_live(link):
        raise LinkUnknown
    browser = Browser(digest(body.browser), body.agent)
    outcome = await db.transact(links.redeem_link, body.token, browser, email, rings)
    if isinstance(outcome, links.WrongTry):
        raise WrongAddress("That is not the address this link was sent to.", tries_left=outcome.tries_left)
    return SignedInView(session=outcome.session, goal=outcome.goal)


@router.post("/internal/codes/redeem")
async def redeem_code(body: RedeemCodeBody, db: Db, rings: OurRings, sharing: Sharing) -> SignedInView:
    """Spends a code in the browser that asked for it: count and compare, ask sharing whether its access lives, then write."""
    browser = Browser(digest(body.browser), body.agent)
    outcome = await db.transact(codes.try_code, body.code, browser.id, rings)
    if isinstance(outcome, links.WrongTry):
        raise WrongCode("That is not the code.", tries_left=outcome.tries_left)
    try:
        lives = await sharing.lets_live(outcome.link)
    except Unavailable:
        await db.transact(codes.take_back_try, outcome)
        raise
    signed_in = await db.transact(links.spend_link, outcome.link, browser, rings) if lives else None
    if signed_in is None:
        raise CodeUnknown
    return SignedInView(session=signed_in.session, goal=signed_in.goal)


@router.post("/internal/sessions/end", status_code=204)
async def end_session(body: SessionEnd, db: Db) -> None:
    """Signs a browser out, or every browser of its client."""
    await db.transact(sessions.end_session, body.session, everywhere=body.everywhere)


@router.post("/internal/sessions/list")
async def list_sessions(body: SessionBody, db: Db) -> Sessions:
    """Every browser signed in as the same client."""
    own, found = await sessions.list_sessions(db, body.session)
    return Sessions(
        sessions=[
            SessionView(id=one.id, agent=one.agent, signed_in_at=one.signed_in_at, last_seen_at=one.last_seen_at, current=one.id == own.id)
            for one in found
        ]
    )


@router.post("/internal/sessions/end-other", status_code=204)
async def end_other_session(body: OtherSession, db: Db) -> None:
    """Signs another browser of the same client out; answers alike for one that is not there."""
    await db.transact(sessions.end_other_session, body.session, body.other)


@router.get("/internal/mail-server")
async def show_mail_server(db: Db) -> MailServerView:
    """Whether sign-in mails leave at all: the same for everybody."""
    return MailServerView(failing_since=await mail_server.failing_since(db))


def _address(text: str) -> str:
    try:
        return canonical(text)
    except InvalidAddress as error:
        raise AddressInvalid("That is no e-mail address.") from error
