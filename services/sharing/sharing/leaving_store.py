"""Every query about leaving: organisations whose accesses are all being ended, contacts to erase, and providers to forget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from common import claims
from common.erasure import in_batches
from common.mongo import Database, Document, Indexes, Reader, Tx
from sharing.models import Actor, Share, contact_key
from sharing.snapshot_store import NOTHING, PREVIEWS, SNAPSHOTS, VERSIONS, VIEWINGS
from sharing.store import CONTACTS, INVITATIONS, LIVE, ORGANISATIONS, SHARES

ENDINGS = "endings"
CLOSED_CONTACTS = "closed_contacts"
KEPT_DAYS = 30
"""How long snapshots stay after the last access to their contact ended."""

TRANSACTIONS_LIVE_SECONDS = 60
"""MongoDB ends a transaction after this time (transactionLifetimeLimitSeconds): one that did not see a flag is over by then."""

BATCH = 500
INDEXES: Indexes = {ENDINGS: [claims.INDEX], CLOSED_CONTACTS: [claims.INDEX]}


# ── ending all access of an organisation


async def flag_ending(tx: Tx, organisation_id: str, left: str | None) -> None:
    """From the commit on no share of the organisation opens anything. `left` is a provider who may never share here again."""
    update: Document = {"$currentDate": {"ending_since": True}}
    if left:
        update["$addToSet"] = {"left": left}
    await tx.collection(ORGANISATIONS).update_one({"_id": organisation_id}, update, upsert=True)


async def unflag_ending(tx: Tx, organisation_id: str) -> None:
    await tx.collection(ORGANISATIONS).update_one({"_id": organisation_id}, {"$set": {"ending_since": None}})


async def forbid_sharing(tx: Tx, organisation_id: str, left: str) -> None:
    await tx.collection(ORGANISATIONS).update_one({"_id": organisation_id}, {"$addToSet": {"left": left}}, upsert=True)


async def forget_name(tx: Tx, organisation_id: str) -> None:
    """Of an organisation nobody has connected: what stays are versions, so that older events stay older."""
    gone = {"_id": organisation_id, "state": "disconnected"}
    await tx.collection(ORGANISATIONS).update_one(gone, {"$set": {"name": "", "time_zone": None}})


async def add_ending(tx: Tx, organisation_id: str, by: Actor, *, erase: bool, total: int) -> None:
    """Begins, or begins anew; an organisation that is to be erased stays so."""
    told = {name: {"$literal": value} for name, value in {"by": by.model_dump(), "total": total}.items()}
    work = {"state": "pending", "due_at": claims.IMMEDIATELY, "attempts": 0, "reported": 0, "began_at": "$$NOW"}
    again = {"erase": {"$or": [erase, {"$and": [{"$eq": ["$state", "pending"]}, "$erase"]}]}}
    update = [{"$set": {**again, **told, **work}}, {"$unset": ["lease", "lease_until", "finished_at"]}]
    await tx.collection(ENDINGS).update_one({"_id": organisation_id}, update, upsert=True)


async def find_endings(reader: Reader, organisation_ids: Sequence[str]) -> dict[str, int]:
    """How many accesses there were when it began, by organisation, of those under way."""
    where = {"_id": {"$in": list(organisation_ids)}, "state": "pending"}
    return {row["_id"]: row["total"] for row in await reader.collection(ENDINGS).find(where, projection={"total": 1})}


async def count_live(reader: Reader, organisation_id: str) -> int:
    return int(await reader.collection(SHARES).count({"organisation_id": organisation_id, **LIVE}))


async def count_live_in(reader: Reader, organisation_ids: Sequence[str]) -> dict[str, int]:
    """Live shares by organisation, of those that have any."""
    where = {"organisation_id": {"$in": list(organisation_ids)}, **LIVE}
    counted = [{"$match": where}, {"$group": {"_id": "$organisation_id", "shares": {"$sum": 1}}}]
    return {row["_id"]: row["shares"] for row in await reader.collection(SHARES).aggregate(counted)}


async def count_to_end(db: Database) -> int:
    """Live shares of all organisations whose ending is under way."""
    found = await db.collection(ENDINGS).find({"state": "pending"}, projection={"_id": 1})
    return sum((await count_live_in(db, [row["_id"] for row in found])).values()) if found else 0


async def list_live_ids(reader: Reader, organisation_id: str) -> list[str]:
    """Some of the organisation's live shares, newest first."""
    where = {"organisation_id": organisation_id, **LIVE}
    found = await reader.collection(SHARES).find(where, sort=[("created_at", -1)], limit=BATCH, projection={"_id": 1})
    return [row["_id"] for row in found]


