"""What somebody should know about an address before sharing with it: warnings, never a block."""

from __future__ import annotations

from dataclasses import dataclass

from common.addresses import InvalidAddress, canonical, domain_of
from web.models import Contact, Share

# fmt: off
FREE_MAIL = frozenset((
    "gmail.com", "googlemail.com", "outlook.com", "hotmail.com", "live.com", "msn.com", "yahoo.com", "yahoo.co.uk", "yahoo.co.nz",
    "icloud.com", "me.com", "aol.com", "gmx.com", "gmx.de", "gmx.net", "web.de", "proton.me", "protonmail.com", "mail.com", "yandex.com",
    "qq.com", "163.com", "xtra.co.nz", "btinternet.com", "bigpond.com", "t-online.de", "orange.fr", "free.fr", "libero.it",
))
# fmt: on
"""Well-known mail services anybody can have an address at; only a warning hangs on it, so the list need not be complete."""


@dataclass(frozen=True)
class Hint:
    """A line under the address. `kind` (none_in_xero, own, free_mail, domain, used) names its text in the template; the values fill it."""

    kind: str
    theirs: str = ""
    ours: str = ""


def hints_for(email: str, contact: Contact | None, own_address: str, shares: list[Share], contact_id: str) -> list[Hint]:
    """What somebody should know before sending to this address; none of it stops them."""
    if not email:
        return [Hint("none_in_xero")] if contact and not contact.email else []
    try:
        address = canonical(email)
    except InvalidAddress:
        return []
    return [
        *([Hint("own")] if address == _canonical_or(own_address) else []),
        *_domain_hints(address, contact),
        *(Hint("used", theirs=share.contact_name, ours=address) for share in _elsewhere(address, shares, contact_id)[:1]),
    ]


def _domain_hints(address: str, contact: Contact | None) -> list[Hint]:
    theirs = domain_of(_canonical_or(contact.email)) if contact and contact.email else ""
    ours = domain_of(address)
    if ours in FREE_MAIL and ours != theirs:
        return [Hint("free_mail", theirs=theirs, ours=ours)]
    return [Hint("domain", theirs=theirs, ours=ours)] if theirs and theirs != ours else []


def _elsewhere(address: str, shares: list[Share], contact_id: str) -> list[Share]:
    return [share for share in shares if share.email == address and share.contact_id != contact_id and share.state != "ended"]


def is_address(text: str) -> bool:
    """Whether mail can be sent to this text."""
    try:
        canonical(text)
    except InvalidAddress:
        return False
    return True


def _canonical_or(text: str) -> str:
    return canonical(text) if is_address(text) else text
