"""What the audit is made of: accesses to tokens in links, links in chains, one chain for each token set, and anchors over their heads.

Nothing here names a person or holds anything of a token, so a chain can stay when an account goes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from common.correlation import correlation_id

Did = Literal["seal", "open", "rewrap", "close"]
NOTHING_BEFORE = "0" * 64


class Use(BaseModel):
    """Who wants a token (a service of ours), what for, and for which organisation, if for one."""

    model_config = ConfigDict(frozen=True)
    service: str
    purpose: str
    organisation_id: str | None = None


class Access(BaseModel):
    """One access. `fields` are access, refresh, previous; `generation` is the token set's."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    did: Did
    fields: tuple[str, ...]
    generation: int
    service: str
    purpose: str
    organisation_id: str | None
    correlation_id: str


class Link(BaseModel):
    """Accesses that came at one time, bound to the link before. `at` is the process's clock, in milliseconds."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    chain: str
    number: int
    at: datetime
    accesses: tuple[Access, ...]
    previous: str
    hash: str

    @property
    def closed(self) -> bool:
        return any(access.did == "close" for access in self.accesses)

    @property
    def sealed(self) -> int | None:
        """The newest generation this link says was sealed."""
        return max((access.generation for access in self.accesses if access.did == "seal"), default=None)


class Head(BaseModel):
    """The newest link of a chain when an anchor was made."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    chain: str
    number: int
    hash: str


class Anchor(BaseModel):
    """Heads of chains that grew, bound to the anchor before. `at` is the database's clock."""

    model_config = ConfigDict(frozen=True, extra="ignore")
    number: int
    at: datetime
    heads: tuple[Head, ...]
    previous: str
    hash: str


def an_access(did: Did, fields: Sequence[str], generation: int, use: Use) -> Access:
    """The access the work at hand is about to make."""
    return Access(did=did, fields=tuple(fields), generation=generation, correlation_id=correlation_id(), **use.model_dump())


def next_link(last: Link | None, chain: str, accesses: Sequence[Access], at: datetime) -> Link:
    link = Link(
        chain=chain,
        number=last.number + 1 if last else 1,
        at=at,
        accesses=tuple(accesses),
        previous=last.hash if last else NOTHING_BEFORE,
        hash="",
    )
    return link.model_copy(update={"hash": hash_of(link)})


def next_anchor(last: Anchor | None, heads: Sequence[Head], at: datetime) -> Anchor:
    previous = last.hash if last else NOTHING_BEFORE
    anchor = Anchor(number=last.number + 1 if last else 1, at=at, heads=tuple(heads), previous=previous, hash="")
    return anchor.model_copy(update={"hash": hash_of(anchor)})


def hash_of(what: Link | Anchor) -> str:
    """SHA-256 in hex of everything in it but its hash: JSON with sorted names, no spaces, ASCII, instants in ISO 8601 with milliseconds."""
    said: dict[str, Any] = what.model_dump(mode="python", exclude={"hash"})
    said["at"] = what.at.isoformat(timespec="milliseconds")
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def link_id(chain: str, number: int) -> str:
    """Sorts by chain, then by number."""
    return f"{chain}.{number:010}"


def fault_after(last: Link | Anchor | None, this: Link | Anchor) -> str | None:
    """What is wrong with a link or anchor that comes after `last` (None: it is the first); None when nothing is."""
    expected = last.number + 1 if last else 1
    if this.number != expected:
        return f"it is missing; the next one there is {this.number}"
    if this.previous != (last.hash if last else NOTHING_BEFORE):
        return "it does not follow from the one before"
    if this.hash != hash_of(this):
        return "its content was changed"
    return "it comes after the chain was closed" if isinstance(last, Link) and last.closed else None
