"""Asking for a sign-in mail: one answer for everybody, and mail only for whom it is meant."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from common.claims import LeaseLost
from common.contracts.portal import SignInLinkRequested
from common.crypto import digest
from common.testing import ADDRESSES, ORGANISATION, Harness
from portal import store
from portal.links import Recipient, make_link
from portal.models import Goal
from portal.testing import (
    BROWSER,
    INVITED_AT,
    KNOWN,
    OTHER_BROWSER,
    UNKNOWN,
    Mailed,
    Sharing,
    answer_requests,
    ask,
    call,
    dump,
    mails,
    pass_time,
    rest,
)


async def test_a_known_address_gets_a_link_and_a_code(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed(email="  Aroha@RIMU.example ")
    assert mail.token.startswith("cil_")
    assert len(mail.token) == 47
    assert mail.code is not None
    assert len(mail.code) == 6
    assert mail.event.email == KNOWN
    assert mail.event.agent == "Firefox on Linux"
    assert (mail.event.organisation_name, mail.event.invited_at, mail.event.share_id) == (None, None, None)
    link = await portal.db.collection(store.LINKS).find_one({"link_id": mail.event.link_id})
    assert link is not None
    assert link["_id"] == digest(mail.token)
    assert link["expires_at"] - link["made_at"] == timedelta(minutes=15)
    assert link["goal"]["kind"] == "home"


@pytest.mark.parametrize(("typed", "stored"), ADDRESSES.items())
async def test_mail_goes_to_the_stored_address_however_it_was_typed(
    portal: Harness, sharing: Sharing, mailed: Mailed, typed: str, stored: str
) -> None:
    sharing.live = {stored: 1}
    mail = await mailed(email=typed)
    assert mail.event.email == stored
    assert (await call(portal, "links/redeem", token=mail.token, browser=OTHER_BROWSER, email=typed)).status_code == 200


async def test_known_and_unknown_addresses_get_the_same_answer(portal: Harness) -> None:
    known, unknown = await ask(portal, email=KNOWN), await ask(portal, email=UNKNOWN)
    assert (known.status_code, known.content) == (unknown.status_code, unknown.content) == (202, b'{"wait_seconds":60}')
    varying = {"x-correlation-id"}
    assert {k: v for k, v in known.headers.items() if k not in varying} == {k: v for k, v in unknown.headers.items() if k not in varying}
    assert known.headers.keys() == unknown.headers.keys()


async def test_known_and_unknown_addresses_leave_rows_of_one_shape_before_the_answer(portal: Harness, sharing: Sharing) -> None:
    await ask(portal, email=KNOWN)
    await ask(portal, email=UNKNOWN)
    rows = await portal.db.collection(store.SIGN_IN_REQUESTS).find({})
    assert [row.keys() for row in rows] == [rows[0].keys()] * 2
    assert sharing.calls == []


async def test_an_unknown_address_gets_no_mail_and_is_forgotten(portal: Harness) -> None:
    await ask(portal, email=UNKNOWN)
    await answer_requests(portal)
    assert await portal.published(SignInLinkRequested) == []
    assert await portal.db.collection(store.LINKS).count({}) == 0
    assert UNKNOWN not in str(await dump(portal))
    row = await portal.db.collection(store.SIGN_IN_REQUESTS).find_one({})
    assert row is not None
    assert row["state"] == "unanswered"


async def test_an_address_whose_accesses_all_ended_still_gets_its_mail(sharing: Sharing, mailed: Mailed) -> None:
    sharing.live[KNOWN] = 0
    assert (await mailed(email=KNOWN)).event.email == KNOWN


async def test_an_invitation_mails_the_invited_address_alone_and_leads_to_its_sender(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed(invitation="cii_good")
    assert (mail.event.email, mail.event.share_id) == (KNOWN, "shr_1")
    assert (mail.event.organisation_name, mail.event.invited_at) == ("Kōwhai & Hart Studio Ltd", INVITED_AT)
    signed_in = await call(portal, "links/redeem", token=mail.token, browser=BROWSER)
    assert signed_in.json()["goal"] == {"kind": "sender", "organisation_id": ORGANISATION, "invoice_id": None}


async def test_a_dead_invitation_answers_the_same_and_mails_nothing(portal: Harness) -> None:
    good, dead = await ask(portal, invitation="cii_good"), await ask(portal, invitation="cii_revoked")
    assert (good.status_code, good.content) == (dead.status_code, dead.content)
    await answer_requests(portal)
    assert len(await portal.published(SignInLinkRequested)) == 1


async def test_no_secret_and_no_invitation_is_stored_in_clear(portal: Harness, mailed: Mailed) -> None:
    await ask(portal, invitation="cii_good")
    assert "cii_good" not in str(await dump(portal))
    await answer_requests(portal)  # first, so that the newest mail is the one asked for next
    mail = await mailed(email=KNOWN, browser=OTHER_BROWSER)
    signed_in = (await call(portal, "links/redeem", token=mail.token, browser=OTHER_BROWSER)).json()
    stored = str(await dump(portal))
    for secret in (mail.token, f"'{mail.code}'", "cii_good", OTHER_BROWSER, signed_in["session"]):
        assert secret not in stored


async def test_a_sealed_link_opens_only_as_the_mail_it_was_made_for(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed()
    assert mail.token not in json.dumps(mail.event.sealed)
    assert set(mail.event.sealed) == {"v", "kid", "wrapped", "commitment", "sealed"}


async def test_a_new_link_replaces_older_ones_of_the_same_browser_only(portal: Harness, mailed: Mailed) -> None:
    elsewhere = await mailed(browser=OTHER_BROWSER)
    await rest(portal)
    first = await mailed()
    await rest(portal)
    second = await mailed()
    told = [(await call(portal, "links/inspect", token=mail.token, browser=BROWSER)).json() for mail in (elsewhere, first, second)]
    assert [each["state"] for each in told] == ["ready_elsewhere", "replaced", "ready_here"]
    assert told[1]["at"] is not None
    refused = await call(portal, "links/redeem", token=first.token, browser=BROWSER)
    assert (refused.status_code, refused.json()["code"]) == (409, "link_replaced")
    assert (await call(portal, "links/redeem", token=elsewhere.token, browser=OTHER_BROWSER)).status_code == 200
    assert (await call(portal, "links/redeem", token=second.token, browser=BROWSER)).status_code == 200


async def test_a_stranger_asking_for_my_address_leaves_my_link_alone(portal: Harness, mailed: Mailed) -> None:
    mine = await mailed()
    await rest(portal)
    await mailed(browser="cib_stranger")
    assert (await call(portal, "links/redeem", token=mine.token, browser=BROWSER)).status_code == 200


@pytest.mark.parametrize("end", ["used", "expired", "replaced"])
async def test_a_dead_link_brings_a_new_one_to_the_stored_address_with_the_same_goal(portal: Harness, mailed: Mailed, end: str) -> None:
    old = await mailed(invitation="cii_good")
    if end == "used":
        await call(portal, "links/redeem", token=old.token, browser=BROWSER)
    elif end == "expired":
        await pass_time(portal, 901, store.LINKS, "expires_at")
    else:
        await rest(portal)
        await mailed()
        await rest(portal)
    new = await mailed(link=old.token, browser=OTHER_BROWSER)
    assert new.token != old.token
    assert (new.event.email, new.event.share_id, new.event.organisation_name) == (KNOWN, None, None)
    signed_in = await call(portal, "links/redeem", token=new.token, browser=OTHER_BROWSER)
    assert signed_in.json()["goal"]["organisation_id"] == ORGANISATION


async def test_an_unknown_or_ended_link_brings_nothing_and_the_same_answer(portal: Harness, sharing: Sharing, mailed: Mailed) -> None:
    old = await mailed(invitation="cii_good")
    sharing.live[KNOWN] = 0
    ended, unknown = await ask(portal, link=old.token), await ask(portal, link="cil_unknown")
    assert (ended.status_code, ended.content) == (unknown.status_code, unknown.content)
    await answer_requests(portal)
    assert len(await portal.published(SignInLinkRequested)) == 1


async def test_requests_wait_while_sharing_is_down_and_are_answered_afterwards(portal: Harness, sharing: Sharing) -> None:
    await ask(portal, email=KNOWN)
    sharing.down = True
    await answer_requests(portal)
    row = await portal.db.collection(store.SIGN_IN_REQUESTS).find_one({})
    assert row is not None
    assert (row["state"], row["attempts"]) == ("pending", 0)
    sharing.down = False
    await pass_time(portal, 2, store.SIGN_IN_REQUESTS, "due_at")
    await answer_requests(portal)
    assert len(await portal.published(SignInLinkRequested)) == 1


async def test_a_request_nobody_waits_for_any_more_sends_nothing(portal: Harness) -> None:
    await ask(portal, email=KNOWN)
    await pass_time(portal, 901, store.SIGN_IN_REQUESTS, "asked_at")
    await answer_requests(portal)
    assert await portal.published(SignInLinkRequested) == []
    row = await portal.db.collection(store.SIGN_IN_REQUESTS).find_one({})
    assert row is not None
    assert (row["state"], "email" in row) == ("expired", False)


async def test_a_request_that_cannot_be_answered_is_set_aside(portal: Harness) -> None:
    await ask(portal, invitation="cii_good")
    await portal.db.collection(store.SIGN_IN_REQUESTS).update_one({}, {"$set": {"invitation.kid": "gone"}})
    for _ in range(6):
        await pass_time(portal, 2, store.SIGN_IN_REQUESTS, "due_at")
        await answer_requests(portal)
    row = await portal.db.collection(store.SIGN_IN_REQUESTS).find_one({})
    assert row is not None
    assert row["state"] == "failed"


async def test_two_senders_make_one_mail_of_one_request(portal: Harness) -> None:
    for number in range(8):
        await ask(portal, email=KNOWN, browser=f"cib_{number}")
        await rest(portal, 24 * 3600)
    await asyncio.gather(*(answer_requests(portal) for _ in range(4)))
    assert len(await portal.published(SignInLinkRequested)) == 8


async def test_the_loop_wakes_by_itself_and_goes_on_when_sharing_comes_back(portal: Harness, sharing: Sharing) -> None:
    sharing.down = True
    running = asyncio.create_task(portal.runtime.loops[0].run(portal.db))
    await ask(portal, email=KNOWN)
    while not sharing.calls:
        await portal.db.ping()
    sharing.down = False
    while not await portal.published(SignInLinkRequested):
        assert not running.done()
    running.cancel()


async def test_the_event_carries_the_correlation_of_the_press(portal: Harness) -> None:
    pressed = await ask(portal, email=KNOWN)
    await answer_requests(portal)
    (row,) = await portal.db.collection("outbox").find({})
    assert json.loads(row["body"])["correlationid"] == pressed.headers["x-correlation-id"]


async def test_a_lost_lease_rolls_the_link_back(portal: Harness) -> None:
    await ask(portal, email=KNOWN)
    (row,) = await store.claim_requests(portal.db, limit=1, lease=30)
    stolen = row | {"lease": "lse_of_another"}
    with pytest.raises(LeaseLost):
        await portal.db.transact(make_link, stolen, Recipient(KNOWN, Goal()), portal.app.state.rings)
    assert await portal.db.collection(store.LINKS).count({}) == 0
    assert await portal.published(SignInLinkRequested) == []


async def test_nobody_but_the_stored_address_is_ever_mailed(portal: Harness, mailed: Mailed, keys: Path) -> None:
    """Letters that other systems fold together belong to different people here (dotless i, Kelvin sign, full-width)."""
    for number, lookalike in enumerate(("ARoha@rımu.example", "aroha@rimu.examp\u217ce", "\u1d43roha@rimu.example", "ａroha@rimu.example")):
        await ask(portal, email=lookalike, browser=f"cib_{number}")
        await answer_requests(portal)
    assert {event.email for event in await portal.published(SignInLinkRequested)} <= {KNOWN}
    assert len(await mails(portal, keys)) <= 1
