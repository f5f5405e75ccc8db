"""The webhook: believed only when Xero signed these very bytes, stored in one write, and never more than "look again"."""

import random
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from common import claims
from common.testing import ORGANISATION, Harness, HarnessFactory
from xero_gateway import store, webhooks
from xero_gateway.main import create_app
from xero_gateway.models import GAP_PATIENCE, MOST_GAPS, SILENCE, Arrivals, Webhook
from xero_gateway.settings import Settings
from xero_gateway.syncer import WebhookWatch
from xero_gateway.testing import TENANT, UPDATED, WEBHOOK_KEY, a_webhook, an_id, signature_of
from xero_gateway.webhooks import LARGEST_BODY, is_signed, read_webhook

INTENT = b'{"events":[],"firstEventSequence": 0,"lastEventSequence": 0, "entropy": "LUWDSUDGSWNZVALZXBEV"}'
OLD_KEY = "the-key-before"


@pytest.fixture
async def gateway(harness: HarnessFactory) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings, xero_webhook_key=WEBHOOK_KEY, xero_webhook_key_previous=OLD_KEY) as service:
        yield service


async def send(gateway: Harness, body: bytes, signature: str | None = None) -> httpx.Response:
    headers = {"x-xero-signature": signature_of(body) if signature is None else signature, "content-type": "application/json"}
    return await gateway.http.post("/webhooks/xero", content=body, headers=headers)


async def marks(gateway: Harness) -> list[dict[str, Any]]:
    """What is marked once everything that came was taken."""
    while rows := await claims.claim(gateway.db, store.WEBHOOKS, limit=10, lease=10):
        await webhooks.take(gateway.db, rows)
    return await gateway.db.collection(store.MARKS).find({}, sort=[("_id", 1)])


def is_empty(answer: httpx.Response) -> bool:
    return answer.content == b"" and "set-cookie" not in answer.headers


async def test_an_intent_to_receive_is_answered_without_a_mark(gateway: Harness) -> None:
    good = await send(gateway, INTENT)
    bad = await send(gateway, INTENT, signature_of(INTENT).replace("=", "A"))
    assert (good.status_code, bad.status_code) == (200, 401)
    assert is_empty(good)
    assert is_empty(bad)
    assert await marks(gateway) == []


async def test_the_simulators_own_intent_to_receive_passes(world: Any) -> None:
    assert (await world.act("webhooks/intent-to-receive"))["passed"] is True


async def test_a_signature_is_over_the_raw_bytes(gateway: Harness) -> None:
    body = a_webhook(("INVOICE", an_id("1")))
    respaced = body.replace(b": ", b":")
    assert (await send(gateway, respaced, signature_of(body))).status_code == 401
    assert (await send(gateway, body)).status_code == 200


@pytest.mark.parametrize("signature", ["", "x", "é", "A" * 5000, signature_of(b"other"), signature_of(INTENT, "other key")])
async def test_what_xero_did_not_sign_leaves_nothing(gateway: Harness, signature: str) -> None:
    body = a_webhook(("INVOICE", an_id("1")))
    raw = {b"x-xero-signature": signature.encode()}
    answer = await gateway.http.post("/webhooks/xero", content=body, headers=raw)
    missing = await gateway.http.post("/webhooks/xero", content=body)
    assert (answer.status_code, missing.status_code) == (401, 401)
    assert is_empty(answer)
    assert await marks(gateway) == []


async def test_both_keys_count_while_one_replaces_the_other(gateway: Harness) -> None:
    body = a_webhook(("INVOICE", an_id("1")))
    assert (await send(gateway, body, signature_of(body, OLD_KEY))).status_code == 200


def test_no_changed_body_or_signature_is_believed() -> None:
    chance = random.Random(7)
    body = a_webhook(("INVOICE", an_id("1")), ("CONTACT", an_id("2")))
    signature = signature_of(body)
    keys = [WEBHOOK_KEY.encode(), OLD_KEY.encode()]
    assert is_signed(body, signature, keys)
    for _ in range(20_000):
        place = chance.randrange(len(body))
        other = bytes([body[place] ^ chance.randrange(1, 256)])
        assert not is_signed(body[:place] + other + body[place + 1 :], signature, keys)
        at = chance.randrange(len(signature))
        replaced = signature[:at] + chance.choice("abcXYZ019+/=") + signature[at + 1 :]
        assert replaced == signature or not is_signed(body, replaced, keys)


async def test_a_body_over_the_cap_is_refused_before_it_is_read(gateway: Harness) -> None:
    read = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal read
        while True:
            read += 65536
            yield b" " * 65536

    told = {"content-length": str(LARGEST_BODY + 1), "x-xero-signature": "x"}
    refused = await gateway.http.post("/webhooks/xero", content=endless(), headers=told)
    assert (refused.status_code, refused.content) == (413, b"")
    assert read == 0 or read <= 65536
    lied = a_webhook(("INVOICE", an_id("1"))) + b" " * LARGEST_BODY

    async def untold() -> AsyncIterator[bytes]:
        yield lied

    answer = await gateway.http.post("/webhooks/xero", content=untold(), headers={"x-xero-signature": signature_of(lied)})
    assert answer.status_code == 413
    assert await marks(gateway) == []


