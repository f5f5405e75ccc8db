"""Every row of what a sign-in link can be worth, and that only its button spends it."""

from __future__ import annotations

import copy
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI

from common.testing import ORGANISATION
from web.client_testing import Link, Upstream, a_browser, a_site, an_invoice, press

HANA, ZOE = "hana@rata.example", "zoe@other.example"
HERE = "p" * 43
LINK = "/s/cil_1"


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def app(keys: Path, upstream: Upstream) -> AsyncIterator[FastAPI]:
    async with a_site(keys, upstream) as app:
        yield app


async def test_the_browser_that_asked_sees_whom_it_signs_in_and_presses_once(app: FastAPI, upstream: Upstream) -> None:
    upstream.links["cil_1"] = Link(HANA, HERE)
    browser = a_browser(app, pre=HERE)
    page = (await browser.get(LINK)).text
    assert 'Signing in as <strong class="who" dir="auto">h•••@rata.example</strong>.' in page
    assert 'type="email"' not in page
    answer = await press(browser, LINK, press="open")
    assert (answer.status_code, answer.headers["location"]) == (303, "/invoices")
    assert browser.cookies["__Host-client"] in upstream.sessions


async def test_any_other_browser_types_the_address_and_learns_nothing_before(app: FastAPI, upstream: Upstream) -> None:
    upstream.links["cil_1"] = Link(HANA, "another")
    browser = a_browser(app)
    page = (await browser.get(LINK)).text
    assert "Opened on a different browser from the one that asked. Type the address this mail came to." in page
    assert "rata.example" not in page
    wrong = await press(browser, LINK, press="open", email=ZOE)
    assert wrong.status_code == 422
    assert "That is not the address this link was sent to. 4 tries left." in wrong.text
    assert f'value="{ZOE}"' in wrong.text
    answer = await press(browser, LINK, press="open", email=HANA)
    assert answer.headers["location"] == "/invoices"


async def test_an_empty_address_costs_no_try(app: FastAPI, upstream: Upstream) -> None:
    upstream.links["cil_1"] = Link(HANA, "another")
    page = await press(a_browser(app), LINK, press="open", email=" ")
    assert "Type the address this mail came to." in page.text
    assert upstream.links["cil_1"].tries_left == 5


async def test_the_last_wrong_address_ends_the_link(app: FastAPI, upstream: Upstream) -> None:
    upstream.links["cil_1"] = Link(HANA, "another", tries_left=1)
    browser = a_browser(app)
    answer = await press(browser, LINK, press="open", email=ZOE)
    assert (answer.status_code, answer.headers["location"]) == (303, LINK)
    assert "This link is not complete or no longer known." in (await browser.get(LINK)).text


@pytest.mark.parametrize("state", ["alive", "used", "expired"])
async def test_a_live_session_of_that_address_goes_straight_to_the_goal(app: FastAPI, upstream: Upstream, state: str) -> None:
    goal = {"kind": "sender", "organisation_id": ORGANISATION, "invoice_id": None}
    upstream.links["cil_1"] = Link(HANA, "another", state, goal=goal)
    page = await a_browser(app, client=upstream.signed_in(HANA)).get(LINK)
    assert (page.status_code, page.headers["location"]) == (303, f"/invoices/{ORGANISATION}")
    assert upstream.links["cil_1"].state == state


