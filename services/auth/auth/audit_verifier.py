"""Reads the whole audit and names the first broken link of every chain that is broken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from pydantic import ValidationError

from auth import audit_store
from auth.audit_models import Anchor, Link, fault_after, link_id
from common.mongo import Database, Document, Tx

COMPARED_AT_ONCE = 500
ANCHORS = "anchors"
"""How the chain of anchors is called among the others."""

T = TypeVar("T", Link, Anchor)


@dataclass
class Report:
    """What was read, the newest anchor, and for each broken chain the number of its first broken link and what is wrong with it."""

    chains: int = 0
    links: int = 0
    anchors: int = 0
    newest: Anchor | None = None
    broken: dict[str, tuple[int, str]] = field(default_factory=dict)

    def found(self, chain: str, number: int, fault: str) -> None:
        if chain not in self.broken or number < self.broken[chain][0]:
            self.broken[chain] = (number, fault)


@dataclass
class _End:
    """Where a chain stands after the links read so far."""

    last: Link
    sealed: int | None

    def fault(self, generation: int | None) -> str | None:
        """What its token set, at this generation (None: there is none), says against it."""
        if self.last.closed:
            return None if generation is None else "the chain was closed, but its token set is there"
        if generation is None:
            return "the token set is gone, but the chain was not closed"
        if self.sealed is not None and self.sealed != generation:
            return f"generation {self.sealed} was sealed last, but the token set is at {generation}"
        return None


async def verify(db: Database, known: Mapping[int, str], report: Report | None = None) -> Report:
    """`known` are hashes of anchors kept outside of the database, by number: each stood once in a log line `audit.anchored`.
    `report` is filled as it goes, for whoever wants to see how far it is.

    May run beside everything else: what seems wrong only because it changes meanwhile is looked at again in one snapshot.
    """
    report = report or Report()
    await _read_links(db, report)
    await _read_anchors(db, report, known)
    async for token_sets in audit_store.walk_token_sets(db):
        begun = await audit_store.hashes_of(db, [(id, 1) for id in token_sets])
        for id in token_sets:
            if (id, 1) not in begun and id not in report.broken:
                report.found(id, 1, "it is missing; the token set has no chain")
    return report


async def _read_links(db: Database, report: Report) -> None:
    chain, end = "", None
    ends: dict[str, _End] = {}
    async for row in audit_store.walk_links(db):
        report.links += 1
        if (named := row["_id"].rpartition(".")[0]) != chain:
            chain, end = named, None
            report.chains += 1
            if len(ends) >= COMPARED_AT_ONCE:
                await _compare(db, ends, report)
                ends = {}
        if chain in report.broken:
            continue
        link = _read(Link, row)
        proper = link is not None and row["_id"] == link_id(link.chain, link.number)
        fault = fault_after(end.last if end else None, link) if link and proper else "it cannot be read"
        if link is None or fault:
            report.found(chain, end.last.number + 1 if end else 1, fault or "")
            ends.pop(chain, None)
            continue
        end = _End(link, link.sealed or (end.sealed if end else None))
        ends[chain] = end
    await _compare(db, ends, report)


async def _compare(db: Database, ends: Mapping[str, _End], report: Report) -> None:
    """Chains with their token sets."""
    generations = await audit_store.generations_of(db, list(ends))
    for chain, end in ends.items():
        if end.fault(generations.get(chain)) and (fault := await db.transact(_look_again, chain)):
            gone = generations.get(chain) is None  # then it is the closing link that is missing
            report.found(chain, end.last.number + gone, fault)


async def _look_again(tx: Tx, chain: str) -> str | None:
    last = await audit_store.find_last_link(tx, chain)
    if last is None:
        return None  # the links read a moment ago are gone; the anchors know them
    end = _End(last, await audit_store.find_last_seal(tx, chain))
    return end.fault((await audit_store.generations_of(tx, [chain])).get(chain))


async def _read_anchors(db: Database, report: Report, known: Mapping[int, str]) -> None:
    last: Anchor | None = None
    async for row in audit_store.walk_anchors(db):
        report.anchors += 1
        anchor = _read(Anchor, row)
        fault = fault_after(last, anchor) if anchor else "it cannot be read"
        if anchor is None or fault:
            report.found(ANCHORS, last.number + 1 if last else 1, fault or "")
            break
        if known.get(anchor.number, anchor.hash) != anchor.hash:
            report.found(ANCHORS, anchor.number, "it is not the one that was written down")
        await _compare_heads(db, anchor, report)
        last = anchor
    for number in sorted(known):
        if last is None or number > last.number:
            report.found(ANCHORS, number, "it is missing")
    report.newest = last


async def _compare_heads(db: Database, anchor: Anchor, report: Report) -> None:
    stored = await audit_store.hashes_of(db, [(head.chain, head.number) for head in anchor.heads])
    for head in anchor.heads:
        there = stored.get((head.chain, head.number))
        if there is None:
            report.found(head.chain, head.number, f"it is missing; anchor {anchor.number} knows it")
        elif there != head.hash:
            report.found(head.chain, head.number, f"it was written anew after anchor {anchor.number}")


def _read(kind: type[T], row: Document) -> T | None:
    try:
        return kind.model_validate(row)
    except ValidationError:
        return None


def in_words(report: Report) -> Sequence[str]:
    """The report in lines for people."""
    lines = [f"{report.chains} chains with {report.links} links, {report.anchors} anchors."]
    if report.newest:
        lines.append(f"Newest anchor: {report.newest.number}:{report.newest.hash} of {report.newest.at:%Y-%m-%d %H:%M} UTC.")
    lines += [f"BROKEN {chain}, link {number}: {fault}." for chain, (number, fault) in sorted(report.broken.items())]
    return lines if report.broken else [*lines, "Every chain is whole."]
