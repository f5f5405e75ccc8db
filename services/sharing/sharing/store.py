"""Every query of sharing. Whom a question is asked for (organisation, address) comes first and is required.

Who may see which invoice is decided by `visible_to` alone: every query that reads a client's invoices is built from it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from typing import Any

from pydantic import TypeAdapter

from common.contracts.xero_gateway import SHAREABLE, Invoice, InvoiceSummary
from common.crypto import digest
from common.errors import NotFound
from common.mongo import Database, Document, Filter, Index, Indexes, Reader, Tx
from sharing.models import Actor, Contact, Mail, Organisation, Share, Snapshot, contact_key

SHARES = "shares"
INVITATIONS = "invitations"
CONTACTS = "contacts"
ORGANISATIONS = "organisations"
SNAPSHOTS = "snapshots"

LIVE: Filter = {"ended_at": None}
OPEN: Filter = {**LIVE, "invited_at": {"$ne": None}}
"""Live, and its address was told: before that there is nothing complete to show."""

NOTHING: Filter = {"_id": {"$in": []}}
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
    ],
    INVITATIONS: [Index(("share_id", 1))],
    CONTACTS: [],
    ORGANISATIONS: [],
    SNAPSHOTS: [
        Index(("organisation_id", 1), ("contact_id", 1), ("load_id", 1), ("status", 1)),
    ],
}

_SUMMARIES = TypeAdapter(list[InvoiceSummary])


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
    where = {"organisation_id": organisation_id, "contact_id": contact_id, "invited_at": None, **LIVE}
    return _shares(await tx.collection(SHARES).find(where, sort=OLDEST_FIRST))


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


async def save_invited(tx: Tx, share: Share) -> None:
    """What `Share.invited` changed; views are counted meanwhile and are left alone."""
    facts = share.model_dump(include={"invited_at", "invitation_number", "mail", "version"})
    await tx.collection(SHARES).update_one({"_id": share.id, **LIVE}, {"$set": facts})


async def end_share(tx: Tx, organisation_id: str, share_id: str, by: Actor, reason: str) -> Share | None:
    """Ends a live share at the database's time; None when there is no such live one."""
    facts = {"ended_by": by.model_dump(), "reason": reason}
    ending = {name: {"$literal": value} for name, value in facts.items()}
    ended = await tx.collection(SHARES).find_one_and_update(
        {"_id": share_id, "organisation_id": organisation_id, **LIVE},
        [{"$set": {"ended_at": "$$NOW", "version": {"$add": ["$version", 1]}, **ending}}],
    )
    return _share(ended)


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


async def was_ever_invited(reader: Reader, email: str) -> bool:
    return await reader.collection(SHARES).find_one({"email": email, "invited_at": {"$ne": None}}, {"_id": 1}) is not None


_SEEN = {"last_seen_at": "$$NOW", "active_at": {"$ifNull": ["$active_at", "$$NOW"]}}


# ── invitations


async def add_invitation(tx: Tx, token: str, share: Share) -> None:
    """Only the token's digest is kept."""
    await tx.collection(INVITATIONS).insert_one({"_id": digest(token), "share_id": share.id, "number": share.invitation_number})


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


async def save_organisation(tx: Tx, organisation: Organisation) -> None:
    await tx.collection(ORGANISATIONS).replace_one({"_id": organisation.id}, organisation.model_dump(by_alias=True), upsert=True)


# ── snapshots


def visible_to(shares: Sequence[Share]) -> Filter:
    """The invoices these shares show: sales invoices, stored as of these contacts in their present opening, visible,
    and when voided, then only after the share was made."""
    if not shares:
        return NOTHING
    granted = [
        {
            "organisation_id": share.organisation_id,
            "contact_id": share.contact_id,
            "load_id": share.load_id,
            "$or": [{"status": {"$ne": "VOIDED"}}, {"voided_at": {"$gt": share.created_at}}],
        }
        for share in shares
    ]
    return {"type": "ACCREC", "visible": True, "$or": granted}


async def list_visible_summaries(reader: Reader, shares: Sequence[Share]) -> list[InvoiceSummary]:
    """Every invoice these shares show, without lines."""
    return await _summaries(reader, visible_to(shares))


async def find_visible_invoice(reader: Reader, shares: Sequence[Share], invoice_id: str) -> Snapshot | None:
    found = await reader.collection(SNAPSHOTS).find_one({"invoice_id": invoice_id, **visible_to(shares)})
    return _snapshot(found) if found else None


