"""Inviting, inviting again and ending, as provider and other services see it."""

import asyncio
from pathlib import Path

import pytest

from common.clock import utc_now
from common.contracts.notifier import EmailFailed, EmailSent
from common.contracts.sharing import ClientInvited, ShareCreated, ShareEnded
from common.crypto import KeyRing
from common.testing import ADDRESSES, ORGANISATION, Harness
from sharing.testing import CLIENT, CONTACT, LONG_AGO, OTHER_CONTACT, Desk, an_invoice, changed, fetched, token_in


async def test_a_first_share_asks_for_a_load_and_invites_when_it_is_complete(sharing: Harness, desk: Desk, ring: KeyRing) -> None:
    share = await desk.invite()
    assert share["state"] == "preparing"
    assert share["load"] == {"stored": 0, "total": None}
    (created,) = await sharing.published(ShareCreated)
    assert created.load_id == share["load_id"]
    assert created.load_id is not None

    await sharing.deliver(fetched(created.load_id, [an_invoice("INV-1")], number=1, batches=None, stored=1, total=2))
    assert (await desk.look(share["id"]))["load"] == {"stored": 1, "total": 2}
    assert await sharing.published(ClientInvited) == []
    await sharing.deliver(fetched(created.load_id, [an_invoice("INV-2")], number=2, batches=2, stored=2, total=2))

    (invited,) = await sharing.published(ClientInvited)
    assert (invited.email, invited.organisation_name, invited.contact_name) == (CLIENT, "Kōwhai & Hart", "Harbour Books")
    assert invited.shared_by.email == "mere@kowhai.example"
    assert invited.version > created.version
    assert token_in(invited, ring).startswith("cii_")
    seen = await desk.look(share["id"])
    assert (seen["state"], seen["mail"], seen["load_id"], seen["load"]) == ("invited", "queued", None, None)


async def test_the_last_batch_may_come_first(sharing: Harness, desk: Desk) -> None:
    load = (await desk.invite())["load_id"]
    await sharing.deliver(fetched(load, [an_invoice("INV-2")], number=2, batches=2))
    assert await sharing.published(ClientInvited) == []
    await sharing.deliver(fetched(load, [an_invoice("INV-1")], number=1, batches=None))
    await sharing.deliver(fetched(load, [an_invoice("INV-1")], number=1, batches=None))
    assert len(await sharing.published(ClientInvited)) == 1