async def test_every_event_becomes_one_mark_however_often_it_comes(gateway: Harness) -> None:
    body = a_webhook(("INVOICE", an_id("1")), ("INVOICE", an_id("1")), ("CONTACT", an_id("2")), ("CREDITNOTE", an_id("3")))
    for _ in range(3):
        assert (await send(gateway, body)).status_code == 200
        found = await marks(gateway)
    assert {(row["category"], row["resource_id"]) for row in found} == {
        ("INVOICE", an_id("1")),
        ("CONTACT", an_id("2")),
        ("CREDITNOTE", an_id("3")),
    }
    assert {(row["organisation_id"], row["state"], row["dirty_seq"]) for row in found} == {(ORGANISATION, "pending", 3)}


def test_case_unknown_kinds_and_broken_events_do_no_harm() -> None:
    body = a_webhook(("invoice", an_id("1").upper()), ("SUBSCRIPTION", an_id("2")), ("PREPAYMENT", an_id("3")), ("INVOICE", "no-uuid"))
    assert set(read_webhook(body).resources) == {(ORGANISATION, "INVOICE", an_id("1")), (ORGANISATION, "PREPAYMENT", an_id("3"))}
    assert read_webhook(b'{"events":[1,null,{"tenantId":5},[]]}') == Webhook(resources=(), first=0, last=0)
    assert read_webhook(a_webhook(("INVOICE", an_id("1")), tenant="no-uuid")).resources == ()
    with pytest.raises(ValueError):
        read_webhook(b"[]")


async def test_a_webhook_is_one_insert_and_nothing_else_while_xero_waits(gateway: Harness) -> None:
    for _ in range(2):
        assert (await send(gateway, a_webhook(*[("INVOICE", an_id(str(n))) for n in range(50)], first=7))).status_code == 200
    rows = await gateway.db.collection(store.WEBHOOKS).find({})
    assert [(row["first"], row["last"], len(row["resources"])) for row in rows] == [(7, 56, 50)] * 2
    assert await gateway.db.collection(store.MARKS).count({}) == 0
    assert len(await marks(gateway)) == 50
    assert await gateway.db.collection(store.WEBHOOKS).count({}) == 0


async def test_webhooks_taken_by_a_process_that_died_are_taken_again(gateway: Harness) -> None:
    await send(gateway, a_webhook(("INVOICE", an_id("1"))))
    rows = await claims.claim(gateway.db, store.WEBHOOKS, limit=10, lease=0)
    await store.add_marks(gateway.db, [(ORGANISATION, "INVOICE", an_id("1"))])
    assert rows
    (mark,) = await marks(gateway)
    assert (mark["state"], mark["dirty_seq"]) == ("pending", 2)


def numbered(first: int, last: int) -> Webhook:
    return Webhook(resources=(), first=first, last=last)


def arrived(*numbers: tuple[int, int]) -> Arrivals:
    known = Arrivals()
    for first, last in numbers:
        known = known.after(numbered(first, last), UPDATED)
    return known


def missing(arrivals: Arrivals) -> list[tuple[int, int]]:
    return [(gap.first, gap.last) for gap in arrivals.gaps]


@pytest.mark.parametrize(
    ("came", "left"),
    [
        ([(5, 5), (6, 8)], []),
        ([(5, 5), (8, 8)], [(6, 7)]),
        ([(5, 5), (8, 8), (6, 7)], []),
        ([(5, 5), (9, 9), (7, 7)], [(6, 6), (8, 8)]),
        ([(5, 5), (9, 9), (7, 7), (6, 6), (8, 8)], []),
        ([(5, 5), (9, 9), (4, 7), (5, 5)], [(8, 8)]),
        ([(5, 5), (0, 0), (6, 6)], []),
        ([(5, 5), (7, 7), (1, 1), (2, 2)], []),
        ([(5, 5), (9, 9), (8, 12)], [(6, 7)]),
    ],
)
def test_numbers_that_were_skipped_are_missing_until_they_come(came: list[tuple[int, int]], left: list[tuple[int, int]]) -> None:
    assert missing(arrived(*came)) == left


def test_what_is_missing_is_what_a_set_of_numbers_says() -> None:
    chance = random.Random(11)
    for _ in range(200):
        numbers = [(2, 2), *((first, first + chance.randrange(4)) for first in chance.sample(range(3, 60), 12))]
        seen = {number for first, last in numbers for number in range(first, last + 1)}
        absent = {number for first, last in missing(arrived(*numbers)) for number in range(first, last + 1)}
        assert absent == set(range(2, max(seen) + 1)) - seen


