"""What changed in Xero is published as it is now, however webhooks tell of it."""

from typing import Any

import pytest

from common import claims
from common.contracts.xero_gateway import ContactChanged, InvoicesChanged
from common.ids import organisation_id
from xero_gateway import store
from xero_gateway.marks import report_faults
from xero_gateway.models import IDS_AT_ONCE, Fault
from xero_gateway.syncer import Changes


async def test_a_payment_in_xero_is_published_by_its_webhook(working: Any, eventually: Any) -> None:
    await working.loaded("C-001")
    invoice = (await working.invoices("C-001", status="AUTHORISED"))[0]["id"]
    await working.act(f"invoices/{invoice}/pay")

    async def paid() -> Any:
        found = (await working.changes()).get(invoice)
        return found if found and found.status == "PAID" else None

    told = await eventually(paid)
    assert told.amount_due == 0
    (event,) = await working.service.published(InvoicesChanged)
    assert (event.contact_id, event.version) == (told.contact_id, round(told.updated_at.timestamp() * 1000))


@pytest.mark.parametrize("fault", [{"webhooks_doubled": True}, {"webhooks_shuffled": True}, {"webhooks_off": True}])
async def test_the_end_is_what_xero_holds_however_webhooks_come(working: Any, eventually: Any, fault: dict[str, Any]) -> None:
    await working.loaded("C-001")
    await working.act("faults", **fault)
    paid, edited, *_ = await working.untouched("C-001")
    await working.act(f"invoices/{paid}/part-pay")
    await working.act(f"invoices/{paid}/pay")
    await working.act(f"invoices/{edited}/edit-twice")
    voided = (await working.act("invoices", tenant="kowhai", contact_number="C-001"))["id"]
    await working.act(f"invoices/{voided}/void")
    await working.hurry()

    async def told() -> bool:
        known = await working.changes()
        books = {it["id"]: it for it in await working.invoices("C-001")}
        return all(key in known and known[key].status == books[key]["status"] for key in (paid, edited, voided))

    await eventually(told)
    await working.act("faults", webhooks_off=False)
    await working.quiet()
    books = {it["id"]: it for it in await working.invoices("C-001")}
    for key, event in (await working.changes()).items():
        assert (event.status, event.number) == (books[key]["status"], books[key]["number"])


async def test_an_invoice_that_moves_is_told_to_both_sides(working: Any, eventually: Any) -> None:
    first = await working.loaded("C-001")
    second = await working.contact("C-002")
    invoice = (await working.invoices("C-001", status="AUTHORISED"))[0]["id"]
    await working.act(f"invoices/{invoice}/move", contact_number="C-002")

    async def told() -> bool:
        event = (await working.changes()).get(invoice)
        return bool(event and event.contact_id == second["id"])

    await eventually(told)
    await working.act(f"invoices/{invoice}/move", contact_number="C-001")

    async def back() -> bool:
        return bool((await working.changes())[invoice].contact_id == first["id"])

    await eventually(back)


async def test_nothing_is_published_of_contacts_nobody_watches_nor_of_bills(working: Any) -> None:
    await working.loaded("C-001")
    await working.act("invoices", tenant="kowhai", contact_number="C-002")
    bills = [it for it in (await working.xero.get("/control/invoices", params={"tenant": "kowhai"})).json() if it["type"] == "ACCPAY"]
    bill = next(it for it in bills if it["status"] == "AUTHORISED")
    await working.share(bill["contact"], "shr_2")
    await working.act(f"invoices/{bill['id']}/edit", number="BILL-1")
    await working.quiet()
    told = (await working.changes()).values()
    assert [event for event in told if not event.is_sale] == []
    assert (await working.contact("C-002"))["id"] not in {event.contact_id for event in told}


async def test_a_draft_that_is_approved_is_published(working: Any, eventually: Any) -> None:
    contact = await working.loaded("C-037")
    draft = (await working.invoices(contact["number"], status="DRAFT"))[0]["id"]
    await working.act(f"invoices/{draft}/approve")

    async def approved() -> bool:
        event = (await working.changes()).get(draft)
        return bool(event and event.status == "AUTHORISED")

    await eventually(approved)


async def test_a_renamed_or_archived_contact_is_told(working: Any, eventually: Any) -> None:
    contact = await working.loaded("C-001")
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
    merged = await working.loaded("C-001")
    heir = await working.loaded("C-002", "shr_2", "lod_2")
    other = await working.contact("C-011")
    mine = {it["id"] for it in await working.invoices("C-001", status="AUTHORISED")}
    theirs = {it["id"] for it in await working.invoices("C-011", status="AUTHORISED")}
    assert mine
    assert theirs
    await working.quiet()
    await working.act("faults", webhooks_off=True)
    await working.act(f"contacts/{merged['id']}/merge", contact_number="C-002")
    await working.act(f"contacts/{other['id']}/merge", contact_number="C-002")
    await store.add_marks(working.db, [(working.kowhai, "CONTACT", contact["id"]) for contact in (merged, other)])
    working.db.notify()

    async def moved() -> bool:
        known = await working.changes()
        return all(key in known and known[key].contact_id == heir["id"] for key in mine | theirs)

    await eventually(moved)
    events = await working.service.published(ContactChanged)
    assert {event.merged_to for event in events if event.contact_id == merged["id"]} == {heir["id"]}


