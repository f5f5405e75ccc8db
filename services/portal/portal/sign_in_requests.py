"""Asking for a sign-in mail. Up to the answer nothing looks at whether the address is known; link_sender.py does the rest."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from common.correlation import carried
from common.crypto import digest, seal
from common.ids import new_id
from common.mongo import Reader, Tx
from portal import store
from portal.models import LINK_MINUTES, Kind, SignInRequest
from portal.settings import Rings


@dataclass(frozen=True)
class Asked:
    """What a browser asks with: a canonical address, an invitation, or the token of an earlier link. `email` is the address as far
    as it is known before the answer: typed, or stored with the link."""

    kind: Kind
    value: str
    browser: str
    agent: str
    email: str | None


async def with_stored_address(reader: Reader, kind: Kind, value: str, browser: str, agent: str) -> Asked:
    """The same with the address that a link, if it is one of ours, was sent to."""
    link = await store.find_link(reader, digest(value)) if kind == "link" else None
    return Asked(kind, value, browser, agent, value if kind == "email" else link.email if link else None)


async def allowance_of(reader: Reader, asked: Asked, rings: Rings) -> str:
    """Whose allowance a request uses: the address's; an invitation's own; the own one of a browser that signed in with the address
    before, so that nobody else can use it up."""
    if asked.email is None:
        return f"{asked.kind}:{digest(asked.value)}"
    if await store.knows_browser(reader, browser_key(rings, asked.browser, asked.email)):
        return f"browser:{asked.browser}:{asked.email}"
    return f"email:{asked.email}"


async def ask_for_link(tx: Tx, asked: Asked, rings: Rings) -> None:
    """Writes the row the link sender works from. An invitation waits sealed: in clear it would open the next mail."""
    now = await tx.now()
    request_id = new_id("sir")
    row = SignInRequest(
        id=request_id,
        kind=asked.kind,
        subject=subject_of(rings, asked.email) if asked.email else rings.codes.hmac(f"subject:{asked.kind}:{asked.value}".encode()),
        browser=asked.browser,
        agent=asked.agent,
        **carried(),
        asked_at=now,
        code_until=now + timedelta(minutes=LINK_MINUTES),
        **_destination(asked, rings, request_id),
    )
    await store.add_request(tx, row)


def subject_of(rings: Rings, email: str) -> str:
    """Under which name an address's wrong codes are counted."""
    return rings.codes.hmac(f"subject:email:{email}".encode())


def browser_key(rings: Rings, browser: str, email: str) -> str:
    """The name of “this browser signed in with this address”."""
    return rings.codes.hmac(f"browser:{browser}:{email}".encode())


def seal_context(request_id: str) -> tuple[str, str]:
    """What binds a waiting invitation to its row."""
    return ("portal.sign_in_request", request_id)


def _destination(asked: Asked, rings: Rings, request_id: str) -> dict[str, Any]:
    if asked.kind == "invitation":
        return {"invitation": seal(rings.events, asked.value.encode(), seal_context(request_id))}
    return {"link": digest(asked.value)} if asked.kind == "link" else {"email": asked.value}