def test_however_many_are_missing_what_is_kept_of_them_is_bounded() -> None:
    arrivals = arrived(*((number, number) for number in range(10, 1000, 2)))
    assert len(arrivals.gaps) <= MOST_GAPS
    assert {number for first, last in missing(arrivals) for number in range(first, last + 1)} >= set(range(11, 998, 2))


async def test_a_gap_that_is_not_filled_in_time_asks_xero_for_every_organisation(gateway: Harness) -> None:
    rows = gateway.db.collection(store.RECONCILIATIONS)
    for name in ("org_1", "org_2"):
        await gateway.db.transact(store.add_reconciliation, name, UPDATED)
    later = {"$set": {"due_at": datetime(2100, 1, 1, tzinfo=UTC)}}
    await rows.update_many({}, later)
    for first in (1, 2, 4):
        await send(gateway, a_webhook(("INVOICE", an_id("1")), first=first))
        await marks(gateway)
    await webhooks.give_up_gaps(gateway.db)
    assert await rows.count({"due_at": {"$gt": UPDATED}}) == 2
    known = await store.find_arrivals(gateway.db)
    assert missing(known) == [(3, 3)]
    past = tuple(gap.model_copy(update={"since": gap.since - GAP_PATIENCE}) for gap in known.gaps)
    await gateway.db.transact(store.save_arrivals, known.model_copy(update={"gaps": past}))
    for _ in range(2):
        await webhooks.give_up_gaps(gateway.db)
        assert await rows.count({"due_at": {"$gt": UPDATED}}) == 0
        assert (await store.find_arrivals(gateway.db)).gaps == ()
        await rows.update_many({}, {"$set": {"due_at": UPDATED}})


async def test_a_day_without_a_webhook_raises_the_alarm_and_is_told(gateway: Harness) -> None:
    watch = WebhookWatch()
    assert await watch.look(gateway.db) == 0
    assert await updates(gateway) == {"instant": False, "last_webhook_at": None, "checked_at": None, "checked_every_seconds": 900}
    await send(gateway, INTENT)
    await marks(gateway)
    assert 0 <= await watch.look(gateway.db) < 3600
    assert (await updates(gateway))["instant"] is True
    known = await store.find_arrivals(gateway.db)
    assert known.last_at is not None
    await gateway.db.transact(store.save_arrivals, known.model_copy(update={"last_at": known.last_at - SILENCE}))
    assert await watch.look(gateway.db) >= SILENCE.total_seconds()
    assert (await updates(gateway))["instant"] is False


async def updates(gateway: Harness) -> Any:
    return (await gateway.http.get(f"/internal/organisations/{ORGANISATION}/updates", headers=gateway.as_provider())).json()


async def test_a_signed_text_that_is_no_webhook_is_taken_and_forgotten(gateway: Harness) -> None:
    for body in (b"", b"{", b"[]", b'{"events":5}', b"[" * 1000):
        assert (await send(gateway, body)).status_code == 200
    assert await marks(gateway) == []


async def test_an_address_inside_a_webhook_is_never_called(world: Any) -> None:
    body = a_webhook(("INVOICE", an_id("1")), tenant=TENANT, resourceUrl=f"{world.url}/canary")
    answer = await world.service.http.post("/webhooks/xero", content=body, headers={"x-xero-signature": signature_of(body)})
    assert answer.status_code == 200
    assert await marks(world.service) != []
    for name in (store.WEBHOOKS, store.MARKS):
        assert "canary" not in str(await world.db.collection(name).find({}))


async def test_without_its_database_it_asks_xero_to_send_again(keys: Path) -> None:
    settings = Settings(
        keys_dir=keys / "xero-gateway",
        public_keys_dir=keys / "public",
        mongo_url="mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100",
        xero_webhook_key=WEBHOOK_KEY,
    )
    away = Harness(create_app(settings), keys)
    answer = await send(away, a_webhook(("INVOICE", an_id("1"))))
    assert (answer.status_code, answer.content) == (503, b"")
    away.db.close()


@pytest.mark.parametrize("knobs", [{"xero_webhook_key": ""}, {"xero_deep_link": "https://x.example/"}, {"default_time_zone": "Mars/Base"}])
def test_settings_that_cannot_work_are_refused(knobs: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        Settings(**{"xero_webhook_key": WEBHOOK_KEY, **knobs})  # type: ignore[arg-type]


def test_the_shipped_key_is_refused_in_production() -> None:
    with pytest.raises(ValueError, match="XERO_WEBHOOK_KEY"):
        Settings(environment="production", xero_webhook_key="simulated-webhook-key")


def test_an_empty_previous_key_signs_nothing() -> None:
    settings = Settings(xero_webhook_key=WEBHOOK_KEY, xero_webhook_key_previous="")
    assert settings.webhook_keys == [WEBHOOK_KEY.encode()]
