"""Asking Xero from time to time finds what no webhook told."""

from typing import Any

from common.contracts.sharing import ShareEnded
from common.contracts.xero_gateway import ContactChanged, InvoicesChanged
from xero_gateway import store


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
