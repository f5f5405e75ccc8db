"""Snapshots stay true: webhooks, first loads and reconciliation against the simulator."""

import asyncio
import os
import socket
import sys
from asyncio.subprocess import DEVNULL
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

from common import claims
from common.contracts.sharing import ShareEnded
from common.contracts.xero_gateway import ContactChanged, InvoiceChanged, InvoicesFetched
from common.ids import organisation_id
from xero_gateway import store
from xero_gateway.marks import report_faults
from xero_gateway.models import Fault
from xero_gateway.syncer import FirstLoads


async def loaded(world: Any, number: str, eventually: Any, share: str = "shr_1", load: str = "lod_1") -> dict[str, Any]:
    """Shares a contact and waits for its first load; the contact."""
    contact: dict[str, Any] = await world.contact(number)
    await world.share(contact["id"], share, load)

    async def complete() -> bool:
        return bool((await world.get(f"loads/{load}")).json()["state"] == "complete")

    await eventually(complete)
    return contact


async def quiet(world: Any, eventually: Any) -> None:
    """Everything marked was looked at, every webhook delivered."""

    async def idle() -> bool:
        hooks = (await world.xero.get("/control/webhooks")).json()
        return bool(
            hooks["unsent_events"] + hooks["waiting"] == 0
            and await world.db.collection(store.MARKS).count({"state": "pending"}) == 0
            and await world.db.collection(store.RECONCILIATIONS).count({"due_at": {"$lte": await world.db.now()}, "state": "pending"}) == 0
        )

    await eventually(idle)


async def changes(world: Any) -> dict[str, InvoiceChanged]:
    """The newest change of each invoice, by id."""
    return {event.invoice.invoice_id: event for event in await world.service.published(InvoiceChanged)}


async def test_a_first_load_publishes_every_shareable_invoice_once_and_no_other(working: Any, eventually: Any) -> None:
    contact = await loaded(working, "C-001", eventually)
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


async def test_lines_and_totals_arrive_as_they_stand_in_the_books(working: Any, eventually: Any) -> None:
    await loaded(working, "C-001", eventually)
    books = {it["id"]: it for it in await working.invoices("C-001")}
    for batch in await working.service.published(InvoicesFetched):
        for invoice in batch.invoices:
            if not invoice.amount_credited:
                assert invoice.total - invoice.amount_paid == invoice.amount_due
            assert invoice.sub_total + invoice.total_tax == invoice.total
            assert len(invoice.lines) == len(books[invoice.invoice_id]["lines"])
            assert sum(line.tax_amount for line in invoice.lines) == invoice.total_tax


@pytest.mark.parametrize(("number", "invoices"), [("C-041", 0), ("C-037", 0), ("C-038", 0)])
async def test_a_contact_with_nothing_to_share_has_a_load_that_completes(working: Any, eventually: Any, number: str, invoices: int) -> None:
    await loaded(working, number, eventually)
    (only,) = await working.service.published(InvoicesFetched)
    assert (only.invoices, only.batches, only.stored, only.total) == ([], 1, invoices, invoices)


async def claimed_load(world: Any) -> Any:
    """The load, claimed as a process does it; None when there is nothing left to do."""
    return next(iter(await claims.claim(world.db, store.LOADS, limit=1, lease=90)), None)


async def lease_ends(world: Any) -> None:
    """As time does to the lease of a process that was killed."""
    long_ago = {"$set": {"lease_until": datetime(1970, 1, 1, tzinfo=UTC)}}
    await world.db.collection(store.LOADS).update_many({}, long_ago)


async def test_a_load_goes_on_after_its_process_was_killed(world: Any) -> None:
    """Killed before each page in turn, and one killed process comes back to life with its old claim: it changes nothing."""
    contact = await large_contact(world)
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
    contact = await large_contact(world)
    await world.act("faults", slow_seconds=0.1)
    await world.share(contact["id"], "shr_1", "lod_1")

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


async def large_contact(world: Any) -> dict[str, Any]:
    found = (await world.xero.get("/control/invoices", params={"tenant": "kowhai", "status": "AUTHORISED"})).json()
    largest, _ = Counter(it["contact"] for it in found).most_common(1)[0]
    answer: dict[str, Any] = (await world.xero.get(f"/control/contacts/{largest}")).json()
    return answer


async def untouched(world: Any, number: str) -> list[str]:
    """Open invoices of a contact that Xero lets one edit: nothing was paid or credited; in the order of their ids."""
    found = await world.invoices(number, status="AUTHORISED")
    return sorted(it["id"] for it in found if it["type"] == "ACCREC" and not it["payments"] and not it["credits"])


