"""Random histories of sharing, ending, loading, changing and moving show exactly what a small model says."""

import random
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from common.contracts.xero_gateway import Invoice
from common.events import EventData
from common.testing import Harness
from sharing.testing import LONG_AGO, Desk, an_invoice, changed, fetched, uuid_of

ADDRESSES = ("ann@demo.example", "ben@demo.example")
CONTACTS = (uuid_of("contact one"), uuid_of("contact two"), uuid_of("contact three"))
NEXT = {"DRAFT": ("AUTHORISED", "DELETED"), "AUTHORISED": ("PAID", "VOIDED", "VOIDED"), "PAID": ("AUTHORISED",)}
STEPS = 60


@dataclass
class Books:
    """One organisation in Xero, its accesses, and the events on their way: the model."""

    desk: Desk
    invoices: dict[str, Invoice] = field(default_factory=dict)
    voided_at: dict[str, int] = field(default_factory=dict)
    shares: dict[tuple[str, str], tuple[str, int]] = field(default_factory=dict)
    on_the_way: list[EventData] = field(default_factory=list)
    moment: int = 0

    def step(self) -> int:
        self.moment += 1
        return self.moment

    def expected(self, email: str) -> set[str]:
        """What an address sees when every event has arrived."""
        return {number for number in self.invoices if self._shows(self.invoices[number], email)}

    def _shows(self, invoice: Invoice, email: str) -> bool:
        share = self.shares.get((email, invoice.contact_id))
        if share is None:
            return False
        return invoice.is_shareable or (invoice.status == "VOIDED" and share[1] < self.voided_at[invoice.number])

    def write(self, number: str, **changes: Any) -> None:
        """Xero holds a new version; news of it come only when the contact is watched, or was until this version."""
        updated_at = LONG_AGO + timedelta(seconds=self.step())
        fields = dict(self.invoices[number]) if number in self.invoices else {}
        self.invoices[number] = an_invoice(**{**fields, "number": number, "updated_at": updated_at, **changes})
        if changes.get("status") == "VOIDED":
            self.voided_at[number] = self.moment
        if {fields.get("contact_id"), self.invoices[number].contact_id} & {contact for _, contact in self.shares}:
            self.on_the_way.append(changed(self.invoices[number], organisation=self.desk.organisation))


async def act(books: Books, dice: random.Random) -> None:
    """One thing that may happen."""
    email, contact = dice.choice(ADDRESSES), dice.choice(CONTACTS)
    number = f"INV-{dice.randrange(8)}"
    match dice.choice(["invite", "invite", "end", "end", "write", "write", "move", "deliver", "deliver"]):
        case "invite" if (email, contact) not in books.shares:
            opens = not any(known == contact for _, known in books.shares)
            share = await books.desk.invite(email, contact)
            books.shares[email, contact] = (share["id"], books.step())
            if opens:
                held = [invoice for invoice in books.invoices.values() if invoice.contact_id == contact and invoice.is_shareable]
                ids = {"organisation_id": books.desk.organisation, "contact_id": contact}
                first, second = held[::2], held[1::2]
                books.on_the_way.append(fetched(share["load_id"], first, number=1, batches=None, **ids))
                books.on_the_way.append(fetched(share["load_id"], second, number=2, batches=2, **ids))
        case "end" if (email, contact) in books.shares:
            await books.desk.end(books.shares.pop((email, contact))[0])
        case "write" if number not in books.invoices:
            books.write(number, invoice_id=uuid_of(number), contact_id=contact, status=dice.choice(["DRAFT", "AUTHORISED"]))
        case "write" if books.invoices[number].status in NEXT:
            books.write(number, status=dice.choice(NEXT[books.invoices[number].status]))
        case "move" if number in books.invoices and books.invoices[number].status == "AUTHORISED":
            books.write(number, contact_id=contact)
        case "deliver" if books.on_the_way:
            await deliver(books, dice)


async def deliver(books: Books, dice: random.Random) -> None:
    """Any event may arrive first, and one in four arrives again later."""
    event = books.on_the_way.pop(dice.randrange(len(books.on_the_way)))
    if dice.random() < 0.25:
        books.on_the_way.append(event)
    await books.desk.service.deliver(event)


@pytest.mark.parametrize("seed", range(10))
async def test_a_random_history_shows_what_the_model_says(sharing: Harness, desk: Desk, other_desk: Desk, seed: int) -> None:
    dice = random.Random(seed)
    both = [Books(desk), Books(other_desk)]
    for _ in range(STEPS):
        await act(dice.choice(both), dice)
    for books in both:
        while books.on_the_way:
            await deliver(books, dice)
        for email in ADDRESSES:
            await judge(books, email)


async def judge(books: Books, email: str) -> None:
    seen, expected = await books.desk.numbers_seen(email) or set(), books.expected(email)
    shares = [await books.desk.look(share_id) for (known, _), (share_id, _) in books.shares.items() if known == email]
    waiting = {share["contact_id"] for share in shares if share["state"] in ("preparing", "waiting_invoice")}
    for contact in waiting:
        held = {number for number in expected if books.invoices[number].contact_id == contact}
        assert all(books.invoices[number].status == "VOIDED" for number in held)  # voided before anybody was told of it
        expected -= held
    assert seen == expected
    for invoice in books.invoices.values():
        assert await books.desk.opens(invoice, email) == (200 if invoice.number in expected else 404)
