"""Builders and a small driver for tests: invoices as Xero holds them, events about them, and the provider's presses."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from common.clock import utc_now
from common.contracts.auth import OrganisationConnected
from common.contracts.sharing import ClientInvited
from common.contracts.xero_gateway import Invoice, InvoicesChanged, InvoicesFetched, Line, Settlement
from common.crypto import KeyRing, unseal
from common.ids import tenant_id
from common.testing import ORGANISATION, Harness
from sharing.models import Actor, Share

CLIENT = "you@demo.example"
LONG_AGO = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def uuid_of(name: str) -> str:
    """A UUID that is always the same for a name, such as Xero gives contacts and invoices."""
    return str(uuid5(NAMESPACE_URL, name))


CONTACT = uuid_of("contact one")
OTHER_CONTACT = uuid_of("contact two")


def an_invoice(number: str = "INV-1", **changes: Any) -> Invoice:
    """A sales invoice of 115.00 that is awaiting payment, due in 2030."""
    fields: dict[str, Any] = {
        "invoice_id": uuid_of(number),
        "type": "ACCREC",
        "number": number,
        "reference": "",
        "status": "AUTHORISED",
        "contact_id": CONTACT,
        "contact_name": "Harbour Books",
        "currency": "NZD",
        "line_amount_types": "Exclusive",
        "date": date(2026, 1, 1),
        "due_date": date(2030, 1, 1),
        "fully_paid_on": None,
        "sub_total": 10000,
        "total_tax": 1500,
        "total": 11500,
        "amount_due": 11500,
        "amount_paid": 0,
        "amount_credited": 0,
        "payments": [],
        "updated_at": LONG_AGO,
        "lines": [a_line()],
    }
    return Invoice.model_validate(fields | changes)


def a_line(**changes: Any) -> Line:
    fields = {
        "line_item_id": uuid_of("line"),
        "description": "Binding",
        "quantity": "1.0000",
        "unit_amount": "100.0000",
        "discount_rate": None,
        "tax_type": "OUTPUT2",
        "tax_amount": 1500,
        "line_amount": 10000,
    }
    return Line.model_validate(fields | changes)


def a_payment(amount: int) -> Settlement:
    return Settlement(id=uuid_of(f"payment {amount}"), kind="payment", date=date(2026, 2, 1), amount=amount)


def a_share(**changes: Any) -> Share:
    """A share that waits for its first load."""
    fields: dict[str, Any] = {
        "_id": "shr_1",
        "organisation_id": ORGANISATION,
        "contact_id": CONTACT,
        "email": CLIENT,
        "load_id": "lod_1",
        "shared_by": Actor(id="prv_1", name="Mere Hart", email="mere@kowhai.example"),
        "created_at": LONG_AGO,
    }
    return Share.model_validate(fields | changes)


def connected(
    organisation: str = ORGANISATION, *, version: int = 1, name: str = "Kōwhai & Hart", zone: str | None = None
) -> OrganisationConnected:
    return OrganisationConnected(
        version=version, organisation_id=organisation, tenant_id=tenant_id(organisation), name=name, time_zone=zone
    )


def fetched(load_id: str, invoices: Sequence[Invoice], *, number: int = 1, batches: int | None = 1, **changes: Any) -> InvoicesFetched:
    """A batch of a first load; the only one unless said otherwise."""
    fields: dict[str, Any] = {
        "version": number,
        "load_id": load_id,
        "organisation_id": ORGANISATION,
        "contact_id": CONTACT,
        "contact_name": "Harbour Books",
        "read_at": utc_now(),
        "invoices": list(invoices),
        "stored": len(invoices),
        "total": len(invoices),
        "batches": batches,
    }
    return InvoicesFetched.model_validate(fields | changes)


def changed(first: Invoice, *others: Invoice, organisation: str = ORGANISATION, read_at: datetime | None = None) -> InvoicesChanged:
    """News of invoices of one contact, read just now unless said otherwise."""
    invoices = [first, *others]
    return InvoicesChanged(
        version=max(int(invoice.updated_at.timestamp() * 1000) for invoice in invoices),
        organisation_id=organisation,
        contact_id=first.contact_id,
        read_at=read_at or utc_now(),
        invoices=invoices,
    )


def token_in(event: ClientInvited, ring: KeyRing) -> str:
    """The invitation, as notifier reads it."""
    opened = unseal(ring, event.sealed, (ClientInvited.type, event.share_id, event.email))
    return str(json.loads(opened)["invitation"])


class Desk:
    """One organisation's provider at work, with xero-gateway loading what is shared."""

    def __init__(self, service: Harness, organisation: str = ORGANISATION) -> None:
        self.service = service
        self.organisation = organisation
        self.path = f"/internal/organisations/{organisation}"

    async def invite(self, email: str = CLIENT, contact: str = CONTACT, **terms: Any) -> dict[str, Any]:
        """The share as the provider sees it after pressing Send. `terms`: from_date, invoice_ids, ends_on."""
        (result,) = await self.invite_all([email], contact, **terms)
        share: dict[str, Any] = result["share"]
        return share

    async def invite_all(self, emails: Sequence[str], contact: str = CONTACT, **terms: Any) -> list[dict[str, Any]]:
        """What became of each address."""
        answer = await self.service.http.post(
            f"{self.path}/contacts/{contact}/shares",
            json={"emails": list(emails), "contact_name": "Harbour Books", **terms},
            headers=self.service.as_provider(self.organisation),
        )
        assert answer.is_success, answer.text
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    async def share(self, invoices: Sequence[Invoice], email: str = CLIENT, contact: str = CONTACT, **terms: Any) -> dict[str, Any]:
        """Invites and, when that begins a first load, delivers it in one batch."""
        share = await self.invite(email, contact, **terms)
        if share["load_id"]:
            changes: dict[str, Any] = {"organisation_id": self.organisation, "contact_id": contact}
            await self.service.deliver(fetched(share["load_id"], invoices, **changes))
        return await self.look(share["id"])

    async def look(self, share_id: str) -> dict[str, Any]:
        answer = await self.service.http.get(f"{self.path}/shares/{share_id}", headers=self.service.as_provider(self.organisation))
        assert answer.is_success, answer.text
        share: dict[str, Any] = answer.json()
        return share

    async def end(self, share_id: str) -> dict[str, Any]:
        answer = await self.service.http.post(f"{self.path}/shares/{share_id}/end", headers=self.service.as_provider(self.organisation))
        assert answer.is_success, answer.text
        share: dict[str, Any] = answer.json()
        return share

    async def numbers_seen(self, email: str = CLIENT) -> set[str] | None:
        """The numbers of all invoices an address sees of this organisation; None when it sees no such sender."""
        answer = await self.service.http.get(
            f"/internal/client/senders/{self.organisation}?view=all", headers=self.service.as_client(email)
        )
        if answer.status_code == 404:
            return None
        assert answer.is_success, answer.text
        return {row["number"] for row in answer.json()["invoices"]}

    async def opens(self, invoice: Invoice, email: str = CLIENT) -> int:
        """The status an address gets for one invoice."""
        answer = await self.service.http.get(
            f"/internal/client/senders/{self.organisation}/invoices/{invoice.invoice_id}", headers=self.service.as_client(email)
        )
        return answer.status_code
