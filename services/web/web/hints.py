"""What somebody should know about an address before sharing with it: warnings, never a block."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from common.addresses import InvalidAddress, canonical, domain_of
from web.models import AddressUse, Contact

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


def hints_for(emails: Sequence[str], contact: Contact | None, own_address: str, uses: Sequence[AddressUse], contact_id: str) -> list[Hint]:
    """What somebody should know before sending to these addresses; none of it stops them."""
    if not emails:
        return [Hint("none_in_xero")] if contact and not contact.email else []
    own = _canonical_or(own_address)
    return [hint for address in addresses_in(emails) for hint in _hints_for_one(address, contact, own, uses, contact_id)]


def split(text: str) -> list[str]:
    """What stands between commas and semicolons in the field for addresses, each once."""
    return list(dict.fromkeys(part for part in map(str.strip, re.split(r"[,;\n]", text)) if part))


def addresses_in(texts: Iterable[str]) -> list[str]:
    """Those texts that are addresses, in canonical form, each once."""
    return list(dict.fromkeys(canonical(text) for text in texts if is_address(text)))


def _hints_for_one(address: str, contact: Contact | None, own: str, uses: Sequence[AddressUse], contact_id: str) -> list[Hint]:
    elsewhere = next((use for use in uses if use.email == address and use.contact_id != contact_id), None)
    return [
        *([Hint("own")] if address == own else []),
        *_domain_hints(address, contact),
        *([Hint("used", theirs=elsewhere.contact_name, ours=address)] if elsewhere else []),
    ]


def _domain_hints(address: str, contact: Contact | None) -> list[Hint]:
    theirs = domain_of(_canonical_or(contact.email)) if contact and contact.email else ""
    ours = domain_of(address)
    if ours in FREE_MAIL and ours != theirs:
        return [Hint("free_mail", theirs=theirs, ours=ours)]
    return [Hint("domain", theirs=theirs, ours=ours)] if theirs and theirs != ours else []


def is_address(text: str) -> bool:
    """Whether mail can be sent to this text."""
    try:
        canonical(text)
    except InvalidAddress:
        return False
    return True


def _canonical_or(text: str) -> str:
    return canonical(text) if is_address(text) else text