async def has_settled(tx: Tx, row: Document) -> bool:
    """No transaction that began before the flag can still be open."""
    ago = {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": -TRANSACTIONS_LIVE_SECONDS}}
    where = {"_id": row["_id"], "$expr": {"$lt": ["$began_at", ago]}}
    return await tx.collection(ENDINGS).find_one(where, {"_id": 1}) is not None


# ── contacts nobody has access to any more


async def keep_for_a_while(tx: Tx, organisation_id: str, contact_id: str) -> None:
    """What is stored of this contact is to be erased in 30 days, unless somebody has access to it then."""
    due = {"$dateAdd": {"startDate": "$$NOW", "unit": "day", "amount": KEPT_DAYS}}
    ids = {"organisation_id": {"$literal": organisation_id}, "contact_id": {"$literal": contact_id}}
    work = {"state": "pending", "due_at": due, "attempts": 0, "reported": 0}
    update = [{"$set": {**ids, **work}}, {"$unset": ["lease", "lease_until"]}]
    await tx.collection(CLOSED_CONTACTS).update_one({"_id": contact_key(organisation_id, contact_id)}, update, upsert=True)


async def has_live_share(tx: Tx, organisation_id: str, contact_id: str) -> bool:
    where = {"organisation_id": organisation_id, "contact_id": contact_id, **LIVE}
    return await tx.collection(SHARES).find_one(where, {"_id": 1}) is not None


async def touch_contact(tx: Tx, organisation_id: str, contact_id: str) -> None:
    """A write that a new access of this contact cannot pass unseen, for it writes the contact too."""
    await tx.collection(CONTACTS).update_one({"_id": contact_key(organisation_id, contact_id)}, {"$inc": {"revision": 1}})


async def drop_closed_contact(tx: Tx, row: Document) -> None:
    """Nothing more to erase. Raises LeaseLost, also when another access ended meanwhile."""
    if not await tx.collection(CLOSED_CONTACTS).delete_one(claims.mine(row)):
        raise claims.LeaseLost(row["_id"])


async def delete_some_snapshots(tx: Tx, organisation_id: str, contact_id: str) -> int:
    """Newest versions first, then the ones before; answers how many, 0 when none is left."""
    where = {"organisation_id": organisation_id, "contact_id": contact_id}
    for name in (SNAPSHOTS, VERSIONS):
        if found := await tx.collection(name).find(where, projection={"_id": 1}, limit=BATCH):
            return await tx.collection(name).delete_many({"_id": {"$in": [row["_id"] for row in found]}})
    return 0


# ── organisations and providers that left


async def list_ended_before(db: Database, organisation_id: str, moment: datetime) -> list[Share]:
    """Some of the shares that were made before that moment and have ended."""
    where = {"organisation_id": organisation_id, "created_at": {"$lt": moment}, "ended_at": {"$ne": None}}
    return [Share.model_validate(row) for row in await db.collection(SHARES).find(where, limit=BATCH)]


async def delete_shares(tx: Tx, share_ids: Iterable[str]) -> None:
    """Shares with everything that belongs to them alone."""
    ids = list(share_ids)
    for name in (INVITATIONS, VIEWINGS, PREVIEWS):
        await tx.collection(name).delete_many({"share_id": {"$in": ids}})
    await tx.collection(SHARES).delete_many({"_id": {"$in": ids}})


async def list_contact_ids(db: Database, organisation_id: str, after: str = "") -> list[str]:
    """Some of the organisation's contacts, in order."""
    key = contact_key(organisation_id, after)
    where = {"_id": {"$gt": key, "$lt": f"{organisation_id};"}}  # ";" comes after ":"
    found = await db.collection(CONTACTS).find(where, sort=[("_id", 1)], limit=BATCH, projection={"contact_id": 1})
    return [row["contact_id"] for row in found]


async def has_share(reader: Reader, organisation_id: str, contact_id: str) -> bool:
    """A live or an ended one."""
    where = {"organisation_id": organisation_id, "contact_id": contact_id}
    return await reader.collection(SHARES).find_one(where, {"_id": 1}) is not None


async def delete_contact(tx: Tx, organisation_id: str, contact_id: str) -> None:
    key = {"_id": contact_key(organisation_id, contact_id)}
    await tx.collection(CONTACTS).delete_one(key)
    await tx.collection(CLOSED_CONTACTS).delete_one(key)


async def delete_stray_snapshots(db: Database, organisation_id: str, kept: Iterable[str], moment: datetime) -> int:
    """Some of the snapshots and versions of contacts other than these; answers how many.

    Only what was read before that moment: a contact may be shared again meanwhile, and what is read for it then belongs to that share.
    """
    where = {"organisation_id": organisation_id, "contact_id": {"$nin": sorted(kept)}, "read_at": {"$lt": moment}}
    deleted = 0
    for name in (SNAPSHOTS, VERSIONS):
        found = await db.collection(name).find(where, projection={"_id": 1}, limit=BATCH)
        ids = {"_id": {"$in": [row["_id"] for row in found]}}  # a snapshot may have been replaced since it was found
        deleted += await db.collection(name).delete_many({**where, **ids} if found else NOTHING)
    return deleted


async def delete_looks(db: Database, organisation_id: str, moment: datetime) -> None:
    """What providers looked at before that moment without a share."""
    where = {"organisation_id": organisation_id, "share_id": None, "at": {"$lt": moment}}
    await in_batches(db, PREVIEWS, where, lambda batch: db.collection(PREVIEWS).delete_many(batch))


async def forget_provider(db: Database, provider_id: str) -> None:
    """Name and address of a provider, wherever they stand beside a share or an ending; the id stays, it says nothing."""
    for role in ("shared_by", "ended_by"):
        where = {f"{role}.id": provider_id, f"{role}.email": {"$ne": ""}}
        while found := await db.collection(SHARES).find(where, projection={"_id": 1}, limit=BATCH):
            nameless = {"$set": {f"{role}.name": "", f"{role}.email": ""}}
            await db.collection(SHARES).update_many({"_id": {"$in": [row["_id"] for row in found]}}, nameless)
    await db.collection(PREVIEWS).update_many({"by.id": provider_id}, {"$set": {"by.name": "", "by.email": ""}})
    await db.collection(ENDINGS).update_many({"state": "pending", "by.id": provider_id}, {"$set": {"by.name": "", "by.email": ""}})
