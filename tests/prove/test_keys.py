"""The operator's command turns the key of the vault in a running system, its processes restarted between: `make prove ONLY=keys`"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from local.running import running
from tests.backup import operate


@pytest.mark.timeout(900)
async def test_the_key_of_the_vault_is_turned_step_by_step_and_its_audit_verified(tmp_path: Path) -> None:
    async with running(tmp_path) as system:
        provider = system.provider()
        await provider.sign_in()
        await provider.close()

        async def step(*words: str, code: int = 0) -> str:
            answered, said = await operate(system.data, *words)
            assert answered == code, said
            return said

        async def restart_auth() -> None:
            await system.restarted("auth", system.kill("auth"))

        assert "k2 is known to the files. Restart auth" in await step("keys", "rotate", "xero-token")
        assert "auth does not run with k2" in await step("keys", "rotate", "xero-token", code=1)
        await restart_auth()
        assert "k2 is primary in the files. Restart auth" in await step("keys", "rotate", "xero-token")
        assert "auth does not run with k2" in await step("keys", "rotate", "xero-token", code=1)
        await restart_auth()
        said = await step("keys", "rotate", "xero-token")
        assert "Every token set is wrapped by k2." in said
        assert "keys retire xero-token k1" in said
        assert "k1 is disabled. Restart auth" in await step("keys", "retire", "xero-token", "k1")
        rows = {(row["ring"], row["key"]): row for row in json.loads(await step("keys", "status", "--json"))}
        assert (rows["xero-token", "k1"]["state"], rows["xero-token", "k1"]["token_sets"]) == ("disabled", 0)
        assert (rows["xero-token", "k2"]["primary_in"], rows["csrf", "k1"]["primary_in"]) == (["auth"], ["web"])
        assert "Every chain is whole." in await step("audit", "verify")
