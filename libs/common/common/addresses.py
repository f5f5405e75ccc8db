"""E-mail addresses in one canonical form, so that one person is one identity and mail goes to exactly the stored address."""

from __future__ import annotations

import unicodedata

from email_validator import EmailNotValidError, validate_email

LONGEST = 254


class InvalidAddress(ValueError):
    """Not an address mail can be sent to; the text says why, in words for people."""


def canonical(text: str) -> str:
    """The canonical form: trimmed, NFC, domain as IDNA A-label in lower case, local part with ASCII letters in lower case.

    Other letters keep their case: Unicode case folding joins addresses that belong to different people (CVE-2019-19844).
    Raises InvalidAddress. Control and bidirectional characters, several addresses and display names are refused, and what begins an
    encoded word (RFC 2047): a header would decode it to another address.
    """
    text = unicodedata.normalize("NFC", text.strip())
    if len(text) > LONGEST or "=?" in text or any(unicodedata.category(character) in ("Cc", "Cf", "Zl", "Zp") for character in text):
        raise InvalidAddress("The address holds characters that no address may hold.")
    try:
        parts = validate_email(text, check_deliverability=False, test_environment=True, strict=False)
    except EmailNotValidError as error:
        raise InvalidAddress(str(error)) from error
    return f"{_ascii_lower(parts.local_part)}@{(parts.ascii_domain or parts.domain).lower()}"


def masked(address: str) -> str:
    """The address as far as a page may show it to somebody who has not proved to own it: a•••@domain."""
    local, _, domain = address.rpartition("@")
    return f"{local[:1]}•••@{domain}"


def domain_of(address: str) -> str:
    """The part after the last @."""
    return address.rpartition("@")[2]


def _ascii_lower(text: str) -> str:
    return "".join(character.lower() if character.isascii() else character for character in text)
