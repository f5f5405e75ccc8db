"""Settings of an organisation: what the connection may read, how much of it is used, and what a test of it found."""

from __future__ import annotations

import re

import httpx
import pytest

from web.client_testing import press
from web.testing import Upstream, words
from web.testing_ledger import KOWHAI

SETTINGS = f"/o/{KOWHAI}/settings"


async def test_settings_tell_the_connection_and_the_permissions(up: Upstream, provider: httpx.AsyncClient) -> None:
    page = await words(provider, SETTINGS)
    for text in (
        "Connected",
        "hana@kowhai.example",
        "Pacific/Auckland",
        "Read your invoices",
        "4,812 of 5,000 that Xero allows a day",
        "2 of the 5 organisations Xero lets this installation connect",
        "Changes arrive within 15 minutes (checked by schedule); instant updates need a public address.",
    ):
        assert text in page
    assert "Also connected by" not in page
    up.organisations[0]["state"] = "disconnected"
    assert "is disconnected from Xero" in (await provider.get(SETTINGS)).text


async def test_colleagues_are_named_and_who_of_them_has_to_sign_in_again(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.connection["logins"].append({"name": "Tāne Pike", "email": "tane@kowhai.example", "works": False, "you": False})
    assert "Also connected by Tāne Pike · tane@kowhai.example (has to sign in again)" in await words(provider, SETTINGS)


async def test_a_permission_that_was_asked_and_not_given_stands_out(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.connection["scopes"].remove("accounting.invoices.read")
    assert "Not allowed: Read your invoices" in await words(provider, SETTINGS)
    up.connection["scopes"] += ["accounting.invoices.read", "accounting.settings.read"]
    page = await words(provider, SETTINGS)
    assert "Not allowed" not in page
    assert "its time zone and short name" in page


async def test_instant_updates_say_when_xero_told_something_last(up: Upstream, provider: httpx.AsyncClient) -> None:
    moment = up.devices[1]["last_seen_at"]
    up.updates |= {"instant": True, "last_webhook_at": moment, "checked_at": moment}
    page = await words(provider, SETTINGS)
    assert "Yes. Xero tells of every change as it happens; the last word came 9 minutes ago." in page
    assert "Xero was last asked what changed 9 minutes ago." in page


async def test_a_used_up_day_says_when_it_goes_on(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.calls_left |= {"left": 0, "resets_at": "2026-05-03T12:00:00Z", "paused": "day", "paused_until": "2026-05-03T12:00:00Z"}
    page = await words(provider, SETTINGS)
    assert "0 of 5,000 that Xero allows a day, all again 4 May 2026, 00:00 NZST" in page
    assert "Xero allows 5,000 requests a day for Kōwhai & Hart Studio Ltd. The rest continues about 4 May 2026, 00:00 NZST." in page
    up.calls_left |= {"left": None, "resets_at": None, "paused": "minute"}
    page = await words(provider, SETTINGS)
    assert "All 5,000; none was made yet." in page
    assert "Xero asked us to wait; reading goes on about 00:00" in page


async def test_a_full_cap_is_said_before_xero_refuses(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.connection["connections_used"] = 5
    assert "All are used: Xero may refuse another organisation" in await words(provider, SETTINGS)


async def test_what_cannot_be_known_leaves_the_rest_of_the_page(up: Upstream, provider: httpx.AsyncClient) -> None:
    up.failing = {"gateway": (503, "unavailable")}
    page = await words(provider, SETTINGS)
    assert page.count("Not known right now.") == 2
    assert "hana@kowhai.example" in page


@pytest.mark.parametrize(
    ("outcome", "state", "text"),
    [
        ("ok", "connected", "Xero answered. The connection to Kōwhai & Hart Studio Ltd is in order."),
        ("credential", "needs_reauth", "Xero does not accept the sign-in that was used. Sign in with Xero again to mend it"),
        ("credential", "disconnected", "It was disconnected there, or the login lost its role."),
        ("scope", "connected", "a permission is missing. Sign in with Xero again and allow everything it lists."),
        ("organisation", "connected", "Xero does not let the login that was used into Kōwhai & Hart Studio Ltd."),
        ("limit", "connected", "limit of requests for Kōwhai & Hart Studio Ltd is used up for now."),
        ("network", "connected", "Xero did not answer, or not with anything that can be used."),
        ("something new", "connected", "The test could not be made right now."),
    ],
)
async def test_testing_the_connection_names_the_fault(
    up: Upstream, provider: httpx.AsyncClient, outcome: str, state: str, text: str
) -> None:
    up.test_outcome = outcome
    up.organisations[0]["state"] = state
    answer = await press(provider, SETTINGS, f"{SETTINGS}/test")
    assert answer.status_code == 303
    assert text in await words(provider, answer.headers["location"])


async def test_a_test_that_cannot_be_made_blames_nobody(up: Upstream, provider: httpx.AsyncClient) -> None:
    token = re.search(r'name="form_token" value="([^"]+)"', (await provider.get(SETTINGS)).text)
    assert token is not None
    up.failing = {"gateway": (503, "unavailable")}
    answer = await provider.post(f"{SETTINGS}/test", data={"form_token": token[1]})
    assert answer.headers["location"] == f"{SETTINGS}?test=untested"
    assert "The test could not be made right now." in await words(provider, answer.headers["location"])
    assert "could not be made" not in await words(provider, f"{SETTINGS}?test=%3Cb%3E")
