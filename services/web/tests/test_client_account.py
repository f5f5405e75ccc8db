"""A client's account: what senders see, which browsers are signed in, and every way out."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from common.testing import ORGANISATION, OTHER_ORGANISATION
from web.client_testing import Upstream, a_browser, a_site, press

HANA = "hana@rata.example"


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def app(keys: Path, upstream: Upstream) -> AsyncIterator[FastAPI]:
    async with a_site(keys, upstream) as app:
        yield app


@pytest.fixture
def browser(app: FastAPI, upstream: Upstream) -> httpx.AsyncClient:
    return a_browser(app, client=upstream.signed_in(HANA))


def text_of(answer: httpx.Response) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", answer.text).split())


async def test_the_account_holds_the_address_what_senders_see_and_the_other_side(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    read = text_of(await browser.get("/account"))
    assert f"Signed in as {HANA}" in read
    assert "Each sender sees when this address opens or downloads an invoice of theirs." in read
    assert "Invoices I send" in read
    assert "Sign out of “Invoices sent to me”" in read
    upstream.sender(HANA, ORGANISATION, "Kōwhai & Hart", [])
    upstream.sender(HANA, OTHER_ORGANISATION, "<b>Pike</b>", [])
    page = await browser.get("/account")
    assert "<bdi>Kōwhai &amp; Hart</bdi> sees when this address opens or downloads an invoice." in page.text
    assert "<bdi>&lt;b&gt;Pike&lt;/b&gt;</bdi> sees when" in page.text


async def test_the_account_opens_while_sharing_is_away(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.down = {"sharing"}
    assert "Each sender sees when" in text_of(await browser.get("/account"))


async def test_every_browser_signed_in_is_listed_and_another_can_be_signed_out(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sessions |= {"cis_phone": HANA, "cis_stranger": "stranger@else.example"}
    read = text_of(await browser.get("/account"))
    assert "Chrome on Linux this browser signed in" in read
    assert read.count("Safari on iPhone signed in") == 1
    assert read.count("Sign out Safari on iPhone") == 1
    answer = await press(browser, "/account", "/account/sessions/end", session="id-of-cis_phone")
    assert "That browser is signed out." in text_of(await browser.get(answer.headers["location"]))
    assert "cis_phone" not in upstream.sessions
    await press(browser, "/account", "/account/sessions/end", session="id-of-cis_stranger")
    assert "cis_stranger" in upstream.sessions


async def test_a_session_that_ended_meanwhile_leads_to_signing_in(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sessions.clear()
    assert (await browser.get("/account")).headers["location"] == "/sign-in"


async def test_signing_out_ends_the_clients_session_alone(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    browser.cookies.set("__Host-provider", "pis_1", domain="invoices.example", path="/")
    answer = await press(browser, "/account", "/invoices/sign-out")
    assert answer.headers["location"] == "/sign-in?signed_out=1"
    assert upstream.sessions == {}
    assert set(browser.cookies) == {"__Host-provider"}
    assert "You are signed out of the invoices sent to you." in (await browser.get("/sign-in?signed_out=1")).text


async def test_signing_out_everywhere_ends_the_other_devices_too(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.sessions["cis_phone"] = HANA
    upstream.sessions["cis_stranger"] = "stranger@else.example"
    answer = await press(browser, "/account", "/invoices/sign-out", where="everywhere")
    assert "on every device" in text_of(await browser.get(answer.headers["location"]))
    assert set(upstream.sessions) == {"cis_stranger"}
