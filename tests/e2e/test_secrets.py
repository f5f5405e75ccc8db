"""Secrets of the running product stand nowhere but sealed; no service is served with another's credential."""

from __future__ import annotations

import asyncio
import importlib
import re
from collections.abc import Iterator

import httpx
import pytest

from client_invoices.installation import SERVICES
from common.http import admitted
from common.identity import Signer
from local.running import Running
from tests.canaries import cookies, found, xero_tokens
from tests.story import STEPS, Story

PUBLIC = {("auth", "/auth/xero/start"), ("auth", "/auth/xero/callback"), ("xero-gateway", "/webhooks/xero")}
"""What a browser or Xero may call without a credential; of web, that is everything."""


@pytest.mark.timeout(300)
async def test_no_secret_stands_where_it_should_not(system: Running) -> None:
    tenant = (await system.xero.ask("/organisations"))[0]["id"]
    contact = await system.xero.do("/contacts", tenant=tenant, name="Canary Ltd", email="canary@demo.example", number="CANARY-1")
    await system.xero.do("/invoices", tenant=tenant, contact=contact["id"], unit="100.00")
    story = Story(system, contact, "canary@demo.example")
    try:
        for step in STEPS[:6]:
            await getattr(story, step)()
        mails = await system.inbox.mails("canary@demo.example")
        links = [link.rpartition("/")[2] for mail in mails for link in mail["links"] if "/s/" in link or "/i/" in link]
        secrets = [*await xero_tokens(system), *cookies(story.provider), *cookies(story.client), *links]
        assert len(secrets) >= 7
        assert await found(system, secrets) == []
        for path in (
            "/auth/xero/callback?code=x&state=y",
            "/o/org_x/clients",
            "/nothing",
            f"/o/{story.provider.organisation}/clients/nobody",
        ):
            for browser in (story.provider, story.client):
                page = await browser.open(path)
                assert [secret for secret in secrets if secret in page.text] == []
    finally:
        await story.provider.close()
        await story.client.close()


@pytest.mark.timeout(300)
async def test_no_route_serves_a_service_with_anothers_credential(system: Running) -> None:
    """Every route of every service × every service in its own name, a provider, a client, and credentials that are not what they say."""
    refused = 0
    async with httpx.AsyncClient(trust_env=False) as http:

        async def ask(method: str, url: str, who: str, token: str, status: int) -> None:
            answer = await http.request(method, url, headers={"authorization": f"Bearer {token}"} if token else {})
            assert answer.status_code == status, f"{method} {url} as {who}: {answer.status_code}"

        for service in SERVICES:
            base = f"http://127.0.0.1:{system.state['ports'][service.upper().replace('-', '_') + '_PORT']}"
            shown = list(credentials(system, service))
            for (method, path), admits in routes_of(system, service).items():
                if not admits:
                    assert service == "web" or (service, path) in PUBLIC, f"{service} {method} {path} asks for no credential"
                    continue
                url = base + re.sub(r"\{[^}]*\}", "x", path)
                wrong = [each for each in shown if each[0] not in admits]
                await asyncio.gather(*(ask(method, url, *each) for each in wrong))
                refused += len(wrong)
    assert refused > 400


def routes_of(system: Running, service: str) -> dict[tuple[str, str], frozenset[str]]:
    """(method, path) -> who may call, from the service's own app."""
    package = service.replace("-", "_")
    settings = importlib.import_module(f"{package}.settings").Settings
    needed = {"xero_client_id": "none", "xero_client_secret": "none", "xero_webhook_key": "none"}
    keys = system.data / "keys"
    return admitted(
        importlib.import_module(f"{package}.main").create_app(settings(keys_dir=keys / service, public_keys_dir=keys / "public", **needed))
    )


def credentials(system: Running, audience: str) -> Iterator[tuple[str, str, int]]:
    """(who it speaks of, as an access matrix calls them; the token; what must be answered to somebody who is not admitted)."""
    signers = {service: Signer(service, system.data / "keys" / service) for service in SERVICES}
    elsewhere = "portal" if audience == "auth" else "auth"
    person = {"id": "prv_1", "name": "Mere", "email": "mere@kowhai.example", "organisation_id": "x"}
    yield "nobody", "", 401
    yield "a token that is none", "x", 401
    for service, signer in signers.items():
        yield f"service:{service}", signer.service_token(audience), 403
    yield "provider", signers["auth"].provider_token(audience, **person), 403
    yield "client", signers["portal"].client_token(audience, id="cli_1", email="you@demo.example"), 403
    yield "a token for another service", signers["web"].service_token(elsewhere), 401
    yield "a provider according to web", signers["web"].provider_token(audience, **person), 401
    yield "a client according to sharing", signers["sharing"].client_token(audience, id="cli_1", email="you@demo.example"), 401
    forged = Signer("web", system.data / "keys" / "web")
    forged.service = "xero-gateway"
    yield "service:xero-gateway signed by web", forged.service_token(audience), 401
