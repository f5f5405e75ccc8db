"""Every Mongo query of this service but those of the budget, and all indexes. Scoping arguments come first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from common import claims
from common.contracts.xero_gateway import SHAREABLE
from common.correlation import carried
from common.erasure import in_batches
from common.ids import new_id
from common.mongo import Database, Document, Filter, Index, Indexes, Reader, Tx
from xero_gateway.budget_store import BUDGETS
from xero_gateway.models import PASSES_AHEAD_SECONDS, Arrivals, Findings, Load, Mark, Published, Webhook, key_of

ORGANISATIONS = "organisations"
SHARES = "shares"
LOADS = "loads"
MARKS = "marks"
PUBLISHED = "published"
WEBHOOKS = "webhooks"
ARRIVALS = "arrivals"
RECONCILIATIONS = "reconciliations"
PDFS = "pdfs"
PDF_BATCHES = "pdf_batches"
LIST_HEADS = "list_heads"
LIST_PARTS = "list_parts"

DUE_OF_ORGANISATION = Index(("organisation_id", 1), *claims.ORDER, where={"state": "pending"})
INDEXES: Indexes = {
    ORGANISATIONS: [],
    SHARES: [Index(("organisation_id", 1), ("contact_id", 1), where={"live": True})],
    LOADS: [claims.INDEX, DUE_OF_ORGANISATION, Index(("organisation_id", 1), ("contact_id", 1))],
    MARKS: [claims.INDEX, DUE_OF_ORGANISATION],
    WEBHOOKS: [claims.INDEX],
    ARRIVALS: [],
    PUBLISHED: [Index(("organisation_id", 1), ("contact_id", 1))],
    RECONCILIATIONS: [claims.INDEX, Index(("state", 1), ("passed_at", 1))],
    BUDGETS: [],
    PDFS: [Index(("organisation_id", 1)), Index(("purge_at", 1), expire_after=0)],
    PDF_BATCHES: [claims.INDEX, DUE_OF_ORGANISATION, Index(("organisation_id", 1)), Index(("purge_at", 1), expire_after=0)],
    LIST_HEADS: [Index(("purge_at", 1), expire_after=0)],
    LIST_PARTS: [Index(("list_id", 1), ("place", 1)), Index(("organisation_id", 1)), Index(("purge_at", 1), expire_after=0)],
}
NEW_WORK = {"state": "pending", "due_at": claims.IMMEDIATELY, "attempts": 0, "reported": 0}
AFFORDABLE = {"$subtract": [{"$ifNull": ["$paid_until", claims.IMMEDIATELY]}, PASSES_AHEAD_SECONDS * 1000]}
ASK: list[Document] = [{"$set": {"due_at": AFFORDABLE, "asked": {"$add": [{"$ifNull": ["$asked", 0]}, 1]}}}]
"""Makes a row due now, a reconciliation as soon as its part of the day allows. `asked` tells whoever holds the row that it was wanted
again meanwhile: see `later`."""


# Organisations


async def find_organisation(reader: Reader, organisation_id: str) -> Document | None:
    found: Document | None = await reader.collection(ORGANISATIONS).find_one({"_id": organisation_id})
    return found


async def list_names(reader: Reader, organisation_ids: Iterable[str]) -> dict[str, str]:
    """Names of those of the organisations that are known."""
    found = await reader.collection(ORGANISATIONS).find({"_id": {"$in": sorted(organisation_ids)}}, projection={"name": 1})
    return {row["_id"]: row.get("name", "") for row in found}


async def save_organisation(tx: Tx, organisation_id: str, facts: Document) -> None:
    await tx.collection(ORGANISATIONS).update_one({"_id": organisation_id}, {"$set": facts}, upsert=True)


# Shares: which contacts are watched


async def find_share(reader: Reader, share_id: str) -> Document | None:
    found: Document | None = await reader.collection(SHARES).find_one({"_id": share_id})
    return found


async def save_share(tx: Tx, organisation_id: str, contact_id: str, share_id: str, *, live: bool) -> None:
    row = {"organisation_id": organisation_id, "contact_id": contact_id, "live": live}
    await tx.collection(SHARES).replace_one({"_id": share_id}, row, upsert=True)


async def watched_among(reader: Reader, organisation_id: str, contact_ids: Iterable[str]) -> set[str]:
    """Those of the contacts that have a live share."""
    where = {"organisation_id": organisation_id, "contact_id": {"$in": sorted(set(contact_ids))}, "live": True}
    return {row["contact_id"] for row in await reader.collection(SHARES).find(where, projection={"contact_id": 1})}


async def watches_any(reader: Reader, organisation_id: str) -> bool:
    """Whether the organisation has a live share at all."""
    where = {"organisation_id": organisation_id, "live": True}
    return await reader.collection(SHARES).find_one(where, projection={"_id": 1}) is not None


async def next_watched(reader: Reader, organisation_id: str, after: str = "") -> str | None:
    """The first contact with a live share behind this one, in the order of their ids."""
    where = {"organisation_id": organisation_id, "live": True, "contact_id": {"$gt": after}}
    found = await reader.collection(SHARES).find_one(where, {"contact_id": 1}, sort=[("contact_id", 1)])
    return str(found["contact_id"]) if found else None


# First loads


async def find_load(reader: Reader, organisation_id: str, load_id: str) -> Load | None:
    row = await reader.collection(LOADS).find_one({"_id": load_id, "organisation_id": organisation_id})
    return Load.model_validate(row) if row else None


async def add_load(tx: Tx, organisation_id: str, contact_id: str, load_id: str, state: str) -> None:
    """Does nothing when the load is there."""
    row = {**NEW_WORK, **carried(), "state": state, "organisation_id": organisation_id, "contact_id": contact_id}
    await tx.collection(LOADS).update_one({"_id": load_id}, {"$setOnInsert": row}, upsert=True)


async def is_loading(reader: Reader, organisation_id: str, contact_id: str) -> bool:
    where = {"organisation_id": organisation_id, "contact_id": contact_id, "state": "pending"}
    return await reader.collection(LOADS).find_one(where, {"_id": 1}) is not None


async def change_loads(tx: Tx, organisation_id: str, contact_id: str, *, state: str, to: str) -> None:
    """All loads of the contact in one state get another; leases end, so that whoever holds one loses what it reads."""
    where = {"organisation_id": organisation_id, "contact_id": contact_id, "state": state}
    update = {"$set": {"state": to, "due_at": claims.IMMEDIATELY}, "$unset": {"lease": "", "lease_until": ""}}
    await tx.collection(LOADS).update_many(where, update)


# What was published


async def published_among(reader: Reader, organisation_id: str, invoice_ids: Iterable[str]) -> dict[str, Published]:
    """Those of the invoices that were ever published, by id."""
    ids = [key_of(organisation_id, invoice_id) for invoice_id in invoice_ids]
    rows = await reader.collection(PUBLISHED).find({"_id": {"$in": ids}})
    return {row["invoice_id"]: Published.model_validate(row) for row in rows}


async def published_of_contact(reader: Reader, organisation_id: str, contact_id: str) -> list[str]:
    """Ids of the invoices that belonged to the contact when they were last published."""
    rows = await reader.collection(PUBLISHED).find({"organisation_id": organisation_id, "contact_id": contact_id})
    return [row["invoice_id"] for row in rows]


async def published_any(reader: Reader, organisation_id: str) -> bool:
    return await reader.collection(PUBLISHED).find_one({"organisation_id": organisation_id}, projection={"_id": 1}) is not None


async def save_published(tx: Tx, organisation_id: str, published: Iterable[Published]) -> None:
    """Keeps the load of an invoice when the new row names none."""
    changes = [
        (
            {"_id": key_of(organisation_id, row.invoice_id)},
            {"$set": {"organisation_id": organisation_id, **row.model_dump(exclude_none=True)}},
        )
        for row in published
    ]
    await tx.collection(PUBLISHED).upsert_many(changes)


async def note_swept(db: Database, organisation_id: str, invoice_ids: Iterable[str], round_: str) -> None:
    """These were seen in this round over everything."""
    ids = [key_of(organisation_id, invoice_id) for invoice_id in invoice_ids]
    await db.collection(PUBLISHED).update_many({"_id": {"$in": ids}}, {"$set": {"swept": round_}})


async def published_unswept(reader: Reader, organisation_id: str, contact_id: str, round_: str) -> list[str]:
    """Invoices of the contact that are told as shareable and were not seen in this round; at most a thousand."""
    where = {"organisation_id": organisation_id, "contact_id": contact_id, "status": {"$in": sorted(SHAREABLE)}, "swept": {"$ne": round_}}
    rows = await reader.collection(PUBLISHED).find(where, projection={"invoice_id": 1}, limit=1000)
    return [row["invoice_id"] for row in rows]


# Webhooks: what came and waits to be marked, and what is known of all that came


async def add_webhook(db: Database, webhook: Webhook) -> None:
    """One write, and the only one while Xero waits for the answer."""
    await db.collection(WEBHOOKS).insert_one({"_id": new_id("whk"), **NEW_WORK, **webhook.model_dump()})


async def clear_webhooks(tx: Tx, rows: Sequence[Document]) -> None:
    await tx.collection(WEBHOOKS).delete_many({"_id": {"$in": [row["_id"] for row in rows]}})


async def find_arrivals(reader: Reader) -> Arrivals:
    row = await reader.collection(ARRIVALS).find_one({"_id": ARRIVALS})
    return Arrivals.model_validate(row or {})


async def save_arrivals(tx: Tx, arrivals: Arrivals) -> None:
    await tx.collection(ARRIVALS).replace_one({"_id": ARRIVALS}, arrivals.model_dump(), upsert=True)


# Marks: what has to be looked at


async def add_marks(where: Reader, marks: Iterable[tuple[str, str, str]]) -> None:
    """(organisation, category, resource) each marked once more, in one write."""
    first = {name: value for name, value in NEW_WORK.items() if name != "state"}
    changes = [
        (
            {"_id": key_of(organisation_id, category, resource_id)},
            {
                "$inc": {"dirty_seq": 1},
                "$set": {"state": "pending"},
                "$setOnInsert": {"organisation_id": organisation_id, "category": category, "resource_id": resource_id, **first},
            },
        )
        for organisation_id, category, resource_id in marks
    ]
    await where.collection(MARKS).upsert_many(changes)


async def marked_among(reader: Reader, organisation_id: str, category: str, resource_ids: Iterable[str]) -> set[str]:
    """Those that wait to be looked at already."""
    ids = [key_of(organisation_id, category, resource_id) for resource_id in resource_ids]
    rows = await reader.collection(MARKS).find({"_id": {"$in": ids}, "state": "pending"}, projection={"resource_id": 1})
    return {row["resource_id"] for row in rows}


async def park_marks(tx: Tx, organisation_id: str, reasons: Mapping[str, str]) -> None:
    """Invoices that cannot be read, with why; a mark that waits to be looked at stays as it is."""
    for invoice_id, reason in reasons.items():
        row = {**NEW_WORK, "organisation_id": organisation_id, "category": "INVOICE", "resource_id": invoice_id, "dirty_seq": 0}
        key = {"_id": key_of(organisation_id, "INVOICE", invoice_id)}
        await tx.collection(MARKS).update_one(key, {"$setOnInsert": {**row, "state": "parked", "reason": reason}}, upsert=True)


async def clear_marks(tx: Tx, rows: Sequence[Document]) -> None:
    """Removes marks in one write; those that were set again meanwhile are due at once. Raises LeaseLost."""
    unchanged = [{**claims.mine(row), "dirty_seq": Mark.model_validate(row).dirty_seq} for row in rows]
    cleared = await tx.collection(MARKS).delete_many({"$or": unchanged}) if rows else 0
    if cleared == len(rows):
        return
    left = await tx.collection(MARKS).find({"_id": {"$in": [row["_id"] for row in rows]}}, projection={"_id": 1})
    if cleared + len(left) < len(rows):
        raise claims.LeaseLost
    by_id = {row["_id"]: row for row in rows}
    for row in left:
        await claims.finish(tx, MARKS, by_id[row["_id"]], claims.later(0, attempts=0, reported=0))


# Reconciliation


async def add_reconciliation(tx: Tx, organisation_id: str, high_water: datetime) -> None:
    """Begins, or wakes when nobody was watched for a while; an existing high-water mark stays.

    Always writes, so that a pass that ends because nobody is watched never misses that somebody is.
    """
    rows = tx.collection(RECONCILIATIONS)
    if not (await rows.update_one({"_id": organisation_id, "state": "idle"}, {"$set": NEW_WORK})).matched:
        first = {**NEW_WORK, "organisation_id": organisation_id, "high_water": high_water}
        await rows.update_one({"_id": organisation_id}, {"$setOnInsert": first, "$inc": {"asked": 1}}, upsert=True)


async def ask_for_reconciliation(tx: Tx, organisation_id: str, since: datetime | None = None) -> None:
    """A pass is wanted now, from `since` on when that is earlier; one under way is followed by another."""
    update = [*ASK, {"$set": {"high_water": {"$min": ["$high_water", since]}}}] if since else ASK
    await tx.collection(RECONCILIATIONS).update_one({"_id": organisation_id, "state": "pending"}, update)


async def ask_for_all_reconciliations(db: Database, organisation_id: str | None = None) -> int:
    """The same for every organisation that shares something, or for this one if it does; answers how many were asked."""
    one = {"_id": organisation_id} if organisation_id else {}
    return (await db.collection(RECONCILIATIONS).update_many({"state": "pending", **one}, ASK)).matched


async def list_passes_wanted(reader: Reader, since: datetime, organisation_id: str | None = None) -> list[Document]:
    """How many organisations have had no pass since that moment, by why: rows of {_id: reason, organisations, due_at}.

    Reasons: `not_connected`; `later`, when Xero or the day's part of calls lets us ask only at `due_at`, more than a minute ahead;
    else `now`.
    """
    one = {"_id": organisation_id} if organisation_id else {}
    late = {"$gt": ["$due_at", {"$dateAdd": {"startDate": "$$NOW", "unit": "minute", "amount": 1}}]}
    known = {"from": ORGANISATIONS, "localField": "_id", "foreignField": "_id", "as": "known"}
    unconnected = {"$ne": [{"$ifNull": [{"$first": "$known.state"}, "connected"]}, "connected"]}
    reason = {"$cond": [unconnected, "not_connected", {"$cond": [late, "later", "now"]}]}
    pipeline: list[Filter] = [
        {"$match": {"state": "pending", "$or": [{"passed_at": None}, {"passed_at": {"$lt": since}}], **one}},
        {"$lookup": known},
        {"$group": {"_id": reason, "organisations": {"$sum": 1}, "due_at": {"$min": "$due_at"}}},
    ]
    return list(await reader.collection(RECONCILIATIONS).aggregate(pipeline))


async def finish_pass(tx: Tx, row: Document, found: Findings, seconds: float, price: float) -> None:
    """The next pass is due in `seconds` and begins where this one did, or earlier where it was asked to meanwhile.

    One that found something is followed by another in any case. `price`: for how many seconds of an organisation's part of the day
    the calls of this pass stand. Raises LeaseLost.
    """
    asked_back = {"$lt": ["$high_water", row["high_water"]]}
    paid_until = {"$add": [{"$max": ["$paid_until", "$$NOW"]}, int(price * 1000)]}
    facts: Document = {"high_water": {"$cond": [asked_back, "$high_water", found.read_at]}, "paid_until": paid_until}
    facts |= {"passed_at": found.read_at, "answered": row.get("asked", 0) if found.nothing else None}
    facts |= {"sweep": {"$literal": found.sweep.model_dump()}} if found.sweep else {}
    update = later(row, seconds, attempts=0, reported=0)
    await claims.finish(tx, RECONCILIATIONS, row, [{"$set": facts}, *update, {"$set": {"due_at": {"$max": ["$due_at", AFFORDABLE]}}}])


async def find_last_pass(reader: Reader, organisation_id: str) -> datetime | None:
    """When Xero was last asked for everything that changed, and all of it was marked."""
    row = await reader.collection(RECONCILIATIONS).find_one({"_id": organisation_id}, {"passed_at": 1})
    return row.get("passed_at") if row else None


# Organisations that left


class StillWatched(Exception):
    """The organisation has a live share, so nothing of it goes."""


async def delete_work_of(tx: Tx, organisation_id: str) -> None:
    """What has to be read of an organisation. Raises StillWatched.

    A share that begins at this moment writes the reconciliation too, or adds what this does not see: its work stays.
    """
    await _refuse_watched(tx, organisation_id)
    await tx.collection(RECONCILIATIONS).delete_one({"_id": organisation_id})
    await tx.collection(LOADS).delete_many({"organisation_id": organisation_id})


async def delete_rest_of(db: Database, organisation_id: str) -> None:
    """What was read from an organisation's Xero and what has to be looked at, some at a time; its versions stay, and which shares it had.

    Raises StillWatched as soon as a share begins: nothing that was read for it goes.
    """
    keyed_by_it = {"_id": {"$gt": f"{organisation_id}:", "$lt": f"{organisation_id};"}}  # ";" comes after ":"
    of_it = {"organisation_id": organisation_id}
    for name in (MARKS, PUBLISHED, LIST_HEADS, LIST_PARTS, PDFS, PDF_BATCHES):

        async def delete(batch: Filter, name: str = name) -> None:
            await db.transact(_delete_batch, organisation_id, name, batch)

        await in_batches(db, name, of_it if name in (LIST_PARTS, PDFS, PDF_BATCHES) else keyed_by_it, delete)
    gone = {"_id": organisation_id, "state": "disconnected"}
    await db.collection(ORGANISATIONS).update_one(gone, {"$set": {"name": "", "time_zone": None}})


async def _delete_batch(tx: Tx, organisation_id: str, collection: str, batch: Filter) -> None:
    await _refuse_watched(tx, organisation_id)
    await tx.collection(collection).delete_many(batch)


async def _refuse_watched(tx: Tx, organisation_id: str) -> None:
    if await watches_any(tx, organisation_id):
        raise StillWatched(organisation_id)


# All background work


async def next_organisation(db: Database, collection: str, busy: Iterable[str]) -> str | None:
    """Whose work is due the longest, of organisations that are not `busy`."""
    where = {"$and": [{"state": "pending", "organisation_id": {"$nin": sorted(busy)}}, claims.DUE]}
    row = await db.collection(collection).find_one(where, {"organisation_id": 1}, sort=claims.ORDER)
    return str(row["organisation_id"]) if row else None


async def hurry(tx: Tx, organisation_id: str) -> None:
    """What waits for this organisation's Xero is due now."""
    for collection in (LOADS, MARKS, RECONCILIATIONS):
        await tx.collection(collection).update_many({"organisation_id": organisation_id, "state": "pending"}, ASK)


