"""Every query of shares, invitations, contacts and organisations. Whom a question is asked for (organisation, address) comes first and
is required; snapshot_store has the invoices."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from common.crypto import digest
from common.errors import NotFound
from common.mongo import Database, Document, Filter, Index, Indexes, Reader, Tx
from sharing.models import Actor, Contact, EndReason, Mail, Organisation, Share, contact_key

SHARES = "shares"
INVITATIONS = "invitations"
CONTACTS = "contacts"
ORGANISATIONS = "organisations"

LIVE: Filter = {"ended_at": None}
NOT_RUN_OUT: Filter = {"$expr": {"$gt": [{"$ifNull": ["$ends_at", datetime(9999, 1, 1, tzinfo=UTC)]}, "$$NOW"]}}
OPEN: Filter = {**LIVE, "invited_at": {"$ne": None}, **NOT_RUN_OUT}
"""Live, not past its end by the database's clock, and its address was told: before that there is nothing complete to show."""

HAS_END: Filter = {"ends_at": {"$type": "date"}}
RUN_OUT: Filter = {**HAS_END, "$expr": {"$lte": ["$ends_at", "$$NOW"]}}
"""Has an end and is past it; without the first half a missing end would count as the earliest of all."""

PAGE_SIZE = 50
OLDEST_FIRST = [("created_at", 1), ("_id", 1)]
NEWEST_FIRST = [("created_at", -1), ("_id", -1)]

INDEXES: Indexes = {
    SHARES: [
        Index(("organisation_id", 1), ("contact_id", 1), ("email", 1), unique=True, where=LIVE),
        Index(("organisation_id", 1), ("contact_id", 1), ("created_at", -1)),
        Index(("organisation_id", 1), ("created_at", -1), where=LIVE),
        Index(("email", 1), ("organisation_id", 1)),
        Index(("shared_by.id", 1)),
        Index(("ended_by.id", 1), where={"ended_by.id": {"$exists": True}}),
        Index(("ends_at", 1), where={**LIVE, **HAS_END}),
    ],
    INVITATIONS: [Index(("share_id", 1))],
    CONTACTS: [],
    ORGANISATIONS: [],
}


# ── shares, as the provider's side sees them


async def get_share(reader: Reader, organisation_id: str, share_id: str) -> Share:
    """Raises NotFound for an unknown and for another organisation's share."""
    found = await reader.collection(SHARES).find_one({"_id": share_id, "organisation_id": organisation_id})
    if found is None:
        raise NotFound
    return Share.model_validate(found)


async def find_live_share(reader: Reader, organisation_id: str, contact_id: str, email: str) -> Share | None:
    where = {"organisation_id": organisation_id, "contact_id": contact_id, "email": email, **LIVE}
    found = await reader.collection(SHARES).find_one(where)
    return _share(found)


async def list_live_shares_of(reader: Reader, organisation_id: str, emails: Sequence[str]) -> list[Share]:
    """What these addresses have access to in this organisation, the oldest first; at most a page, which says enough."""
    where = {"organisation_id": organisation_id, "email": {"$in": list(emails)}, **LIVE}
    return _shares(await reader.collection(SHARES).find(where, sort=OLDEST_FIRST, limit=PAGE_SIZE))


async def list_shares(reader: Reader, organisation_id: str, share_ids: Sequence[str]) -> list[Share]:
    """These shares as far as they are this organisation's, live or ended."""
    where = {"_id": {"$in": list(share_ids)}, "organisation_id": organisation_id}
    return _shares(await reader.collection(SHARES).find(where, sort=OLDEST_FIRST))


async def list_shares_of_contact(reader: Reader, organisation_id: str, contact_id: str) -> list[Share]:
    """Ended ones too, newest first."""
    where = {"organisation_id": organisation_id, "contact_id": contact_id}
    return _shares(await reader.collection(SHARES).find(where, sort=NEWEST_FIRST))


async def list_live_shares(reader: Reader, organisation_id: str, page: int) -> tuple[list[Share], int]:
    """One page of the organisation's live shares, those whose mail failed before the newest, and how many there are."""
    where = {"organisation_id": organisation_id, **LIVE}
    order: list[Filter] = [
        {"$match": where},
        {"$set": {"failed": {"$in": ["$mail.state", ["failed", "returned"]]}}},
        {"$sort": {"failed": -1, **dict(NEWEST_FIRST)}},
        {"$skip": (page - 1) * PAGE_SIZE},
        {"$limit": PAGE_SIZE},
    ]
    rows = reader.collection(SHARES)
    return _shares(await rows.aggregate(order)), await rows.count(where)


