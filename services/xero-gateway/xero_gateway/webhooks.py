"""What Xero's webhooks say, once their signature was found good: what has to be looked at again, and whether one is missing."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from common.ids import organisation_id
from common.mongo import Database, Document, Tx
from xero_gateway import store
from xero_gateway.models import CATEGORIES, Gap, Webhook

LARGEST_BODY = 256 * 1024
MARKS_AT_ONCE = 500


def is_signed(body: bytes, signature: str, keys: Iterable[bytes]) -> bool:
    """Whether one of the keys made this signature of the raw bytes; every key is tried, each in constant time."""
    given = signature.encode("utf-8", "replace")
    matches = [hmac.compare_digest(base64.b64encode(hmac.digest(key, body, hashlib.sha256)), given) for key in keys]
    return any(matches)


def read_webhook(body: bytes) -> Webhook:
    """What it says has changed, and the numbers of its events. Raises ValueError when the body is no webhook.

    Order, type and number of events do not matter: each only means "look again". Kinds that are not known and ids that are
    none are left out; `resourceUrl` is never used.
    """
    try:
        document = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(document, dict) or not isinstance(document.get("events"), list):
        raise ValueError("no list of events")
    resources = {resource for event in document["events"] if (resource := _resource(event))}
    first, last = (document.get(f"{name}EventSequence") for name in ("first", "last"))
    numbered = isinstance(first, int) and isinstance(last, int)
    return Webhook(resources=tuple(sorted(resources)), first=first if numbered else 0, last=last if numbered else 0)


async def take(db: Database, rows: Sequence[Document]) -> None:
    """Marks what claimed webhooks told of, each resource once, and notes that they came. Doing it again does no harm."""
    webhooks = [Webhook.model_validate(row) for row in rows]
    marks = sorted({resource for webhook in webhooks for resource in webhook.resources})
    for start in range(0, len(marks), MARKS_AT_ONCE):
        await store.add_marks(db, marks[start : start + MARKS_AT_ONCE])
    await db.transact(_note_arrivals, rows, webhooks)


async def give_up_gaps(db: Database) -> int:
    """Events that were to come between others and did not are lost: Xero is asked for every organisation. How many they are."""
    late = (await store.find_arrivals(db)).late_gaps(await db.now())
    if not late:
        return 0
    await store.ask_for_all_reconciliations(db)
    return await db.transact(_forget_gaps, late)


async def _note_arrivals(tx: Tx, rows: Sequence[Document], webhooks: Sequence[Webhook]) -> None:
    arrivals, now = await store.find_arrivals(tx), await tx.now()
    for webhook in sorted(webhooks, key=lambda it: it.first):
        arrivals = arrivals.after(webhook, now)
    await store.save_arrivals(tx, arrivals)
    await store.clear_webhooks(tx, rows)


async def _forget_gaps(tx: Tx, late: Sequence[Gap]) -> int:
    arrivals = await store.find_arrivals(tx)
    await store.save_arrivals(tx, arrivals.model_copy(update={"gaps": tuple(gap for gap in arrivals.gaps if gap not in late)}))
    return sum(gap.last - gap.first + 1 for gap in arrivals.gaps if gap in late)


def _resource(event: Any) -> tuple[str, str, str] | None:
    try:
        category = str(event["eventCategory"]).upper()
        found = organisation_id(str(event["tenantId"])), category, str(UUID(str(event["resourceId"])))
    except (KeyError, TypeError, ValueError):
        return None
    return found if category in CATEGORIES else None
