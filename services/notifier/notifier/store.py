"""Every query and index of notifier's database. Mails are rows to claim: pending, then sent, failed, expired or dropped."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common import claims
from common.correlation import carried
from common.erasure import in_batches
from common.ids import first_id
from common.mongo import Database, Document, Index, Reader, Tx
from common.restores import find_restored_at
from notifier.models import PRIORITY, Kind, Mail

MAILS, SHARES, ORGANISATIONS, SERVER = "mails", "shares", "organisations", "mail_server"
SERVER_ID = "mail server"
KEPT_SECONDS = 30 * 24 * 3600
LEASE_SECONDS = 90.0
BEFORE_RESTORE = {"before_restore": True, "expires_at": claims.IMMEDIATELY, "due_at": claims.IMMEDIATELY}
TOLD_SINCE = 1_000_000
"""More than what can have been told of the mail server since any backup."""
ORDER = [("priority", 1), ("due_at", 1), ("_id", 1)]

INDEXES = {
    MAILS: [
        Index(*ORDER, where={"state": "pending"}),
        Index(("share_id", 1), where={"state": "pending"}),
        Index(("return_token", 1)),
        Index(("finished_at", 1), expire_after=KEPT_SECONDS),
        Index(("concerns", 1)),
    ],
    SHARES: [],
    ORGANISATIONS: [],
    SERVER: [],
}


async def add_mail(tx: Tx, mail: Mail, *, expires_at: datetime | None = None, lasts: float = 0) -> None:
    """Queues a mail, once however often it is added. It expires at `expires_at`, or `lasts` seconds from the database's now; at once
    when its event was made before our data came back from a backup, for then it may have left before."""
    restored_at = await find_restored_at(tx)
    before_restore = restored_at is not None and mail.event_id < first_id("evt", restored_at)
    kept = {name: {"$literal": value} for name, value in mail.model_dump(exclude={"id"}).items()}
    end: Any = expires_at or {"$dateAdd": {"startDate": "$$NOW", "unit": "second", "amount": int(lasts)}}
    work = {"state": "pending", "due_at": claims.IMMEDIATELY, "attempts": 0, "reported": 0, "priority": mail.priority}
    new = {**kept, **work, **carried(), "expires_at": end, "queued_at": "$$NOW"} | (BEFORE_RESTORE if before_restore else {})
    only_once = [{"$replaceWith": {"$cond": [{"$ifNull": ["$state", False]}, "$$ROOT", {"$mergeObjects": ["$$ROOT", new]}]}}]
    await tx.collection(MAILS).update_one({"_id": mail.id}, only_once, upsert=True)


async def claim_mails(db: Database, kinds: tuple[Kind, ...], limit: int) -> list[Document]:
    """Due mails of these kinds, sign-in mails first; each leased for longer than sending may take."""
    return await claims.claim(db, MAILS, limit=limit, lease=LEASE_SECONDS, where={"kind": {"$in": list(kinds)}}, sort=ORDER)


async def count_waiting(reader: Reader) -> int:
    """Mails that were not handed over yet."""
    return int(await reader.collection(MAILS).count({"state": "pending", "priority": {"$in": sorted(set(PRIORITY.values()))}}))


async def is_wanted(reader: Reader, row: Document) -> bool:
    """Whether this mail, leased to us, is still to be sent at this moment of the database's clock."""
    alive = {"$gt": ["$expires_at", "$$NOW"]}
    return await reader.collection(MAILS).find_one({**claims.mine(row), "$expr": alive}, {"_id": 1}) is not None


async def is_ours(reader: Reader, row: Document) -> bool:
    return await reader.collection(MAILS).find_one(claims.mine(row), {"_id": 1}) is not None


async def finish_mail(tx: Tx, row: Document, state: str, **changes: Any) -> None:
    """Ends a mail's work and forgets its secret. Raises LeaseLost when it is no longer ours."""
    await claims.finish(tx, MAILS, row, [*claims.done(state, **changes), {"$unset": ["sealed"]}])


async def postpone_mail(db: Database, row: Document, seconds: float, reason: str, **changes: Any) -> None:
    await db.collection(MAILS).update_one(claims.mine(row), claims.later(seconds, reason=reason, **changes))


async def find_returnable(tx: Tx, return_token: str) -> Document | None:
    """The mail that comes back to this token, unless it came back or was dropped before. One cut off after DATA may still be pending."""
    return await tx.collection(MAILS).find_one({"return_token": return_token, "state": {"$in": ["sent", "pending"]}})


async def return_mail(tx: Tx, row: Document, reason: str) -> None:
    """Ends a mail that came back; it is tried no more."""
    await tx.collection(MAILS).update_one({"_id": row["_id"]}, [*claims.done("returned", reason=reason), {"$unset": ["sealed"]}])


async def drop_mails(tx: Tx, share_id: str, below: int | None = None) -> None:
    """Takes a share's waiting mails out of the queue; with `below` only invitations of lower numbers."""
    where: Document = {"share_id": share_id, "state": "pending"}
    if below is not None:
        where |= {"kind": "invitation", "number": {"$lt": below}}
    await tx.collection(MAILS).update_many(where, [*claims.done("dropped"), {"$unset": ["sealed"]}])


async def drop_reconnect_mails(tx: Tx, organisation_id: str) -> None:
    where = {"concerns": organisation_id, "kind": "reconnect", "state": "pending"}
    await tx.collection(MAILS).update_many(where, claims.done("dropped"))


async def has_pending(reader: Reader) -> bool:
    return await reader.collection(MAILS).find_one({"state": "pending"}, {"_id": 1}) is not None


