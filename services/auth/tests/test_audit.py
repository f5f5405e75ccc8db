"""The audit: every access to a token is in its token set's chain before it happens, and whatever is changed afterwards is named."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest

from auth import audit, audit_store
from auth.audit_models import NOTHING_BEFORE, Link, Use, hash_of, next_link
from auth.audit_verifier import ANCHORS, in_words, verify
from auth.main import create_app
from auth.settings import Settings
from auth.testing import KOWHAI_ID, MERE, TANE, Browser, PretendXero
from auth.vault import record_seal
from common.mongo import DuplicateKey, Tx
from common.testing import Harness, HarnessFactory

LEAVING = Use(service="auth", purpose="delete-account")


async def access(auth: Harness, **headers: str) -> httpx.Response:
    path = f"/internal/organisations/{KOWHAI_ID}/access-token"
    return await auth.http.post(path, headers={**auth.as_service("xero-gateway"), **headers})


async def links(auth: Harness) -> list[dict[str, Any]]:
    return await auth.db.collection("audit").find({}, sort=[("_id", 1)])


async def whole(auth: Harness) -> bool:
    return (await verify(auth.db, {})).broken == {}


async def anchored(auth: Harness) -> int:
    """An anchor made now, whenever the last one was."""
    hours_ago = {"$dateSubtract": {"startDate": "$$NOW", "unit": "hour", "amount": 2}}
    await auth.db.collection("audit_anchors").update_many({}, [{"$set": {"at": hours_ago}}])
    return await audit.anchor(auth.db)


async def expire(auth: Harness) -> None:
    ago = {"$dateSubtract": {"startDate": "$$NOW", "unit": "minute", "amount": 1}}
    await auth.db.collection("token_sets").update_many({}, [{"$set": {"refresh_at": ago, "expires_at": ago}}])


async def test_a_sign_in_a_hand_out_and_a_refresh_each_leave_their_link(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    await access(auth, **{"x-correlation-id": "cor_" + "A" * 26})
    await expire(auth)
    assert (await access(auth)).status_code == 200
    told = [
        (it["did"], it["fields"], it["generation"], it["service"], it["purpose"]) for link in await links(auth) for it in link["accesses"]
    ]
    assert told == [
        ("seal", ["access", "refresh"], 1, "auth", "sign-in"),
        ("open", ["access"], 1, "xero-gateway", "access-token"),
        ("open", ["refresh"], 1, "auth", "refresh"),
        ("seal", ["access", "refresh", "previous"], 2, "auth", "refresh"),
        ("open", ["access"], 2, "xero-gateway", "access-token"),
    ]
    second = (await links(auth))[1]["accesses"][0]
    assert (second["organisation_id"], second["correlation_id"]) == (KOWHAI_ID, "cor_" + "A" * 26)
    assert await whole(auth)


async def test_no_token_is_handed_out_when_the_audit_cannot_be_written(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    (first,) = await links(auth)
    occupied = [{**first, "_id": f"{first['chain']}.{number:010}", "number": 1} for number in range(2, 4)]
    await auth.db.collection("audit").insert_many(occupied)  # whatever number comes next is taken, for ever
    answer = await access(auth)
    assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
    assert "access_token" not in answer.text


async def test_the_audit_holds_no_token_and_names_nobody(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    await access(auth)
    await anchored(auth)
    dump = json.dumps([await links(auth), await auth.db.collection("audit_anchors").find({})], default=str)
    assert [secret for secret in [*xero.secrets, *MERE.values(), xero.url] if secret in dump] == []


async def test_many_at_once_from_two_processes_make_one_whole_chain(harness: HarnessFactory, auth: Harness, xero: PretendXero) -> None:
    async with harness(create_app, Settings, **xero.settings) as other:
        await Browser(auth, xero).sign_in(MERE)
        await expire(auth)
        answers = await asyncio.gather(*(access((auth, other)[number % 2]) for number in range(40)))
        assert {answer.status_code for answer in answers} == {200}
        rows = await links(auth)
        handed_out = [it for link in rows for it in link["accesses"] if it["purpose"] == "access-token"]
        assert len(handed_out) == 40
        assert len(rows) < 30, "those that come together share a link"
        assert await whole(auth)


async def test_a_link_and_the_state_it_tells_of_are_stored_together_or_not_at_all(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    (link,) = await links(auth)

    async def fails(tx: Tx) -> None:
        await record_seal(tx, link["chain"], ("access",), 2, LEAVING)
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await auth.db.transact(fails)
    assert len(await links(auth)) == 1


async def test_two_transactions_on_one_chain_both_get_their_link(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    (link,) = await links(auth)
    await asyncio.gather(*(auth.db.transact(record_seal, link["chain"], ("access",), 1, LEAVING) for _ in range(8)))
    assert [row["number"] for row in await links(auth)] == list(range(1, 10))
    assert await whole(auth)


async def test_a_number_is_given_once(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    (row,) = await links(auth)
    with pytest.raises(DuplicateKey):
        await audit_store.add_link(auth.db, Link.model_validate(row))


def test_the_hash_of_a_link_is_the_one_written_down() -> None:
    access = '{"correlation_id":"cor_1","did":"open","fields":["refresh"],"generation":7,"organisation_id":null,"purpose":"refresh",'
    access += '"service":"auth"}'
    zeros = "0" * 64
    text = f'{{"accesses":[{access}],"at":"2026-11-22T10:00:00.000+00:00","chain":"tks_1","number":1,"previous":"{zeros}"}}'
    opened = {"did": "open", "fields": ["refresh"], "generation": 7, "service": "auth", "purpose": "refresh"}
    opened |= {"organisation_id": None, "correlation_id": "cor_1"}
    said = {"chain": "tks_1", "number": 1, "at": "2026-11-22T10:00:00Z", "accesses": [opened], "previous": NOTHING_BEFORE, "hash": ""}
    assert hash_of(Link.model_validate(said)) == hashlib.sha256(text.encode()).hexdigest()


# --- what verifying finds --------------------------------------------------------------------------------------------------


async def update(auth: Harness, number: int, change: dict[str, Any]) -> None:
    (row,) = await auth.db.collection("audit").find({"number": number})
    await auth.db.collection("audit").update_one({"_id": row["_id"]}, {"$set": change})


async def delete(auth: Harness, *numbers: int) -> None:
    await auth.db.collection("audit").delete_many({"number": {"$in": list(numbers)}})


async def rewrite_from(auth: Harness, number: int) -> None:
    """Changes a link and makes every hash after it right again, as somebody would who knows how."""
    rows = [Link.model_validate(row) for row in await links(auth)]
    last = rows[number - 2] if number > 1 else None
    for row in rows[number - 1 :]:
        accesses = [it.model_copy(update={"purpose": "innocent"}) for it in row.accesses] if row.number == number else row.accesses
        last = next_link(last, row.chain, accesses, row.at)
        await auth.db.collection("audit").replace_one({"_id": f"{row.chain}.{row.number:010}"}, last.model_dump())


async def roll_back(auth: Harness) -> None:
    await auth.db.collection("token_sets").update_one({}, {"$inc": {"generation": -1}})


async def swap_two_links(auth: Harness) -> None:
    (two,) = await auth.db.collection("audit").find({"number": 2})
    (three,) = await auth.db.collection("audit").find({"number": 3})
    for here, there in ((two, three), (three, two)):
        await auth.db.collection("audit").replace_one({"_id": here["_id"]}, {**there, "_id": here["_id"]})


async def lose_tokens(auth: Harness) -> None:
    await auth.db.collection("token_sets").delete_many({})


BREAKS: list[tuple[Callable[[Harness], Awaitable[Any]], int, str]] = [
    (lambda auth: update(auth, 3, {"accesses.0.purpose": "innocent"}), 3, "its content was changed"),
    (lambda auth: update(auth, 2, {"at": "2026-01-01T00:00:00Z"}), 2, "its content was changed"),
    (lambda auth: update(auth, 4, {"hash": "0" * 64}), 4, "its content was changed"),
    (lambda auth: update(auth, 4, {"accesses": 7}), 4, "it cannot be read"),
    (swap_two_links, 2, "it cannot be read"),
    (lambda auth: delete(auth, 1), 1, "it is missing; the next one there is 2"),
    (lambda auth: delete(auth, 3), 3, "it is missing; the next one there is 4"),
    (lambda auth: delete(auth, 5, 6), 6, "it is missing; anchor 1 knows it"),
    (lambda auth: delete(auth, 1, 2, 3, 4, 5, 6), 6, "it is missing; anchor 1 knows it"),
    (lambda auth: rewrite_from(auth, 2), 6, "it was written anew after anchor 1"),
    (roll_back, 6, "generation 1 was sealed last, but the token set is at 0"),
    (lose_tokens, 7, "the token set is gone, but the chain was not closed"),
]


async def test_verifying_names_the_first_broken_link(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    for _ in range(5):
        await access(auth)
    await anchored(auth)
    kept = {name: await auth.db.collection(name).find({}) for name in ("audit", "token_sets")}
    chain = kept["audit"][0]["chain"]
    for spoil, number, said in BREAKS:
        assert await whole(auth)
        await spoil(auth)
        report = await verify(auth.db, {})
        assert report.broken == {chain: (number, said)}
        assert f"BROKEN {chain}, link {number}: {said}." in in_words(report)
        for name, rows in kept.items():
            await auth.db.collection(name).delete_many({})
            await auth.db.collection(name).insert_many(rows)


async def test_tokens_without_a_chain_are_noticed(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    chain = (await links(auth))[0]["chain"]
    await delete(auth, 1)
    assert (await verify(auth.db, {})).broken == {chain: (1, "it is missing; the token set has no chain")}


async def test_a_broken_chain_does_not_hide_the_others(browser: Browser, colleague: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    first, second = await links(auth)
    await auth.db.collection("audit").update_many({}, {"$set": {"accesses.0.service": "web"}})
    report = await verify(auth.db, {})
    assert set(report.broken) == {first["chain"], second["chain"]}
    assert (report.chains, report.links) == (2, 2)


async def test_an_anchor_is_made_once_an_hour_whoever_asks_and_covers_what_grew(
    browser: Browser, colleague: Browser, auth: Harness
) -> None:
    await browser.sign_in(MERE)
    assert sum(await asyncio.gather(*(audit.anchor(auth.db) for _ in range(5)))) == 1
    assert await audit.anchor(auth.db) == 0
    await colleague.sign_in(TANE)
    assert await anchored(auth) == 1
    first, second = await auth.db.collection("audit_anchors").find({}, sort=[("_id", 1)])
    assert [head["number"] for head in first["heads"]] == [1]
    assert len(second["heads"]) == 2, "links of the last half hour are looked at twice, for clocks differ"
    assert second["previous"] == first["hash"]


async def test_an_anchor_that_was_written_down_is_compared(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    await audit.anchor(auth.db)
    newest = (await verify(auth.db, {})).newest
    assert newest
    assert (await verify(auth.db, {1: newest.hash})).broken == {}
    assert (await verify(auth.db, {1: "f" * 64})).broken == {ANCHORS: (1, "it is not the one that was written down")}
    assert (await verify(auth.db, {1: newest.hash, 2: "f" * 64})).broken == {ANCHORS: (2, "it is missing")}
    await auth.db.collection("audit_anchors").update_one({}, {"$set": {"heads": []}})
    assert (await verify(auth.db, {})).broken == {ANCHORS: (1, "its content was changed")}


async def test_a_closed_chain_stays_whole_and_takes_nothing_more(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    tokens, chain = auth.app.state.tokens, (await links(auth))[0]["chain"]
    held = await tokens._live(auth.db, chain)

    async def destroy(tx: Tx) -> None:
        await tx.collection("token_sets").delete_many({"_id": chain})
        await audit.close(tx, chain, LEAVING)

    await auth.db.transact(destroy)
    assert await whole(auth)
    assert (await links(auth))[-1]["accesses"][0] | {"correlation_id": ""} == {
        "did": "close",
        "fields": [],
        "generation": 1,
        "service": "auth",
        "purpose": "delete-account",
        "organisation_id": None,
        "correlation_id": "",
    }
    with pytest.raises(audit.ChainClosed):
        await auth.app.state.vault.open(auth.db, held, "access", LEAVING)
    with pytest.raises(audit.ChainClosed):
        await auth.db.transact(record_seal, chain, ("access",), 2, LEAVING)
    await anchored(auth)
    await delete(auth, 2)
    assert (await verify(auth.db, {})).broken[chain][0] == 2


async def test_a_chain_closed_while_its_tokens_stay_is_noticed(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    chain = (await links(auth))[0]["chain"]
    await auth.db.transact(audit.close, chain, LEAVING)
    assert (await verify(auth.db, {})).broken == {chain: (2, "the chain was closed, but its token set is there")}
