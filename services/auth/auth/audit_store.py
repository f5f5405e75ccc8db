"""Queries and indexes of the audit: links and anchors are added and read, never changed and never deleted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime

from auth.audit_models import Anchor, Head, Link, link_id
from common.mongo import Database, Document, Index, Reader

LINKS, ANCHORS, TOKEN_SETS = "audit", "audit_anchors", "token_sets"
READ_AT_ONCE = 2000

INDEXES = {LINKS: [Index(("at", 1))], ANCHORS: []}


async def add_link(reader: Reader, link: Link) -> None:
    """Raises DuplicateKey when the chain has a link of this number already."""
    await reader.collection(LINKS).insert_one({"_id": link_id(link.chain, link.number), **link.model_dump()})


async def add_links(reader: Reader, links: Sequence[Link]) -> set[str]:
    """Links of different chains in one call; the chains that took theirs. In the others somebody else took the number."""
    new = [({"_id": link_id(link.chain, link.number)}, {"$setOnInsert": link.model_dump()}) for link in links]
    await reader.collection(LINKS).upsert_many(new)
    stored = await hashes_of(reader, [(link.chain, link.number) for link in links])
    return {link.chain for link in links if stored.get((link.chain, link.number)) == link.hash}


async def find_last_link(reader: Reader, chain: str) -> Link | None:
    found = await reader.collection(LINKS).find(_all_of(chain), sort=[("_id", -1)], limit=1)
    return Link.model_validate(found[0]) if found else None


async def find_last_seal(reader: Reader, chain: str) -> int | None:
    """The generation sealed last; None when the chain knows of none."""
    where = {**_all_of(chain), "accesses.did": "seal"}
    found = await reader.collection(LINKS).find(where, sort=[("_id", -1)], limit=1)
    return Link.model_validate(found[0]).sealed if found else None


async def walk_links(db: Database) -> AsyncIterator[Document]:
    """Every link as it is stored, chain by chain, in order."""
    after = ""
    while rows := await db.collection(LINKS).find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=READ_AT_ONCE):
        for row in rows:
            yield row
        after = rows[-1]["_id"]


async def estimate_links(db: Database) -> int:
    return await db.collection(LINKS).estimate()


async def list_heads(reader: Reader, since: datetime) -> list[tuple[str, int]]:
    """Chains with a link made at or after `since`, with the number of their newest, by chain."""
    newest = {"_id": "$chain", "number": {"$max": "$number"}}
    pipeline = [{"$match": {"at": {"$gte": since}}}, {"$group": newest}, {"$sort": {"_id": 1}}]
    return [(row["_id"], row["number"]) for row in await reader.collection(LINKS).aggregate(pipeline)]


async def hashes_of(reader: Reader, heads: Sequence[tuple[str, int]]) -> dict[tuple[str, int], str]:
    """The stored hashes of these links, (chain, number); what is not there is left out."""
    where = {"_id": {"$in": [link_id(*head) for head in heads]}}
    found = await reader.collection(LINKS).find(where, projection={"chain": 1, "number": 1, "hash": 1})
    return {(row["chain"], row["number"]): row["hash"] for row in found}


async def add_anchor(db: Database, anchor: Anchor) -> None:
    """Raises DuplicateKey when another process made the anchor of this number."""
    await db.collection(ANCHORS).insert_one({"_id": anchor.number, **anchor.model_dump()})


async def find_last_anchor(reader: Reader) -> Anchor | None:
    found = await reader.collection(ANCHORS).find({}, sort=[("_id", -1)], limit=1)
    return Anchor.model_validate(found[0]) if found else None


async def walk_anchors(db: Database) -> AsyncIterator[Document]:
    """Every anchor as it is stored, in order."""
    after = 0
    while rows := await db.collection(ANCHORS).find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=10):
        for row in rows:
            yield row
        after = rows[-1]["_id"]


async def walk_token_sets(db: Database) -> AsyncIterator[list[str]]:
    """The ids of every token set, some at a time."""
    after = ""
    while rows := await db.collection(TOKEN_SETS).find({"_id": {"$gt": after}}, sort=[("_id", 1)], limit=500, projection={"_id": 1}):
        yield [row["_id"] for row in rows]
        after = rows[-1]["_id"]


async def generations_of(reader: Reader, chains: Sequence[str]) -> dict[str, int]:
    """The generations of those token sets that exist."""
    found = await reader.collection(TOKEN_SETS).find({"_id": {"$in": list(chains)}}, projection={"generation": 1})
    return {row["_id"]: row["generation"] for row in found}


def heads_of(links: Sequence[tuple[str, int]], hashes: dict[tuple[str, int], str]) -> list[Head]:
    return [Head(chain=chain, number=number, hash=hashes[chain, number]) for chain, number in links]


def _all_of(chain: str) -> dict[str, object]:
    """Links of one chain, by the range of their ids."""
    return {"_id": {"$gt": f"{chain}.", "$lt": f"{chain}/"}}