async def test_a_second_address_is_invited_at_once_when_everything_is_there(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    share = await desk.invite("second@demo.example")
    assert share["state"] == "invited"
    assert [event.load_id is None for event in await sharing.published(ShareCreated)] == [False, True]
    assert [event.email for event in await sharing.published(ClientInvited)] == [CLIENT, "second@demo.example"]


async def test_a_second_address_waits_for_the_load_that_runs(sharing: Harness, desk: Desk) -> None:
    first = await desk.invite()
    second = await desk.invite("second@demo.example")
    assert (second["state"], second["load_id"]) == ("preparing", first["load_id"])
    assert [event.load_id for event in await sharing.published(ShareCreated)] == [first["load_id"], None]
    await sharing.deliver(fetched(first["load_id"], [an_invoice()]))
    assert {event.email for event in await sharing.published(ClientInvited)} == {CLIENT, "second@demo.example"}


async def test_nothing_shareable_yet_waits_for_the_first_invoice(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([])
    assert share["state"] == "waiting_invoice"
    draft = an_invoice(status="DRAFT")
    await sharing.deliver(changed(draft))
    assert await sharing.published(ClientInvited) == []
    await sharing.deliver(changed(an_invoice(updated_at=utc_now())))
    assert len(await sharing.published(ClientInvited)) == 1
    assert (await desk.look(share["id"]))["state"] == "invited"


async def test_the_same_address_in_another_letter_case_is_mailed_again_and_gets_no_second_share(
    sharing: Harness, desk: Desk, ring: KeyRing
) -> None:
    first = await desk.share([an_invoice()])
    await let_a_minute_pass(sharing)
    again = await desk.invite(" YOU@Demo.Example ")
    assert again["id"] == first["id"]
    mails = await sharing.published(ClientInvited)
    assert [mail.invitation_number for mail in mails] == [1, 2]
    assert mails[0].version < mails[1].version
    assert token_in(mails[0], ring) != token_in(mails[1], ring)
    for mail in mails:
        pressed = await sharing.http.post(
            "/internal/invitations/press", json={"invitation": token_in(mail, ring)}, headers=sharing.as_service("portal")
        )
        assert pressed.json()["share_id"] == first["id"]


async def test_inviting_again_before_anything_was_mailed_changes_nothing(sharing: Harness, desk: Desk) -> None:
    first = await desk.invite()
    assert await desk.invite() == first
    assert len(await sharing.published(ShareCreated)) == 1
    assert await sharing.published(ClientInvited) == []


async def test_ten_presses_at_once_make_one_share(sharing: Harness, desk: Desk) -> None:
    shares = await asyncio.gather(*(desk.invite() for _ in range(10)))
    assert len({share["id"] for share in shares}) == 1
    assert len(await sharing.published(ShareCreated)) == 1


async def test_ten_addresses_at_once_begin_one_load(sharing: Harness, desk: Desk) -> None:
    shares = await asyncio.gather(*(desk.invite(f"c{number}@demo.example") for number in range(10)))
    assert len({share["load_id"] for share in shares}) == 1
    assert sorted(event.load_id is not None for event in await sharing.published(ShareCreated)) == [False] * 9 + [True]


async def test_nobody_who_shares_while_a_load_completes_is_forgotten(sharing: Harness, desk: Desk) -> None:
    load = (await desk.invite())["load_id"]
    addresses = [f"c{number}@demo.example" for number in range(8)]
    batch = fetched(load, [an_invoice()])
    await asyncio.gather(sharing.deliver(batch), *(desk.invite(address) for address in addresses))
    assert {event.email for event in await sharing.published(ClientInvited)} == {CLIENT, *addresses}


async def test_nobody_who_shares_while_the_first_invoice_arrives_is_forgotten(sharing: Harness, desk: Desk) -> None:
    await desk.share([])
    addresses = [f"c{number}@demo.example" for number in range(8)]
    first = changed(an_invoice(), read_at=LONG_AGO)
    await asyncio.gather(sharing.deliver(first), *(desk.invite(address) for address in addresses))
    assert {event.email for event in await sharing.published(ClientInvited)} == {CLIENT, *addresses}


async def test_ending_twice_answers_the_same_and_tells_once(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    ended = await desk.end(share["id"])
    assert (ended["state"], ended["ended_by"]["name"]) == ("ended", "Mere Hart")
    assert await desk.end(share["id"]) == ended
    (event,) = await sharing.published(ShareEnded)
    assert (event.share_id, event.reason) == (share["id"], "revoked")
    assert event.version > (await sharing.published(ClientInvited))[0].version


async def test_a_name_that_looks_like_an_operator_is_stored_as_text(sharing: Harness, desk: Desk) -> None:
    share = await desk.invite(contact_name="$$NOW")
    headers = sharing.as_provider(name="$ended_at")
    ended = await sharing.http.post(f"{desk.path}/shares/{share['id']}/end", headers=headers)
    assert ended.json()["contact_name"] == "$$NOW"
    assert ended.json()["ended_by"]["name"] == "$ended_at"


async def test_sharing_again_after_the_end_makes_a_new_share_and_loads_anew(sharing: Harness, desk: Desk) -> None:
    first = await desk.share([an_invoice("INV-1"), an_invoice("INV-2")])
    await desk.end(first["id"])
    second = await desk.invite()
    assert second["id"] != first["id"]
    assert second["load_id"] not in (None, first["load_id"])
    await sharing.deliver(fetched(second["load_id"], [an_invoice("INV-2")]))
    assert await desk.numbers_seen() == {"INV-2"}
    history = await sharing.http.get(f"{desk.path}/contacts/{CONTACT}/shares", headers=sharing.as_provider())
    assert [share["state"] for share in history.json()["shares"]] == ["active", "ended"]


async def test_batches_of_a_closed_load_are_dropped(sharing: Harness, desk: Desk) -> None:
    first = await desk.invite()
    await desk.end(first["id"])
    await sharing.deliver(fetched(first["load_id"], [an_invoice()]))
    second = await desk.invite()
    await sharing.deliver(fetched(first["load_id"], [an_invoice()]))
    assert (await desk.look(second["id"]))["state"] == "preparing"
    assert await sharing.published(ClientInvited) == []
    assert await sharing.db.collection("snapshots").count({}) == 0


async def test_an_organisation_not_heard_of_yet_can_not_share(sharing: Harness) -> None:
    await sharing.empty()
    answer = await sharing.http.post(
        f"/internal/organisations/{ORGANISATION}/contacts/{CONTACT}/shares",
        json={"emails": [CLIENT], "contact_name": "Harbour Books"},
        headers=sharing.as_provider(),
    )
    assert (answer.status_code, answer.json()["code"]) == (409, "organisation_not_ready")


@pytest.mark.parametrize("newest_last", [True, False])
async def test_news_of_mails_in_any_order_end_the_same(sharing: Harness, desk: Desk, newest_last: bool) -> None:
    share = await desk.share([an_invoice()])
    await desk.invite()
    news = [
        EmailFailed(version=1, share_id=share["id"], at=utc_now(), reason="Mailbox unknown."),
        EmailSent(version=2, share_id=share["id"], at=utc_now()),
    ]
    for data in news if newest_last else reversed(news):
        await sharing.deliver(data)
    seen = await desk.look(share["id"])
    assert (seen["mail"], seen["mail_reason"]) == ("sent", None)


async def test_a_refused_mail_is_said_with_its_reason(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    await sharing.deliver(EmailFailed(version=1, share_id=share["id"], at=utc_now(), reason="Mailbox unknown."))
    seen = await desk.look(share["id"])
    assert (seen["mail"], seen["mail_reason"]) == ("failed", "Mailbox unknown.")


async def test_a_mail_that_came_back_is_said_as_returned_until_it_is_sent_again(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    returned = EmailFailed(version=1, share_id=share["id"], at=utc_now(), reason="mailbox unknown", returned=True)
    for data in (returned, EmailSent(version=1, share_id=share["id"], at=utc_now())):
        await sharing.deliver(data)
    seen = await desk.look(share["id"])
    assert (seen["mail"], seen["mail_reason"]) == ("returned", "mailbox unknown")
    await let_a_minute_pass(sharing)
    again = await sharing.http.post(f"{desk.path}/shares/{share['id']}/resend", headers=sharing.as_provider())
    assert (again.json()["mail"], again.json()["mail_reason"]) == ("queued", None)
    await sharing.deliver(returned)
    assert (await desk.look(share["id"]))["mail"] == "queued"
    assert [event.invitation_number for event in await sharing.published(ClientInvited)] == [1, 2]


async def let_a_minute_pass(sharing: Harness) -> None:
    past = {"$dateSubtract": {"startDate": "$mailed_at", "unit": "second", "amount": 61}}
    await sharing.db.collection("shares").update_many({}, [{"$set": {"mailed_at": past}}])


async def test_an_invitation_rests_a_minute_before_it_is_sent_again(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    path = f"{desk.path}/shares/{share['id']}/resend"
    refused = await sharing.http.post(path, headers=sharing.as_provider())
    assert (refused.status_code, refused.json()["code"]) == (429, "too_soon")
    assert 0 < int(refused.headers["retry-after"]) <= 60
    await let_a_minute_pass(sharing)
    assert (await sharing.http.post(path, headers=sharing.as_provider())).status_code == 200
    assert (await sharing.http.post(path, headers=sharing.as_provider())).status_code == 429
    assert [event.invitation_number for event in await sharing.published(ClientInvited)] == [1, 2]


async def test_pressing_send_twice_is_one_mail(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    assert [again["outcome"] for again in await desk.invite_all([CLIENT, "second@demo.example"])] == ["known", "invited"]
    assert [mail.email for mail in await sharing.published(ClientInvited)] == [CLIENT, "second@demo.example"]
    await let_a_minute_pass(sharing)
    assert [again["outcome"] for again in await desk.invite_all([CLIENT])] == ["resent"]
    assert [mail.email for mail in await sharing.published(ClientInvited)] == [CLIENT, "second@demo.example", CLIENT]


async def test_nothing_is_mailed_again_before_the_first_invitation_or_after_the_end(sharing: Harness, desk: Desk) -> None:
    preparing = await desk.invite()
    path = f"{desk.path}/shares/{preparing['id']}"
    assert (await sharing.http.post(f"{path}/resend", headers=sharing.as_provider())).json()["state"] == "preparing"
    await desk.end(preparing["id"])
    assert (await sharing.http.post(f"{path}/resend", headers=sharing.as_provider())).json()["state"] == "ended"
    assert await sharing.published(ClientInvited) == []


@pytest.mark.parametrize(("typed", "stored"), ADDRESSES.items())
async def test_an_address_is_invited_in_its_one_form_however_it_was_typed(sharing: Harness, desk: Desk, typed: str, stored: str) -> None:
    first = await desk.share([an_invoice()], typed)
    assert (first["email"], (await desk.invite(stored))["id"]) == (stored, first["id"])
    assert {event.email for event in await sharing.published(ClientInvited)} == {stored}


async def test_no_invitation_stands_readable_in_the_database(sharing: Harness, desk: Desk, ring: KeyRing) -> None:
    await desk.share([an_invoice()])
    (mail,) = await sharing.published(ClientInvited)
    token = token_in(mail, ring)
    for name in (*sharing.runtime.indexes,):
        assert token not in repr(await sharing.db.collection(name).find({}))


async def test_the_clients_shared_with_are_found_by_name(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    await desk.invite("second@demo.example")
    await desk.invite(contact=OTHER_CONTACT, contact_name="Ångström (Press)")
    path, headers = f"{desk.path}/clients", sharing.as_provider()
    everybody = (await sharing.http.get(path, headers=headers)).json()
    assert [(row["name"], row["shares"]) for row in everybody["clients"]] == [("Harbour Books", 2), ("Ångström (Press)", 1)]
    assert everybody["clients"][0]["as_of"] is not None
    found = (await sharing.http.get(path, params={"search": "åNGSTRÖM ("}, headers=headers)).json()
    assert (found["total"], [row["contact_id"] for row in found["clients"]]) == (1, [OTHER_CONTACT])
    counts = await sharing.http.get(f"{desk.path}/share-counts", params={"contact_id": [CONTACT, "unknown"]}, headers=headers)
    assert counts.json() == {"counts": {CONTACT: 2, "unknown": 0}}


async def test_every_live_access_is_listed_page_by_page(sharing: Harness, desk: Desk) -> None:
    for number in range(51):
        await desk.invite(f"c{number:02}@demo.example")
    first = (await sharing.http.get(f"{desk.path}/shares", headers=sharing.as_provider())).json()
    assert (first["total"], len(first["shares"]), first["shares"][0]["email"]) == (51, 50, "c50@demo.example")
    second = (await sharing.http.get(f"{desk.path}/shares?page=2", headers=sharing.as_provider())).json()
    assert [share["email"] for share in second["shares"]] == ["c00@demo.example"]
    troubled = second["shares"][0]["id"]
    await sharing.deliver(fetched(first["shares"][0]["load_id"], [an_invoice()]))
    await sharing.deliver(EmailFailed(version=1, share_id=troubled, at=utc_now(), reason="Mailbox unknown."))
    first = (await sharing.http.get(f"{desk.path}/shares", headers=sharing.as_provider())).json()
    assert [share["email"] for share in first["shares"][:2]] == ["c00@demo.example", "c50@demo.example"]
    await desk.end(troubled)
    assert (await sharing.http.get(f"{desk.path}/shares", headers=sharing.as_provider())).json()["total"] == 50


def test_a_ring_is_needed(tmp_path: Path) -> None:
    from common.crypto import BadRing
    from sharing.main import create_app
    from sharing.settings import Settings

    with pytest.raises(BadRing):
        create_app(Settings(keys_dir=tmp_path, public_keys_dir=tmp_path))
