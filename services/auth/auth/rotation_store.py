"""Queries of turning the key: which token sets are wrapped by which key of the ring."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from auth.store import FIELDS, TOKEN_SETS, Field
from common.mongo import Document, Filter, Reader

Rewrapped = tuple[str, Mapping[Field, Any], Mapping[Field, Any]]
"""A token set's id, and some of its sealed tokens as they were and as they shall be."""


async def list_wrapped_by(reader: Reader, keys: Sequence[str], after: str, limit: int) -> list[Document]:
    """Token sets with a token under one of these keys, by id, beginning after `after`; without what is sealed."""
    bodies = {f"{field}.sealed": 0 for field in FIELDS}
    where = _wrapped_by({"$in": list(keys)}, {"_id": {"$gt": after}})
    found: list[Document] = await reader.collection(TOKEN_SETS).find(where, sort=[("_id", 1)], limit=limit, projection=bodies)
    return found


async def count_wrapped_by(reader: Reader, keys: Sequence[str]) -> int:
    """How many token sets have a token under one of these keys."""
    return int(await reader.collection(TOKEN_SETS).count(_wrapped_by({"$in": list(keys)}, {})))


async def count_by_key(reader: Reader) -> dict[str, int]:
    """Token sets by the key of their refresh token, whether the ring has it or not."""
    rows = await reader.collection(TOKEN_SETS).aggregate(
        [{"$sort": {"refresh.kid": 1}}, {"$group": {"_id": "$refresh.kid", "sets": {"$sum": 1}}}]
    )
    return {str(row["_id"]): row["sets"] for row in rows}


async def save_rewrapped(reader: Reader, changes: Iterable[Rewrapped]) -> None:
    """Replaces key and wrapped data key of these fields, in each token set where all are still as they were before."""
    await reader.collection(TOKEN_SETS).update_each(
        (
            {"_id": id, **{f"{field}.wrapped": value["wrapped"] for field, value in before.items()}},
            {"$set": {f"{field}.{name}": value[name] for field, value in after.items() for name in ("kid", "wrapped")}},
        )
        for id, before, after in changes
    )


def _wrapped_by(keys: Filter, beside: Filter) -> Filter:
    return {"$or": [{f"{field}.kid": keys, **beside} for field in FIELDS]}
