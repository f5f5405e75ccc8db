"""The organisations whose Xero this service reads, as auth's events tell of them."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal

from common.clock import local_date
from common.mongo import Reader, Tx
from xero_gateway import store

State = Literal["connected", "needs_reauth", "disconnected"]


async def learn_name(tx: Tx, organisation_id: str, name: str, time_zone: str | None, version: int) -> None:
    """Keeps the name and time zone of the newest event that told them."""
    known = await store.find_organisation(tx, organisation_id) or {}
    if version > known.get("name_version", -1):
        facts = {"name": name, "time_zone": time_zone, "name_version": version}
        await store.save_organisation(tx, organisation_id, facts)


async def learn_state(tx: Tx, organisation_id: str, state: State, version: int) -> None:
    """Keeps the newest state. When the organisation can be read again, what waited for it goes on at once."""
    known = await store.find_organisation(tx, organisation_id) or {}
    if version <= known.get("state_version", -1):
        return
    await store.save_organisation(tx, organisation_id, {"state": state, "state_version": version})
    if state == "connected":
        await store.hurry(tx, organisation_id)


async def state_of(reader: Reader, organisation_id: str) -> State | None:
    """None for an organisation nobody connected. One of which only the name is known yet counts as connected."""
    known = await store.find_organisation(reader, organisation_id)
    return known.get("state", "connected") if known else None


async def today_of(reader: Reader, organisation_id: str, now: datetime, default_time_zone: str) -> date:
    """The date that decides there what is due or overdue."""
    known = await store.find_organisation(reader, organisation_id) or {}
    return local_date(now, known.get("time_zone") or default_time_zone)
