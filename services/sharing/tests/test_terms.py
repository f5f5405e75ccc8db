"""What an access shows and until when: everything, from a day on, picked invoices; an end by the database's clock; closing."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from common.clock import end_of_day, local_date, utc_now
from common.contracts.sharing import ClientInvited, ShareCreated, ShareEnded
from common.crypto import KeyRing
from common.mongo import Database
from common.testing import OTHER_ORGANISATION, Harness
from sharing import store
from sharing.expirer import Expirer
from sharing.testing import CLIENT, CONTACT, OTHER_CONTACT, Desk, an_invoice, changed, connected, token_in, uuid_of

STRANGER = "stranger@demo.example"
OLD = an_invoice("OLD", date=date(2025, 12, 31))
NEW = an_invoice("NEW", date=date(2026, 1, 1))
DATELESS = an_invoice("DATELESS", date=None)
TOMORROW = (utc_now() + timedelta(days=1)).date().isoformat()


async def run_out(sharing: Harness, share_id: str) -> None:
    """Moves a share's end to a moment ago."""
    past = await sharing.db.now() - timedelta(milliseconds=1)
    await sharing.db.collection("shares").update_one({"_id": share_id}, {"$set": {"ends_at": past}})


async def test_from_a_date_shows_that_day_and_later_and_nothing_without_a_date(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([OLD, NEW, DATELESS], from_date="2026-01-01")
    assert (share["from_date"], share["picked"]) == ("2026-01-01", None)
    assert await desk.numbers_seen() == {"NEW"}
    assert [await desk.opens(invoice) for invoice in (OLD, NEW, DATELESS)] == [404, 200, 404]
    moved = an_invoice("OLD", date=date(2026, 1, 2), updated_at=utc_now())
    await sharing.deliver(changed(moved))
    assert await desk.numbers_seen() == {"NEW", "OLD"}


async def test_picked_invoices_show_themselves_alone_whatever_comes_later(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([OLD, NEW], invoice_ids=[OLD.invoice_id])
    assert (share["from_date"], share["picked"]) == (None, 1)
    await sharing.deliver(changed(an_invoice("LATER", updated_at=utc_now())))
    assert await desk.numbers_seen() == {"OLD"}
    assert [await desk.opens(invoice) for invoice in (OLD, NEW)] == [200, 404]


async def test_a_picked_invoice_of_another_client_or_a_bill_stays_closed(sharing: Harness, desk: Desk) -> None:
    theirs = an_invoice("THEIRS", contact_id=OTHER_CONTACT)
    bill = an_invoice("BILL", type="ACCPAY")
    await desk.share([theirs], STRANGER, contact=OTHER_CONTACT)
    await desk.share([NEW, bill], invoice_ids=[NEW.invoice_id, theirs.invoice_id, bill.invoice_id])
    assert await desk.numbers_seen() == {"NEW"}
    assert [await desk.opens(invoice) for invoice in (theirs, bill)] == [404, 404]


async def test_nobody_is_invited_before_an_invoice_of_theirs_is_there(sharing: Harness, desk: Desk) -> None:
    await desk.share([OLD])
    waiting = await desk.invite(STRANGER, from_date="2026-01-01")
    assert waiting["state"] == "waiting_invoice"
    assert [mail.email for mail in await sharing.published(ClientInvited)] == [CLIENT]
    await sharing.deliver(changed(NEW))
    assert [mail.email for mail in await sharing.published(ClientInvited)] == [CLIENT, STRANGER]
    assert await desk.numbers_seen(STRANGER) == {"NEW"}


async def test_inviting_again_with_other_terms_makes_them_the_terms(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([OLD, NEW], from_date="2026-01-01", ends_on=TOMORROW)
    assert await desk.numbers_seen() == {"NEW"}
    (again,) = await desk.invite_all([CLIENT])
    assert (again["outcome"], again["share"]["id"], again["share"]["ends_on"]) == ("known", share["id"], None)
    assert await desk.numbers_seen() == {"OLD", "NEW"}


async def test_an_end_is_the_end_of_its_day_where_the_organisation_is(sharing: Harness) -> None:
    assert end_of_day(date(2026, 4, 4), "Pacific/Auckland") == datetime(2026, 4, 4, 11, tzinfo=UTC)
    await sharing.deliver(connected(zone="Pacific/Auckland", version=2))
    here = local_date(utc_now(), "Pacific/Auckland")
    desk = Desk(sharing)
    share = await desk.share([NEW], ends_on=here.isoformat())
    assert share["ends_on"] == here.isoformat()
    assert await desk.opens(NEW) == 200
    over = (here - timedelta(days=1)).isoformat()
    body = {"emails": [CLIENT], "contact_name": "Harbour Books", "ends_on": over}
    refused = await sharing.http.post(f"{desk.path}/contacts/{CONTACT}/shares", json=body, headers=sharing.as_provider())
    assert (refused.status_code, refused.json()["code"]) == (422, "end_date_over")


async def test_past_its_end_a_share_shows_nothing_before_anybody_has_written_that_down(sharing: Harness, desk: Desk, ring: KeyRing) -> None:
    share = await desk.share([NEW], ends_on=TOMORROW)
    token = token_in((await sharing.published(ClientInvited))[0], ring)
    assert await desk.opens(NEW) == 200
    await run_out(sharing, share["id"])
    assert await desk.opens(NEW) == 404
    assert await desk.numbers_seen() is None
    home = await sharing.http.get("/internal/client/home", headers=sharing.as_client())
    assert home.json()["senders"] == []
    pressed = await sharing.http.post("/internal/invitations/press", json={"invitation": token}, headers=sharing.as_service("portal"))
    assert pressed.status_code == 404


async def test_a_share_past_its_end_is_ended_once_and_others_are_told(sharing: Harness, desk: Desk) -> None:
    over, going = await desk.share([NEW], ends_on=TOMORROW), await desk.invite(STRANGER, ends_on=TOMORROW)
    await run_out(sharing, over["id"])
    await asyncio.gather(*(Expirer().expire_due(sharing.db) for _ in range(3)))
    (event,) = await sharing.published(ShareEnded)
    assert (event.share_id, event.reason) == (over["id"], "expired")
    ended = await desk.look(over["id"])
    assert (ended["state"], ended["ended_reason"], ended["ended_by"]) == ("ended", "expired", None)
    assert (await desk.look(going["id"]))["state"] == "invited"


async def test_sharing_again_right_after_the_end_makes_a_new_share(sharing: Harness, desk: Desk) -> None:
    first = await desk.share([NEW], ends_on=TOMORROW)
    await run_out(sharing, first["id"])
    second = await desk.share([NEW])
    assert second["id"] != first["id"]
    assert [event.reason for event in await sharing.published(ShareEnded)] == ["expired"]
    assert [event.load_id is None for event in await sharing.published(ShareCreated)] == [False, False]
    assert await desk.opens(NEW) == 200


async def test_the_search_for_ended_shares_uses_its_index(sharing: Harness, desk: Desk) -> None:
    await desk.share([NEW], ends_on=TOMORROW)
    assert await explained(sharing.db, "ends_at") == {"IXSCAN"}


async def explained(db: Database, name: str) -> set[str]:
    """Which way the database would take to find what ran out."""
    found = await db.client[db._database.name].command(
        "explain", {"find": "shares", "filter": {**store.LIVE, **store.RUN_OUT}, "sort": {name: 1}}
    )
    text = repr(found["queryPlanner"]["winningPlan"])
    return {stage for stage in ("IXSCAN", "COLLSCAN", "SORT'") if stage in text}


async def test_an_address_that_says_not_meant_for_me_ends_its_access_to_that_sender_alone(
    sharing: Harness, desk: Desk, other_desk: Desk
) -> None:
    share = await desk.share([NEW])
    await other_desk.share([NEW])
    stays = await desk.invite(STRANGER)
    path = f"/internal/client/senders/{desk.organisation}/decline"
    assert (await sharing.http.post(path, headers=sharing.as_client("third@demo.example"))).status_code == 404
    closed = await sharing.http.post(path, headers=sharing.as_client())
    assert closed.json() == {"declined": 1}
    assert (await sharing.http.post(path, headers=sharing.as_client())).status_code == 404
    ended = await desk.look(share["id"])
    assert (ended["state"], ended["ended_reason"], ended["ended_by"]) == ("ended", "declined", None)
    assert [event.reason for event in await sharing.published(ShareEnded)] == ["declined"]
    assert await desk.opens(NEW) == 404
    assert await desk.opens(NEW, STRANGER) == 200
    assert await other_desk.opens(NEW) == 200
    assert (await desk.look(stays["id"]))["state"] == "active"


async def test_closing_one_contact_keeps_the_others_of_that_sender(sharing: Harness, desk: Desk) -> None:
    theirs = an_invoice("THEIRS", contact_id=OTHER_CONTACT)
    await desk.share([NEW])
    await desk.share([theirs], contact=OTHER_CONTACT)
    path = f"/internal/client/senders/{desk.organisation}/decline?contact={CONTACT}"
    assert (await sharing.http.post(path, headers=sharing.as_client())).json() == {"declined": 1}
    assert await desk.numbers_seen() == {"THEIRS"}


async def test_many_are_ended_at_once_each_with_its_result(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    mine = [await desk.share([NEW], f"c{number}@demo.example") for number in range(3)]
    theirs = await other_desk.share([NEW])
    before = await desk.end(mine[0]["id"])
    wanted = [share["id"] for share in (*mine, theirs, mine[1])] + ["shr_unknown"]
    answer = await sharing.http.post(f"{desk.path}/shares/end", json={"share_ids": wanted}, headers=sharing.as_provider())
    results = {result["share_id"]: result for result in answer.json()["results"]}
    assert len(answer.json()["results"]) == 5
    assert results[mine[0]["id"]]["ended_at"] == before["ended_at"]
    assert all(results[share["id"]]["ended_at"] for share in mine)
    assert [results[name]["reason"] for name in (theirs["id"], "shr_unknown")] == ["not_found", "not_found"]
    assert await other_desk.opens(NEW) == 200
    assert [await desk.opens(NEW, f"c{number}@demo.example") for number in range(3)] == [404, 404, 404]


async def test_where_an_address_has_access_is_told_to_its_own_provider(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    await desk.share([NEW])
    path = f"{desk.path}/address-uses"
    asked = {"email": [" YOU@demo.example", "n/a", STRANGER]}
    found = await sharing.http.get(path, params=asked, headers=sharing.as_provider())
    assert found.json() == {"uses": [{"email": CLIENT, "contact_id": CONTACT, "contact_name": "Harbour Books"}]}
    other = await sharing.http.get(f"{other_desk.path}/address-uses", params=asked, headers=sharing.as_provider(OTHER_ORGANISATION))
    assert other.json() == {"uses": []}
    many = await sharing.http.get(path, params={"email": ["x"] * 21}, headers=sharing.as_provider())
    assert many.status_code == 422


@pytest.mark.parametrize("times", [3])
async def test_each_opening_of_an_invoice_is_counted_for_its_share(sharing: Harness, desk: Desk, times: int) -> None:
    share = await desk.share([OLD, NEW])
    await asyncio.gather(*(desk.opens(NEW) for _ in range(times)))
    await desk.opens(an_invoice("UNKNOWN"))
    (row,) = await sharing.db.collection("viewings").find({})
    assert (row["share_id"], row["invoice_id"], row["email"], row["opened"]) == (share["id"], NEW.invoice_id, CLIENT, times)
    assert len(row["moments"]) == times
    assert row["first_at"] <= row["last_at"]


@pytest.mark.parametrize("how", ["ended", "past its end", "another address", "never invited"])
async def test_the_grant_check_alone_refuses_what_was_listed_as_open_a_moment_ago(sharing: Harness, desk: Desk, how: str) -> None:
    """Between listing and checking anything may have happened; the write decides, not what was read before it."""
    share = await (desk.invite() if how == "never invited" else desk.share([NEW], ends_on=TOMORROW))
    if how == "ended":
        await desk.end(share["id"])
    if how == "past its end":
        await run_out(sharing, share["id"])
    assert await store.count_view(sharing.db, STRANGER if how == "another address" else CLIENT, share["id"]) is None
    assert (await desk.look(share["id"]))["views"] == 0


async def test_an_organisation_may_hide_what_awaits_approval_from_its_clients_alone(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    awaiting = an_invoice("AWAITING", status="SUBMITTED")
    await desk.share([NEW, awaiting])
    await other_desk.share([awaiting])
    assert await desk.numbers_seen() == {"NEW", "AWAITING"}
    path, headers = f"{desk.path}/awaiting", sharing.as_provider()
    assert (await sharing.http.post(path, json={"hidden": True}, headers=headers)).status_code == 204
    assert (await sharing.http.get(path, headers=headers)).json() == {"hidden": True}
    assert await desk.numbers_seen() == {"NEW"}
    assert await desk.opens(awaiting) == 404
    home = (await sharing.http.get("/internal/client/home", headers=sharing.as_client())).json()
    assert [(sender["organisation_id"], sender["count"]) for sender in home["senders"]] == [(desk.organisation, 1), (OTHER_ORGANISATION, 1)]
    assert await other_desk.numbers_seen() == {"AWAITING"}
    await sharing.deliver(connected(version=9, name="Renamed"))
    assert await desk.opens(awaiting) == 404
    await sharing.deliver(changed(an_invoice("AWAITING", updated_at=utc_now())))
    one = f"/internal/client/senders/{desk.organisation}/invoices/{awaiting.invoice_id}"
    seen = (await sharing.http.get(one, headers=sharing.as_client())).json()
    assert [happening["kind"] for happening in seen["timeline"]] == ["issued"]
    await sharing.http.post(path, json={"hidden": False}, headers=headers)
    seen = (await sharing.http.get(one, headers=sharing.as_client())).json()
    assert [happening["kind"] for happening in seen["timeline"]] == ["awaiting", "approved"]


async def test_with_awaiting_invoices_hidden_nobody_is_invited_to_an_empty_page(sharing: Harness, desk: Desk) -> None:
    await sharing.http.post(f"{desk.path}/awaiting", json={"hidden": True}, headers=sharing.as_provider())
    share = await desk.share([an_invoice("AWAITING", status="SUBMITTED")])
    assert share["state"] == "waiting_invoice"


async def test_who_waited_is_invited_once_what_awaits_approval_is_shown_again(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    path, headers = f"{desk.path}/awaiting", sharing.as_provider()
    await sharing.http.post(path, json={"hidden": True}, headers=headers)
    shares = [await desk.share([an_invoice("A1", status="SUBMITTED")]), await desk.share([], STRANGER)]
    awaiting = an_invoice("A2", status="SUBMITTED", contact_id=OTHER_CONTACT)
    shares.append(await desk.share([awaiting], contact=OTHER_CONTACT))
    empty = await desk.share([], contact=uuid_of("contact three"))
    theirs = await other_desk.share([])
    assert {share["state"] for share in (*shares, empty, theirs)} == {"waiting_invoice"}
    for _ in range(2):
        assert (await sharing.http.post(path, json={"hidden": False}, headers=headers)).status_code == 204
    told = await sharing.published(ClientInvited)
    assert sorted(event.share_id for event in told) == sorted(share["id"] for share in shares)
    assert [(await desk.look(share["id"]))["state"] for share in (*shares, empty)] == ["invited"] * 3 + ["waiting_invoice"]
    assert await desk.numbers_seen() == {"A1", "A2"}


async def test_a_switch_pressed_before_the_organisation_is_known_holds(sharing: Harness) -> None:
    desk, headers = Desk(sharing, OTHER_ORGANISATION), sharing.as_provider(OTHER_ORGANISATION)
    assert (await sharing.http.post(f"{desk.path}/awaiting", json={"hidden": True}, headers=headers)).status_code == 204
    await sharing.deliver(connected(OTHER_ORGANISATION))
    assert (await sharing.http.get(f"{desk.path}/awaiting", headers=headers)).json() == {"hidden": True}
    assert (await desk.share([an_invoice("A1", status="SUBMITTED")]))["state"] == "waiting_invoice"


# ── looking before sharing


async def look(sharing: Harness, path: str, **terms: Any) -> Any:
    answer = await sharing.http.post(path, json=terms, headers=sharing.as_provider())
    assert answer.is_success, answer.text
    return answer.json()


async def test_before_anything_is_stored_a_look_is_written_down_and_says_what_to_heed(sharing: Harness, desk: Desk) -> None:
    path = f"{desk.path}/contacts/{CONTACT}/preview"
    assert await look(sharing, path) == {"hides_awaiting": False, "shown": None}
    await sharing.http.post(f"{desk.path}/awaiting", json={"hidden": True}, headers=sharing.as_provider())
    assert await look(sharing, f"{path}/{uuid_of('INV-1')}") == {"hides_awaiting": True, "shown": None}
    rows = await sharing.db.collection("previews").find({}, sort=[("_id", 1)])
    assert [(row["contact_id"], row["share_id"], row["invoice_id"]) for row in rows] == [
        (CONTACT, None, None),
        (CONTACT, None, uuid_of("INV-1")),
    ]


async def test_terms_nobody_was_given_show_what_a_share_of_them_shows_and_count_nowhere(sharing: Harness, desk: Desk) -> None:
    old, new = an_invoice(date=date(2026, 1, 1)), an_invoice("INV-2", date=date(2026, 5, 1))
    awaiting = an_invoice("INV-3", status="SUBMITTED", date=date(2026, 5, 1))
    share = await desk.share([old, new, awaiting])
    await sharing.http.post(f"{desk.path}/awaiting", json={"hidden": True}, headers=sharing.as_provider())
    path = f"{desk.path}/contacts/{CONTACT}/preview"
    for terms, numbers in (
        ({}, {"INV-1", "INV-2"}),
        ({"from_date": "2026-03-01"}, {"INV-2"}),
        ({"invoice_ids": [old.invoice_id]}, {"INV-1"}),
    ):
        seen = (await look(sharing, path, view="all", **terms))["shown"]
        assert {row["number"] for row in seen["invoices"]} == numbers
        assert seen["counts"]["all"] == len(numbers)
    refused = await sharing.http.post(f"{path}/{old.invoice_id}", json={"from_date": "2026-03-01"}, headers=sharing.as_provider())
    assert refused.status_code == 404
    assert (await look(sharing, f"{path}/{new.invoice_id}"))["shown"]["invoice"]["number"] == "INV-2"
    assert (await desk.look(share["id"]))["views"] == 0
    assert len(await shares_of_contact(sharing, desk)) == 1


async def shares_of_contact(sharing: Harness, desk: Desk) -> list[Any]:
    found: list[Any] = (await sharing.http.get(f"{desk.path}/contacts/{CONTACT}/shares", headers=sharing.as_provider())).json()["shares"]
    return found