async def test_invoices_that_change_while_they_are_loaded_are_not_lost(world: Any) -> None:
    """When 800 are read, two of those go to another contact, which pulls the others over the edges of pages."""
    contact = await large_contact(world)
    await world.share(contact["id"], "shr_1", "lod_1")
    reading = FirstLoads(world.service.app.state.xero)
    first, second, *_, last = await untouched(world, contact["number"])
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
    await loaded(working, "C-001", eventually)
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
    await loaded(working, "C-001", eventually)


async def test_a_cancelled_load_publishes_nothing_more(world: Any) -> None:
    contact = await large_contact(world)
    await world.share(contact["id"], "shr_1", "lod_1")
    row = await claimed_load(world)
    ended = {"organisation_id": world.kowhai, "contact_id": contact["id"], "reason": "revoked", "ended_at": await world.db.now()}
    await world.service.deliver(ShareEnded(version=2, share_id="shr_1", **ended))
    with pytest.raises(claims.LeaseLost):
        await FirstLoads(world.service.app.state.xero).load(world.db, [row])
    assert await world.service.published(InvoicesFetched) == []
    assert (await world.get("loads/lod_1")).json()["state"] == "cancelled"


async def test_a_payment_in_xero_is_published_by_its_webhook(working: Any, eventually: Any) -> None:
    await loaded(working, "C-001", eventually)
    invoice = (await working.invoices("C-001", status="AUTHORISED"))[0]["id"]
    await working.act(f"invoices/{invoice}/pay")

    async def paid() -> Any:
        found = (await changes(working)).get(invoice)
        return found if found and found.invoice.status == "PAID" else None

    event = await eventually(paid)
    assert event.invoice.amount_due == 0
    assert event.version == round(event.invoice.updated_at.timestamp() * 1000)


@pytest.mark.parametrize("fault", [{"webhooks_doubled": True}, {"webhooks_shuffled": True}, {"webhooks_off": True}])
async def test_the_end_is_what_xero_holds_however_webhooks_come(working: Any, eventually: Any, fault: dict[str, Any]) -> None:
    await loaded(working, "C-001", eventually)
    await working.act("faults", **fault)
    paid, edited, *_ = await untouched(working, "C-001")
    await working.act(f"invoices/{paid}/part-pay")
    await working.act(f"invoices/{paid}/pay")
    await working.act(f"invoices/{edited}/edit-twice")
    voided = (await working.act("invoices", tenant="kowhai", contact_number="C-001"))["id"]
    await working.act(f"invoices/{voided}/void")
    await working.hurry()

    async def told() -> bool:
        known = await changes(working)
        books = {it["id"]: it for it in await working.invoices("C-001")}
        if all(key in known and known[key].invoice.status == books[key]["status"] for key in (paid, edited, voided)):
            return True
        await asyncio.sleep(3)
        await working.hurry()  # a pass that began before the changes may have ended after the first hurry
        return False

    await eventually(told)
    await working.act("faults", webhooks_off=False)
    await quiet(working, eventually)
    books = {it["id"]: it for it in await working.invoices("C-001")}
    for key, event in (await changes(working)).items():
        assert (event.invoice.status, event.invoice.number) == (books[key]["status"], books[key]["number"])


async def test_an_invoice_that_moves_is_told_to_both_sides(working: Any, eventually: Any) -> None:
    first = await loaded(working, "C-001", eventually)
    second = await working.contact("C-002")
    invoice = (await working.invoices("C-001", status="AUTHORISED"))[0]["id"]
    await working.act(f"invoices/{invoice}/move", contact_number="C-002")

    async def told() -> bool:
        event = (await changes(working)).get(invoice)
        return bool(event and event.invoice.contact_id == second["id"])

    await eventually(told)
    await working.act(f"invoices/{invoice}/move", contact_number="C-001")

    async def back() -> bool:
        return bool((await changes(working))[invoice].invoice.contact_id == first["id"])

    await eventually(back)


async def test_nothing_is_published_of_contacts_nobody_watches_nor_of_bills(working: Any, eventually: Any) -> None:
    await loaded(working, "C-001", eventually)
    await working.act("invoices", tenant="kowhai", contact_number="C-002")
    bills = [it for it in (await working.xero.get("/control/invoices", params={"tenant": "kowhai"})).json() if it["type"] == "ACCPAY"]
    bill = next(it for it in bills if it["status"] == "AUTHORISED")
    await working.share(bill["contact"], "shr_2")
    await working.act(f"invoices/{bill['id']}/edit", number="BILL-1")
    await quiet(working, eventually)
    told = (await changes(working)).values()
    assert [event for event in told if not event.invoice.is_sale] == []
    assert (await working.contact("C-002"))["id"] not in {event.invoice.contact_id for event in told}


