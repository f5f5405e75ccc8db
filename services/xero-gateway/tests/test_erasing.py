"""What xero-gateway forgets of an organisation nobody has connected any more."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from common.contracts.auth import OrganisationConnected, OrganisationDisconnected, ProviderDeleted
from common.contracts.sharing import ShareCreated, ShareEnded
from common.ids import tenant_id
from common.mongo import Tx
from common.testing import ORGANISATION, OTHER_ORGANISATION, Harness, HarnessFactory
from xero_gateway import store, watches
from xero_gateway.main import create_app
from xero_gateway.settings import Settings
from xero_gateway.testing import WEBHOOK_KEY, an_id

NOW = datetime(2026, 6, 18, tzinfo=UTC)
CONTACT = an_id("contact")
LEFT = ProviderDeleted(version=1, provider_id="prv_left", organisation_ids=[ORGANISATION])


@pytest.fixture
async def gateway(harness: HarnessFactory) -> AsyncIterator[Harness]:
    """With two organisations that share a contact each, and something of each kind stored."""
    async with harness(create_app, Settings, xero_webhook_key=WEBHOOK_KEY) as service:
        for organisation in (ORGANISATION, OTHER_ORGANISATION):
            about: dict[str, Any] = {"organisation_id": organisation, "version": 1}
            await service.deliver(OrganisationConnected(**about, tenant_id=tenant_id(organisation), name="Canary Ltd", time_zone=None))
            await service.deliver(ShareCreated(**about, share_id=f"shr_{organisation}", contact_id=CONTACT, load_id=f"lod_{organisation}"))
            await store.add_marks(service.db, [(organisation, "INVOICE", an_id("invoice"))])
            for name in (store.PUBLISHED, store.LIST_HEADS):
                await service.db.collection(name).insert_one({"_id": f"{organisation}:{CONTACT}", "organisation_id": organisation})
            for name in (store.LIST_PARTS, store.PDFS):
                await service.db.collection(name).insert_one({"_id": organisation, "organisation_id": organisation})
        yield service


async def of(gateway: Harness, organisation: str) -> dict[str, int]:
    """How much is stored of an organisation, by collection."""
    theirs = {"$or": [{"organisation_id": organisation}, {"_id": organisation}]}
    names = (store.MARKS, store.LOADS, store.PUBLISHED, store.RECONCILIATIONS, store.LIST_HEADS, store.LIST_PARTS, store.PDFS)
    return {name: await gateway.db.collection(name).count(theirs) for name in names}


async def leave(gateway: Harness) -> None:
    ended = {"share_id": f"shr_{ORGANISATION}", "contact_id": CONTACT, "reason": "closed", "ended_at": NOW}
    await gateway.deliver(ShareEnded(version=2, organisation_id=ORGANISATION, **ended))
    await gateway.deliver(OrganisationDisconnected(version=2, organisation_id=ORGANISATION, name="", since=NOW))
    await gateway.deliver(LEFT)
    await gateway.erase()


async def test_everything_of_the_organisation_goes_and_of_others_nothing(gateway: Harness) -> None:
    await leave(gateway)
    assert set((await of(gateway, ORGANISATION)).values()) == {0}
    assert set((await of(gateway, OTHER_ORGANISATION)).values()) == {1}
    rows = await gateway.db.collection(store.ORGANISATIONS).find({}, sort=[("_id", 1)])
    assert sorted(row["name"] for row in rows) == ["", "Canary Ltd"]
    bodies = "".join(row["body"] for row in await gateway.db.collection("inbox").find({}))
    assert ORGANISATION not in bodies.replace(LEFT.model_dump_json(), "").replace(f'"organisation_ids":["{ORGANISATION}"]', "")


async def test_one_that_is_shared_again_meanwhile_keeps_what_was_read_anew(gateway: Harness) -> None:
    again: dict[str, Any] = {"organisation_id": ORGANISATION, "contact_id": CONTACT, "version": 1}
    await gateway.deliver(ShareCreated(**again, share_id="shr_new", load_id="lod_new"))
    await leave(gateway)
    assert (await of(gateway, ORGANISATION))[store.PUBLISHED] == 1


async def test_a_share_that_begins_while_the_organisation_is_erased_keeps_its_load_and_its_reconciliation(gateway: Harness) -> None:
    """The share is committed after the erasure looked and before it deletes, in both ways a reconciliation may stand."""
    for number, there in enumerate((True, False)):
        await no_longer_watched(gateway, reconciliation=there)
        looked, begun = asyncio.Event(), asyncio.Event()

        async def erase(tx: Tx, looked: asyncio.Event = looked, begun: asyncio.Event = begun) -> None:
            await store.watches_any(tx, ORGANISATION)  # from here on the transaction sees the database as it is now
            looked.set()
            await begun.wait()
            await store.delete_work_of(tx, ORGANISATION)

        under_way = asyncio.create_task(gateway.db.transact(erase))
        await looked.wait()
        await gateway.db.transact(watches.begin_watching, ORGANISATION, CONTACT, f"shr_late{number}", f"lod_late{number}")
        begun.set()
        (outcome,) = await asyncio.gather(under_way, return_exceptions=True)
        assert outcome is None or isinstance(outcome, store.StillWatched)
        assert await gateway.db.collection(store.LOADS).count({"_id": f"lod_late{number}"}) == 1
        assert await gateway.db.collection(store.RECONCILIATIONS).count({"_id": ORGANISATION, "state": "pending"}) == 1
        with pytest.raises(store.StillWatched):
            await store.delete_rest_of(gateway.db, ORGANISATION)
        assert (await of(gateway, ORGANISATION))[store.PUBLISHED] == 1


async def no_longer_watched(gateway: Harness, *, reconciliation: bool) -> None:
    await gateway.db.collection(store.SHARES).update_many({"organisation_id": ORGANISATION}, {"$set": {"live": False}})
    if not reconciliation:
        await gateway.db.collection(store.RECONCILIATIONS).delete_one({"_id": ORGANISATION})