@pytest.mark.parametrize("asked_here", [True, False])
async def test_somebody_else_signed_in_here_may_switch_or_stay(app: FastAPI, upstream: Upstream, asked_here: bool) -> None:
    upstream.links["cil_1"] = Link(HANA, HERE if asked_here else "another")
    before = upstream.signed_in(ZOE)
    browser = a_browser(app, pre=HERE, client=before)
    page = (await browser.get(LINK)).text
    assert f'You are signed in here as <strong class="who" dir="auto">{ZOE}</strong>. Opening this signs you out of that.' in page
    assert "Switch and open" in page
    assert f'<a class="button plain" href="/invoices">Stay as {ZOE}</a>' in page
    assert ('type="email"' in page) is not asked_here
    answer = await press(browser, LINK, press="open", **({} if asked_here else {"email": HANA}))
    assert answer.status_code == 303
    assert set(upstream.sessions.values()) == {HANA}


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("used", "This link was used at "),
        ("used", "If that was not you, sign in again and end other sessions under Account."),
        ("expired", "This link was good for 15 minutes, until "),
        ("replaced", "A newer mail was sent at "),
        ("replaced", "Use that one, or get another."),
    ],
)
async def test_a_link_past_its_time_says_when_and_mails_a_new_one_without_typing(
    app: FastAPI, upstream: Upstream, state: str, said: str
) -> None:
    upstream.links["cil_1"] = Link(HANA, "another", state)
    browser = a_browser(app)
    page = (await browser.get(LINK)).text
    assert said in page
    assert '<time datetime="2026-11-21T09:42:00Z"' in page
    assert "rata.example" not in page
    answer = await press(browser, LINK, press="renew")
    assert answer.headers["location"] == "/sign-in/sent"
    assert upstream.requests[0]["link"] == "cil_1"
    sent = (await browser.get("/sign-in/sent")).text
    assert "Look in your inbox" in sent
    assert "cil_1" not in sent


@pytest.mark.parametrize("mangled", ["cil_unknown", "", "cil_1%3E", "cil_1/", "x" * 400, "%F0%9F%93%A7"])
async def test_a_link_nobody_knows_offers_the_address_field(app: FastAPI, mangled: str) -> None:
    browser = a_browser(app)
    page = await browser.get(f"/s/{mangled}")
    assert page.status_code == 200
    assert "This link is not complete or no longer known." in page.text
    assert re.search(r'<form method="post" action="/sign-in"', page.text)
    assert (await press(browser, f"/s/{mangled}", "/sign-in", email=HANA)).headers["location"] == "/sign-in/sent"


async def test_opening_a_link_changes_nothing_however_often(app: FastAPI, upstream: Upstream) -> None:
    upstream.links["cil_1"] = Link(HANA, HERE)
    before = copy.deepcopy(upstream.links)
    for browser in (a_browser(app, pre=HERE), a_browser(app), a_browser(app, client=upstream.signed_in(ZOE))):
        for _ in range(3):
            page = await browser.get(LINK)
            assert "__Host-client" not in page.headers.get("set-cookie", "")
    assert upstream.links == before
    assert upstream.requests == []
    assert set(upstream.calls) == {"POST /portal/internal/links/inspect"}


async def test_a_second_press_in_the_same_moment_shows_where_the_first_one_led(app: FastAPI, upstream: Upstream) -> None:
    upstream.links["cil_1"] = Link(HANA, HERE)
    browser = a_browser(app, pre=HERE)
    held = re.search(r'name="form_token" value="([^"]+)"', (await browser.get(LINK)).text)
    assert held is not None
    first, second = [await browser.post(LINK, data={"form_token": held[1], "press": "open"}) for _ in range(2)]
    assert (first.headers["location"], second.headers["location"]) == ("/invoices", LINK)
    assert (await browser.get(LINK)).headers["location"] == "/invoices"


async def test_a_goal_that_is_no_longer_granted_falls_back_to_home(app: FastAPI, upstream: Upstream) -> None:
    gone = {"kind": "invoice", "organisation_id": ORGANISATION, "invoice_id": "11111111-0000-4000-8000-000000000000"}
    upstream.links["cil_1"] = Link(HANA, HERE, goal=gone)
    browser = a_browser(app, pre=HERE)
    answer = await press(browser, LINK, press="open")
    assert (await browser.get(answer.headers["location"])).headers["location"] == "/invoices"


async def test_the_goal_of_an_invoice_mail_is_that_invoice(app: FastAPI, upstream: Upstream) -> None:
    invoice = an_invoice("INV-9")
    upstream.sender(HANA, ORGANISATION, "Kōwhai", [invoice])
    upstream.links["cil_1"] = Link(
        HANA, HERE, goal={"kind": "invoice", "organisation_id": ORGANISATION, "invoice_id": invoice["invoice_id"]}
    )
    browser = a_browser(app, pre=HERE)
    answer = await press(browser, LINK, press="open")
    assert "INV-9" in (await browser.get(answer.headers["location"])).text
