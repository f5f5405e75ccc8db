"""No secret stands where it should not, with talkative logs, after faults of Xero and the mail server and kills of every part.

`make prove ONLY=secrets`
"""

from __future__ import annotations

from pathlib import Path

import pytest

from local.running import Running, running
from tests.canaries import cookies, found, xero_tokens
from tests.kills import KILLED, killed_before, one_kill_each
from tests.story import STEPS, Story

FAULTS: tuple[dict[str, object], ...] = (
    {"token_expired": True},
    {"lose_refresh_answers": 1, "token_expired": True},
    {"wrong_json": True},
    {"server_error": True},
    {"forbidden": True},
    {"offline": True},
)


@pytest.mark.timeout(1200)
async def test_faults_and_kills_bring_no_secret_to_light(tmp_path: Path) -> None:
    async with running(tmp_path, LOG_LEVEL="debug") as system:
        secrets = await a_story_with_faults(system, "canary-1@demo.example")
        await killed_before(system, one_kill_each(KILLED), number=9000)
        secrets += await a_story_with_faults(system, "canary-2@demo.example")
        secrets += await xero_tokens(system)
        places = await found(system, sorted(set(secrets)))
        size = sum(log.stat().st_size for log in (system.data / "logs").glob("*.log"))
        print(f"{len(set(secrets))} secrets, {size / 1e6:.1f} MB of logs: found in {places or 'no place'}")
        assert places == []


async def a_story_with_faults(system: Running, email: str) -> list[str]:
    """The main job with a mail server that says later, then every page with every fault of Xero; the secrets it met."""
    tenant = (await system.xero.ask("/organisations"))[0]["id"]
    contact = await system.xero.do("/contacts", tenant=tenant, name=email, email=email, number=email[:8])
    await system.xero.do("/invoices", tenant=tenant, contact=contact["id"], unit="100.00")
    story = Story(system, contact, email)
    await system.inbox.faults("greylist", count=1)
    for step in STEPS[:6]:
        await getattr(story, step)()
    secrets = [*cookies(story.provider), *cookies(story.client), *await xero_tokens(system)]
    organisation = story.provider.organisation
    for fault in FAULTS:
        await system.xero.do("/faults", **fault)
        for browser, path in (
            (story.provider, f"/o/{organisation}/clients"),
            (story.provider, f"/o/{organisation}/clients/{contact['id']}"),
            (story.provider, "/auth/xero/callback?code=x&state=y"),
            (story.client, "/invoices"),
            (story.client, story.invoice_path),
            (story.client, f"{story.invoice_path}.pdf"),
        ):
            page = await browser.open(path)
            assert [secret for secret in secrets if secret in page.text] == [], f"{path} with {fault}"
        await system.xero.http.delete("/control/faults")
    secrets += await xero_tokens(system)
    secrets += [link.rpartition("/")[2] for mail in await system.inbox.mails(email) for link in mail["links"]]
    await story.provider.close()
    await story.client.close()
    return [secret for secret in secrets if len(secret) > 20]
