"""Ending every access of an organisation at once: closed before the answer, ended one by one, whatever dies in between."""

from typing import Any

import pytest

from common.contracts.auth import OrganisationDisconnected
from common.contracts.sharing import ClientInvited, ShareEnded
from common.crypto import KeyRing
from common.erasure import ERASURES
from common.errors import NotFound
from common.mongo import Database, Document
from common.testing import ORGANISATION, OTHER_ORGANISATION, Harness
from sharing import client_views, endings, leaving_store, snapshot_store, store
from sharing.sweepers import ContactEraser, Ender, sweep_one
from sharing.testing import CLIENT, CONTACT, LONG_AGO, OTHER_CONTACT, Desk, an_invoice, token_in

MERE = {"id": "prv_1", "name": "Mere Hart", "email": "mere@kowhai.example"}


async def depart(
    sharing: Harness, *ending: str, erasing: tuple[str, ...] = (), deleting: bool = False, others: tuple[str, ...] = ()
) -> None:
    """What auth asks for."""
    asked = {"provider": MERE, "organisations": [*ending, *others], "ending": ending, "erasing": erasing, "deleting": deleting}
    answer = await sharing.http.post("/internal/departures", json=asked, headers=sharing.as_service("auth"))
    assert (answer.status_code, answer.text) == (204, "")


async def look(sharing: Harness, *organisations: str) -> Any:
    asked = {"organisation_ids": organisations}
    answer = await sharing.http.post("/internal/departures/look", json=asked, headers=sharing.as_service("auth"))
    return answer.json()["accesses"]


async def sweep(db: Database) -> None:
    """The ender does what is due, a minute and more after the flag."""
    while await sweep_one(db, leaving_store.ENDINGS, Ender().work):
        pass
    back = {"$dateAdd": {"startDate": "$began_at", "unit": "second", "amount": -61}}
    await db.collection(leaving_store.ENDINGS).update_many({"state": "pending"}, [{"$set": {"began_at": back, "due_at": "$$NOW"}}])
    while await sweep_one(db, leaving_store.ENDINGS, Ender().work):
        pass


async def test_nothing_opens_from_the_answer_on_although_no_share_was_written_yet(sharing: Harness, desk: Desk, ring: KeyRing) -> None:
    await desk.share([an_invoice()])
    (invited,) = await sharing.published(ClientInvited)
    await depart(sharing, ORGANISATION)
    assert await look(sharing, ORGANISATION) == {ORGANISATION: {"live": 1, "ending": 1}}

    assert await sharing.db.collection(store.SHARES).count({"ended_at": None}) == 1
    assert await desk.numbers_seen() is None
    assert await desk.opens(an_invoice()) == 404
    home = await sharing.http.get("/internal/client/home", headers=sharing.as_client(CLIENT))
    assert home.json()["senders"] == []
    known = await sharing.http.post("/internal/addresses/lookup", json={"email": CLIENT}, headers=sharing.as_service("portal"))
    assert known.json() == {"known": True, "live": 0}
    token = token_in(invited, ring)
    pressed = await sharing.http.post("/internal/invitations/press", json={"invitation": token}, headers=sharing.as_service("portal"))
    sender = await sharing.http.get(f"/internal/client/invitations/{token}", headers=sharing.as_client(CLIENT))
    assert (pressed.status_code, sender.status_code) == (404, 404)


