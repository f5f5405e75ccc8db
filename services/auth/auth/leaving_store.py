"""Every query about leaving: the ways under way, and what ends with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from auth.models import Connection, Leaving
from auth.store import CONNECTIONS, PROVIDERS, SESSIONS, TOKEN_SETS, ahead, literal
from common import claims
from common.ids import new_id
from common.mongo import Database, Document, DuplicateKey, Index, Indexes, Reader, Tx

LEAVINGS = "leavings"
INDEXES: Indexes = {
    LEAVINGS: [
        claims.INDEX,
        Index(("subject", 1), unique=True, where={"state": "pending"}),
        Index(("provider_id", 1), where={"state": "pending"}),
        Index(("token_set_id", 1), where={"state": "pending"}),
    ]
}


async def add_leaving(db: Database, leaving: Leaving, lease: float) -> tuple[Document, Document | None] | None:
    """The row, leased to the caller from its beginning, and as it was before when this subject was leaving already.

    Then it goes back to the first step of what is chosen now. Access that was still to be ended is not forgotten over it. None when
    the same is in other hands at this moment.
    """
    fence = new_id("lse")
    work = {"state": "pending", "due_at": claims.IMMEDIATELY, "attempts": 1, "reported": 0, "lease": fence}
    row = literal({**leaving.model_dump(exclude={"id"}), "subject": leaving.subject, **work})
    times = {"began_at": "$$NOW", "lease_until": ahead(lease)}
    for _ in range(2):  # what was under way may come to its end between the two writes
        try:
            added = await db.collection(LEAVINGS).find_one_and_update({"_id": leaving.id}, [{"$set": {**row, **times}}], upsert=True)
            assert added is not None
            return added, None
        except DuplicateKey:
            again = [{"$set": {**row, **times, **_carried(leaving)}}]
            before = await db.collection(LEAVINGS).find_one_and_update(_may_begin_again(leaving), again, before=True)
        if before:
            taken = await db.collection(LEAVINGS).find_one({"_id": before["_id"], "lease": fence})
            return (taken, before) if taken else None
    return None


def _may_begin_again(leaving: Leaving) -> Document:
    """The row under way, unless somebody is doing the same at this moment or the account has gone."""
    held = {"$gt": [{"$ifNull": ["$lease_until", 0]}, "$$NOW"]}
    covers = [{"$eq": ["$kind", leaving.kind]}, {"$setIsSubset": [{"$literal": list(leaving.ending)}, "$ending"]}]
    same = {"$and": [held, *covers, {"$ne": ["$step", "xero"]}]}
    gone = {"$and": [{"$eq": ["$kind", "delete"]}, {"$eq": ["$step", "xero"]}]}
    return {"subject": leaving.subject, "state": "pending", "$expr": {"$not": [{"$or": [same, gone]}]}}


def _carried(leaving: Leaving) -> Document:
    """What a row that has yet to end access keeps of it when it begins again."""
    unfinished = {"$eq": ["$step", "access"]}
    kept = {name: {"$cond": [unfinished, f"${name}", {"$literal": getattr(leaving, name)}]} for name in ("kind", "step")}
    lists: Document = {name: {"$literal": list(getattr(leaving, name))} for name in ("organisations", "ending", "erasing")}
    return kept | {name: {"$cond": [unfinished, {"$setUnion": [f"${name}", asked]}, asked]} for name, asked in lists.items()}


async def claim_leavings(db: Database, lease: float) -> list[Document]:
    return await claims.claim(db, LEAVINGS, limit=1, lease=lease)


async def withdraw_leaving(db: Database, row: Document, before: Document | None) -> bool:
    """What was chosen last will not be done, what was under way `before` goes on; False when somebody else has the row meanwhile."""
    mine = {**claims.mine(row), "step": "access"}
    if before is None:
        return bool(await db.collection(LEAVINGS).delete_one(mine))
    unleased = {name: value for name, value in before.items() if name not in ("_id", "lease", "lease_until")}
    return bool((await db.collection(LEAVINGS).replace_one(mine, unleased)).matched)


async def go_on_later(db: Database, row: Document, seconds: float) -> None:
    await db.collection(LEAVINGS).update_one(claims.mine(row), claims.later(seconds))


async def take_step(tx: Tx, row: Document, step: str, **changes: Any) -> None:
    """The next step is `step`; the lease stays. Raises LeaseLost."""
    await claims.finish(tx, LEAVINGS, row, [{"$set": {"step": step, **changes}}])


async def finish_leaving(tx: Tx, row: Document) -> None:
    """What stays says what happened when, by ids that lead to nobody. Raises LeaseLost."""
    done = [*claims.done("done"), {"$unset": ["name", "email", "token_set_id", "connection_id", "subject"]}]
    await claims.finish(tx, LEAVINGS, row, done)


async def list_under_way(reader: Reader, provider_id: str) -> list[Document]:
    """A provider's leavings that go on, the one of the account first."""
    found = await reader.collection(LEAVINGS).find({"provider_id": provider_id, "state": "pending"})
    return sorted(found, key=lambda row: row["kind"] != "delete")


