"""Ending every access of an organisation: one flag that closes all of them at once, then each share in a transaction of its own."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from common import claims
from common.erasure import ask_for_erasure
from common.mongo import Database, Document, Tx
from sharing import leaving_store, store
from sharing.models import Actor
from sharing.shares import tell_ended


class Departure(BaseModel):
    """A provider leaves: in `ending` all access ends, `erasing` are those of them of which nothing is kept.

    `deleting`: their account goes too. They can share nothing more in `organisations`, and their name is erased everywhere.
    """

    provider: Actor
    organisations: list[str]
    ending: list[str]
    erasing: list[str]
    deleting: bool


class Accesses(BaseModel):
    """The live accesses of an organisation, and while all are being ended how many there were when that began."""

    live: int
    ending: int | None


async def begin_departure(tx: Tx, departure: Departure) -> None:
    """From the commit on none of these organisations' accesses opens anything. Doing it again changes nothing more."""
    left = departure.provider.id if departure.deleting else None
    by = departure.provider.model_copy(update={"name": "", "email": ""}) if departure.deleting else departure.provider
    for organisation_id in departure.ending:
        await leaving_store.flag_ending(tx, organisation_id, left)
        total = await leaving_store.count_live(tx, organisation_id)
        await leaving_store.add_ending(tx, organisation_id, by, erase=organisation_id in departure.erasing, total=total)
    if left:
        for organisation_id in set(departure.organisations) - set(departure.ending):
            await leaving_store.forbid_sharing(tx, organisation_id, left)
        await ask_for_erasure(tx, left)


async def end_one(tx: Tx, row: Document, share_id: str) -> None:
    """Ends one share of an organisation whose ending is leased to us; one that ended meanwhile stays as it is."""
    ended = await store.end_share(tx, row["_id"], share_id, Actor.model_validate(row["by"]), "closed")
    if ended is not None:
        await tell_ended(tx, ended)


async def finish(tx: Tx, row: Document) -> bool:
    """Lifts the flag when every share has ended and none can appear any more; False when it is too early. Raises LeaseLost."""
    if not await leaving_store.has_settled(tx, row) or await leaving_store.count_live(tx, row["_id"]):
        return False
    await leaving_store.unflag_ending(tx, row["_id"])
    if row["erase"]:
        await ask_for_erasure(tx, row["_id"])
    await claims.finish(tx, leaving_store.ENDINGS, row, [*claims.done("done"), {"$unset": ["by"]}])
    return True


async def look_at_accesses(db: Database, organisation_ids: Sequence[str]) -> dict[str, Accesses]:
    """What there is to end, by organisation."""
    under_way = await leaving_store.find_endings(db, organisation_ids)
    live = await leaving_store.count_live_in(db, organisation_ids)
    return {id: Accesses(live=live.get(id, 0), ending=under_way.get(id)) for id in organisation_ids}
