"""What auth tells of organisations: names, time zones, and whether changes in Xero still arrive."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

from common.clock import local_date
from common.mongo import Tx
from sharing import store
from sharing.models import Organisation


async def note_organisation(tx: Tx, organisation_id: str, version: int, **facts: Any) -> None:
    """Keeps those facts that are newer than what is known."""
    known = await store.find_organisation(tx, organisation_id) or Organisation(id=organisation_id)
    told = known.told(version, **facts)
    if told != known:
        await store.save_organisation(tx, told)


def today_of(organisation: Organisation | None, now: datetime, default_time_zone: str) -> date:
    """The organisation's own date, which decides what is overdue."""
    return local_date(now, (organisation and organisation.time_zone) or default_time_zone)
