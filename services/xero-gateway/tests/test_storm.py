"""Webhooks lost, doubled, shuffled and forged, while people change what they tell of: the end is what Xero holds."""

import asyncio
import random
from typing import Any

from xero_gateway import store
from xero_gateway.models import GAP_PATIENCE
from xero_gateway.syncer import WebhookWatch
from xero_gateway.testing import Posted, a_storm, a_webhook, an_id, signature_of

WEBHOOKS = 200


async def test_a_storm_of_webhooks_ends_with_what_xero_holds(working: Any, eventually: Any) -> None:
    await working.loaded("C-001")
    await working.act("faults", webhooks_off=True)
    invoices = await working.untouched("C-001")
    tenant = next(it["id"] for it in (await working.xero.get("/control/organisations")).json() if it["key"] == "kowhai")
    chance = random.Random(5)
    storm = a_storm(invoices, WEBHOOKS, chance, tenant=tenant)
    answers = [await _post(working, storm, place, chance) for place in range(len(storm))]
    assert [answer == 401 for answer in answers] == [posted.forged for posted in storm]
    assert {answer for answer, posted in zip(answers, storm, strict=True) if not posted.forged} == {200}
    await eventually(lambda: _worked_off(working))
    silent = chance.choice(invoices)
    await working.act(f"invoices/{silent}/edit", reference="nobody was told")
    last = a_webhook(("INVOICE", an_id("another's")), tenant=tenant, first=10**5)
    await working.service.http.post("/webhooks/xero", content=last, headers={"x-xero-signature": signature_of(last)})
    await eventually(lambda: _worked_off(working))
    arrivals = await store.find_arrivals(working.db)
    assert arrivals.seen_to == 10**5
    late = tuple(gap.model_copy(update={"since": gap.since - GAP_PATIENCE}) for gap in arrivals.gaps)
    await working.db.transact(store.save_arrivals, arrivals.model_copy(update={"gaps": late}))
    await WebhookWatch().look(working.db)
    working.db.notify()
    await eventually(lambda: _is_what_xero_holds(working))


async def _post(world: Any, storm: list[Posted], place: int, chance: random.Random) -> int:
    """Posts one; before every twentieth somebody changes what the next ones may tell of."""
    posted = storm[place]
    if place % 20 == 0:
        invoice = chance.choice(await world.untouched("C-001"))
        await world.act(f"invoices/{invoice}/edit", reference=f"changed before {place}")
    answer = await world.service.http.post("/webhooks/xero", content=posted.body, headers={"x-xero-signature": posted.signature})
    await asyncio.sleep(0)
    return int(answer.status_code)


async def _worked_off(world: Any) -> bool:
    """Whether nothing is left of what webhooks told."""
    return bool(await world.db.collection(store.WEBHOOKS).count({}) + await world.db.collection(store.MARKS).count({}) == 0)


async def _is_what_xero_holds(world: Any) -> bool:
    """Every invoice that was ever told, as it was told last, beside the books."""
    told = await world.told()
    books = {it["id"]: it for it in await world.invoices("C-001")}
    return bool(told) and all((it.status, it.reference) == (books[key]["status"], books[key]["reference"]) for key, it in told.items())
