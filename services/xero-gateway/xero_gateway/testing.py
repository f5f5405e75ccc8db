"""Builders for tests: invoices as Xero writes them and as they are read, and webhooks signed as Xero signs them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from common.contracts.xero_gateway import Invoice
from common.ids import organisation_id
from common.testing import ORGANISATION
from xero_gateway.wire import read_invoice

WEBHOOK_KEY = "a-key-of-this-test"
TENANT = "5f1f7b3a-0000-4000-8000-000000000001"
assert organisation_id(TENANT) == ORGANISATION
UPDATED = datetime(2026, 6, 18, 9, 30, 0, 123000, tzinfo=UTC)


def an_id(name: str) -> str:
    """The same UUID for the same name."""
    return str(uuid5(NAMESPACE_URL, name))


def a_raw_invoice(name: str = "INV-1", **changes: Any) -> dict[str, Any]:
    """An invoice as common.money.read_json gives it."""
    raw = {
        "Type": "ACCREC",
        "InvoiceID": an_id(name),
        "InvoiceNumber": name,
        "Reference": "PO 7",
        "Payments": [],
        "CreditNotes": [],
        "Prepayments": [],
        "Overpayments": [],
        "AmountDue": Decimal("46.00"),
        "AmountPaid": Decimal("0.00"),
        "AmountCredited": Decimal("0.00"),
        "Contact": {"ContactID": an_id("contact"), "Name": "Acorn Street Bakery"},
        "DateString": "2026-06-01T00:00:00",
        "Date": "/Date(1780272000000+0000)/",
        "DueDateString": "2026-06-20T00:00:00",
        "DueDate": "/Date(1781913600000+0000)/",
        "Status": "AUTHORISED",
        "LineAmountTypes": "Exclusive",
        "LineItems": [a_raw_line()],
        "SubTotal": Decimal("40.00"),
        "TotalTax": Decimal("6.00"),
        "Total": Decimal("46.00"),
        "UpdatedDateUTC": f"/Date({round(UPDATED.timestamp() * 1000)}+0000)/",
        "UpdatedDateUTCString": "2026-06-18T09:30:00Z",
        "CurrencyCode": "NZD",
    }
    return {**raw, **changes}


def a_raw_line(**changes: Any) -> dict[str, Any]:
    """One line of it."""
    line = {
        "LineItemID": an_id("line"),
        "Description": "Work",
        "Quantity": Decimal("1.0000"),
        "UnitAmount": Decimal("40.0000"),
        "TaxType": "OUTPUT2",
        "TaxAmount": Decimal("6.00"),
        "LineAmount": Decimal("40.00"),
        "Tracking": [],
    }
    return {**line, **changes}


def an_invoice(name: str = "INV-1", **changes: Any) -> Invoice:
    """The same, read; `changes` are in Xero's words."""
    return read_invoice(a_raw_invoice(name, **changes))


def a_webhook(*events: tuple[str, str], tenant: str = TENANT, first: int = 1, **changes: Any) -> bytes:
    """A webhook's body in Xero's own spacing; events are (category, resource), numbered from `first`."""
    listed = [
        {
            "resourceUrl": f"https://api.xero.com/api.xro/2.0/Any/{resource}",
            "resourceId": resource,
            "tenantId": tenant,
            "tenantType": "ORGANISATION",
            "eventCategory": category,
            "eventType": "UPDATE",
            "eventDateUtc": "2026-06-18T09:30:00.123",
            **changes,
        }
        for category, resource in events
    ]
    text = json.dumps(listed, separators=(",", ":"))
    numbers = f'"firstEventSequence": {first},"lastEventSequence": {first + len(listed) - 1}'
    return f'{{"events":{text},{numbers}, "entropy": "LUWDSUDGSWNZVALZXBEV"}}'.encode()


def signature_of(body: bytes, key: str = WEBHOOK_KEY) -> str:
    """What Xero puts into x-xero-signature."""
    return base64.b64encode(hmac.new(key.encode(), body, hashlib.sha256).digest()).decode()


@dataclass(frozen=True)
class Posted:
    """A webhook as it is posted; a forged one is not signed by Xero."""

    body: bytes
    signature: str
    forged: bool


def a_storm(invoices: Sequence[str], count: int, chance: random.Random, *, tenant: str = TENANT, key: str = WEBHOOK_KEY) -> list[Posted]:
    """About `count` webhooks in the order they are posted: of what Xero sent 10% are lost, 30% come twice and 30% later than
    others; 5% of all are forged, their bodies or their signatures."""
    sent: list[tuple[float, Posted]] = []
    for number in range(1, round(count * 0.95 / (0.9 * 1.3)) + 1):
        body = a_webhook(("INVOICE", chance.choice(invoices)), tenant=tenant, first=number)
        if chance.random() < 0.1:
            continue
        for _ in range(2 if chance.random() < 0.3 else 1):
            place = number + (chance.random() * 0.1 * count if chance.random() < 0.3 else 0)
            sent.append((place, Posted(body, signature_of(body, key), forged=False)))
    for place in chance.sample(range(1, count), round(count * 0.05)):
        body = a_webhook(("INVOICE", chance.choice(invoices)), tenant=tenant, first=10**6 + place)
        forged = (body, signature_of(body, "another key")) if place % 2 else (body.replace(b"UPDATE", b"CREATE"), signature_of(body, key))
        sent.append((place, Posted(*forged, forged=True)))
    return [posted for _, posted in sorted(sent, key=lambda it: it[0])]
