"""Events in any order, twice, and with something newer in between: the stored end is one."""

import itertools
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from common.clock import utc_now
from common.contracts.auth import OrganisationDisconnected, OrganisationNeedsReauth, OrganisationUpdated
from common.contracts.notifier import EmailFailed, EmailSent
from common.contracts.xero_gateway import ContactChanged, InvoicesFetched, OrganisationChecked, PdfsFetched
from common.events import Event, EventData, new_event
from common.testing import ORGANISATION, Harness
from sharing.handlers import HANDLERS
from sharing.testing import CONTACT, LONG_AGO, OTHER_CONTACT, Desk, an_invoice, changed, connected, fetched

NOW = utc_now() + timedelta(days=1)
LATER = {number: LONG_AGO + timedelta(days=number) for number in range(6)}
READ = {number: NOW + timedelta(seconds=number) for number in range(6)}


def changes(*invoices: dict[str, Any]) -> list[EventData]:
    """Versions of one invoice, each newer than the one before."""
    return [
        changed(an_invoice(updated_at=LATER[number], **fields), read_at=READ[number]) for number, fields in enumerate(invoices, start=1)
    ]


FIRST = new_event("test", ORGANISATION, connected(), correlation="cor_1")
STORIES: dict[str, list[EventData]] = {
    "paid": changes({"reference": "first"}, {"status": "PAID", "amount_due": 0}),
    "voided": changes({}, {"status": "VOIDED"}),
    "voided, seen twice": changes({}, {"status": "VOIDED"}, {"status": "VOIDED", "reference": "late note"}),
    "approved late": changes({"status": "DRAFT"}, {"status": "SUBMITTED"}, {}),
    "deleted": changes({}, {"status": "DELETED"}),
    "moved and back": changes({}, {"contact_id": OTHER_CONTACT}, {"status": "PAID"}),
    "moved and voided there": changes({}, {"contact_id": OTHER_CONTACT}, {"contact_id": OTHER_CONTACT, "status": "VOIDED"}),
    "moved to nobody": changes({}, {"contact_id": "nobody"}),
    "twice within one second": [
        changed(an_invoice(reference="first"), read_at=READ[1]),
        changed(an_invoice(reference="second"), read_at=READ[2]),
    ],
    "several at once": [
        changed(an_invoice(updated_at=LATER[1]), an_invoice("INV-2", updated_at=LATER[3]), read_at=READ[1]),
        changed(an_invoice(updated_at=LATER[2], status="PAID"), an_invoice("INV-2", updated_at=LATER[2]), read_at=READ[2]),
        changed(an_invoice(updated_at=LATER[3], contact_id=OTHER_CONTACT), read_at=READ[3]),
    ],
    "loaded and changed": [
        fetched("LOAD", [an_invoice(), an_invoice("INV-2")], number=1, batches=None, read_at=READ[1]),
        fetched("LOAD", [an_invoice("INV-3")], number=2, batches=2, read_at=READ[2]),
        changed(an_invoice(status="PAID", updated_at=LATER[3]), read_at=READ[3]),
    ],
    "organisation": [
        connected(version=2, name="Old", zone="Europe/London"),
        OrganisationUpdated(version=3, organisation_id=ORGANISATION, name="New", time_zone=None),
        OrganisationNeedsReauth(version=4, organisation_id=ORGANISATION, name="Newer", cause="expired", since=LONG_AGO, people=[]),
    ],
    "organisation back": [
        OrganisationDisconnected(version=2, organisation_id=ORGANISATION, name="Old", since=LONG_AGO),
        connected(version=3, name="New", zone="Europe/London"),
        OrganisationUpdated(version=4, organisation_id=ORGANISATION, name="Newest", time_zone="Asia/Tokyo"),
    ],
    "contact": [
        ContactChanged(
            version=number, organisation_id=ORGANISATION, contact_id=CONTACT, name=name, status="ACTIVE", merged_to=None, read_at=NOW
        )
        for number, name in ((5, "Old"), (6, "New"))
    ],
    "checks": [OrganisationChecked(version=number, organisation_id=ORGANISATION, checked_at=READ[number]) for number in (1, 2)],
    "PDFs": [
        PdfsFetched(version=1, download_id="DL", organisation_id=ORGANISATION, kept=0, missed=0, total=1, reason="xero_busy", limit="day"),
        PdfsFetched(version=2, download_id="DL", organisation_id=ORGANISATION, kept=1, missed=0, total=1, reason=None, limit=None),
    ],
    "mails": [
        EmailFailed(version=1, share_id="SHARE", at=NOW, reason="Mailbox unknown."),
        EmailSent(version=1, share_id="SHARE", at=NOW),
        EmailFailed(version=2, share_id="SHARE", at=NOW, reason="Mailbox full."),
    ],
    "returned": [
        EmailSent(version=1, share_id="SHARE", at=NOW),
        EmailFailed(version=1, share_id="SHARE", at=NOW, reason="mailbox unknown", returned=True),
    ],
}


