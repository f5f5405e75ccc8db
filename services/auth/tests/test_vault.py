"""The vault: a sealed token opens only where it was sealed, unchanged."""

import base64
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from auth import vault
from auth.models import TokenSet
from auth.testing import KOWHAI_ID, MERE, Browser
from common.clock import utc_now
from common.crypto import KeyRing, Unreadable
from common.testing import Harness


@pytest.fixture
def ring(keys: Path) -> KeyRing:
    return KeyRing.load(keys / "auth" / "rings" / "xero-token.json")


def a_token_set(ring: KeyRing, **changes: Any) -> TokenSet:
    place = {"id": "tks_1", "owner": "https://identity|mere", "generation": 1, **changes}
    sealed = {
        field: vault.seal_token(ring, SecretStr(f"the {field} token"), place["id"], place["owner"], field, place["generation"])
        for field in ("access", "refresh", "previous")
    }
    return TokenSet(**place, **sealed, provider_id="prv_1", state="live", consent=1, expires_at=utc_now())


def test_a_token_comes_back_as_it_went_in(ring: KeyRing) -> None:
    assert vault.open_token(ring, a_token_set(ring), "refresh").get_secret_value() == "the refresh token"


def test_a_token_hides_itself_when_printed(ring: KeyRing) -> None:
    assert "the refresh token" not in repr(vault.open_token(ring, a_token_set(ring), "refresh"))


SETS: list[dict[str, Any]] = [{}, {"id": "tks_2"}, {"owner": "https://identity|tane"}, {"generation": 2}]


@pytest.mark.parametrize(("here", "there"), list(permutations(range(len(SETS)), 2)))
def test_a_token_moved_to_another_set_owner_or_generation_is_refused(ring: KeyRing, here: int, there: int) -> None:
    moved = a_token_set(ring, **SETS[here]).model_copy(update={"refresh": a_token_set(ring, **SETS[there]).refresh})
    with pytest.raises(Unreadable):
        vault.open_token(ring, moved, "refresh")


@pytest.mark.parametrize(("here", "there"), list(permutations(("access", "refresh", "previous"), 2)))
def test_a_token_moved_to_another_field_is_refused(ring: KeyRing, here: vault.Field, there: vault.Field) -> None:
    token_set = a_token_set(ring)
    with pytest.raises(Unreadable):
        vault.open_token(ring, token_set.model_copy(update={here: getattr(token_set, there)}), here)


@pytest.mark.parametrize("part", ["wrapped", "commitment", "sealed"])
def test_every_flipped_bit_is_noticed(ring: KeyRing, part: str) -> None:
    token_set = a_token_set(ring)
    raw = base64.b64decode(token_set.refresh[part])
    for bit in range(len(raw) * 8):
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        spoiled = {**token_set.refresh, part: base64.b64encode(bytes(changed)).decode()}
        with pytest.raises(Unreadable):
            vault.open_token(ring, token_set.model_copy(update={"refresh": spoiled}), "refresh")


async def test_tokens_swapped_in_the_database_serve_nobody_and_end_nothing(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    (row,) = await auth.db.collection("token_sets").find({})
    await auth.db.collection("token_sets").update_one({}, {"$set": {"access": row["refresh"], "refresh": row["access"]}})
    path = f"/internal/organisations/{KOWHAI_ID}/access-token"
    answer = await auth.http.post(path, headers=auth.as_service("xero-gateway"))
    assert (answer.status_code, answer.json()["code"]) == (503, "xero_unavailable")
    assert (await browser.identify(KOWHAI_ID)).json()["organisation"]["state"] == "connected"
