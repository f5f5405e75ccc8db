"""A provider's account: the browsers a login is signed in on, and how that ends."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from web.client_testing import a_browser, press
from web.testing import IDLE_SESSION, SESSION, Upstream, words


async def test_the_account_lists_every_browser_of_this_login(provider: httpx.AsyncClient) -> None:
    page = await words(provider, "/me")
    for text in ("Hana Kōwhai · hana@kowhai.example", "Firefox on Linux this browser", "Safari on iPhone", "used 9 minutes ago"):
        assert text in page
    assert (await provider.get("/me")).text.count('action="/me/sessions/end"') == 1


async def test_another_browser_can_be_signed_out(up: Upstream, provider: httpx.AsyncClient) -> None:
    assert '<input type="hidden" name="session" value="0b">' in (await provider.get("/me")).text
    answer = await press(provider, "/me", "/me/sessions/end", session="0b")
    assert (answer.status_code, answer.headers["location"]) == (303, "/me?ended=1")
    assert up.signed_out == ["0b"]
    assert "That browser is signed out." in await words(provider, "/me?ended=1")


async def test_signing_out_everywhere_ends_this_session_too(up: Upstream, provider: httpx.AsyncClient) -> None:
    answer = await press(provider, "/me", "/sign-out", where="everywhere")
    assert answer.headers["location"] == "/?bye=provider"
    assert "__Host-provider=" in answer.headers["set-cookie"]
    assert up.signed_out == ["everywhere"]


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("session_idle", "You were signed out after an hour without use."),
        ("session_over", "You were signed out, as always twelve hours after the sign-in."),
        ("not_signed_in", "You were signed out, here or on another device."),
    ],
)
async def test_the_start_page_says_why_a_session_ended(site: FastAPI, code: str, text: str) -> None:
    async with a_browser(site) as browser:
        assert text in await words(browser, f"/?signed_out={code}")


async def test_the_account_of_nobody_leads_to_signing_in(site: FastAPI) -> None:
    for cookie, place in (("", "/?sign_in=1"), (IDLE_SESSION, "/?signed_out=session_idle"), ("pis_gone", "/?signed_out=not_signed_in")):
        async with a_browser(site, provider=cookie) as browser:
            assert (await browser.get("/me")).headers["location"] == place
            assert SESSION not in (await browser.get(place)).text
