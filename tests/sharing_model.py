"""A small model of sharing, played against the real service by Hypothesis: shares and their terms, snapshots, endings, in any order."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, TypeVar
from uuid import uuid4

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from common.contracts.xero_gateway import Invoice
from common.events import EventData
from common.ids import organisation_id
from common.testing import Harness
from sharing.expirer import Expirer
from sharing.testing import LONG_AGO, Desk, an_invoice, changed, connected, fetched, uuid_of

ADDRESSES = ("ann@demo.example", "ben@demo.example")
CONTACTS = (uuid_of("contact one"), uuid_of("contact two"))
NUMBERS = tuple(f"INV-{number}" for number in range(5))
DAYS = (date(2026, 1, 1), date(2026, 6, 1))
NEXT = {"DRAFT": ("AUTHORISED", "SUBMITTED", "DELETED"), "SUBMITTED": ("AUTHORISED", "DELETED"), "AUTHORISED": ("PAID", "VOIDED"),
        "PAID": ("AUTHORISED",)}  # fmt: skip
R = TypeVar("R")


@dataclass
class Access:
    """A live share: since which step, what it shows."""

    id: str
    since: int
    from_date: date | None
    picked: tuple[str, ...] | None

    def admits(self, invoice: Invoice) -> bool:
        if self.picked is not None:
            return invoice.invoice_id in self.picked
        return self.from_date is None or (invoice.date is not None and invoice.date >= self.from_date)


@dataclass
class Books:
    """What one organisation holds in Xero, who has access, and the events on their way."""

    desk: Desk
    invoices: dict[str, Invoice] = field(default_factory=dict)
    voided_at: dict[str, int] = field(default_factory=dict)
    shares: dict[tuple[str, str], Access] = field(default_factory=dict)
    published: set[str] = field(default_factory=set)
    on_the_way: list[EventData] = field(default_factory=list)
    moment: int = 0

    def step(self) -> int:
        self.moment += 1
        return self.moment

    def shows(self, invoice: Invoice, email: str) -> bool:
        """When every event has arrived."""
        access = self.shares.get((email, invoice.contact_id))
        if access is None or not access.admits(invoice):
            return False
        return invoice.is_shareable or (invoice.status == "VOIDED" and access.since < self.voided_at[invoice.number])

    def write(self, number: str, **changes: Any) -> None:
        """Xero holds a new version; news of it come when its contact is watched, or was until this version, or it was ever told of."""
        fields = dict(self.invoices[number]) if number in self.invoices else {"invoice_id": uuid_of(f"{self.desk.organisation}{number}")}
        before = fields.get("contact_id")
        updated_at = LONG_AGO + timedelta(seconds=self.step())
        self.invoices[number] = an_invoice(**{**fields, "number": number, "updated_at": updated_at, **changes})
        if changes.get("status") == "VOIDED":
            self.voided_at[number] = self.moment
        if number in self.published or {before, self.invoices[number].contact_id} & {contact for _, contact in self.shares}:
            self.published.add(number)
            self.on_the_way.append(changed(self.invoices[number], organisation=self.desk.organisation))

    def load(self, contact: str, load_id: str) -> None:
        """A first load in two batches, as Xero holds the contact now."""
        held = [invoice for invoice in self.invoices.values() if invoice.contact_id == contact and invoice.is_shareable]
        self.published |= {invoice.number for invoice in held}
        ids = {"organisation_id": self.desk.organisation, "contact_id": contact}
        self.on_the_way.append(fetched(load_id, held[::2], number=1, batches=None, **ids))
        self.on_the_way.append(fetched(load_id, held[1::2], number=2, batches=2, **ids))


class Sharing(RuleBasedStateMachine):
    """Plays in an organisation of its own. Rules run in a thread; the service answers on the loop of the test."""

    service: Harness
    loop: asyncio.AbstractEventLoop

    def run(self, doing: Awaitable[R]) -> R:
        async def done() -> R:
            return await doing

        return asyncio.run_coroutine_threadsafe(done(), self.loop).result(60)

    @initialize()
    def connect(self) -> None:
        organisation = organisation_id(str(uuid4()))
        self.run(self.service.deliver(connected(organisation)))
        self.books = Books(Desk(self.service, organisation))

    @rule(email=st.sampled_from(ADDRESSES), contact=st.sampled_from(CONTACTS), terms=st.sampled_from(("all", "from", "picked")),
          day=st.sampled_from(DAYS), number=st.sampled_from(NUMBERS))  # fmt: skip
    def invite(self, email: str, contact: str, terms: str, day: date, number: str) -> None:
        """New, or again with other terms."""
        books = self.books
        picked = (uuid_of(f"{books.desk.organisation}{number}"),) if terms == "picked" else None
        wanted: dict[str, Any] = {"invoice_ids": list(picked)} if picked else {"from_date": day.isoformat()} if terms == "from" else {}
        opens = not any(known == contact for _, known in books.shares)
        share = self.run(books.desk.invite(email, contact, **wanted))
        there = books.shares.get((email, contact))
        since = there.since if there else books.step()
        books.shares[email, contact] = Access(share["id"], since, day if terms == "from" else None, picked)
        if opens:
            books.load(contact, share["load_id"])

    @precondition(lambda self: self.books.shares)
    @rule(data=st.data(), how=st.sampled_from(("revoke", "expire", "decline")))
    def end(self, data: st.DataObject, how: str) -> None:
        """By the provider, by its date, or by its address."""
        email, contact = data.draw(st.sampled_from(sorted(self.books.shares)))
        access = self.books.shares[email, contact]
        if how == "expire":
            self.run(self._run_out(access.id))
        elif how == "revoke" or not self.run(self._decline(email, contact)):  # one that was never invited has nothing to decline
            self.run(self.books.desk.end(access.id))
        del self.books.shares[email, contact]

    @rule(number=st.sampled_from(NUMBERS), contact=st.sampled_from(CONTACTS), day=st.sampled_from(DAYS),
          status=st.sampled_from(("DRAFT", "AUTHORISED", "SUBMITTED")))  # fmt: skip
    def write(self, number: str, contact: str, day: date, status: str) -> None:
        """A new invoice, or one that moves to a contact with a new date."""
        if number not in self.books.invoices:
            self.books.write(number, contact_id=contact, status=status, date=day)
        elif self.books.invoices[number].status == "AUTHORISED":
            self.books.write(number, contact_id=contact, date=day)

    @rule(number=st.sampled_from(NUMBERS), data=st.data())
    def advance(self, number: str, data: st.DataObject) -> None:
        """The next status Xero allows."""
        invoice = self.books.invoices.get(number)
        if invoice is not None and invoice.status in NEXT:
            self.books.write(number, status=data.draw(st.sampled_from(NEXT[invoice.status])))

    @precondition(lambda self: self.books.on_the_way)
    @rule(data=st.data(), again=st.booleans())
    def deliver(self, data: st.DataObject, again: bool) -> None:
        """Any event may come first, and again later."""
        event = self.books.on_the_way.pop(data.draw(st.integers(0, len(self.books.on_the_way) - 1)))
        if again:
            self.books.on_the_way.append(event)
        self.run(self.service.deliver(event))

    @rule()
    def nobody_else_sees_anything(self) -> None:
        """Whatever is still on its way."""
        for email in ADDRESSES:
            if not any(known == email for known, _ in self.books.shares):
                assert self.run(self.books.desk.numbers_seen(email)) is None

    def teardown(self) -> None:
        """Everything arrives; then each address sees what the model says, in the list and one by one."""
        if not hasattr(self, "books"):
            return
        for event in self.books.on_the_way:
            self.run(self.service.deliver(event))
        for email in ADDRESSES:
            self.run(self._judge(email))

    async def _judge(self, email: str) -> None:
        books = self.books
        expected = {number for number, invoice in books.invoices.items() if books.shows(invoice, email)}
        for (known, contact), access in books.shares.items():
            if known == email and (await books.desk.look(access.id))["state"] in ("preparing", "waiting_invoice"):
                held = {number for number in expected if books.invoices[number].contact_id == contact}
                assert all(books.invoices[number].status == "VOIDED" for number in held)  # voided before anybody was told of it
                expected -= held
        assert (await books.desk.numbers_seen(email) or set()) == expected
        for invoice in books.invoices.values():
            assert await books.desk.opens(invoice, email) == (200 if invoice.number in expected else 404)

    async def _run_out(self, share_id: str) -> None:
        past = await self.service.db.now() - timedelta(milliseconds=1)
        await self.service.db.collection("shares").update_one({"_id": share_id}, {"$set": {"ends_at": past}})
        await Expirer().expire_due(self.service.db)

    async def _decline(self, email: str, contact: str) -> bool:
        path = f"/internal/client/senders/{self.books.desk.organisation}/decline?contact={contact}"
        return (await self.service.http.post(path, headers=self.service.as_client(email))).is_success


async def play(service: Harness, *, examples: int, steps: int) -> None:
    """So many histories of so many steps. Raises what the first wrong one raises, with the shortest way to it."""
    machine = type("Machine", (Sharing,), {"service": service, "loop": asyncio.get_running_loop()})
    how = settings(max_examples=examples, stateful_step_count=steps, deadline=None, database=None, derandomize=True,
                   suppress_health_check=list(HealthCheck))  # fmt: skip
    await asyncio.to_thread(run_state_machine_as_test, machine, settings=how)
