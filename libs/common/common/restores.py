"""How far putting a service's data back from a backup is: one row, kept afterwards to say when that was."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from common.errors import Conflict
from common.mongo import Database, Document, Indexes, Reader

RESTORES = "restores"
ID = "restore"
INDEXES: Indexes = {RESTORES: []}
State = Literal["loading", "placing", "held", "done"]
"""Documents are being staged; they take their place; they stand and the outbox is held back; it is over."""


async def begin(db: Database, taken_at: datetime) -> None:
    """`taken_at`: when the backup was taken."""
    await db.collection(RESTORES).replace_one({"_id": ID}, {"state": "loading", "taken_at": taken_at}, upsert=True)


async def note(db: Database, state: State) -> None:
    """The last step gives the time at which the data came back."""
    await db.collection(RESTORES).update_one({"_id": ID}, [{"$set": {"state": state, "restored_at": "$$NOW"}}])


async def get(reader: Reader, state: State) -> Document:
    """The restore, when it is in this state. Raises Conflict."""
    row: Document | None = await reader.collection(RESTORES).find_one({"_id": ID, "state": state})
    if row is None:
        raise Conflict("A restore takes its steps in order: begin, load, finish, release.", code="out_of_order")
    return row


async def find_state(reader: Reader) -> State | None:
    row = await reader.collection(RESTORES).find_one({"_id": ID})
    return row["state"] if row else None


async def find_restored_at(reader: Reader) -> datetime | None:
    """When this service's data came back, by the database's clock; None when it never did."""
    row = await reader.collection(RESTORES).find_one({"_id": ID})
    return row.get("restored_at") if row else None