async def sum_visible(reader: Reader, shares: Sequence[Share], today: Mapping[str, date], shown: int) -> list[Document]:
    """One row per organisation and currency: {_id: {organisation_id, currency}, count, to_pay, overdue, unpaid}; one question
    for all senders. `unpaid` holds `shown` summaries as stored, due soonest first; `today` is each organisation's date."""
    days: dict[date, list[str]] = {}
    for organisation_id, day in today.items():
        days.setdefault(day, []).append(organisation_id)
    branches = [{"case": {"$in": ["$organisation_id", names]}, "then": day.isoformat()} for day, names in days.items()]
    due = {"$and": [{"$eq": ["$status", "AUTHORISED"]}, {"$gt": ["$amount_due", 0]}]}
    order = {"due": -1, "due_key": 1, "date": -1, "invoice_id": 1}
    per_currency = {
        "_id": {"organisation_id": "$organisation_id", "currency": "$currency"},
        "count": {"$sum": 1},
        "to_pay": {"$sum": {"$cond": ["$due", "$amount_due", 0]}},
        "overdue": {"$sum": {"$cond": [{"$and": ["$due", {"$lt": ["$due_key", "$today"]}]}, "$amount_due", 0]}},
        "unpaid": {"$topN": {"n": shown, "sortBy": order, "output": {"$cond": ["$due", "$summary", None]}}},
    }
    derived = {"due": due, "due_key": {"$ifNull": ["$due_date", "9999"]}, "today": {"$switch": {"branches": branches, "default": ""}}}
    pipeline: list[Filter] = [{"$match": visible_to(shares)}, {"$set": derived}, {"$group": per_currency}]
    rows: list[Document] = await reader.collection(SNAPSHOTS).aggregate(pipeline) if shares else []
    return rows


async def find_contact_of_invoice(reader: Reader, organisation_id: str, invoice_id: str) -> str | None:
    """Whose invoice it is now: the question before the grant check, never an answer to anybody."""
    found = await reader.collection(SNAPSHOTS).find_one({"_id": contact_key(organisation_id, invoice_id)}, {"contact_id": 1})
    return str(found["contact_id"]) if found else None


async def list_stored_summaries(reader: Reader, organisation_id: str, contact_id: str, load_id: str) -> list[InvoiceSummary]:
    """What is stored of a contact's present opening, for the provider's own eyes."""
    where = {"organisation_id": organisation_id, "contact_id": contact_id, "load_id": load_id, "type": "ACCREC", "visible": True}
    return await _summaries(reader, where)


async def has_shareable(reader: Reader, organisation_id: str, contact_id: str, load_id: str) -> bool:
    """Is there anything to open?"""
    where = {"organisation_id": organisation_id, "contact_id": contact_id, "load_id": load_id, "status": {"$in": sorted(SHAREABLE)}}
    return await reader.collection(SNAPSHOTS).find_one({**where, "type": "ACCREC", "visible": True}, {"_id": 1}) is not None


async def list_snapshots(reader: Reader, organisation_id: str, invoice_ids: Iterable[str]) -> dict[str, Snapshot]:
    """By invoice_id, whoever may see them."""
    where = {"_id": {"$in": [contact_key(organisation_id, invoice_id) for invoice_id in sorted(invoice_ids)]}}
    found = [_snapshot(row) for row in await reader.collection(SNAPSHOTS).find(where)]
    return {snapshot.invoice_id: snapshot for snapshot in found}


async def save_snapshots(tx: Tx, snapshots: Sequence[Snapshot]) -> None:
    """Replaces them in two writes, however many there are."""
    rows = tx.collection(SNAPSHOTS)
    await rows.delete_many({"_id": {"$in": [snapshot.id for snapshot in snapshots]}})
    await rows.insert_many(_snapshot_row(snapshot) for snapshot in snapshots)


def _snapshot_row(snapshot: Snapshot) -> Document:
    """The invoice as JSON texts, summary and lines apart: lists read a third faster so [m], and lines only where they are shown."""
    row: dict[str, Any] = snapshot.model_dump(by_alias=True, exclude={"invoice"})
    invoice = snapshot.invoice
    if invoice is None:
        return {**row, "visible": False}
    columns = invoice.model_dump(mode="json", include={"type", "status", "currency", "amount_due", "date", "due_date"})
    lines = json.dumps(invoice.model_dump(mode="json", include={"lines"})["lines"])
    return {**row, **columns, "visible": snapshot.is_visible, "summary": invoice.model_dump_json(exclude={"lines"}), "lines": lines}


def _snapshot(row: Document) -> Snapshot:
    if "summary" not in row:
        return Snapshot.model_validate(row)
    invoice = Invoice.model_validate({**json.loads(row["summary"]), "lines": json.loads(row["lines"])})
    return Snapshot.model_validate(row).changed(invoice=invoice)


async def _summaries(reader: Reader, where: Filter) -> list[InvoiceSummary]:
    rows = await reader.collection(SNAPSHOTS).find(where, projection={"_id": 0, "summary": 1})
    return read_summaries(row["summary"] for row in rows)


def read_summaries(texts: Iterable[str]) -> list[InvoiceSummary]:
    """Summaries from the texts they are stored as."""
    return _SUMMARIES.validate_json(f"[{','.join(texts)}]")


def _share(row: Document | None) -> Share | None:
    return Share.model_validate(row) if row else None


def _shares(rows: Iterable[Document]) -> list[Share]:
    return [Share.model_validate(row) for row in rows]
