"""Asking Xero from time to time finds what no webhook told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import claims
from common.contracts.sharing import ShareEnded
from common.contracts.xero_gateway import ContactChanged, InvoicesChanged, OrganisationChecked
from xero_gateway import reconciliations, store
from xero_gateway.models import SWEEP_CALLS, SWEEP_PAGE, Arrivals, Findings, Gap
from xero_gateway.syncer import DRIFT, Changes, FirstLoads, Reconciliation

DAY = timedelta(days=1)
CALLS_A_DAY = 5000


async def test_reconciliation_finds_what_no_webhook_told_also_in_contacts(working: Any, eventually: Any) -> None:
    contact = await working.loaded("C-001")
    await working.quiet()
    await working.act("faults", webhooks_off=True)
    invoice = (await working.invoices("C-001", status="AUTHORISED"))[0]["id"]
    await working.act(f"invoices/{invoice}/void")
    await working.act(f"contacts/{contact['id']}/rename", name="Silently Renamed")
    await working.hurry()

    async def found() -> bool:
        event = (await working.changes()).get(invoice)
        names = {it.name for it in await working.service.published(ContactChanged)}
        return bool(event and event.status == "VOIDED" and "Silently Renamed" in names)

    await eventually(found)


async def test_a_pass_without_news_reads_no_invoice_again(working: Any) -> None:
    await working.loaded("C-001")
    await working.quiet()
    await working.service.forget_published()
    await working.forget_calls()
    await working.hurry()
    await working.quiet()
    assert await working.service.published(InvoicesChanged) == []
    assert {call["path"].rsplit("/", 1)[1] for call in await working.calls()} == {"Invoices", "Contacts"}
    assert all(not call["query"].startswith("IDs=") for call in await working.calls())


async def test_a_pass_that_fails_does_not_move_the_high_water_mark(working: Any, eventually: Any) -> None:
    await working.loaded("C-001")
    await working.quiet()
    rows = working.db.collection(store.RECONCILIATIONS)
    before = (await rows.find_one({}))["high_water"]
    await working.act("faults", offline=True)
    await working.hurry()

    async def failed() -> bool:
        return bool((await rows.find_one({}))["attempts"] >= 1)

    await eventually(failed)
    assert (await rows.find_one({}))["high_water"] == before


async def test_after_the_last_share_xero_is_left_alone(working: Any, eventually: Any) -> None:
    contact = await working.loaded("C-001")
    await working.quiet()
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


async def claimed_pass(world: Any) -> Any:
    """The reconciliation of the first organisation, claimed as a process does it."""
    (row,) = await claims.claim(world.db, store.RECONCILIATIONS, limit=1, lease=90)
    return row


async def finish(world: Any, row: Any, calls: int = 2) -> Any:
    """Ends a pass that found nothing; the row afterwards."""
    found = Findings(read_at=await world.db.now(), invoice_ids=frozenset(), contact_ids=frozenset(), calls=calls)
    await world.db.transact(reconciliations.finish_pass, row, found, 900, CALLS_A_DAY)
    return await world.db.collection(store.RECONCILIATIONS).find_one({})


@pytest.mark.parametrize("wish", ["start", "reconnection", "load"])
async def test_a_pass_asked_for_while_one_runs_follows_it(world: Any, wish: str) -> None:
    await world.share((await world.contact("C-001"))["id"])
    early = datetime(2026, 1, 1, tzinfo=UTC)
    for asked in (False, True):
        await world.hurry()
        row = await claimed_pass(world)
        if asked and wish == "start":
            await store.ask_for_all_reconciliations(world.db)
        elif asked and wish == "reconnection":
            await world.knows(world.kowhai, version=2)
        elif asked:
            await world.db.transact(store.ask_for_reconciliation, world.kowhai, early)
        after = await finish(world, row)
        assert (after["due_at"] <= await world.db.now()) == asked
    assert (after["high_water"] == early) == (wish == "load")


@pytest.mark.parametrize("collection", [store.MARKS, store.LOADS, store.RECONCILIATIONS])
async def test_work_that_fails_while_xero_comes_back_is_tried_again_at_once(world: Any, collection: str) -> None:
    await world.share((await world.contact("C-001"))["id"], "shr_1", "lod_1")
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", "x")])
    for back in (False, True):
        await world.hurry()
        (row,) = await claims.claim(world.db, collection, limit=1, lease=90)
        if back:
            await world.knows(world.kowhai, version=2)
        await store.give_back(world.db, collection, [row], 60)
        after = await world.db.collection(collection).find_one({})
        assert (after["due_at"] <= await world.db.now()) == back


async def test_passes_never_take_more_than_their_part_of_the_day(world: Any) -> None:
    """Asked for again and again, each of ten calls: in the first day and in any other at most a tenth of the calls are made."""
    await world.share((await world.contact("C-001"))["id"])
    rows = world.db.collection(store.RECONCILIATIONS)
    began = await world.db.now()
    calls, waited = 0, timedelta(0)
    while waited < DAY:
        after = await finish(world, await claimed_pass(world), calls=10)
        calls += 10
        await world.db.transact(store.ask_for_reconciliation, world.kowhai)
        after = await rows.find_one({})
        wait = max(timedelta(0), after["due_at"] - await world.db.now())
        waited += wait
        await rows.update_one({}, {"$set": {"due_at": began, "paid_until": after["paid_until"] - wait}})
    assert CALLS_A_DAY * 0.09 < calls <= CALLS_A_DAY * 0.1 + 10


async def test_a_contact_shared_while_the_last_pass_ends_is_not_forgotten(world: Any) -> None:
    contact = await world.contact("C-001")
    await world.share(contact["id"])
    ended = {"organisation_id": world.kowhai, "contact_id": contact["id"], "reason": "revoked", "ended_at": await world.db.now()}
    await world.service.deliver(ShareEnded(version=2, share_id="shr_1", **ended))
    row = await claimed_pass(world)
    await world.share(contact["id"], "shr_2")
    await world.db.transact(reconciliations.rest, row)
    after = await world.db.collection(store.RECONCILIATIONS).find_one({})
    assert (after["state"], "lease" in after) == ("pending", False)


async def test_passes_are_left_out_while_webhooks_tell_of_changes(world: Any) -> None:
    """Three of four; never one that was asked for, none while a webhook is missing, and none once webhooks stopped."""
    await world.share((await world.contact("C-001"))["id"])
    row = await finish(world, await claimed_pass(world))
    now = await world.db.now()
    steady = Arrivals(last_at=now, seen_to=7)
    gap = Gap(first=3, last=3, since=now)
    assert reconciliations.may_wait(row, steady, now, 900)
    assert not reconciliations.may_wait(row, Arrivals(), now, 900)
    assert not reconciliations.may_wait(row, steady.model_copy(update={"gaps": (gap,)}), now, 900)
    assert not reconciliations.may_wait(row, steady, now + timedelta(seconds=901), 900)
    hour = now + timedelta(hours=1)
    assert not reconciliations.may_wait(row, Arrivals(last_at=hour, seen_to=7), hour, 900)
    await world.db.transact(store.ask_for_reconciliation, world.kowhai)
    assert not reconciliations.may_wait(await world.db.collection(store.RECONCILIATIONS).find_one({}), steady, now, 900)


async def test_a_pass_left_out_calls_nobody_and_comes_again(world: Any) -> None:
    await world.share((await world.contact("C-001"))["id"])
    await finish(world, await claimed_pass(world))
    await world.db.transact(store.save_arrivals, Arrivals(last_at=await world.db.now(), seen_to=7))
    await world.db.collection(store.RECONCILIATIONS).update_one({}, {"$set": {"due_at": claims.IMMEDIATELY}})
    before = await world.db.collection(store.RECONCILIATIONS).find_one({})
    await world.forget_calls()
    await Reconciliation(world.service.app.state.xero, 900, CALLS_A_DAY).ask(world.db, [await claimed_pass(world)])
    after = await world.db.collection(store.RECONCILIATIONS).find_one({})
    assert await world.calls() == []
    assert after["due_at"] > await world.db.now()
    assert after["passed_at"] == before["passed_at"]


async def passed(world: Any) -> Any:
    """One pass at once; the row afterwards."""
    await world.hurry()
    await Reconciliation(world.service.app.state.xero, 900, CALLS_A_DAY).ask(world.db, [await claimed_pass(world)])
    return await world.db.collection(store.RECONCILIATIONS).find_one({})


async def looked_at(world: Any) -> None:
    """What is marked is read and published."""
    while rows := await claims.claim(world.db, store.MARKS, limit=40, lease=90):
        await Changes(world.service.app.state.xero).look(world.db, rows)


async def all_told(world: Any, number: str) -> None:
    """A contact is shared, and everything it has was told."""
    await world.share((await world.contact(number))["id"], "shr_1", "lod_1")
    while rows := await claims.claim(world.db, store.LOADS, limit=1, lease=90):
        await FirstLoads(world.service.app.state.xero).load(world.db, rows)
    await passed(world)
    await looked_at(world)
    await world.service.forget_published()


async def sweep_begins(world: Any) -> None:
    """As a day does: the next pass begins a round over everything and may use calls."""
    await world.db.collection(store.RECONCILIATIONS).update_one({}, {"$unset": {"sweep": "", "paid_until": ""}})


async def test_a_sweep_mends_what_no_date_of_change_tells_of(world: Any) -> None:
    """One invoice is not as it was told, one was told as this contact's and is another's, one was never told; nothing was updated."""
    await all_told(world, "C-001")
    published = world.db.collection(store.PUBLISHED)
    changed, unknown, *_ = await world.untouched("C-001")
    moved = (await world.invoices("C-002", status="AUTHORISED"))[0]["id"]
    mine = (await world.contact("C-001"))["id"]
    now = await world.db.now()
    await published.update_one({"invoice_id": changed}, {"$set": {"digest": "as it was before"}})
    await published.delete_many({"invoice_id": unknown})
    stale = {
        "organisation_id": world.kowhai,
        "invoice_id": moved,
        "contact_id": mine,
        "updated_at": now,
        "status": "AUTHORISED",
        "digest": "x",
    }
    await published.insert_one({"_id": f"{world.kowhai}:{moved}", "status": "AUTHORISED", **stale})
    before = DRIFT.labels("sweep")._value.get()
    await sweep_begins(world)
    await passed(world)
    assert DRIFT.labels("sweep")._value.get() == before + 3
    await looked_at(world)
    told = await world.changes()
    assert set(told) == {changed, unknown, moved}
    assert told[moved].contact_id == (await world.contact("C-002"))["id"]
    await sweep_begins(world)
    await passed(world)
    await looked_at(world)
    assert set(await world.changes()) == {changed, unknown, moved}
    assert DRIFT.labels("sweep")._value.get() == before + 3


async def test_a_sweep_goes_on_where_the_last_pass_left_it_and_rests_for_a_day(world: Any) -> None:
    contact = await world.large_contact()
    await all_told(world, contact["number"])
    assert len(await world.invoices(contact["number"])) > SWEEP_CALLS * SWEEP_PAGE
    places = []
    await sweep_begins(world)
    for _ in range(5):
        await world.forget_calls()
        row = await passed(world)
        await world.db.collection(store.RECONCILIATIONS).update_one({}, {"$unset": {"paid_until": ""}})
        places.append(row["sweep"]["page"])
        assert len([call for call in await world.calls() if "ContactIDs" in call["query"]]) <= SWEEP_CALLS
    assert places[:2] == [1 + SWEEP_CALLS, 1 + 2 * SWEEP_CALLS]
    assert row["sweep"]["contact_id"] is None
    assert not [call for call in await world.calls() if "ContactIDs" in call["query"]]
    assert await world.changes() == {}


async def test_a_sweep_passes_over_a_contact_that_is_being_loaded(world: Any) -> None:
    await world.share((await world.contact("C-001"))["id"], "shr_1", "lod_1")
    row = await passed(world)
    assert row["sweep"]["contact_id"] is None
    assert await world.db.collection(store.MARKS).count({}) == 0


async def test_a_pass_that_finds_nothing_tells_so_and_one_that_does_is_followed_by_another(world: Any) -> None:
    await all_told(world, "C-001")
    invoice = (await world.untouched("C-001"))[0]
    await world.act("faults", webhooks_off=True)
    row = await passed(world)
    (event,) = await world.service.published(OrganisationChecked)
    assert (event.organisation_id, event.checked_at) == (world.kowhai, row["passed_at"])
    await world.act(f"invoices/{invoice}/pay")
    row = await passed(world)
    assert len(await world.service.published(OrganisationChecked)) == 1
    assert row["due_at"] < await world.db.now() + timedelta(seconds=301)
    assert not reconciliations.may_wait(row, Arrivals(last_at=row["passed_at"], seen_to=1), row["passed_at"], 900)
    await looked_at(world)
    assert (await world.changes())[invoice].status == "PAID"
    row = await passed(world)
    assert (await world.service.published(OrganisationChecked))[-1].checked_at == row["passed_at"]
    assert (await world.get("updates")).json()["checked_at"] is not None


async def test_drift_is_what_nothing_else_had_marked(world: Any) -> None:
    await all_told(world, "C-001")
    told, untold, *_ = await world.untouched("C-001")
    await world.act("faults", webhooks_off=True)
    for invoice in (told, untold):
        await world.act(f"invoices/{invoice}/pay")
    await store.add_marks(world.db, [(world.kowhai, "INVOICE", told)])
    before = DRIFT.labels("changes")._value.get()
    await passed(world)
    assert DRIFT.labels("changes")._value.get() == before + 1


async def test_what_was_told_before_exactly_as_it_is_is_not_told_again(world: Any) -> None:
    await all_told(world, "C-001")
    invoice = (await world.untouched("C-001"))[0]
    for told in (0, 1, 1):
        await store.add_marks(world.db, [(world.kowhai, "INVOICE", invoice)])
        await looked_at(world)
        assert len(await world.service.published(InvoicesChanged)) == told
        if not told:
            await world.act(f"invoices/{invoice}/part-pay")