async def test_invoices_leave_with_a_contact_merged_into_one_nobody_watches(working: Any, eventually: Any) -> None:
    merged, heir = await working.loaded("C-001"), await working.contact("C-011")
    mine = {it["id"] for it in await working.invoices("C-001", status="AUTHORISED")}
    await working.quiet()
    await working.act("faults", webhooks_off=True)
    await working.act(f"contacts/{merged['id']}/merge", contact_number="C-011")
    await store.add_marks(working.db, [(working.kowhai, "CONTACT", merged["id"])])
    working.db.notify()

    async def left() -> bool:
        known = await working.changes()
        return all(key in known and known[key].contact_id == heir["id"] for key in mine)

    await eventually(left)


async def test_a_credit_changes_the_invoice_it_is_used_on(working: Any, eventually: Any) -> None:
    await working.loaded("C-001")
    invoice = (await working.invoices("C-001", status="AUTHORISED"))[0]["id"]
    await working.act(f"invoices/{invoice}/credit")

    async def credited() -> bool:
        event = (await working.changes()).get(invoice)
        return bool(event and event.amount_credited > 0)

    await eventually(credited)


async def test_a_mark_set_again_while_it_is_looked_at_is_looked_at_again(world: Any) -> None:
    rows = world.db.collection(store.MARKS)
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", "x")])
    await rows.update_one({}, {"$set": {"lease": "mine"}})
    row = await rows.find_one({})
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", "x")])
    await world.db.transact(store.clear_marks, [row])
    left = await rows.find_one({})
    assert (left["dirty_seq"], left["state"], "lease" in left) == (2, "pending", False)
    await rows.update_one({}, {"$set": {"lease": "mine"}})
    await world.db.transact(store.clear_marks, [await rows.find_one({})])
    assert await rows.count({}) == 0


async def test_marks_are_cleared_together_or_not_at_all(world: Any) -> None:
    rows = world.db.collection(store.MARKS)
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", name) for name in ("a", "b", "c")])
    await rows.update_many({}, {"$set": {"lease": "mine"}})
    held = await rows.find({}, sort=[("_id", 1)])
    await rows.update_one({"resource_id": "b"}, {"$set": {"lease": "another's"}})
    with pytest.raises(claims.LeaseLost):
        await world.db.transact(store.clear_marks, held)
    await rows.delete_one({"resource_id": "b"})
    with pytest.raises(claims.LeaseLost):
        await world.db.transact(store.clear_marks, held)
    assert await rows.count({}) == 2
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", "c")])
    await world.db.transact(store.clear_marks, [held[0], held[2]])
    (left,) = await rows.find({})
    assert (left["resource_id"], left["dirty_seq"], "lease" in left) == ("c", 2, False)


async def test_a_burst_is_read_in_batches_of_at_most_forty(world: Any) -> None:
    contact = await world.large_contact()
    await world.share(contact["id"])
    ids = [it["id"] for it in await world.invoices(contact["number"], status="AUTHORISED")][:100]
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", key) for key in ids])
    while rows := await claims.claim(world.db, store.MARKS, limit=IDS_AT_ONCE, lease=90):
        await Changes(world.service.app.state.xero).look(world.db, rows)
    assert [call["query"].count("%2C") + 1 for call in await world.calls()] == [40, 40, 20]
    assert [len(event.invoices) for event in await world.service.published(InvoicesChanged)] == [40, 40, 20]
    assert set(await world.changes()) == set(ids)


async def test_marks_of_an_unknown_organisation_are_dropped(working: Any) -> None:
    stranger = organisation_id("99999999-0000-4000-8000-000000000001")
    await store.add_marks(working.db, [(stranger, "INVOICE", "99999999-0000-4000-8000-000000000002")])
    await working.quiet()
    assert await working.db.collection(store.MARKS).count({}) == 0
    assert await working.calls() == []


async def test_marks_wait_for_xero_and_are_kept(working: Any, eventually: Any) -> None:
    await working.loaded("C-001")
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
        event = (await working.changes()).get(invoice)
        return bool(event and event.status == "PAID")

    await eventually(paid)


async def test_one_unreadable_invoice_is_parked_with_its_reason(world: Any) -> None:
    fault = Fault(invoice_id="00000000-0000-4000-8000-000000000009", reason="Total is finer than a hundredth or too large")
    for _ in range(2):
        await world.db.transact(report_faults, world.kowhai, [fault])
    (row,) = await world.db.collection(store.MARKS).find({})
    assert (row["state"], row["reason"]) == ("parked", fault.reason)
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", fault.invoice_id)])
    assert (await world.db.collection(store.MARKS).find_one({}))["state"] == "pending"
