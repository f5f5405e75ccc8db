"""A contact is merged into another in Xero: nothing moves by itself, and what a provider decides happens once."""

from datetime import UTC, date, datetime
from typing import Any

import httpx

from common.clock import utc_now
from common.contracts.sharing import ShareCreated, ShareEnded
from common.contracts.xero_gateway import ContactChanged
from common.testing import ORGANISATION, Harness
from sharing.testing import CLIENT, CONTACT, OTHER_CONTACT, Desk, an_invoice, changed, fetched, uuid_of

MERGED = ContactChanged(
    version=5,
    organisation_id=ORGANISATION,
    contact_id=CONTACT,
    name="Harbour Books",
    status="ARCHIVED",
    merged_to=OTHER_CONTACT,
    read_at=utc_now(),
)
INVOICE = an_invoice()
MOVED = an_invoice(contact_id=OTHER_CONTACT, contact_name="Harbour Books & Co", updated_at=datetime(2026, 5, 1, tzinfo=UTC))


async def carry_over(sharing: Harness, desk: Desk, contact: str = CONTACT) -> httpx.Response:
    path = f"{desk.path}/contacts/{contact}/carry-over"
    return await sharing.http.post(path, json={"contact_name": "Harbour Books & Co"}, headers=sharing.as_provider())


async def shares_of(sharing: Harness, desk: Desk, contact: str) -> list[dict[str, Any]]:
    found = (await sharing.http.get(f"{desk.path}/contacts/{contact}/shares", headers=sharing.as_provider())).json()["shares"]
    return sorted(found, key=lambda share: str(share["email"]))


async def test_after_a_merge_nothing_moves_and_the_provider_is_asked(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([INVOICE])
    assert share["merged_to"] is None
    await sharing.deliver(MERGED)
    await sharing.deliver(changed(MOVED))
    assert (await desk.look(share["id"]))["merged_to"] == {"contact_id": OTHER_CONTACT, "name": None}
    assert (await desk.look(share["id"]))["state"] == "invited"
    assert await desk.numbers_seen() == set()
    assert await shares_of(sharing, desk, OTHER_CONTACT) == []


async def test_carrying_over_gives_the_same_terms_once_and_ends_the_old_access(sharing: Harness, desk: Desk) -> None:
    old = await desk.share([INVOICE], from_date="2026-01-01", ends_on="2030-05-03")
    await sharing.deliver(MERGED)
    (carried,) = (await carry_over(sharing, desk)).json()["shares"]
    assert (carried["email"], carried["contact_id"], carried["from_date"], carried["ends_on"]) == (
        CLIENT,
        OTHER_CONTACT,
        "2026-01-01",
        "2030-05-03",
    )
    ended = await desk.look(old["id"])
    assert (ended["state"], ended["ended_reason"], ended["ended_by"]["name"]) == ("ended", "carried", carried["shared_by"]["name"])
    assert ended["carried_to"] == {"contact_id": OTHER_CONTACT, "name": "Harbour Books & Co"}
    assert (await carry_over(sharing, desk)).json()["shares"] == []
    assert len(await shares_of(sharing, desk, OTHER_CONTACT)) == 1
    assert [event.reason for event in await sharing.published(ShareEnded)] == ["carried"]
    created = [event for event in await sharing.published(ShareCreated) if event.contact_id == OTHER_CONTACT]
    assert [event.load_id for event in created] == [carried["load_id"]]
    await sharing.deliver(fetched(carried["load_id"], [MOVED], contact_id=OTHER_CONTACT))
    assert await desk.numbers_seen() == {"INV-1"}


async def test_an_address_that_opens_the_other_contact_already_keeps_its_terms_there(sharing: Harness, desk: Desk) -> None:
    there = await desk.share([an_invoice("INV-8", contact_id=OTHER_CONTACT)], contact=OTHER_CONTACT, ends_on="2031-01-01")
    await desk.share([INVOICE])
    await desk.share([INVOICE], "second@demo.example", invoice_ids=[INVOICE.invoice_id])
    await sharing.deliver(MERGED)
    carried = (await carry_over(sharing, desk)).json()["shares"]
    assert {share["email"] for share in carried} == {CLIENT, "second@demo.example"}
    kept, picked = sorted(await shares_of(sharing, desk, OTHER_CONTACT), key=lambda share: bool(share["picked"]))
    assert (kept["id"], date.fromisoformat(kept["ends_on"])) == (there["id"], date(2031, 1, 1))
    assert picked["picked"] == 1
    assert {share["state"] for share in await shares_of(sharing, desk, CONTACT)} == {"ended"}


async def test_what_was_not_merged_cannot_be_carried_over(sharing: Harness, desk: Desk) -> None:
    await desk.share([INVOICE])
    for contact in (CONTACT, uuid_of("unknown contact")):
        assert (await carry_over(sharing, desk, contact)).status_code == 404
    assert await desk.numbers_seen() == {"INV-1"}