async def list_waiting_shares(tx: Tx, organisation_id: str, contact_id: str) -> list[Share]:
    """Live shares whose address was not invited yet."""
    where = {"organisation_id": organisation_id, "contact_id": contact_id, "invited_at": None, **LIVE, **NOT_RUN_OUT}
    return _shares(await tx.collection(SHARES).find(where, sort=OLDEST_FIRST))


async def list_waiting_contact_ids(reader: Reader, organisation_id: str, after: str) -> list[str]:
    """Some of the contacts, in order, with live shares whose address was not invited yet."""
    where = {"organisation_id": organisation_id, "contact_id": {"$gt": after}, "invited_at": None, **LIVE}
    some: list[Filter] = [{"$match": where}, {"$group": {"_id": "$contact_id"}}, {"$sort": {"_id": 1}}, {"$limit": PAGE_SIZE}]
    return [row["_id"] for row in await reader.collection(SHARES).aggregate(some)]


async def count_live_shares(reader: Reader, organisation_id: str, contact_ids: Sequence[str] | None = None) -> dict[str, int]:
    """Live shares by contact; of all contacts that have any, when none are named."""
    where = {"organisation_id": organisation_id, **LIVE} | ({} if contact_ids is None else {"contact_id": {"$in": list(contact_ids)}})
    counted = [{"$match": where}, {"$group": {"_id": "$contact_id", "shares": {"$sum": 1}}}]
    return {row["_id"]: row["shares"] for row in await reader.collection(SHARES).aggregate(counted)}


async def find_openings(reader: Reader, organisation_id: str, contact_ids: Iterable[str]) -> dict[str, str]:
    """contact_id -> load_id of those contacts that somebody has access to now."""
    where = {"organisation_id": organisation_id, "contact_id": {"$in": sorted(contact_ids)}, **LIVE}
    found = [{"$match": where}, {"$group": {"_id": "$contact_id", "load_id": {"$first": "$load_id"}}}]
    return {row["_id"]: row["load_id"] for row in await reader.collection(SHARES).aggregate(found)}


async def add_share(tx: Tx, share: Share) -> None:
    """Raises DuplicateKey when this address has access to this contact already."""
    await tx.collection(SHARES).insert_one(share.model_dump(by_alias=True))


async def save_granted(tx: Tx, share: Share) -> None:
    """What it shows and when it ends, as the provider decided again."""
    await tx.collection(SHARES).update_one({"_id": share.id, **LIVE}, {"$set": share.model_dump(include={"policy", "ends_on", "ends_at"})})


async def save_invited(tx: Tx, share: Share) -> None:
    """What `Share.invited` changed; views are counted meanwhile and are left alone."""
    facts = share.model_dump(include={"invited_at", "mailed_at", "invitation_number", "mail", "version"})
    await tx.collection(SHARES).update_one({"_id": share.id, **LIVE}, {"$set": facts})


async def end_share(
    tx: Tx, organisation_id: str, share_id: str, by: Actor | None, reason: EndReason, carried_to: str | None = None
) -> Share | None:
    """Ends a live share at the database's time; None when there is no such live one. One that ran out ends at its own time."""
    where = {"_id": share_id, "organisation_id": organisation_id, **LIVE}
    if reason == "expired":
        where |= RUN_OUT
    facts = {"ended_by": by and by.model_dump(), "reason": reason, "carried_to": carried_to}
    ending = {name: {"$literal": value} for name, value in facts.items()}
    at = "$ends_at" if reason == "expired" else "$$NOW"
    ended = await tx.collection(SHARES).find_one_and_update(
        where, [{"$set": {"ended_at": at, "version": {"$add": ["$version", 1]}, **ending}}]
    )
    return _share(ended)


async def list_run_out_shares(reader: Reader, limit: int) -> list[Share]:
    """Live shares past their end by the database's clock, the longest past first."""
    return _shares(await reader.collection(SHARES).find({**LIVE, **RUN_OUT}, sort=[("ends_at", 1)], limit=limit))