async def list_connections_among(reader: Reader, organisation_ids: Sequence[str]) -> list[Connection]:
    """Everybody's connections to these organisations that have not ended."""
    where = {"organisation_id": {"$in": list(organisation_ids)}, "state": {"$ne": "ended"}}
    return [Connection.model_validate(row) for row in await reader.collection(CONNECTIONS).find(where)]


async def find_own_connection(reader: Reader, provider_id: str, organisation_id: str) -> tuple[Connection, str] | None:
    """A provider's connection to an organisation, and its id at Xero."""
    found = await reader.collection(CONNECTIONS).find_one({"provider_id": provider_id, "organisation_id": organisation_id})
    return (Connection.model_validate(found), found["xero_id"]) if found else None


async def delete_provider(tx: Tx, provider_id: str) -> None:
    """The person with their sessions and connections; their token set works no more, and waits to be revoked."""
    await tx.collection(SESSIONS).delete_many({"provider_id": provider_id})
    await tx.collection(CONNECTIONS).delete_many({"provider_id": provider_id})
    await tx.collection(PROVIDERS).delete_one({"_id": provider_id})
    await tx.collection(TOKEN_SETS).update_many({"provider_id": provider_id}, {"$set": {"state": "dead"}})


async def is_refreshed_now(reader: Reader, token_set_id: str) -> bool:
    """A refresh that began before the set was given up may still bring a new token."""
    busy = {"_id": token_set_id, "$expr": {"$gt": [{"$ifNull": ["$lease_until", 0]}, "$$NOW"]}}
    return await reader.collection(TOKEN_SETS).find_one(busy, {"_id": 1}) is not None


async def has_returned(reader: Reader, owner: str) -> bool:
    """Whether the login (issuer|subject) has an account again."""
    issuer, _, subject = owner.partition("|")
    return await reader.collection(PROVIDERS).find_one({"issuer": issuer, "subject": subject}, {"_id": 1}) is not None


async def others_leave_with(tx: Tx, token_set_id: str, leaving_id: str) -> bool:
    """Whether another leaving with this token set is under way.

    Always writes to the token set, so that of two that finish at once the second sees that it is the last.
    """
    await tx.collection(TOKEN_SETS).update_one({"_id": token_set_id}, {"$inc": {"left": 1}})
    other = {"token_set_id": token_set_id, "state": "pending", "_id": {"$ne": leaving_id}}
    return await tx.collection(LEAVINGS).find_one(other, {"_id": 1}) is not None


async def delete_token_set(tx: Tx, token_set_id: str, generation: int) -> bool:
    """False when there are newer tokens in it."""
    return bool(await tx.collection(TOKEN_SETS).delete_one({"_id": token_set_id, "generation": generation}))


async def began_before(reader: Reader, row: Document, seconds: float) -> bool:
    long_ago = {"_id": row["_id"], "$expr": {"$lt": ["$began_at", ahead(-seconds)]}}
    return await reader.collection(LEAVINGS).find_one(long_ago, {"_id": 1}) is not None
