"""Builders for tests: the events other services publish, sealed as they seal them, and a mail server to break."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from common.clock import utc_now
from common.contracts.auth import OrganisationNeedsReauth, Person
from common.contracts.portal import SignInLinkRequested
from common.contracts.sharing import ClientInvited, ShareEnded
from common.crypto import KeyRing, seal
from common.testing import ORGANISATION

YOU = "you@demo.example"
MERE = Person(name="Mere Hart", email="mere@kowhai.example")


class Events:
    """Makes events with their sealed part."""

    def __init__(self, keys: Path) -> None:
        self._ring = KeyRing.load(keys / "sharing" / "rings" / "event-seal.json")

    def invited(self, share: str = "shr_1", number: int = 1, email: str = YOU, **changes: Any) -> ClientInvited:
        secret = json.dumps({"invitation": f"cii_secret_{share}_{number}"}).encode()
        values = {
            "version": number,
            "share_id": share,
            "organisation_id": ORGANISATION,
            "organisation_name": "Kōwhai & Hart Studio Ltd",
            "contact_name": "Ābel & Daughters",
            "email": email,
            "shared_by": MERE,
            "invitation_number": number,
            "sealed": seal(self._ring, secret, (ClientInvited.type, share, email)),
        }
        return ClientInvited.model_validate(values | changes)

    def sign_in(self, link: str = "lnk_1", email: str = YOU, *, code: str | None = "123456", **changes: Any) -> SignInLinkRequested:
        secret = json.dumps({"token": f"cil_secret_{link}", "code": code}).encode()
        values = {
            "version": 1,
            "link_id": link,
            "email": email,
            "agent": "Firefox on Windows",
            "expires_at": utc_now() + timedelta(minutes=15),
            "sealed": seal(self._ring, secret, (SignInLinkRequested.type, link, email)),
        }
        return SignInLinkRequested.model_validate(values | changes)

    @staticmethod
    def ended(share: str = "shr_1") -> ShareEnded:
        return ShareEnded(
            version=9, share_id=share, organisation_id=ORGANISATION, contact_id="contact", reason="revoked", ended_at=utc_now()
        )

    @staticmethod
    def lost(version: int = 2, *people: Person) -> OrganisationNeedsReauth:
        return OrganisationNeedsReauth(
            version=version,
            organisation_id=ORGANISATION,
            name="Kōwhai & Hart Studio Ltd",
            cause="grant_refused",
            since=datetime.fromisoformat("2026-11-21T09:05:00Z"),
            people=list(people or (MERE,)),
        )
