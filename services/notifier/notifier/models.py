"""What a mail is, and how names of strangers may stand in it."""

from __future__ import annotations

import re
import secrets
import unicodedata
from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Kind = Literal["invitation", "sign_in", "sign_in_from_invitation", "reconnect"]
PRIORITY: dict[Kind, int] = {"sign_in": 0, "sign_in_from_invitation": 0, "invitation": 1, "reconnect": 1}
"""Somebody waits in front of the screen for a sign-in mail; everything else can follow."""

LONGEST_NAME = 60


REASONS = {
    "5.1.1": "mailbox unknown",
    "5.1.2": "mail domain unknown",
    "5.1.10": "this address takes no mail",
    "5.2.1": "mailbox disabled",
    "5.2.2": "mailbox full",
    "5.4.4": "mail domain unknown",
    "5.7.1": "refused by the mail server of that address",
}
"""Enhanced status codes (RFC 3463) in words for people; everything else is told as a plain refusal."""


class About(BaseModel):
    """What a mail tells, beside its secret. Names are kept as they came; they are cleaned when they are written."""

    model_config = ConfigDict(frozen=True)
    organisation_id: str | None = None
    organisation_name: str | None = None
    contact_name: str | None = None
    person_name: str | None = None
    person_email: str | None = None
    agent: str | None = None
    invited_at: datetime | None = None
    cause: str | None = None
    since: datetime | None = None


class Mail(BaseModel):
    """One mail to one address. `id` is the same however often its event arrives, `event_id` becomes its Message-ID.

    `concerns` are the ids of the organisation and the provider it tells of: by them mails are found when one of these is erased.
    `seal` names what the sealed secret is bound to beside the address: (event type, subject id). `number` counts a share's invitations.
    `return_token` is the part before the @ of the address this mail comes back to, and nobody else knows it.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)
    id: str = Field(alias="_id")
    kind: Kind
    email: str
    event_id: str
    about: About
    concerns: tuple[str, ...] = ()
    sealed: dict[str, Any] | None = None
    seal: tuple[str, str] | None = None
    share_id: str | None = None
    number: int | None = None
    return_token: str = Field(default_factory=lambda: secrets.token_hex(16))

    @property
    def priority(self) -> int:
        return PRIORITY[self.kind]


class Secret(BaseModel):
    """What the sealed part holds: an invitation's token, or a sign-in's token and, unless codes rest for this address, its code."""

    model_config = ConfigDict(extra="ignore")
    invitation: str | None = None
    token: str | None = None
    code: str | None = None


def reason_for(status: str) -> str | None:
    """What an enhanced status code means, in words for people; None where there is nothing to say."""
    return REASONS.get(status)


def cleaned(name: str) -> str:
    """A stranger's name as it may stand in a mail: one line of 60 characters, none of them controls or turns the direction.

    Mail programs make links of whatever looks like an address of the web or of a person, so nothing here does: its dots and its @ are
    replaced by look-alikes. Nor does any of it read as an encoded word (RFC 2047), which headers decode to whatever it hides.
    """
    plain = "".join(" " if character.isspace() else character for character in unicodedata.normalize("NFC", name))
    kept = "".join(character for character in plain if unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))
    while (without := re.sub(r"://|www\.", "", kept, flags=re.IGNORECASE)) != kept:
        kept = without
    kept = re.sub(r"(?<=\w)\.(?=[^\W\d])", "\u2024", kept).replace("@", "\uff20")
    short = " ".join(unicodedata.normalize("NFC", kept).split())
    cut = short if len(short) <= LONGEST_NAME else f"{short[: LONGEST_NAME - 1].rstrip()}…"
    return cut.replace("=?", "=\uff1f")  # last, for what is removed above may bring the two together


def grouped(code: str) -> str:
    """123456 as 123 456, the way people read six digits aloud."""
    return f"{code[:3]} {code[3:]}"


def backoff(kind: Kind, attempts: int) -> float:
    """Seconds until the next try. A sign-in mail is tried often, for it is worthless after fifteen minutes."""
    longest = 15.0 if PRIORITY[kind] == 0 else 600.0
    return min(longest, float(2 ** min(attempts, 20)))
