"""What Xero's webhooks say, once their signature was found good: which resources have to be looked at again. Pure."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Iterable
from typing import Any
from uuid import UUID

from common.ids import organisation_id
from xero_gateway.models import CATEGORIES

LARGEST_BODY = 256 * 1024


def is_signed(body: bytes, signature: str, keys: Iterable[bytes]) -> bool:
    """Whether one of the keys made this signature of the raw bytes; every key is tried, each in constant time."""
    given = signature.encode("utf-8", "replace")
    matches = [hmac.compare_digest(base64.b64encode(hmac.digest(key, body, hashlib.sha256)), given) for key in keys]
    return any(matches)


def resources_in(body: bytes) -> set[tuple[str, str, str]]:
    """(organisation, category, resource) of every event. Raises ValueError when the body is no webhook.

    Order, type and number of events do not matter: each only means "look again". Kinds that are not known and ids that are
    none are left out; `resourceUrl` is never used.
    """
    try:
        document = json.loads(body)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(document, dict) or not isinstance(document.get("events"), list):
        raise ValueError("no list of events")
    return {resource for event in document["events"] if (resource := _resource(event))}


def _resource(event: Any) -> tuple[str, str, str] | None:
    try:
        category = str(event["eventCategory"]).upper()
        found = organisation_id(str(event["tenantId"])), category, str(UUID(str(event["resourceId"])))
    except (KeyError, TypeError, ValueError):
        return None
    return found if category in CATEGORIES else None