_MAIL_STATES = ["queued", "failed", "sent", "returned"]


async def save_mail(tx: Tx, share_id: str, mail: Mail) -> None:
    """What became of a mail. A later invitation's news stays; of one invitation's news sent outweighs failed, and returned both."""
    weaker = _MAIL_STATES[: _MAIL_STATES.index(mail.state)]
    older = [{"mail.number": {"$lt": mail.number}}, {"mail.number": mail.number, "mail.state": {"$in": weaker}}]
    await tx.collection(SHARES).update_one({"_id": share_id, "$or": older}, {"$set": {"mail": mail.model_dump()}})


# ── shares, as their address sees them


async def list_open_shares(reader: Reader, email: str, organisation_id: str | None = None, contact_id: str | None = None) -> list[Share]:
    """What an address has access to now: of everybody, of one organisation, or of one contact of it."""
    narrowed = {"organisation_id": organisation_id, "contact_id": contact_id}
    where = {"email": email, **OPEN} | {name: value for name, value in narrowed.items() if value is not None}
    return await without_ending(reader, _shares(await reader.collection(SHARES).find(where, sort=OLDEST_FIRST)))


async def without_ending(reader: Reader, shares: Sequence[Share]) -> list[Share]:
    """Those shares whose organisation is not ending all of them. After a majority write this reads nothing older than that write."""
    ids = sorted({share.organisation_id for share in shares})
    if not ids:
        return []
    where = {"_id": {"$in": ids}, "ending_since": {"$ne": None}}
    ending = {row["_id"] for row in await reader.collection(ORGANISATIONS).find(where, projection={"_id": 1})}
    return [share for share in shares if share.organisation_id not in ending]


async def count_view(db: Database, email: str, share_id: str) -> Share | None:
    """The grant check: one majority write that finds the share open to this address and counts the view, or None.

    A write, because a read may come from a primary that was replaced: what a write was acknowledged for is the truth.
    """
    seen = {"views": {"$add": ["$views", 1]}, **_SEEN}
    found = await db.collection(SHARES).find_one_and_update({"_id": share_id, "email": email, **OPEN}, [{"$set": seen}])
    return _share(found)


async def note_visit(db: Database, email: str) -> None:
    """Marks everything open to an address as seen, without counting a view."""
    await db.collection(SHARES).update_many({"email": email, **OPEN}, [{"$set": _SEEN}])


async def list_holding(reader: Reader, emails: Sequence[str]) -> list[str]:
    """Those of these addresses that hold any live access, invited or not yet."""
    held: list[Filter] = [{"$match": {"email": {"$in": list(emails)}, **LIVE}}, {"$group": {"_id": "$email"}}]
    return [row["_id"] for row in await reader.collection(SHARES).aggregate(held)]


async def was_ever_invited(reader: Reader, email: str) -> bool:
    return await reader.collection(SHARES).find_one({"email": email, "invited_at": {"$ne": None}}, {"_id": 1}) is not None


_SEEN = {"last_seen_at": "$$NOW", "active_at": {"$ifNull": ["$active_at", "$$NOW"]}}


# ── invitations


async def add_invitation(tx: Tx, token: str, share: Share) -> None:
    """Only the token's digest is kept, and since when its mail is on its way."""
    queued = {"state": "queued", "at": share.mailed_at, "reason": None}
    row = {"_id": digest(token), "share_id": share.id, "number": share.invitation_number, "news": [queued]}
    await tx.collection(INVITATIONS).insert_one(row)


async def add_news(tx: Tx, share_id: str, mail: Mail, at: datetime) -> None:
    """What became of one invitation's mail and when, each state once; a timeline tells it."""
    where = {"share_id": share_id, "number": mail.number, "news.state": {"$ne": mail.state}}
    await tx.collection(INVITATIONS).update_one(where, {"$push": {"news": {"state": mail.state, "at": at, "reason": mail.reason}}})


async def find_open_share_by_invitation(reader: Reader, token: str) -> Share | None:
    """The share an invitation is for, while it lives; invitations sent before the last one count too."""
    invitation = await reader.collection(INVITATIONS).find_one({"_id": digest(token)})
    if invitation is None:
        return None
    found = await reader.collection(SHARES).find_one({"_id": invitation["share_id"], **OPEN})
    opened = await without_ending(reader, _shares([found] if found else []))
    return opened[0] if opened else None


