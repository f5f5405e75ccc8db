"""Asking Xero from time to time finds what no webhook told."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common import claims
from common.contracts.sharing import ShareEnded
from common.contracts.xero_gateway import ContactChanged, InvoicesChanged
from xero_gateway import reconciliations, store
from xero_gateway.models import Arrivals, Findings, Gap
from xero_gateway.syncer import Reconciliation

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
    assert all("IDs" not in call["query"] for call in await working.calls())


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