async def test_a_draft_that_is_approved_is_published(working: Any, eventually: Any) -> None:
    contact = await loaded(working, "C-037", eventually)
    draft = (await working.invoices(contact["number"], status="DRAFT"))[0]["id"]
    await working.act(f"invoices/{draft}/approve")

    async def approved() -> bool:
        event = (await changes(working)).get(draft)
        return bool(event and event.invoice.status == "AUTHORISED")

    await eventually(approved)


async def test_a_renamed_or_archived_contact_is_told(working: Any, eventually: Any) -> None:
    contact = await loaded(working, "C-001", eventually)
    await working.act(f"contacts/{contact['id']}/rename", name="Acorn Bakery & Sons")

    async def renamed() -> Any:
        events = await working.service.published(ContactChanged)
        return next((it for it in events if it.name == "Acorn Bakery & Sons"), None)

    event = await eventually(renamed)
    assert (event.contact_id, event.status, event.merged_to) == (contact["id"], "ACTIVE", None)
    await working.act(f"contacts/{contact['id']}/archive")

    async def archived() -> bool:
        return bool((await working.service.published(ContactChanged))[-1].status == "ARCHIVED")

    await eventually(archived)


async def test_a_merger_moves_what_was_published_and_brings_what_was_not(working: Any, eventually: Any) -> None:
    """Told of the contacts alone: the service does not count on a word about each invoice."""
    merged = await loaded(working, "C-001", eventually)
    heir = await loaded(working, "C-002", eventually, "shr_2", "lod_2")
    other = await working.contact("C-011")
    mine = {it["id"] for it in await working.invoices("C-001", status="AUTHORISED")}
    theirs = {it["id"] for it in await working.invoices("C-011", status="AUTHORISED")}
    assert mine
    assert theirs
    await quiet(working, eventually)
    await working.act("faults", webhooks_off=True)
    await working.act(f"contacts/{merged['id']}/merge", contact_number="C-002")
    await working.act(f"contacts/{other['id']}/merge", contact_number="C-002")
    await store.add_marks(working.db, [(working.kowhai, "CONTACT", contact["id"]) for contact in (merged, other)])
    working.db.notify()

    async def moved() -> bool:
        known = await changes(working)
        return all(key in known and known[key].invoice.contact_id == heir["id"] for key in mine | theirs)

    await eventually(moved)
    events = await working.service.published(ContactChanged)
    assert {event.merged_to for event in events if event.contact_id == merged["id"]} == {heir["id"]}


async def test_invoices_leave_with_a_contact_merged_into_one_nobody_watches(working: Any, eventually: Any) -> None:
    merged, heir = await loaded(working, "C-001", eventually), await working.contact("C-011")
    mine = {it["id"] for it in await working.invoices("C-001", status="AUTHORISED")}
    await quiet(working, eventually)
    await working.act("faults", webhooks_off=True)
    await working.act(f"contacts/{merged['id']}/merge", contact_number="C-011")
    await store.add_marks(working.db, [(working.kowhai, "CONTACT", merged["id"])])
    working.db.notify()

    async def left() -> bool:
        known = await changes(working)
        return all(key in known and known[key].invoice.contact_id == heir["id"] for key in mine)

    await eventually(left)


async def test_a_credit_changes_the_invoice_it_is_used_on(working: Any, eventually: Any) -> None:
    await loaded(working, "C-001", eventually)
    invoice = (await working.invoices("C-001", status="AUTHORISED"))[0]["id"]
    await working.act(f"invoices/{invoice}/credit")

    async def credited() -> bool:
        event = (await changes(working)).get(invoice)
        return bool(event and event.invoice.amount_credited > 0)

    await eventually(credited)


async def test_a_mark_set_again_while_it_is_looked_at_is_looked_at_again(world: Any) -> None:
    rows = world.db.collection(store.MARKS)
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", "x")])
    await rows.update_one({}, {"$set": {"lease": "mine"}})
    row = await rows.find_one({})
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", "x")])
    await world.db.transact(store.clear_mark, row)
    left = await rows.find_one({})
    assert (left["dirty_seq"], left["state"], "lease" in left) == (2, "pending", False)
    await rows.update_one({}, {"$set": {"lease": "mine"}})
    await world.db.transact(store.clear_mark, await rows.find_one({}))
    assert await rows.count({}) == 0


async def test_a_burst_is_read_in_batches_of_at_most_forty(working: Any, eventually: Any) -> None:
    contact = await large_contact(working)
    await working.share(contact["id"])
    ids = [it["id"] for it in await working.invoices(contact["number"], status="AUTHORISED")][:100]
    await quiet(working, eventually)
    await working.forget_calls()
    await store.add_marks(working.db, [(working.kowhai, "INVOICE", key) for key in ids])
    working.db.notify()
    await quiet(working, eventually)
    assert set(ids) <= set(await changes(working))
    asked = [call["query"].count("%2C") + 1 for call in await working.calls() if "IDs=" in call["query"]]
    assert max(asked) <= 40
    assert len(asked) == 3


