"""Every query of stored invoices: the newest version of each, the versions before it, and who opened it.

Who may see which invoice is decided by `visible_to` alone: every query that reads a client's invoices is built from it.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping, Sequence
from datetime import date
from typing import Any

from pydantic import TypeAdapter

from common.contracts.xero_gateway import SHAREABLE, Invoice, InvoiceSummary
from common.identity import ProviderIdentity
from common.ids import new_id
from common.mongo import Database, Document, DuplicateKey, Filter, Index, Indexes, Reader, Tx
from sharing import store
from sharing.models import Doing, Policy, Share, Snapshot, Version, Viewing, contact_key

SNAPSHOTS = "snapshots"
VERSIONS = "versions"
VIEWINGS = "viewings"
PREVIEWS = "previews"

NOTHING: Filter = {"_id": {"$in": []}}
MOMENTS_KEPT = 50
MOST_VIEWINGS = 200
MOST_VERSIONS = 200

SINCE_LOADED: Filter = {"from_load": False}

INDEXES: Indexes = {
    SNAPSHOTS: [
        Index(("organisation_id", 1), ("contact_id", 1), ("load_id", 1), ("status", 1)),
    ],
    VERSIONS: [
        Index(("organisation_id", 1), ("contact_id", 1), ("invoice_id", 1), ("load_id", 1), ("updated_at", -1), ("read_at", -1)),
        Index(("organisation_id", 1), ("contact_id", 1), ("updated_at", -1), ("read_at", -1), ("_id", -1), where=SINCE_LOADED),
    ],
    VIEWINGS: [
        Index(("organisation_id", 1), ("invoice_id", 1)),
        Index(("share_id", 1), ("last_at", -1)),
    ],
    PREVIEWS: [Index(("share_id", 1)), Index(("by.id", 1)), Index(("organisation_id", 1), ("at", 1))],
}

_SUMMARIES = TypeAdapter(list[InvoiceSummary])


async def _visible(reader: Reader, shares: Sequence[Share]) -> Filter:
    return visible_to(shares, await store.list_hiding(reader, {share.organisation_id for share in shares}))


def visible_to(shares: Sequence[Share], hiding: Container[str]) -> Filter:
    """The invoices these shares show: sales invoices, stored as of these contacts in their present opening, visible, within the
    share's policy, when voided, then only after the share was made, and none awaiting approval of organisations `hiding` those."""
    if not shares:
        return NOTHING
    granted = [
        {
            "organisation_id": share.organisation_id,
            "contact_id": share.contact_id,
            "load_id": share.load_id,
            "$or": [{"status": {"$ne": "VOIDED"}}, {"voided_at": {"$gt": share.created_at}}],
            **_granted_by(share.policy),
            **({"status": {"$ne": "SUBMITTED"}} if share.organisation_id in hiding else {}),
        }
        for share in shares
    ]
    return {"type": "ACCREC", "visible": True, "$or": granted}


def _granted_by(policy: Policy) -> Filter:
    """ISO dates compare as texts; an invoice without a date is not dated from any day on."""
    if policy.invoice_ids is not None:
        return {"invoice_id": {"$in": list(policy.invoice_ids)}}
    return {"date": {"$gte": policy.from_date.isoformat()}} if policy.from_date else {}


async def list_visible_summaries(reader: Reader, shares: Sequence[Share]) -> list[InvoiceSummary]:
    """Every invoice these shares show, without lines."""
    return await _summaries(reader, await _visible(reader, shares))


async def find_visible_invoice(reader: Reader, shares: Sequence[Share], invoice_id: str) -> Snapshot | None:
    keys = sorted({contact_key(share.organisation_id, invoice_id) for share in shares})
    found = await reader.collection(SNAPSHOTS).find_one({"$and": [{"_id": {"$in": keys}}, await _visible(reader, shares)]})
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
    pipeline: list[Filter] = [{"$match": await _visible(reader, shares)}, {"$set": derived}, {"$group": per_currency}]
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


async def has_shareable(reader: Reader, share: Share) -> bool:
    """Is there anything to open through this share?"""
    where = {"status": {"$in": sorted(SHAREABLE)}, **await _visible(reader, [share])}
    return await reader.collection(SNAPSHOTS).find_one(where, {"_id": 1}) is not None


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


# ── versions