async def mark_opened(tx: Tx, share_id: str) -> Share | None:
    """The invitation's button was pressed; the first time counts. None when the share ended."""
    opened = [{"$set": {"opened_at": {"$ifNull": ["$opened_at", "$$NOW"]}}}]
    found = await tx.collection(SHARES).find_one_and_update({"_id": share_id, **OPEN}, opened)
    return _share(found)


# ── contacts and organisations


async def find_contact(reader: Reader, organisation_id: str, contact_id: str) -> Contact | None:
    found = await reader.collection(CONTACTS).find_one({"_id": contact_key(organisation_id, contact_id)})
    return Contact.model_validate(found) if found else None


async def list_contacts(reader: Reader, pairs: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Contact]:
    """Contacts by (organisation_id, contact_id)."""
    found = await reader.collection(CONTACTS).find({"_id": {"$in": sorted({contact_key(*pair) for pair in pairs})}})
    contacts = [Contact.model_validate(row) for row in found]
    return {(contact.organisation_id, contact.contact_id): contact for contact in contacts}


async def search_contacts(
    reader: Reader, organisation_id: str, contact_ids: Iterable[str], search: str, page: int
) -> tuple[list[Contact], int]:
    """One page of these contacts whose name holds the text, by name, and how many there are."""
    where: Document = {"_id": {"$in": [contact_key(organisation_id, contact_id) for contact_id in contact_ids]}}
    if search:
        where["name_key"] = {"$regex": re.escape(search.casefold())}
    rows = reader.collection(CONTACTS)
    found = await rows.find(where, sort=[("name_key", 1), ("_id", 1)], skip=(page - 1) * PAGE_SIZE, limit=PAGE_SIZE)
    return [Contact.model_validate(row) for row in found], await rows.count(where)


async def save_contact(tx: Tx, contact: Contact) -> None:
    """Always writes, so that of two transactions that decide by the same contact only one commits unrepeated."""
    row = contact.changed(revision=contact.revision + 1).model_dump(by_alias=True)
    await tx.collection(CONTACTS).replace_one({"_id": contact.id}, {**row, "name_key": contact.name.casefold()}, upsert=True)


async def touch_contacts(tx: Tx, organisation_id: str, contact_ids: Iterable[str], read_at: datetime) -> None:
    """Xero was read for these contacts at `read_at`. Always writes, as `save_contact`."""
    where = {"_id": {"$in": [contact_key(organisation_id, contact_id) for contact_id in sorted(contact_ids)]}}
    await tx.collection(CONTACTS).update_many(where, {"$max": {"as_of": read_at}, "$inc": {"revision": 1}})


async def find_organisation(reader: Reader, organisation_id: str) -> Organisation | None:
    found = await reader.collection(ORGANISATIONS).find_one({"_id": organisation_id})
    return Organisation.model_validate(found) if found else None


async def list_organisations(reader: Reader, organisation_ids: Iterable[str]) -> dict[str, Organisation]:
    found = await reader.collection(ORGANISATIONS).find({"_id": {"$in": sorted(organisation_ids)}})
    return {row["_id"]: Organisation.model_validate(row) for row in found}


async def list_hiding(reader: Reader, organisation_ids: Iterable[str]) -> frozenset[str]:
    """Those of these organisations whose clients see no invoice that awaits approval."""
    where = {"_id": {"$in": sorted(organisation_ids)}, "hides_awaiting": True}
    return frozenset(row["_id"] for row in await reader.collection(ORGANISATIONS).find(where, projection={"_id": 1}))


async def hide_awaiting(tx: Tx, organisation_id: str, hidden: bool) -> None:
    """Kept also for an organisation auth's news of which is still on its way."""
    await tx.collection(ORGANISATIONS).update_one({"_id": organisation_id}, {"$set": {"hides_awaiting": hidden}}, upsert=True)


async def save_organisation(tx: Tx, organisation: Organisation) -> None:
    await tx.collection(ORGANISATIONS).replace_one({"_id": organisation.id}, organisation.model_dump(by_alias=True), upsert=True)


def _share(row: Document | None) -> Share | None:
    return Share.model_validate(row) if row else None


def _shares(rows: Iterable[Document]) -> list[Share]:
    return [Share.model_validate(row) for row in rows]
