"""auth's data comes back from a backup: organisations are told above all that was told since, and other keys are noticed."""

from __future__ import annotations

from pathlib import Path

import pytest

from auth import connections, restoring
from auth.audit_verifier import verify
from auth.testing import MERE, Browser
from common.contracts.auth import OrganisationConnected, OrganisationNeedsReauth
from common.crypto import KeyRing
from common.errors import Conflict
from common.keys import make_keys
from common.testing import Harness


async def test_organisations_are_told_anew_with_versions_nobody_heard_and_nobody_is_mailed(auth: Harness, browser: Browser) -> None:
    await browser.sign_in(MERE)
    (told,) = await auth.published(OrganisationConnected)
    await auth.forget_published()
    await restoring.settle(auth.app.state.ring, auth.db)
    (again,) = await auth.published(OrganisationConnected)
    assert again == told.model_copy(update={"version": told.version + connections.TOLD_SINCE})
    lost = {"state": "needs_reauth", "cause": "grant_refused"}
    await auth.db.collection("organisations").update_one({}, [{"$set": {**lost, "since": "$$NOW"}}])
    await restoring.settle(auth.app.state.ring, auth.db)
    (needs,) = await auth.published(OrganisationNeedsReauth)
    assert (needs.version, needs.people) == (told.version + 2 * connections.TOLD_SINCE, [])
    assert (await verify(auth.db, {})).broken == {}


async def test_tokens_under_other_keys_are_not_taken(auth: Harness, browser: Browser, tmp_path: Path) -> None:
    await browser.sign_in(MERE)
    make_keys(tmp_path, ["auth"], {"xero-token": ["auth"]})
    with pytest.raises(Conflict, match="keys that are not here"):
        await restoring.settle(KeyRing.load(tmp_path / "auth" / "rings" / "xero-token.json"), auth.db)
