"""First loads: every shareable invoice of a contact once, whatever stops them on the way."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import claims
from common.contracts.sharing import ShareEnded
from common.contracts.xero_gateway import InvoicesFetched
from xero_gateway import store, xero_calls
from xero_gateway.syncer import FirstLoads


async def test_a_first_load_publishes_every_shareable_invoice_once_and_no_other(working: Any) -> None:
    contact = await working.loaded("C-001")
    books = {it["id"]: it for it in await working.invoices("C-001")}
    shareable = {key for key, it in books.items() if it["type"] == "ACCREC" and it["status"] in ("AUTHORISED", "SUBMITTED", "PAID")}
    batches = await working.service.published(InvoicesFetched)
    assert Counter(it.invoice_id for batch in batches for it in batch.invoices) == Counter(shareable)
    assert [batch.version for batch in batches] == list(range(1, len(batches) + 1))
    last = batches[-1]
    assert (last.batches, last.stored, last.total) == (len(batches), len(shareable), len(shareable))
    assert {batch.batches for batch in batches[:-1]} == {None}
    assert {(batch.contact_id, batch.contact_name, batch.load_id) for batch in batches} == {(contact["id"], contact["name"], "lod_1")}
    assert all(it.lines for batch in batches for it in batch.invoices)


async def test_lines_and_totals_arrive_as_they_stand_in_the_books(working: Any) -> None:
    await working.loaded("C-001")
    books = {it["id"]: it for it in await working.invoices("C-001")}
    for batch in await working.service.published(InvoicesFetched):
        for invoice in batch.invoices:
            if not invoice.amount_credited:
                assert invoice.total - invoice.amount_paid == invoice.amount_due
            assert invoice.sub_total + invoice.total_tax == invoice.total
            assert len(invoice.lines) == len(books[invoice.invoice_id]["lines"])
            assert sum(line.tax_amount for line in invoice.lines) == invoice.total_tax


@pytest.mark.parametrize(("number", "invoices"), [("C-041", 0), ("C-037", 0), ("C-038", 0)])
async def test_a_contact_with_nothing_to_share_has_a_load_that_completes(working: Any, number: str, invoices: int) -> None:
    await working.loaded(number)
    (only,) = await working.service.published(InvoicesFetched)
    assert (only.invoices, only.batches, only.stored, only.total) == ([], 1, invoices, invoices)


async def claimed_load(world: Any) -> Any:
    """The load, claimed as a process does it; None when there is nothing left to do."""
    return next(iter(await claims.claim(world.db, store.LOADS, limit=1, lease=90)), None)


async def lease_ends(world: Any) -> None:
    """As time does to the lease of a process that was killed."""
    long_ago = {"$set": {"lease_until": datetime(1970, 1, 1, tzinfo=UTC)}}
    await world.db.collection(store.LOADS).update_many({}, long_ago)


async def small_pages(world: Any) -> None:
    """As a load has them after large answers: 100 invoices, so that there are many."""
    await world.db.collection(store.LOADS).update_many({}, {"$set": {"page_size": 100}})


async def test_pages_are_halved_until_xeros_answers_can_be_taken(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    contact = await world.large_contact()
    await world.share(contact["id"], "shr_1", "lod_1")
    reading = FirstLoads(world.service.app.state.xero)
    sizes: list[int] = []
    while row := await claimed_load(world):
        if len(sizes) == 1:
            monkeypatch.setattr(xero_calls, "LARGEST_ANSWER", 400_000)
        await reading.load(world.db, [row])
        sizes.append(row.get("page_size", 512))
    assert sizes[:2] == [512, 512]
    assert sizes[-1] < 512
    batches = await world.service.published(InvoicesFetched)
    found = Counter(it.invoice_id for batch in batches for it in batch.invoices)
    assert set(found.values()) == {1}
    assert len(found) == batches[-1].stored == batches[-1].total > 1000


async def test_a_load_says_about_when_the_day_limit_lets_it_go_on(working: Any, eventually: Any) -> None:
    contact = await working.contact("C-001")
    await working.act("faults", limit_day=True)
    await working.share(contact["id"], "shr_1", "lod_1")

    async def told() -> Any:
        load = (await working.get("loads/lod_1")).json()
        return load if load["state"] == "waiting" else None

    waiting = await eventually(told)
    calls = (await working.get("calls")).json()
    assert (waiting["reason"], waiting["limit"], waiting["calls_a_day"]) == ("xero_busy", "day", 5000)
    continues_at, resets_at = (datetime.fromisoformat(moment) for moment in (waiting["continues_at"], calls["resets_at"]))
    assert abs(continues_at - resets_at) < timedelta(minutes=1), "every refusal says anew how long to wait"
    await working.act("faults", limit_day=False)
    await working.hurry()
    await working.loaded("C-001")
    done = (await working.get("loads/lod_1")).json()
    assert (done["limit"], done["continues_at"]) == (None, None)


async def test_a_load_goes_on_after_its_process_was_killed(world: Any) -> None:
    """Killed before each page in turn, and one killed process comes back to life with its old claim: it changes nothing."""
    contact = await world.large_contact()
    await world.share(contact["id"], "shr_1", "lod_1")
    reading = FirstLoads(world.service.app.state.xero)
    while dead := await claimed_load(world):
        await lease_ends(world)
        await reading.load(world.db, [await claimed_load(world)])
        with pytest.raises(claims.LeaseLost):
            await reading.load(world.db, [dead])
    batches = await world.service.published(InvoicesFetched)
    assert [batch.version for batch in batches] == list(range(1, len(batches) + 1))
    found = Counter(it.invoice_id for batch in batches for it in batch.invoices)
    assert set(found.values()) == {1}
    assert len(found) == batches[-1].stored == batches[-1].total
    assert len(found) > 1000
    assert all(len(batch.invoices) <= 100 for batch in batches)
    assert [batch.batches for batch in batches if batch.batches] == [len(batches)]


@asynccontextmanager
async def a_process(world: Any) -> AsyncIterator[asyncio.subprocess.Process]:
    """The service as it really runs, on the same database; killed at the end with no chance to tidy up."""
    settings = world.service.runtime.settings.model_dump(exclude_none=True) | world.knobs
    environment = {name.upper(): str(value) for name, value in settings.items()}
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        environment |= {"PORT": str(one.getsockname()[1]), "HEALTH_PORT": str(other.getsockname()[1])}
    child = await asyncio.create_subprocess_exec(sys.executable, "-m", "xero_gateway", env=os.environ | environment, stdout=DEVNULL)
    try:
        yield child
    finally:
        child.kill()
        await child.wait()


async def test_kill_9_in_the_middle_of_a_load_loses_and_repeats_nothing(world: Any, eventually: Any) -> None:
    contact = await world.large_contact()
    await world.act("faults", slow_seconds=0.1)
    await world.share(contact["id"], "shr_1", "lod_1")
    await small_pages(world)

    async def stored() -> int:
        load = await store.find_load(world.db, world.kowhai, "lod_1")
        return load.stored if load else 0

    async with a_process(world):
        await eventually(stored)
    killed_at = await stored()
    await lease_ends(world)
    async with a_process(world):

        async def complete() -> bool:
            return bool((await world.get("loads/lod_1")).json()["state"] == "complete")

        await eventually(complete)
    batches = await world.service.published(InvoicesFetched)
    assert 0 < killed_at < batches[-1].stored
    assert sorted(batch.version for batch in batches) == list(range(1, len(batches) + 1))
    found = Counter(it.invoice_id for batch in batches for it in batch.invoices)
    assert set(found.values()) == {1}
    assert len(found) == batches[-1].total


async def test_invoices_that_change_while_they_are_loaded_are_not_lost(world: Any) -> None:
    """When 800 are read, two of those go to another contact, which pulls the others over the edges of pages."""
    contact = await world.large_contact()
    await world.share(contact["id"], "shr_1", "lod_1")
    await small_pages(world)
    reading = FirstLoads(world.service.app.state.xero)
    first, second, *_, last = await world.untouched(contact["number"])
    new, draft, pages = "", "", 0
    while row := await claimed_load(world):
        await reading.load(world.db, [row])
        pages += 1
        if pages == 8:
            read = {it.invoice_id for batch in await world.service.published(InvoicesFetched) for it in batch.invoices}
            assert {first, second} < read
            for invoice in (first, second):
                moved = await world.act(f"invoices/{invoice}/move", contact_number="C-001")
                assert moved["contact"] != contact["id"]
        if pages == 10:
            new = (await world.act("invoices", tenant="kowhai", contact=contact["id"]))["id"]
            draft = (await world.act("invoices", tenant="kowhai", contact=contact["id"], status="DRAFT"))["id"]
            await world.act(f"invoices/{last}/void")
    batches = await world.service.published(InvoicesFetched)
    told = {it.invoice_id: it for batch in batches for it in batch.invoices}
    now = [it for it in await world.invoices(contact["number"]) if it["type"] == "ACCREC"]
    assert {it["id"] for it in now if it["status"] in ("AUTHORISED", "SUBMITTED", "PAID")} <= set(told)
    assert new in told
    assert draft not in told
    assert last not in told or told[last].status == "VOIDED"
    assert batches[-1].stored == len(told)


async def test_a_load_waits_for_xero_says_why_and_goes_on(working: Any, eventually: Any) -> None:
    contact = await working.contact("C-001")
    await working.act("faults", offline=True)
    await working.share(contact["id"], "shr_1", "lod_1")

    async def told() -> Any:
        load = (await working.get("loads/lod_1")).json()
        return load if load["state"] == "waiting" else None

    waiting = await eventually(told)
    assert (waiting["reason"], waiting["stored"]) == ("xero_unavailable", 0)
    await working.hurry()
    again = await eventually(told)
    assert again["waiting_since"] == waiting["waiting_since"]
    await working.act("faults", offline=False)
    await working.hurry()
    await working.loaded("C-001")
    done = (await working.get("loads/lod_1")).json()
    assert (done["reason"], done["waiting_since"]) == (None, None)


async def test_a_load_waits_for_signing_in_and_goes_on_with_the_reconnection(working: Any, eventually: Any) -> None:
    contact = await working.contact("C-001")
    working.auth.state[working.kowhai] = "needs_reauth"
    await working.share(contact["id"], "shr_1", "lod_1")

    async def reason() -> bool:
        return bool((await working.get("loads/lod_1")).json()["reason"] == "xero_needs_reauth")

    await eventually(reason)
    working.auth.state[working.kowhai] = "connected"
    await working.knows(working.kowhai, version=2)
    await working.loaded("C-001")


async def test_a_cancelled_load_publishes_nothing_more(world: Any) -> None:
    contact = await world.large_contact()
    await world.share(contact["id"], "shr_1", "lod_1")
    row = await claimed_load(world)
    ended = {"organisation_id": world.kowhai, "contact_id": contact["id"], "reason": "revoked", "ended_at": await world.db.now()}
    await world.service.deliver(ShareEnded(version=2, share_id="shr_1", **ended))
    with pytest.raises(claims.LeaseLost):
        await FirstLoads(world.service.app.state.xero).load(world.db, [row])
    assert await world.service.published(InvoicesFetched) == []
    assert (await world.get("loads/lod_1")).json()["state"] == "cancelled"
