"""Turning the vault's key under load, killed in between: no read fails, nothing is left under the old key, which then goes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from prometheus_client import generate_latest

from auth import audit, audit_store, rotation, rotation_store, vault
from auth.audit_models import an_access, next_link
from auth.audit_verifier import verify
from auth.auditor import Auditor
from auth.testing import MERE, Browser, PretendXero
from auth.testing_vault import Vaults
from auth.vault import Vault
from common.clock import utc_now
from common.crypto import KeyRing
from common.keys import NotYet, add_key, make_keys, use_key
from common.testing import Harness


@pytest.fixture
def ring_file(tmp_path: Path) -> Path:
    make_keys(tmp_path, ["auth"], {"xero-token": ["auth"]})
    return tmp_path / "auth" / "rings" / "xero-token.json"


@pytest.fixture
def vaults(auth: Harness, xero: PretendXero, ring_file: Path) -> Vaults:
    return Vaults(auth, xero, ring_file)


def turn(ring_file: Path) -> None:
    use_key([ring_file], add_key([ring_file]), utc_now())


async def rotate(vaults: Vaults) -> tuple[int, set[str], list[tuple[int, int]]]:
    told: list[tuple[int, int]] = []
    left, unreadable = await rotation.rewrap_all(vaults.db, KeyRing.load(vaults.ring_file), lambda *seen: told.append(seen))
    return left, unreadable, told


async def kids(auth: Harness) -> set[str]:
    rows = await auth.db.collection("token_sets").find({})
    return {row[field]["kid"] for row in rows for field in ("access", "refresh", "previous") if row.get(field)}


async def test_a_rotation_under_load_and_killed_fails_no_read_and_leaves_nothing_under_the_old_key(
    auth: Harness, vaults: Vaults, ring_file: Path
) -> None:
    await vaults.fill(300)
    add_key([ring_file])
    old_ring, new_ring = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as processes:
        processes.create_task(vaults.read(old_ring))
        await asyncio.sleep(0)
        use_key([ring_file], "k2", utc_now())
        processes.create_task(vaults.read(new_ring))
        left = await vaults.rotate_killed_after(100)
        old_ring.set()  # the last process is restarted with the new ring
        found = await vaults.ask("POST", "/vault/rewrap")
        new_ring.set()
    assert 0 < left < 300
    assert (found, vaults.failed) == ({"left": 0, "unreadable": []}, [])
    assert vaults.reads > 20
    assert await kids(auth) == {"k2"}
    assert [await vaults.retire("k1"), await vaults.retire("k1")] == ["disabled", "removed"]
    again = Vault(KeyRing.load(ring_file))
    for number in range(0, 300, 7):
        token_set = await auth.app.state.tokens._live(auth.db, f"tks_{number:026}")
        assert vault.open_token(again.ring, token_set, "refresh").get_secret_value() in (f"refresh-{number}", *vaults.xero.secrets)
    broken = (await verify(auth.db, {})).broken
    assert {fault for _, fault in broken.values()} <= {"it is missing; the token set has no chain"}, (
        "only what was filled in and never touched"
    )


async def test_progress_counts_up_to_the_total(auth: Harness, vaults: Vaults, ring_file: Path) -> None:
    await vaults.fill(250)
    turn(ring_file)
    left, unreadable, told = await rotate(vaults)
    assert (left, unreadable) == (0, set())
    assert told == [(200, 250), (250, 250), (250, 250)]
    assert (await rotate(vaults))[2] == [(0, 0)]
    links = await auth.db.collection("audit").find({})
    assert len(links) == 250
    assert {(it["did"], it["service"], it["purpose"]) for link in links for it in link["accesses"]} == {("rewrap", "auth", "rotate")}


async def test_what_cannot_be_unwrapped_stays_as_it_is_and_stops_nothing(auth: Harness, vaults: Vaults, ring_file: Path) -> None:
    await vaults.fill(20)
    turn(ring_file)
    spoiled = f"tks_{7:026}"
    await auth.db.collection("token_sets").update_one({"_id": spoiled}, {"$set": {"owner": "another"}})
    (before,) = await auth.db.collection("token_sets").find({"_id": spoiled})
    assert await vaults.ask("POST", "/vault/rewrap") == {"left": 1, "unreadable": [spoiled]}
    assert await auth.db.collection("token_sets").find({"_id": spoiled}) == [before]
    assert await vaults.under("k2") == 19
    with pytest.raises(NotYet, match="1 records need the key k1; rotate first"):
        await vaults.retire("k1")
    assert KeyRing.load(ring_file).key("k1")


async def test_a_token_renewed_while_it_is_wrapped_anew_is_left_as_it_is(auth: Harness, vaults: Vaults, ring_file: Path) -> None:
    await vaults.fill(2)
    turn(ring_file)
    rows = await rotation_store.list_wrapped_by(auth.db, ["k1"], "", 10)
    wrapped, unreadable = rotation._wrapped(KeyRing.load(ring_file), rows)
    assert unreadable == []
    await auth.db.collection("token_sets").update_one({"_id": rows[0]["_id"]}, {"$set": {"access.wrapped": "renewed meanwhile"}})
    await rotation_store.save_rewrapped(auth.db, wrapped)
    renewed, other = await auth.db.collection("token_sets").find({}, sort=[("_id", 1)])
    assert (renewed["access"]["wrapped"], renewed["access"]["kid"], renewed["refresh"]["kid"]) == ("renewed meanwhile", "k1", "k1")
    assert (other["access"]["kid"], other["refresh"]["kid"]) == ("k2", "k2")


async def test_many_links_in_one_call_take_no_number_that_is_taken(auth: Harness, vaults: Vaults) -> None:
    access = an_access("rewrap", ("access",), 1, rotation.ROTATE)
    await audit.append(auth.db, "tks_2", [access])
    await auth.db.transact(audit.close, "tks_3", rotation.ROTATE)
    mine = next_link(None, "tks_2", [access], utc_now())
    assert await audit_store.add_links(auth.db, [mine, next_link(None, "tks_4", [access], utc_now())]) == {"tks_4"}
    assert await audit.append_each(auth.db, {"tks_1": access, "tks_2": access, "tks_3": access}) == {"tks_1", "tks_2"}
    assert {(row["chain"], row["number"]) for row in await auth.db.collection("audit").find({})} == {
        *(("tks_1", 1), ("tks_2", 1), ("tks_2", 2), ("tks_3", 1), ("tks_4", 1)),
    }
    broken = (await verify(auth.db, {})).broken
    assert {fault for _, fault in broken.values()} == {"the token set is gone, but the chain was not closed"}


async def test_the_operator_sees_what_each_key_wraps_and_so_do_metrics(auth: Harness, vaults: Vaults, ring_file: Path) -> None:
    await vaults.fill(5)
    turn(ring_file)
    assert (await rotate(vaults))[0] == 0
    await auth.db.collection("token_sets").update_one({"_id": f"tks_{3:026}"}, {"$set": {"refresh.kid": "k9"}})
    assert await vaults.ask("GET", "/vault") == {"primary": "k2", "keys": {"k2": 4, "k9": 1}, "left": 0}
    await Auditor().look(auth.db)
    assert 'vault_token_sets{key="k2"} 4.0' in generate_latest().decode()


async def test_the_audit_is_verified_by_a_command(browser: Browser, auth: Harness, vaults: Vaults) -> None:
    await browser.sign_in(MERE)
    await Auditor().look(auth.db)
    found = await vaults.ask("POST", "/audit/verify", {})
    assert found["broken"] == 0
    assert found["lines"][0] == "1 chains with 1 links, 1 anchors."
    number, _, hash = found["lines"][1].removeprefix("Newest anchor: ").partition(" ")[0].partition(":")
    assert (await vaults.ask("POST", "/audit/verify", {"known": {number: hash}}))["broken"] == 0
    await auth.db.collection("audit").update_one({}, {"$set": {"accesses.0.purpose": "innocent"}})
    found = await vaults.ask("POST", "/audit/verify", {})
    assert found["broken"] == 1
    assert "link 1: its content was changed." in found["lines"][-1]


async def test_auth_does_not_start_with_a_bad_ring_and_says_why(vaults: Vaults, ring_file: Path) -> None:
    await asyncio.to_thread(ring_file.chmod, 0o644)
    process = await vaults.process()
    _, complained = await process.communicate()
    assert process.returncode == 1
    assert (
        complained.decode()
        .rstrip()
        .endswith("BadRing: xero-token.json: others than its owner may use it (mode 0644); chmod 600 xero-token.json")
    )