def later(row: Document, seconds: float, **changes: Any) -> list[Document]:
    """As `claims.later`, but due now when the row was asked for since it was claimed: what it waited for is over."""
    update = claims.later(seconds, **changes)
    asked = {"$ne": [{"$ifNull": ["$asked", 0]}, row.get("asked", 0)]}
    update[0]["$set"]["due_at"] = {"$cond": [asked, claims.IMMEDIATELY, update[0]["$set"]["due_at"]]}
    return update


async def give_back(db: Database, collection: str, rows: Sequence[Document], seconds: float, **changes: Any) -> None:
    """Claimed rows are due again in `seconds`; those whose lease was lost stay as they are."""
    for row in rows:
        await db.collection(collection).update_one(claims.mine(row), later(row, seconds, **changes))


# Lists of a contact's invoices, kept for some minutes. The head names the list in force; its parts go by themselves


async def find_list(reader: Reader, organisation_id: str, contact_id: str) -> tuple[datetime, list[str]] | None:
    """When it was read and its parts as JSON, while it is fresh."""
    fresh = {"_id": key_of(organisation_id, contact_id), "list_id": {"$ne": None}, "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
    head = await reader.collection(LIST_HEADS).find_one(fresh)
    if head is None:
        return None
    rows = await reader.collection(LIST_PARTS).find({"list_id": head["list_id"]}, sort=[("place", 1)])
    return (head["as_of"], [row["invoices"] for row in rows]) if len(rows) == head["parts"] else None


async def begin_list(db: Database, organisation_id: str, contact_id: str, generation: str, purge_at: datetime) -> str:
    """The generation a list read from now on belongs to: the one in force, else the one given."""
    facts = {"organisation_id": {"$literal": organisation_id}, "contact_id": {"$literal": contact_id}, "purge_at": purge_at}
    update = [{"$set": {**facts, "generation": {"$ifNull": ["$generation", generation]}}}]
    head = await db.collection(LIST_HEADS).find_one_and_update({"_id": key_of(organisation_id, contact_id)}, update, upsert=True)
    assert head is not None
    return str(head["generation"])


async def add_list_part(
    db: Database, organisation_id: str, contact_id: str, list_id: str, place: int, ids: list[str], invoices: str, purge_at: datetime
) -> None:
    row = {"organisation_id": organisation_id, "contact_id": contact_id, "list_id": list_id, "place": place, "purge_at": purge_at}
    await db.collection(LIST_PARTS).insert_one({"_id": key_of(list_id, str(place)), **row, "ids": ids, "invoices": invoices})


async def keep_list(db: Database, organisation_id: str, contact_id: str, generation: str, head: Document) -> bool:
    """Puts a list into force, unless something changed since its reading began."""
    where = {"_id": key_of(organisation_id, contact_id), "generation": generation}
    return (await db.collection(LIST_HEADS).update_one(where, {"$set": head})).matched == 1


async def find_kept_contact(reader: Reader, organisation_id: str, contact_id: str) -> str | None:
    """The contact as JSON, while it is fresh."""
    fresh = {"_id": key_of(organisation_id, contact_id), "$expr": {"$gt": ["$contact_expires_at", "$$NOW"]}}
    head = await reader.collection(LIST_HEADS).find_one(fresh, {"contact": 1})
    return str(head["contact"]) if head else None


async def keep_contact(db: Database, organisation_id: str, contact_id: str, generation: str, contact: str, expires_at: datetime) -> None:
    """Keeps a contact beside its list, unless something changed since it was asked for."""
    where = {"_id": key_of(organisation_id, contact_id), "generation": generation}
    await db.collection(LIST_HEADS).update_one(where, {"$set": {"contact": contact, "contact_expires_at": expires_at}})


async def contacts_listing(reader: Reader, organisation_id: str, invoice_ids: Sequence[str]) -> set[str]:
    """The contacts with a kept list that holds one of the invoices: where an invoice was before it moved."""
    where = {"organisation_id": organisation_id, "ids": {"$in": list(invoice_ids)}}
    return {row["contact_id"] for row in await reader.collection(LIST_PARTS).find(where, projection={"contact_id": 1})}


async def drop_lists(where: Reader, organisation_id: str, contact_ids: Iterable[str] | None, generation: str) -> None:
    """The lists of these contacts, or of all, are in force no longer, nor will be those being read now."""
    heads: Document = {"organisation_id": organisation_id}
    if contact_ids is not None:
        heads["_id"] = {"$in": [key_of(organisation_id, contact_id) for contact_id in contact_ids]}
    await where.collection(LIST_HEADS).update_many(heads, {"$set": {"generation": generation, "list_id": None, "contact_expires_at": None}})
