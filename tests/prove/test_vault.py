"""The vault in full: every bit and every place of a sealed token, what the audit costs, and 10,000 token sets turned under load.

`make prove ONLY=vault`
"""

from __future__ import annotations

import asyncio
import base64
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from auth import vault
from auth.audit_models import Use
from auth.audit_verifier import verify
from auth.main import create_app
from auth.settings import Settings
from auth.store import FIELDS
from auth.testing import PretendXero
from auth.testing_vault import Vaults
from auth.vault import Vault
from common.clock import utc_now
from common.crypto import KeyRing, Unreadable, unseal
from common.keys import add_key, make_keys, use_key
from common.testing import HarnessFactory
from portal.testing import served

RECORDS = 10_000
KILLS = 20
USE = Use(service="xero-gateway", purpose="access-token")


@pytest.fixture
def ring_file(tmp_path: Path) -> Path:
    make_keys(tmp_path, ["auth"], {"xero-token": ["auth"]})
    return tmp_path / "auth" / "rings" / "xero-token.json"


@pytest.fixture
async def vaults(harness: HarnessFactory, ring_file: Path) -> AsyncIterator[Vaults]:
    xero = PretendXero()
    async with served(xero.app) as xero.url, harness(create_app, Settings, **xero.settings) as auth:
        yield Vaults(auth, xero, ring_file)


def test_no_token_opens_in_another_place(ring_file: Path) -> None:
    """20 token sets × 3 fields × 3 generations: every pair of places, and every part of one value in another."""
    ring = KeyRing.load(ring_file)
    sets = [
        (f"tks_{number}", f"https://identity|{number % 7}", field, generation)
        for number in range(20)
        for field in FIELDS
        for generation in (1, 2, 3)
    ]
    places = [vault.context(*place) for place in sets]
    sealed = [vault.seal_token(ring, SecretStr("the same token everywhere"), *place) for place in sets]
    refused = 0
    for here, value in enumerate(sealed):
        assert unseal(ring, value, places[here])
        for there, place in enumerate(places):
            candidates = (
                [value] if there != here else [{**value, part: sealed[here - 1][part]} for part in ("wrapped", "commitment", "sealed")]
            )
            for candidate in candidates:
                with pytest.raises(Unreadable):
                    unseal(ring, candidate, place)
                refused += 1
    print(f"{refused} swaps, all refused")


@pytest.mark.parametrize("size", [1, 43, 1500])
def test_no_bit_of_a_sealed_token_can_be_flipped(ring_file: Path, size: int) -> None:
    """Every bit of the stored texts, and every bit of the bytes they stand for."""
    ring, place = KeyRing.load(ring_file), vault.context("tks_1", "https://identity|1", "refresh", 7)
    value = vault.seal_token(ring, SecretStr("t" * size), "tks_1", "https://identity|1", "refresh", 7)
    refused = 0
    for part in ("kid", "wrapped", "commitment", "sealed"):
        texts = [value[part].encode()] + ([base64.b64decode(value[part])] if part != "kid" else [])
        for text, spell in zip(texts, (in_letters, in_base64), strict=False):
            for bit in range(len(text) * 8):
                changed = bytearray(text)
                changed[bit // 8] ^= 1 << bit % 8
                with pytest.raises(Unreadable):
                    unseal(ring, {**value, part: spell(changed)}, place)
                refused += 1
    print(f"token of {size} letters: {refused} flipped bits, all refused")


@pytest.mark.timeout(600)
async def test_what_an_access_costs(vaults: Vaults) -> None:
    await vaults.fill(200)
    ring = KeyRing.load(vaults.ring_file)
    keeper, tokens = Vault(ring), vaults.service.app.state.tokens
    sets = [await tokens._live(vaults.db, f"tks_{number:026}") for number in range(200)]

    began = time.perf_counter()
    for token_set in sets * 5:
        vault.open_token(ring, token_set, "access")
    alone = (time.perf_counter() - began) / 1000
    began = time.perf_counter()
    for token_set in sets:
        await keeper.open(vaults.db, token_set, "access", USE)
    recorded = (time.perf_counter() - began) / 200
    began = time.perf_counter()
    await asyncio.gather(*(keeper.open(vaults.db, sets[0], "access", USE) for _ in range(200)))
    together = time.perf_counter() - began
    links = await vaults.db.collection("audit").count({"chain": sets[0].id})
    print(f"opening: {alone * 1e6:.0f} µs; recorded first: {recorded * 1000:.1f} ms")
    print(f"200 of one token set at once: {together * 1000:.0f} ms, {links} links")
    assert (await verify(vaults.db, {})).broken == {}


@pytest.mark.timeout(1700)
async def test_ten_thousand_token_sets_are_turned_under_load_and_twenty_kills(vaults: Vaults) -> None:
    await vaults.fill(RECORDS)
    ring = [vaults.ring_file]
    add_key(ring)
    old, new = asyncio.Event(), asyncio.Event()
    async with asyncio.TaskGroup() as processes:
        for _ in range(2):
            processes.create_task(vaults.read(old))
        await asyncio.sleep(0)
        use_key(ring, "k2", utc_now())
        for _ in range(2):
            processes.create_task(vaults.read(new))
        for _ in range(KILLS):
            left = await vaults.rotate_killed_after(random.randrange(1, 200))
        print(f"{KILLS} kills: {left} of {RECORDS} left, {vaults.reads} reads, {len(vaults.failed)} failed", flush=True)
        assert 0 < left < RECORDS
        old.set()
        await finished(vaults)
        assert await vaults.under("k1") == 0
        add_key(ring)
        use_key(ring, "k3", utc_now())
        new.set()
        last = asyncio.Event()
        for _ in range(2):
            processes.create_task(vaults.read(last))
        await asyncio.sleep(0.5)
        reads, began = vaults.reads, time.monotonic()
        await finished(vaults)
        took = time.monotonic() - began
        last.set()
        print(f"{RECORDS} token sets under load in {took:.0f} s, {vaults.reads - reads} reads meanwhile")
    print(f"{vaults.reads} reads in all, {len(vaults.failed)} failed, {vaults.away} times Xero did not answer")
    assert vaults.failed == []
    assert {key: await vaults.under(key) for key in ("k1", "k2", "k3")} == {"k1": 0, "k2": 0, "k3": RECORDS}
    for key in ("k1", "k2"):
        assert [await vaults.retire(key), await vaults.retire(key)] == ["disabled", "removed"]
    assert KeyRing.load(vaults.ring_file).others == []
    await all_open(vaults)
    report = await verify(vaults.db, {})
    print(f"{report.chains} chains, {report.links} links, {len(report.broken)} broken")
    assert report.broken == {}


def in_letters(raw: bytearray) -> str:
    return raw.decode("latin-1")


def in_base64(raw: bytearray) -> str:
    return base64.b64encode(raw).decode()


async def finished(vaults: Vaults) -> None:
    assert await vaults.ask("POST", "/vault/rewrap") == {"left": 0, "unreadable": []}


async def all_open(vaults: Vaults) -> None:
    ring, tokens = KeyRing.load(vaults.ring_file), vaults.service.app.state.tokens
    for number in range(RECORDS):
        token_set = await tokens._live(vaults.db, f"tks_{number:026}")
        for field in FIELDS:
            if getattr(token_set, field) is not None:
                opened = vault.open_token(ring, token_set, field).get_secret_value()
                assert opened == f"{field}-{number}" or opened in (f"refresh-{number}", *vaults.xero.secrets)