async def note_invitation(tx: Tx, share_id: str, number: int) -> bool:
    """Whether this is the newest invitation of a share that has not ended, as far as we were told."""
    found = await tx.collection(SHARES).find_one_and_update({"_id": share_id}, {"$max": {"invitation_number": number}}, upsert=True)
    return bool(found and not found.get("ended") and found["invitation_number"] == number)


async def note_ended_share(tx: Tx, share_id: str) -> None:
    """Leaves a tombstone, for mails of this share that are yet to arrive."""
    await tx.collection(SHARES).update_one({"_id": share_id}, {"$set": {"ended": True}}, upsert=True)


async def is_ended(tx: Tx, share_id: str) -> bool:
    """Always a write, so that a mail and the end of its share cannot pass each other unseen."""
    found = await tx.collection(SHARES).find_one_and_update({"_id": share_id}, {"$inc": {"asked": 1}}, upsert=True)
    return bool(found and found.get("ended"))


async def note_connection(tx: Tx, organisation_id: str, version: int) -> bool:
    """Whether this loss or return of its connection is the newest we were told of."""
    update = {"$max": {"version": version}}
    before = await tx.collection(ORGANISATIONS).find_one_and_update({"_id": organisation_id}, update, upsert=True, before=True)
    return before is None or before["version"] < version


async def expire_waiting(db: Database) -> None:
    """Whatever waits is over and will be told so."""
    waiting = {"state": "pending", "before_restore": {"$ne": True}}
    over = {"$set": BEFORE_RESTORE, "$unset": {"lease": "", "lease_until": ""}}
    await in_batches(db, MAILS, waiting, lambda batch: db.collection(MAILS).update_many(batch, over))


async def forget_server(db: Database) -> None:
    """Nothing is known of the mail server; what is told of it next is newer than all that was told since a backup."""
    known = [{"$set": {"since": None, "told": False, "version": {"$add": [{"$ifNull": ["$version", 0]}, TOLD_SINCE]}}}]
    await db.collection(SERVER).update_one({"_id": SERVER_ID}, known, upsert=True)


async def note_server_failure(tx: Tx, seconds: float, since: Any = "$$NOW") -> Document:
    """Notes that the mail server failed; `tell` is true the one time when it has failed for so long without a success between.

    `since`: when that began, if nothing is known of it yet.
    """
    since = {"$ifNull": ["$since", since]}
    lasts = {"$gte": [{"$subtract": ["$$NOW", since]}, int(seconds * 1000)]}
    tell = {"$and": [{"$ne": ["$told", True]}, lasts]}
    stages: list[Document] = [
        {"$set": {"since": since, "tell": tell, "version": {"$add": [{"$ifNull": ["$version", 0]}, {"$cond": [tell, 1, 0]}]}}},
        {"$set": {"told": {"$or": [{"$eq": ["$told", True]}, "$tell"]}}},
    ]
    found = await tx.collection(SERVER).find_one_and_update({"_id": SERVER_ID}, stages, upsert=True)
    assert found is not None
    return found


async def note_put_off(tx: Tx, address: str, most: int) -> int:
    """Notes that the server put off a mail to this address (a digest of it); how many different ones since a mail was last taken.

    At most `most` are kept.
    """
    known = {"$ifNull": ["$put_off", []]}
    grown = {"$slice": [{"$setUnion": [known, [address]]}, most]}
    facts = {"put_off": grown, "put_off_since": {"$ifNull": ["$put_off_since", "$$NOW"]}, "version": {"$ifNull": ["$version", 0]}}
    found = await tx.collection(SERVER).find_one_and_update({"_id": SERVER_ID}, [{"$set": facts}], upsert=True)
    return len(found["put_off"]) if found else 0


async def puts_everybody_off(reader: Reader, most: int) -> bool:
    """Whether the server put off mails to that many different addresses since it last took one."""
    return await reader.collection(SERVER).find_one({"_id": SERVER_ID, f"put_off.{most - 1}": {"$exists": True}}, {"_id": 1}) is not None


async def note_server_success(tx: Tx) -> Document | None:
    """Forgets a failure, and who was put off; None when there was neither. `tell` says whether others had been told of it."""
    tell = {"$eq": ["$told", True]}
    version = {"$add": ["$version", {"$cond": [tell, 1, 0]}]}
    well: Document = {"since": None, "told": False, "put_off": [], "put_off_since": None}
    stages: list[Document] = [{"$set": {"tell": tell, "version": version, **well}}]
    troubled = {"$or": [{"since": {"$ne": None}}, {"put_off_since": {"$ne": None}}]}
    return await tx.collection(SERVER).find_one_and_update({"_id": SERVER_ID, **troubled}, stages)


async def find_failing_since(reader: Reader) -> datetime | None:
    """Since when the mail server takes nothing; None while it does."""
    found = await reader.collection(SERVER).find_one({"_id": SERVER_ID})
    return found["since"] if found and found.get("since") else None


async def forget_sender(db: Database, provider_id: str) -> None:
    """Takes the name and address of who shared out of invitations, those that wait included."""
    named = {"concerns": provider_id, "kind": "invitation", "about.person_email": {"$ne": None}}
    nameless = {"$set": {"about.person_name": None, "about.person_email": None}}
    await in_batches(db, MAILS, named, lambda batch: db.collection(MAILS).update_many(batch, nameless))


async def delete_mails(db: Database, where: Document) -> None:
    await in_batches(db, MAILS, where, lambda batch: db.collection(MAILS).delete_many(batch))


SIGN_IN_KINDS: tuple[Kind, ...] = tuple(kind for kind, priority in PRIORITY.items() if priority == 0)
ALL_KINDS: tuple[Kind, ...] = tuple(PRIORITY)