async def add_versions(tx: Tx, versions: Sequence[Version]) -> None:
    """Adds those that are not there yet, in two calls however many there are."""
    rows = {version.id: version for version in versions}
    known = {row["_id"] for row in await tx.collection(VERSIONS).find({"_id": {"$in": sorted(rows)}}, projection={"_id": 1})}
    new = [version for id, version in rows.items() if id not in known]
    if new:
        await tx.collection(VERSIONS).insert_many(
            {**version.model_dump(by_alias=True, exclude={"invoice"}), "invoice": version.invoice.model_dump_json()} for version in new
        )


async def list_versions(reader: Reader, organisation_id: str, contact_id: str, load_id: str, invoice_id: str) -> list[Version]:
    """An invoice's versions in one opening of one contact, the oldest first; of a very long history the newest part."""
    where = {"organisation_id": organisation_id, "contact_id": contact_id, "load_id": load_id, "invoice_id": invoice_id}
    order = [("updated_at", -1), ("read_at", -1)]
    rows = await reader.collection(VERSIONS).find(where, sort=order, limit=MOST_VERSIONS)
    return [Version.model_validate({**row, "invoice": Invoice.model_validate_json(row["invoice"])}) for row in reversed(rows)]


# ── who opened what


async def add_viewing(db: Database, share: Share, invoice_id: str, kind: Doing) -> None:
    """Counts one opening or download of an invoice by the address of this share, at the database's time.

    One document for each share and invoice: how often, the first and last time, and the latest moments.
    """
    where = {"_id": f"{share.id}:{invoice_id}"}
    named = {"organisation_id": share.organisation_id, "share_id": share.id, "invoice_id": invoice_id, "email": share.email}
    moments = {"$concatArrays": [{"$ifNull": ["$moments", []]}, [{"at": "$$NOW", "kind": kind}]]}
    facts = {
        **{name: {"$literal": value} for name, value in named.items()},
        "opened": {"$add": [{"$ifNull": ["$opened", 0]}, int(kind == "opened")]},
        "downloaded": {"$add": [{"$ifNull": ["$downloaded", 0]}, int(kind == "downloaded")]},
        "first_at": {"$ifNull": ["$first_at", "$$NOW"]},
        "last_at": "$$NOW",
        "moments": {"$slice": [moments, -MOMENTS_KEPT]},
    }
    try:
        await db.collection(VIEWINGS).update_one(where, [{"$set": facts}], upsert=True)
    except DuplicateKey:  # two first openings at once: the other one made the document
        await db.collection(VIEWINGS).update_one(where, [{"$set": facts}])


async def list_viewings_of_invoice(reader: Reader, organisation_id: str, invoice_id: str) -> list[Viewing]:
    """Who opened an invoice, the last one first."""
    where = {"organisation_id": organisation_id, "invoice_id": invoice_id}
    rows = await reader.collection(VIEWINGS).find(where, sort=[("last_at", -1)], limit=MOST_VIEWINGS)
    return [Viewing.model_validate(row) for row in rows]


async def list_viewings_of_share(reader: Reader, share: Share) -> list[Viewing]:
    """What was opened through a share, the last one first."""
    where = {"share_id": share.id}
    rows = await reader.collection(VIEWINGS).find(where, sort=[("last_at", -1)], limit=MOST_VIEWINGS)
    return [Viewing.model_validate(row) for row in rows]


async def add_preview(db: Database, provider: ProviderIdentity, share: Share, invoice_id: str | None) -> None:
    """A provider looked at the client's page, or at one invoice of it, through this share."""
    by = {"id": provider.id, "name": provider.name, "email": provider.email}
    ids = {"organisation_id": share.organisation_id, "share_id": share.id, "invoice_id": invoice_id}
    await db.collection(PREVIEWS).insert_one({"_id": new_id("pre"), **ids, "by": by, "at": await db.now()})


async def add_look(db: Database, provider: ProviderIdentity, contact_id: str, invoice_id: str | None) -> None:
    """A provider looked at what a client would see of a contact before anything was shared."""
    by = {"id": provider.id, "name": provider.name, "email": provider.email}
    ids = {"organisation_id": provider.organisation_id, "share_id": None, "contact_id": contact_id, "invoice_id": invoice_id}
    await db.collection(PREVIEWS).insert_one({"_id": new_id("pre"), **ids, "by": by, "at": await db.now()})
