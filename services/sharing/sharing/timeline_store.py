"""Every query of a client's timeline: mails, openings and changed invoices, newest first, from a place in it on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple, Self

from common.contracts.xero_gateway import Invoice
from common.mongo import Document, Filter, Reader
from sharing.models import Version
from sharing.snapshot_store import SINCE_LOADED, VERSIONS, VIEWINGS
from sharing.store import INVITATIONS

VERSION_KEY = "version:"
DIGITS = 8
"""Numbers inside a key are written with so many, so that keys compare as their numbers do."""


class Place(NamedTuple):
    """Where something stands in a timeline: its moment, then a key of its own, for several may share a moment."""

    at: datetime
    key: str

    def __str__(self) -> str:
        return f"{moment_text(self.at)}~{self.key}"

    @classmethod
    def read(cls, text: str) -> Self:
        """From `str(place)`. Raises ValueError."""
        at, between, key = text.partition("~")
        if not between:
            raise ValueError("A place names a moment and a key.")
        return cls(datetime.fromisoformat(at).replace(tzinfo=UTC), key)


class VersionPlace(NamedTuple):
    """A version's place among the contact's versions."""

    updated_at: datetime
    read_at: datetime
    id: str

    def key(self, number: int) -> str:
        """Of the version's happening with this number."""
        return f"{VERSION_KEY}{moment_text(self.read_at)}~{self.id}~{number:0{DIGITS}}"

    @classmethod
    def of(cls, version: Version) -> Self:
        return cls(version.updated_at, version.read_at, version.id)

    @classmethod
    def read(cls, place: Place) -> Self | None:
        """The version a place stands at; None when it stands below every version of its moment. Raises ValueError."""
        if not place.key.startswith(VERSION_KEY):
            return None
        read_at, id, _number = place.key.removeprefix(VERSION_KEY).split("~")
        return cls(place.at, datetime.fromisoformat(read_at).replace(tzinfo=UTC), id)


def moment_text(moment: datetime) -> str:
    """To the thousandth of a second, as the database keeps it, in UTC and without saying so."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds")


async def list_mails(reader: Reader, share_ids: Sequence[str], below: Place | None, limit: int) -> list[Document]:
    """{share_id, at, key, state, reason} of what became of these shares' invitations."""
    pipeline: list[Filter] = [
        {"$match": {"share_id": {"$in": list(share_ids)}}},
        {"$unwind": "$news"},
        {
            "$project": {
                "share_id": 1,
                "at": "$news.at",
                "state": "$news.state",
                "reason": "$news.reason",
                "key": {"$concat": ["mail:", "$share_id", "~", _digits("$number"), "~", "$news.state"]},
            }
        },
    ]
    rows: list[Document] = await reader.collection(INVITATIONS).aggregate([*pipeline, *_newest(below, limit)])
    return rows


async def list_openings(reader: Reader, share_ids: Sequence[str], below: Place | None, limit: int) -> list[Document]:
    """{share_id, invoice_id, at, key, doing} of the moments kept of what was opened through these shares.

    A moment's key holds how many came before it, which stays when the oldest moments are dropped.
    """
    begun = {"first_at": {"$lte": below.at}} if below else {}
    pipeline: list[Filter] = [
        {"$match": {"share_id": {"$in": list(share_ids)}, **begun}},
        {"$set": {"dropped": {"$subtract": [{"$add": ["$opened", "$downloaded"]}, {"$size": "$moments"}]}}},
        {"$unwind": {"path": "$moments", "includeArrayIndex": "index"}},
        {
            "$project": {
                "share_id": 1,
                "invoice_id": 1,
                "at": "$moments.at",
                "doing": "$moments.kind",
                "key": {"$concat": ["opening:", "$_id", "~", _digits({"$add": ["$dropped", "$index"]})]},
            }
        },
    ]
    rows: list[Document] = await reader.collection(VIEWINGS).aggregate([*pipeline, *_newest(below, limit)])
    return rows


async def list_changed(
    reader: Reader, organisation_id: str, contact_id: str, below: Place | None, after: VersionPlace | None, limit: int
) -> list[tuple[Version, Invoice | None]]:
    """Versions of a contact's invoices that came after its first load, each with the invoice as it was before, if that is known.

    From the version `below` stands at on, that one included, or `after` one that was read already.
    """
    here = {"organisation_id": organisation_id, "contact_id": contact_id}
    same = [{"$eq": [f"${name}", f"$$this_{name}"]} for name in ("invoice_id", "load_id")]
    earlier = {"$and": [*same, {"$lte": ["$updated_at", "$$this_updated_at"]}, _is_before("$$this_")]}
    names = {f"this_{name.strip('_')}": f"${name}" for name in ("invoice_id", "load_id", "updated_at", "read_at", "_id")}
    one_before: list[Filter] = [
        {"$match": {**here, "$expr": earlier}},
        {"$sort": {"updated_at": -1, "read_at": -1, "_id": -1}},
        {"$limit": 1},
        {"$project": {"invoice": 1}},
    ]
    pipeline: list[Filter] = [
        {"$match": {**here, **SINCE_LOADED, **_from(below, after)}},
        {"$sort": {"updated_at": -1, "read_at": -1, "_id": -1}},
        {"$limit": limit},
        {"$lookup": {"from": VERSIONS, "let": names, "pipeline": one_before, "as": "before"}},
    ]
    return [_with_before(row) for row in await reader.collection(VERSIONS).aggregate(pipeline)]


def _with_before(row: Document) -> tuple[Version, Invoice | None]:
    version = Version.model_validate({**row, "invoice": Invoice.model_validate_json(row["invoice"])})
    before = row["before"]
    return version, Invoice.model_validate_json(before[0]["invoice"]) if before else None


def _is_before(this: str) -> Filter:
    same_moment = {"$eq": ["$updated_at", f"{this}updated_at"]}
    read_before = {"$lt": ["$read_at", f"{this}read_at"]}
    named_before = {"$and": [{"$eq": ["$read_at", f"{this}read_at"]}, {"$lt": ["$_id", f"{this}id"]}]}
    return {"$or": [{"$lt": ["$updated_at", f"{this}updated_at"]}, {"$and": [same_moment, {"$or": [read_before, named_before]}]}]}


def _from(below: Place | None, after: VersionPlace | None) -> Filter:
    start = after or (VersionPlace.read(below) if below else None)
    if start is None:
        return {"updated_at": {"$lt": below.at}} if below else {}
    names = {"_id": {"$lt" if after else "$lte": start.id}}
    same_moment = {"$or": [{"read_at": {"$lt": start.read_at}}, {"read_at": start.read_at, **names}]}
    lower = [{"updated_at": {"$lt": start.updated_at}}, {"updated_at": start.updated_at, **same_moment}]
    return {"updated_at": {"$lte": start.updated_at}, "$or": lower}


def _newest(below: Place | None, limit: int) -> list[Filter]:
    lower = [{"$match": {"$or": [{"at": {"$lt": below.at}}, {"at": below.at, "key": {"$lt": below.key}}]}}] if below else []
    return [*lower, {"$sort": {"at": -1, "key": -1}}, {"$limit": limit}]


def _digits(number: Any) -> Filter:
    return {"$substrCP": [{"$toString": {"$toLong": {"$add": [10**DIGITS, number]}}}, 1, DIGITS]}