def test_every_event_consumed_is_in_a_story() -> None:
    assert {type(event) for story in STORIES.values() for event in story} == set(HANDLERS)


@pytest.mark.parametrize("name", STORIES)
async def test_a_story_told_in_any_order_and_twice_has_one_end(sharing: Harness, desk: Desk, name: str) -> None:
    ends = []
    story = [new_event("test", "subject", data, correlation="cor_1") for data in STORIES[name]]
    for order in itertools.permutations(story):
        ends.append(await end_of(sharing, desk, [*order, *order]))
    assert all(end == ends[0] for end in ends)
    assert ends[0] != await end_of(sharing, desk, [])


async def end_of(sharing: Harness, desk: Desk, story: Sequence[Event[Any]]) -> dict[str, Any]:
    """What is stored after these events, with two contacts shared."""
    await sharing.empty()
    await sharing.deliver_event(FIRST)
    loading = any(isinstance(event.data, InvoicesFetched) for event in story)
    share = await (desk.invite() if loading else desk.share([an_invoice("INV-9")]))
    await desk.share([an_invoice("INV-8", contact_id=OTHER_CONTACT)], "other@demo.example", OTHER_CONTACT)
    names = {"load_id": share["load_id"], "share_id": share["id"], "download_id": await download_of(sharing, loading)}
    for event in story:
        ids = {name: id for name, id in names.items() if hasattr(event.data, name)}
        await sharing.db.collection("inbox").delete_many({"_id": event.id})
        await sharing.deliver_event(event.model_copy(update={"data": event.data.model_copy(update=ids)}))
    return await stored(sharing)


async def download_of(sharing: Harness, loading: bool) -> str:
    """A download the first contact's client asked for, where there is something to see."""
    if loading:
        return ""
    asked = await sharing.http.post(f"/internal/client/senders/{ORGANISATION}/downloads", headers=sharing.as_client())
    return str(asked.json()["id"])


async def stored(sharing: Harness) -> dict[str, Any]:
    """Everything stored, but what differs between two runs of the same story: ids of shares and loads, and moments of sharing."""
    shares = await sharing.db.collection("shares").find({})
    loads = {share["load_id"]: f"load of {share['contact_id']}" for share in shares if share["ended_at"] is None}
    snapshots = await sharing.db.collection("snapshots").find({"invoice_id": {"$nin": [an_invoice(f"INV-{n}").invoice_id for n in (8, 9)]}})
    for row in snapshots:
        row["finalised_in"] = [loads.get(load) for load in row["finalised_in"]]
        row["load_id"] = loads.get(row["load_id"])
    contacts = await sharing.db.collection("contacts").find({}, projection={"revision": 0, "load_id": 0})
    for row in contacts:
        row["as_of"] = row["as_of"] if row["as_of"] and row["as_of"] > NOW else None
    downloads = await sharing.db.collection("downloads").find({})
    return {
        "downloads": [(row["version"], row["kept"], row["reason"]) for row in downloads],
        "snapshots": sorted(snapshots, key=lambda row: str(row["_id"])),
        "contacts": sorted(contacts, key=lambda row: str(row["_id"])),
        "organisations": await sharing.db.collection("organisations").find({}),
        "shares": sorted((row["email"], row["mail"] and row["mail"]["state"], row["invited_at"] is None) for row in shares),
    }


async def test_news_of_an_unknown_share_or_contact_are_no_trouble(sharing: Harness) -> None:
    await sharing.deliver(EmailSent(version=1, share_id="shr_unknown", at=NOW))
    await sharing.deliver(fetched("lod_unknown", [an_invoice()]))
    await sharing.deliver(STORIES["contact"][0])
    assert await sharing.db.collection("contacts").count({}) == 0


async def test_a_renamed_contact_has_its_new_name_everywhere(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    await sharing.deliver(STORIES["contact"][1])
    assert (await desk.look(share["id"]))["contact_name"] == "New"
    page = await sharing.http.get(f"/internal/client/senders/{ORGANISATION}", headers=sharing.as_client())
    assert page.json()["sender"]["contacts"][0]["name"] == "New"