async def test_an_ending_organisation_answers_as_one_that_never_shared(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    await depart(sharing, ORGANISATION)
    for path in (f"{{}}/invoices/{an_invoice().invoice_id}", "{}"):
        answers = [
            await sharing.http.get(f"/internal/client/senders/{path.format(org)}", headers=sharing.as_client(CLIENT))
            for org in (ORGANISATION, OTHER_ORGANISATION)
        ]
        assert answers[0].status_code == answers[1].status_code == 404
        assert answers[0].content == answers[1].content


async def test_a_view_counted_while_the_flag_is_set_shows_nothing(sharing: Harness, desk: Desk) -> None:
    """The grant check looks at the flag after its write, so a view that began before the flag cannot end after it."""
    await desk.share([an_invoice()])
    (share,) = await store.list_open_shares(sharing.db, CLIENT)
    await depart(sharing, ORGANISATION)
    with pytest.raises(NotFound):
        await client_views.count_views(sharing.db, CLIENT, [share])
    assert (await store.get_share(sharing.db, ORGANISATION, share.id)).views == 1, "its write came first, and was acknowledged"


async def test_every_share_ends_and_is_told_once_however_often_it_is_begun(sharing: Harness, desk: Desk) -> None:
    for number in range(3):
        await desk.invite(f"c{number}@demo.example")
    await depart(sharing, ORGANISATION)
    await depart(sharing, ORGANISATION)
    await sweep(sharing.db)
    ended = await sharing.published(ShareEnded)
    assert len(ended) == len({event.share_id for event in ended}) == 3
    assert {event.reason for event in ended} == {"closed"}
    assert await look(sharing, ORGANISATION, OTHER_ORGANISATION) == {
        ORGANISATION: {"live": 0, "ending": None},
        OTHER_ORGANISATION: {"live": 0, "ending": None},
    }


async def test_another_organisation_keeps_its_shares(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    await desk.share([an_invoice()])
    await other_desk.share([an_invoice("INV-2")])
    await depart(sharing, ORGANISATION)
    await sweep(sharing.db)
    assert await desk.numbers_seen() is None
    assert await other_desk.numbers_seen() == {"INV-2"}


async def test_an_ender_that_dies_anywhere_is_followed_by_one_that_ends_the_rest(sharing: Harness, desk: Desk) -> None:
    for number in range(4):
        await desk.invite(f"c{number}@demo.example")
    await depart(sharing, ORGANISATION)

    async def dies(db: Database, row: Document) -> None:
        ids = await leaving_store.list_live_ids(db, row["_id"])
        await db.transact(endings.end_one, row, ids[0])

    for left in (3, 2):
        await sweep_one(sharing.db, leaving_store.ENDINGS, dies)
        assert await look(sharing, ORGANISATION) == {ORGANISATION: {"live": left, "ending": 4}}
        await sharing.db.collection(leaving_store.ENDINGS).update_many({}, [{"$set": {"lease_until": "$$NOW"}}])
    await sweep(sharing.db)
    assert len(await sharing.published(ShareEnded)) == 4


async def test_the_flag_stays_for_a_minute_and_sharing_is_refused_meanwhile(sharing: Harness, desk: Desk) -> None:
    await desk.invite()
    await depart(sharing, ORGANISATION)
    while await sweep_one(sharing.db, leaving_store.ENDINGS, Ender().work):
        pass
    path, body = f"{desk.path}/contacts/{CONTACT}/shares", {"emails": [CLIENT], "contact_name": "Harbour Books"}
    refused = await sharing.http.post(path, json=body, headers=sharing.as_provider())
    assert (refused.status_code, refused.json()["code"]) == (409, "ending_access")
    await sweep(sharing.db)
    assert (await desk.invite())["state"] == "preparing"


async def test_who_deleted_their_account_shares_nothing_with_a_token_still_on_its_way(sharing: Harness, desk: Desk) -> None:
    await depart(sharing, deleting=True, others=(ORGANISATION,))
    path, body = f"{desk.path}/contacts/{CONTACT}/shares", {"emails": [CLIENT], "contact_name": "Harbour Books"}
    assert (await sharing.http.post(path, json=body, headers=sharing.as_provider())).status_code == 409
    colleague = sharing.as_provider(id="prv_2", name="Tāne Pike", email="tane@kowhai.example")
    assert (await sharing.http.post(path, json=body, headers=colleague)).status_code == 200


async def test_a_colleagues_organisation_keeps_its_accesses_without_the_name_of_who_left(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    await depart(sharing, deleting=True, others=(ORGANISATION,))
    await sweep(sharing.db)
    await sharing.erase()
    assert await desk.numbers_seen() == {"INV-1"}
    (share,) = await sharing.db.collection(store.SHARES).find({})
    assert share["shared_by"] == {"id": "prv_1", "name": "", "email": ""}
    assert "mere" not in await everything(sharing)


async def test_deleting_leaves_nothing_of_the_organisation_its_clients_or_the_person(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    await desk.share([an_invoice("INV-9")], "second@demo.example", OTHER_CONTACT)
    ended = (await desk.invite("third@demo.example"))["id"]
    await desk.end(ended)
    await depart(sharing, ORGANISATION, erasing=(ORGANISATION,), deleting=True)
    await sweep(sharing.db)
    lost = OrganisationDisconnected(version=2, organisation_id=ORGANISATION, name="", since=LONG_AGO)
    await sharing.deliver(lost)
    await sharing.erase()
    left = await everything(sharing)
    assert [word for word in ("mere", "kōwhai", "harbour", "demo.example", "inv-1", "inv-9") if word in left] == []
    for name in (store.SHARES, store.INVITATIONS, store.CONTACTS, snapshot_store.SNAPSHOTS, leaving_store.CLOSED_CONTACTS):
        assert await sharing.db.collection(name).count({}) == 0, name


async def test_an_organisation_shared_again_meanwhile_keeps_what_is_new(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    await depart(sharing, ORGANISATION, erasing=(ORGANISATION,))
    await sweep(sharing.db)
    await desk.share([an_invoice("INV-2")], "new@demo.example")
    await sharing.erase()
    assert await desk.numbers_seen("new@demo.example") == {"INV-2"}
    assert await sharing.db.collection(store.SHARES).count({}) == 1


async def test_what_is_shared_again_while_the_erasing_goes_on_stays(sharing: Harness, desk: Desk) -> None:
    """The contacts to keep were listed before; what is deleted then is only what was read before the erasure was asked."""
    await desk.share([an_invoice(), an_invoice("INV-OLD")])
    await depart(sharing, ORGANISATION, erasing=(ORGANISATION,))
    await sweep(sharing.db)
    (row,) = await sharing.db.collection(ERASURES).find({})
    await desk.share([an_invoice()], "new@demo.example")
    while await leaving_store.delete_stray_snapshots(sharing.db, ORGANISATION, frozenset(), row["asked_at"]):
        pass
    assert await desk.numbers_seen("new@demo.example") == {"INV-1"}
    for name in (snapshot_store.SNAPSHOTS, snapshot_store.VERSIONS):
        assert [found["invoice_id"] for found in await sharing.db.collection(name).find({})] == [an_invoice().invoice_id], name


async def test_snapshots_go_thirty_days_after_the_last_access_ended(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    share = await desk.share([], "second@demo.example")
    await desk.end(share["id"])
    await after_thirty_days(sharing)
    assert await sharing.db.collection(snapshot_store.SNAPSHOTS).count({}) == 1, "the first access still lives"
    (first,) = await store.list_open_shares(sharing.db, CLIENT)
    await desk.end(first.id)
    await sweep_contacts(sharing)
    assert await sharing.db.collection(snapshot_store.SNAPSHOTS).count({}) == 1, "it is not due yet"
    await after_thirty_days(sharing)
    assert await sharing.db.collection(snapshot_store.SNAPSHOTS).count({}) == 0
    assert await sharing.db.collection(leaving_store.CLOSED_CONTACTS).count({}) == 0
    assert (await desk.look(first.id))["contact_name"] == "Harbour Books"


async def test_an_access_given_again_in_time_keeps_the_snapshots(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    await desk.end(share["id"])
    await desk.share([an_invoice()])
    await after_thirty_days(sharing)
    assert await desk.numbers_seen() == {"INV-1"}
    assert await sharing.db.collection(leaving_store.CLOSED_CONTACTS).count({}) == 0


async def test_a_later_ending_begins_the_thirty_days_anew(sharing: Harness, desk: Desk) -> None:
    first, second = await desk.share([an_invoice()]), await desk.share([], "second@demo.example")
    await desk.end(first["id"])
    rows = sharing.db.collection(leaving_store.CLOSED_CONTACTS)
    await rows.update_many({}, [{"$set": {"due_at": "$$NOW"}}])
    await desk.end(second["id"])
    await sweep_contacts(sharing)
    assert await sharing.db.collection(snapshot_store.SNAPSHOTS).count({}) == 1
    (row,) = await rows.find({})
    assert 29.9 < (row["due_at"] - await sharing.db.now()).total_seconds() / 86400 <= 30


async def after_thirty_days(sharing: Harness) -> None:
    await sharing.db.collection(leaving_store.CLOSED_CONTACTS).update_many({}, [{"$set": {"due_at": "$$NOW"}}])
    await sweep_contacts(sharing)


async def sweep_contacts(sharing: Harness) -> None:
    while await sweep_one(sharing.db, leaving_store.CLOSED_CONTACTS, ContactEraser().work):
        pass


async def everything(sharing: Harness) -> str:
    """Every document of the database as text."""
    found = [await sharing.db.collection(name).find({}) for name in sharing.runtime.indexes]
    return str(found).casefold()
