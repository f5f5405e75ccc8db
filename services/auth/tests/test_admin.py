"""What an operator sees of connections."""

from __future__ import annotations

from typing import Any

from auth.testing import MERE, TANE, Browser
from common.testing import Harness


async def rows(auth: Harness, **asked: Any) -> dict[str, Any]:
    answer = await auth.operations.get("/internal/admin/connections", params=asked, headers=auth.as_service("operations"))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def test_an_operator_sees_every_connection_without_tokens_and_whole_addresses(
    auth: Harness, browser: Browser, colleague: Browser
) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    await auth.db.collection("connections").update_one({}, {"$set": {"state": "needs_reauth"}})
    await auth.db.collection("token_sets").update_one({}, [{"$set": {"used_at": {"$subtract": ["$$NOW", 3 * 86_400_000]}}}])
    found = (await rows(auth))["connections"]
    assert [(row["state"], row["idle_days"]) for row in found] == [("needs_reauth", 3), ("live", 0)]
    assert MERE["email"] not in str(found)
    assert found[0]["login"].endswith(MERE["email"].partition("@")[2])
    first = await rows(auth, limit=1)
    second = await rows(auth, limit=1, after=first["after"])
    assert [page["connections"][0]["id"] for page in (first, second)] == [row["id"] for row in found]
    assert [row["state"] for row in (await rows(auth, state="live"))["connections"]] == ["live"]


async def test_nobody_else_is_told(auth: Harness) -> None:
    assert (await auth.operations.get("/internal/admin/connections", headers=auth.as_service("web"))).status_code == 403
    assert (await auth.http.get("/internal/admin/connections", headers=auth.as_service("operations"))).status_code == 404
