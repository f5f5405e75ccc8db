"""Lists kept for five minutes: whole, dropped by every change, never older than a change that was seen."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from common.contracts.xero_gateway import InvoiceSummary
from common.mongo import Database
from common.testing import ORGANISATION, OTHER_ORGANISATION, HarnessFactory
from xero_gateway import store
from xero_gateway.kept_lists import begin_list, drop_all_lists, drop_lists, find_kept_contact, find_kept_list, keep_contact, keep_list
from xero_gateway.main import create_app
from xero_gateway.models import Contact
from xero_gateway.settings import Settings
from xero_gateway.testing import WEBHOOK_KEY, an_id, an_invoice

CONTACT, OTHER = an_id("contact"), an_id("other contact")


def a_contact() -> Contact:
    facts = {"email": None, "number": "C-001", "status": "ACTIVE", "is_customer": True, "is_supplier": False, "merged_to": None}
    return Contact.model_validate({"id": CONTACT, "name": "Acorn", "persons": [], "updated_at": datetime.now(UTC), **facts})


@pytest.fixture
async def db(harness: HarnessFactory) -> AsyncIterator[Database]:
    async with harness(create_app, Settings, xero_webhook_key=WEBHOOK_KEY) as service:
        yield service.db


async def keep(db: Database, invoices: list[InvoiceSummary], contact: str = CONTACT, organisation: str = ORGANISATION) -> bool:
    generation = await begin_list(db, organisation, contact)
    return await keep_list(db, organisation, contact, generation, await db.now(), invoices)


async def kept(db: Database, contact: str = CONTACT, organisation: str = ORGANISATION) -> list[InvoiceSummary] | None:
    found = await find_kept_list(db, organisation, contact)
    return None if found is None else found[1]


async def test_twenty_thousand_invoices_come_back_as_they_were(db: Database) -> None:
    one = an_invoice().summary()
    many = [one.model_copy(update={"invoice_id": an_id(str(n)), "total": n}) for n in range(20_000)]
    assert await keep(db, many)
    assert await kept(db) == many


async def test_a_list_is_of_one_contact_of_one_organisation(db: Database) -> None:
    await keep(db, [an_invoice().summary()])
    assert await kept(db, OTHER) is None
    assert await kept(db, CONTACT, OTHER_ORGANISATION) is None
    await keep(db, [], OTHER)
    assert await kept(db, OTHER) == []


async def test_after_five_minutes_a_list_is_gone(db: Database) -> None:
    await keep(db, [])
    (head,) = await db.collection(store.LIST_HEADS).find({})
    assert head["expires_at"] - head["as_of"] == timedelta(minutes=5)
    await db.collection(store.LIST_HEADS).update_one({}, {"$set": {"expires_at": datetime.now(UTC) - timedelta(seconds=1)}})
    assert await kept(db) is None


async def test_a_change_drops_the_list_of_its_contact_and_of_the_contact_that_shows_it(db: Database) -> None:
    await keep(db, [], CONTACT)
    await keep(db, [an_invoice("moved").summary()], OTHER)
    await keep(db, [an_invoice("moved").summary()], OTHER, OTHER_ORGANISATION)
    third = an_id("third contact")
    await keep(db, [an_invoice("stays").summary()], third)
    await drop_lists(db, ORGANISATION, [CONTACT], [an_id("moved")])
    assert (await kept(db, CONTACT), await kept(db, OTHER)) == (None, None)
    assert await kept(db, third) is not None
    assert await kept(db, OTHER, OTHER_ORGANISATION) is not None


@pytest.mark.parametrize("drop", ["one", "all"])
async def test_a_list_read_before_a_change_is_not_kept_after_it(db: Database, drop: str) -> None:
    generation = await begin_list(db, ORGANISATION, CONTACT)
    await (drop_all_lists(db, ORGANISATION) if drop == "all" else drop_lists(db, ORGANISATION, [CONTACT]))
    assert not await keep_list(db, ORGANISATION, CONTACT, generation, await db.now(), [])
    assert await kept(db) is None
    assert await keep(db, [])


async def test_a_list_with_a_missing_part_is_not_shown(db: Database) -> None:
    await keep(db, [an_invoice(str(n)).summary() for n in range(1001)])
    await db.collection(store.LIST_PARTS).delete_one({"place": 1})
    assert await kept(db) is None


async def test_people_share_one_reading_and_see_a_payment_at_once(working: Any, eventually: Any) -> None:
    contact = await working.contact("C-001")
    path = f"contacts/{contact['id']}/invoices"
    before = (await working.get(path)).json()
    paid = before["invoices"][0]["invoice_id"]
    await working.act(f"invoices/{paid}/pay")

    async def seen() -> bool:
        rows = (await working.get(path)).json()["invoices"]
        return paid not in {row["invoice_id"] for row in rows}

    await eventually(seen)


async def test_an_organisation_that_shares_nothing_costs_no_call_for_its_changes(working: Any, eventually: Any) -> None:
    contact = await working.contact("C-001")
    path = f"contacts/{contact['id']}/invoices"
    before = (await working.get(path)).json()
    await working.forget_calls()
    await working.act(f"invoices/{before['invoices'][0]['invoice_id']}/pay")

    async def read_again() -> bool:
        return bool((await working.get(path)).json()["as_of"] != before["as_of"])

    await eventually(read_again)
    assert len(await working.calls()) == 1


async def test_a_contact_is_kept_beside_its_list_and_dropped_with_it(db: Database) -> None:
    contact = a_contact()
    await keep_contact(db, ORGANISATION, contact, await begin_list(db, ORGANISATION, CONTACT))
    assert await find_kept_contact(db, ORGANISATION, CONTACT) == contact
    assert await find_kept_contact(db, OTHER_ORGANISATION, CONTACT) is None
    await drop_lists(db, ORGANISATION, {CONTACT})
    assert await find_kept_contact(db, ORGANISATION, CONTACT) is None


async def test_a_contact_read_before_a_change_was_seen_is_not_kept(db: Database) -> None:
    generation = await begin_list(db, ORGANISATION, CONTACT)
    await drop_lists(db, ORGANISATION, {CONTACT})
    await keep_contact(db, ORGANISATION, a_contact(), generation)
    assert await find_kept_contact(db, ORGANISATION, CONTACT) is None
