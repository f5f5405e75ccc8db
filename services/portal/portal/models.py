"""What portal keeps: requests for a sign-in mail, links, client identities, sessions; and what a link is worth in a browser."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from common.addresses import masked
from portal.errors import LinkExpired, LinkReplaced, LinkUnknown, LinkUsed

LINK_MINUTES = 15
ADDRESS_TRIES = 5
CODE_TRIES = 5
SESSION_IDLE_HOURS = 24
SESSION_DAYS = 7

Kind = Literal["email", "invitation", "link"]
LinkState = Literal["alive", "used", "expired", "replaced", "dead"]


class Stored(BaseModel):
    """A document; its `id` is Mongo's `_id`."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    id: str = Field(alias="_id")

    def document(self) -> dict[str, Any]:
        return self.model_dump(by_alias=True)


@dataclass(frozen=True)
class Browser:
    """A browser as portal knows it: the hash of its secret, and what to call it."""

    id: str
    agent: str


class Goal(BaseModel):
    """Where signing in leads."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    kind: Literal["home", "sender", "invoice"] = "home"
    organisation_id: str | None = None
    invoice_id: str | None = None


class SignInRequest(Stored):
    """Somebody asked for a sign-in mail; written alike for every address, known or not.

    Exactly one of `email` (canonical), `invitation` (sealed) and `link` (its hash) says where the mail would go, and is removed
    when the request has been answered. `subject` is an HMAC: whose wrong codes are counted. What a browser can learn from the
    tries (`code_tries`, `code_until`, `code_open`) depends only on what that same browser did, never on whether a mail was sent.
    """

    kind: Kind
    email: str | None = None
    invitation: dict[str, Any] | None = None
    link: str | None = None
    subject: str
    browser: str
    agent: str
    correlation_id: str
    traceparent: str | None = None
    asked_at: datetime
    code_until: datetime
    code_tries: int = 0
    code_open: bool = True
    attempts: int = 0


class Link(Stored):
    """A sign-in link; `id` is the SHA-256 of its token. Whether it has expired is the database's judgement, made at reading.

    `browser`: hash of the browser that asked. `code`: HMAC of the six digits, None when the mail carried the link only.
    `share_id`: the access it was asked for from, with which it dies when the address holds no other.
    `ended_at`: when it was used or replaced.
    """

    link_id: str
    request_id: str
    email: str
    browser: str
    code: str | None
    made_at: datetime
    expires_at: datetime
    goal: Goal
    share_id: str | None = None
    state: Literal["alive", "used", "replaced", "dead"] = "alive"
    address_tries: int = 0
    ended_at: datetime | None = None
    expired: bool = Field(default=False, exclude=True)

    @property
    def standing(self) -> LinkState:
        """What a holder of the token may know of it; `dead` they may not tell from unknown."""
        return "expired" if self.state == "alive" and self.expired else self.state

    @property
    def tries_left(self) -> int:
        return max(0, ADDRESS_TRIES - self.address_tries)

    def asked_by(self, browser: str) -> bool:
        """Is this (by its hash) the browser that asked for the link?"""
        return hmac.compare_digest(self.browser.encode(), browser.encode())

    def was_sent_to(self, email: str) -> bool:
        """Is this the address, in canonical form, that the link went to? In constant time."""
        return hmac.compare_digest(self.email.encode(), email.encode())

    def refuse_unless_alive(self) -> None:
        """Raises LinkUsed, LinkExpired, LinkReplaced or LinkUnknown."""
        if self.standing != "alive":
            raise _REFUSALS[self.standing]


_REFUSALS = {"used": LinkUsed, "expired": LinkExpired, "replaced": LinkReplaced, "dead": LinkUnknown}


class Client(Stored):
    """The identity of one canonical address, made when it first signs in.

    `look_at`: when it is looked at next; `idle_since`: since when the address has held no access and no session, as far as was seen.
    """

    email: str
    since: datetime
    look_at: datetime | None = None
    idle_since: datetime | None = None


class Session(Stored):
    """A signed-in browser; `id` is the SHA-256 of its secret. It ends at the earlier of `idle_until` and `ends_at`.

    `agent`: what to call the browser, such as “Firefox on Windows”; nothing else is kept of it.
    """

    client_id: str
    email: str
    agent: str = "an unknown browser"
    signed_in_at: datetime
    idle_until: datetime
    ends_at: datetime

    @property
    def last_seen_at(self) -> datetime:
        """When it was used last: its idle time began then."""
        return self.idle_until - timedelta(hours=SESSION_IDLE_HOURS)


class MailServer(Stored):
    """What notifier told last about mails to everybody: `failing_since` is None while they leave."""

    version: int = 0
    failing_since: datetime | None = None


class LinkView(BaseModel):
    """What a link is worth in one browser. `at`: when it was used, expired or replaced. Names no sender and no amount."""

    state: Literal["ready_here", "ready_elsewhere", "signed_in", "signed_in_as_other", "used", "expired", "replaced", "unknown"]
    asked_here: bool = False
    masked_email: str | None = None
    signed_in_as: str | None = None
    at: datetime | None = None
    tries_left: int | None = None
    goal: Goal | None = None


def link_view(link: Link | None, browser: str, signed_in_as: str | None) -> LinkView:
    """What the page of a link shows to this browser (its hash), signed in as an address or not.

    The masked address goes to the browser that asked alone; the goal only to who is signed in as the link's own address.
    """
    if link is None:
        return LinkView(state="unknown")
    here = link.asked_by(browser)
    if signed_in_as == link.email:
        return LinkView(state="signed_in", asked_here=here, signed_in_as=signed_in_as, goal=link.goal)
    if link.standing == "dead":
        return LinkView(state="unknown")
    if link.standing != "alive":
        at = link.expires_at if link.standing == "expired" else link.ended_at
        return LinkView(state=link.standing, asked_here=here, at=at)
    return LinkView(
        state="signed_in_as_other" if signed_in_as else "ready_here" if here else "ready_elsewhere",
        asked_here=here,
        masked_email=masked(link.email) if here else None,
        signed_in_as=signed_in_as,
        tries_left=None if here else link.tries_left,
    )