async def test_marks_of_an_unknown_organisation_are_dropped(working: Any, eventually: Any) -> None:
    stranger = organisation_id("99999999-0000-4000-8000-000000000001")
    await store.add_marks(working.db, [(stranger, "INVOICE", "99999999-0000-4000-8000-000000000002")])
    await quiet(working, eventually)
    assert await working.db.collection(store.MARKS).count({}) == 0
    assert await working.calls() == []


async def test_marks_wait_for_xero_and_are_kept(working: Any, eventually: Any) -> None:
    await loaded(working, "C-001", eventually)
    invoice = (await working.invoices("C-001", status="AUTHORISED"))[0]["id"]
    await working.act("faults", server_error=True)
    await working.act(f"invoices/{invoice}/pay")

    async def waits() -> Any:
        row = await working.db.collection(store.MARKS).find_one({"resource_id": invoice})
        return bool(row and row["attempts"] >= 1 and "lease" not in row)

    await eventually(waits)
    await working.act("faults", server_error=False)
    await working.hurry()

    async def paid() -> bool:
        event = (await changes(working)).get(invoice)
        return bool(event and event.invoice.status == "PAID")

    await eventually(paid)


async def test_reconciliation_finds_what_no_webhook_told_also_in_contacts(working: Any, eventually: Any) -> None:
    contact = await loaded(working, "C-001", eventually)
    await quiet(working, eventually)
    await working.act("faults", webhooks_off=True)
    invoice = (await working.invoices("C-001", status="AUTHORISED"))[0]["id"]
    await working.act(f"invoices/{invoice}/void")
    await working.act(f"contacts/{contact['id']}/rename", name="Silently Renamed")
    await working.hurry()

    async def found() -> bool:
        event = (await changes(working)).get(invoice)
        names = {it.name for it in await working.service.published(ContactChanged)}
        return bool(event and event.invoice.status == "VOIDED" and "Silently Renamed" in names)

    await eventually(found)


async def test_a_pass_without_news_reads_no_invoice_again(working: Any, eventually: Any) -> None:
    await loaded(working, "C-001", eventually)
    await quiet(working, eventually)
    await working.service.forget_published()
    await working.forget_calls()
    await working.hurry()
    await quiet(working, eventually)
    assert await working.service.published(InvoiceChanged) == []
    assert {call["path"].rsplit("/", 1)[1] for call in await working.calls()} == {"Invoices", "Contacts"}
    assert all("IDs" not in call["query"] for call in await working.calls())


async def test_a_pass_that_fails_does_not_move_the_high_water_mark(working: Any, eventually: Any) -> None:
    await loaded(working, "C-001", eventually)
    await quiet(working, eventually)
    rows = working.db.collection(store.RECONCILIATIONS)
    before = (await rows.find_one({}))["high_water"]
    await working.act("faults", offline=True)
    await working.hurry()

    async def failed() -> bool:
        return bool((await rows.find_one({}))["attempts"] >= 1)

    await eventually(failed)
    assert (await rows.find_one({}))["high_water"] == before


async def test_after_the_last_share_xero_is_left_alone(working: Any, eventually: Any) -> None:
    contact = await loaded(working, "C-001", eventually)
    await quiet(working, eventually)
    ended = {"organisation_id": working.kowhai, "contact_id": contact["id"], "reason": "revoked", "ended_at": await working.db.now()}
    await working.service.deliver(ShareEnded(version=2, share_id="shr_1", **ended))
    await working.forget_calls()
    await working.hurry()
    rows = working.db.collection(store.RECONCILIATIONS)

    async def rests() -> bool:
        return bool((await rows.find_one({}))["state"] == "idle")

    await eventually(rests)
    assert await working.calls() == []
    await working.share(contact["id"], "shr_9")
    assert (await rows.find_one({}))["state"] == "pending"


async def test_one_unreadable_invoice_is_parked_with_its_reason(world: Any) -> None:
    fault = Fault(invoice_id="00000000-0000-4000-8000-000000000009", reason="Total is finer than a hundredth or too large")
    for _ in range(2):
        await world.db.transact(report_faults, world.kowhai, [fault])
    (row,) = await world.db.collection(store.MARKS).find({})
    assert (row["state"], row["reason"]) == ("parked", fault.reason)
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", fault.invoice_id)])
    assert (await world.db.collection(store.MARKS).find_one({}))["state"] == "pending"
