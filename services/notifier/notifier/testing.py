"""Builders for tests: the events other services publish, sealed as they seal them, and a mail server to break."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from common.clock import utc_now
from common.contracts.auth import OrganisationConnected, OrganisationNeedsReauth, Person
from common.contracts.notifier import EmailFailed
from common.contracts.portal import SignInLinkRequested
from common.contracts.sharing import ClientInvited, ShareEnded
from common.crypto import KeyRing, seal
from common.ids import tenant_id
from common.testing import ORGANISATION, Harness
from inbox_simulator.faults import Fault, Faults, Mode
from inbox_simulator.mails import Mail
from inbox_simulator.smtp import listening
from inbox_simulator.store import Store
from local.processes import free_ports
from notifier.mailer import Mailer

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
    def found_again(version: int = 3) -> OrganisationConnected:
        """The organisation that was lost can be read again."""
        return OrganisationConnected(
            version=version, organisation_id=ORGANISATION, tenant_id=tenant_id(ORGANISATION), name="Kōwhai & Hart", time_zone=None
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


@dataclass
class Inbox:
    """What arrived, and what shall go wrong."""

    port: int
    store: Store
    faults: Faults

    def fails(self, mode: Mode, count: int | None = None) -> None:
        self.faults.current = Fault(mode=mode, count=count)

    @property
    def mails(self) -> list[Mail]:
        """Oldest first."""
        return self.store.list_mails()[::-1]


@asynccontextmanager
async def an_inbox(folder: Path) -> AsyncIterator[Inbox]:
    """A mail server of this machine that keeps what arrives in a folder."""
    (port,) = free_ports(1)
    store, faults = Store(folder), Faults()
    async with listening("127.0.0.1", port, store, faults):
        yield Inbox(port, store, faults)
    store.close()


TROUBLES = (Mode.DOWN, Mode.GREYLIST, Mode.CUT_AFTER_DATA, Mode.REJECT)


@dataclass
class Weathered:
    """What a storm left: addresses mailed, addresses reported as failed, mails that arrived twice, and how often a cut happened."""

    mailed: set[str]
    reported: set[str]
    doubles: int
    cuts: int


async def weather(notifier: Harness, inbox: Inbox, events: Events, mailers: Sequence[Mailer], count: int) -> Weathered:
    """Sends `count` invitations by several mailers at once through a server in every kind of trouble by turns, then a well one."""
    for number in range(count):
        await notifier.deliver(events.invited(f"shr_{number}", email=f"client{number}@demo.example"))
    cuts = 0
    for mode in (*TROUBLES * 3, Mode.OK):
        hits = max(1, count // 12)
        inbox.fails(mode, None if mode is Mode.OK else hits)
        while await _a_round(notifier, mailers) and (mode is Mode.OK or inbox.faults.current.mode is mode):
            pass
        left = (inbox.faults.current.count or 0) if inbox.faults.current.mode is mode else 0
        cuts += hits - left if mode is Mode.CUT_AFTER_DATA else 0
    arrived = [mail.rcpt_to[0] for mail in inbox.mails]
    failed = {f"client{event.share_id.removeprefix('shr_')}@demo.example" for event in await notifier.published(EmailFailed)}
    return Weathered(set(arrived), failed, len(arrived) - len(set(arrived)), cuts)


async def _a_round(notifier: Harness, mailers: Sequence[Mailer]) -> int:
    """Makes every waiting mail due and lets each mailer take one batch; how many still wait."""
    due = [{"$set": {"due_at": "$$NOW"}}]
    await notifier.db.collection("mails").update_many({"state": "pending"}, due)
    await asyncio.gather(*(mailer.send_due(notifier.db) for mailer in mailers))
    return int(await notifier.db.collection("mails").count({"state": "pending"}))
