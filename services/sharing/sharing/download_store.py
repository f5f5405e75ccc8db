"""Every query of downloads: what an address asked for at once, kept for some days."""

from __future__ import annotations

from datetime import datetime

from common.mongo import Database, Index, Indexes, Reader, Tx
from sharing.models import Download
from sharing.snapshot_store import NOTHING

DOWNLOADS = "downloads"
MOST_SHOWN = 20
BATCH = 100

INDEXES: Indexes = {
    DOWNLOADS: [Index(("email", 1), ("created_at", -1)), Index(("organisation_id", 1)), Index(("purge_at", 1), expire_after=0)],
}


async def add_download(tx: Tx, download: Download) -> None:
    await tx.collection(DOWNLOADS).insert_one(download.model_dump(by_alias=True))


async def find_download(reader: Reader, email: str, download_id: str) -> Download | None:
    found = await reader.collection(DOWNLOADS).find_one({"_id": download_id, "email": email})
    return Download.model_validate(found) if found else None


async def list_downloads(reader: Reader, email: str) -> list[Download]:
    """The newest of an address."""
    rows = await reader.collection(DOWNLOADS).find({"email": email}, sort=[("created_at", -1), ("_id", -1)], limit=MOST_SHOWN)
    return [Download.model_validate(row) for row in rows]


async def note_progress(tx: Tx, download_id: str, version: int, **facts: int | str | None) -> None:
    """Keeps what is newer than what is known; a download that is gone stays gone."""
    where = {"_id": download_id, "version": {"$lt": version}}
    await tx.collection(DOWNLOADS).update_one(where, {"$set": {**facts, "version": version}})


async def delete_some_downloads(db: Database, organisation_id: str, moment: datetime) -> int:
    """Some of those of an organisation that were asked for before that moment; answers how many."""
    where = {"organisation_id": organisation_id, "created_at": {"$lt": moment}}
    found = await db.collection(DOWNLOADS).find(where, projection={"_id": 1}, limit=BATCH)
    return await db.collection(DOWNLOADS).delete_many({"_id": {"$in": [row["_id"] for row in found]}} if found else NOTHING)
