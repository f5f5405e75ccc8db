"""Getting in by address, invitation and code: what is said, what is asked of portal, and that opening a page changes nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from common.testing import ORGANISATION
from web.client_testing import Link, Upstream, a_browser, a_site, again_in, an_invoice, press
from web.pages.client_visit import describe

HANA, ZOE = "hana@rata.example", "zoe@other.example"
INVITATION = "cii_" + "a" * 43


@pytest.fixture
def upstream() -> Upstream:
    return Upstream()


@pytest.fixture
async def app(keys: Path, upstream: Upstream) -> AsyncIterator[FastAPI]:
    async with a_site(keys, upstream) as app:
        yield app


@pytest.fixture
def browser(app: FastAPI) -> httpx.AsyncClient:
    return a_browser(app)


async def test_the_invitation_page_is_one_text_for_every_id_in_one_browser(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.invitations[INVITATION] = (HANA, ORGANISATION)
    pages = [await browser.get(f"/i/{name}") for name in (INVITATION, "cii_" + "b" * 43, "nonsense", "a/b%3Cc", "x" * 2000)]
    assert {page.content for page in pages} == {pages[0].content}
    assert {page.status_code for page in pages} == {200}
    assert "You were invited by e-mail. This page does not say by whom" in pages[0].text
    assert INVITATION not in pages[0].text
    assert upstream.calls == []


async def test_answers_to_known_and_unknown_invitations_differ_in_nothing_but_the_remembered_id(app: FastAPI, upstream: Upstream) -> None:
    upstream.invitations[INVITATION] = (HANA, ORGANISATION)
    browser = a_browser(app, pre="p" * 43)
    answers = [await press(browser, f"/i/{name}") for name in (INVITATION, "cii_" + "b" * 43)]
    told = [{name: value for name, value in answer.headers.items() if name not in ("set-cookie", "x-correlation-id")} for answer in answers]
    assert told[0] == told[1]
    assert [(answer.status_code, answer.headers["location"], answer.content) for answer in answers] == [(303, "/sign-in/sent", b"")] * 2
    assert [asked["invitation"] for asked in upstream.requests] == [INVITATION, "cii_" + "b" * 43]


async def test_after_pressing_the_invitation_the_code_box_is_there(browser: httpx.AsyncClient) -> None:
    await press(browser, f"/i/{INVITATION}")
    page = (await browser.get("/sign-in/sent")).text
    assert "If this invitation is open, a mail is on its way to the address it was sent to." in page
    assert 'inputmode="numeric"' in page
    assert 'autocomplete="one-time-code"' in page
    assert "Was the invitation sent to a colleague?" in page
    assert again_in(60).search(page)
    assert INVITATION not in page


async def test_an_invitation_opened_by_its_own_address_leads_to_the_sender(app: FastAPI, upstream: Upstream) -> None:
    upstream.invitations[INVITATION] = (HANA, ORGANISATION)
    page = await a_browser(app, client=upstream.signed_in(HANA)).get(f"/i/{INVITATION}")
    assert (page.status_code, page.headers["location"]) == (303, f"/invoices/{ORGANISATION}")
    assert upstream.requests == []


async def test_an_invitation_opened_by_another_address_adds_one_line_that_depends_on_the_session_alone(
    app: FastAPI, upstream: Upstream
) -> None:
    upstream.invitations[INVITATION] = (HANA, ORGANISATION)
    browser = a_browser(app, client=upstream.signed_in(ZOE))
    pages = [await browser.get(f"/i/{name}") for name in (INVITATION, "cii_" + "b" * 43, "a/b")]
    assert {page.content for page in pages} == {pages[0].content}
    assert f"You are signed in as {ZOE}. An invitation opens only for the address it was sent to." in pages[0].text
    assert "Go to my invoices" in pages[0].text


async def test_a_session_that_has_ended_leaves_the_neutral_page(app: FastAPI, browser: httpx.AsyncClient) -> None:
    stale = a_browser(app, client="cis_gone", pre="p" * 43)
    assert (await stale.get("/i/x")).content == (await a_browser(app, pre="p" * 43).get("/i/x")).content


async def test_the_answer_is_the_same_page_for_every_address(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    answer = await press(browser, "/sign-in", email=f"  {HANA} ")
    assert answer.headers["location"] == "/sign-in/sent"
    page = (await browser.get("/sign-in/sent")).text
    assert f'If invoices are shared with <strong class="who" dir="auto">{HANA}</strong>, a mail is on its way.' in page
    assert "Invitations go to one exact address." in page
    assert upstream.requests[0]["email"] == HANA
    assert set(upstream.requests[0]) == {"email", "browser", "agent", "network"}


async def test_a_typed_address_is_never_markup(browser: httpx.AsyncClient) -> None:
    await press(browser, "/sign-in", email='"<b>"@rata.example')
    assert "<b>" not in (await browser.get("/sign-in/sent")).text


@pytest.mark.parametrize(("typed", "said"), [("", "Type your e-mail address."), ("hana", "That is not a whole e-mail address.")])
async def test_what_is_no_address_is_said_beside_the_field_and_kept(browser: httpx.AsyncClient, typed: str, said: str) -> None:
    page = await press(browser, "/sign-in", email=typed)
    assert page.status_code == 422
    assert said in page.text
    assert f'value="{typed}"' in page.text


async def test_asking_again_too_soon_says_how_long_and_keeps_the_code_box(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    await press(browser, "/sign-in", email=HANA)
    upstream.too_soon = 40
    answer = await press(browser, "/sign-in/sent")
    page = (await browser.get("/sign-in/sent")).text
    assert answer.headers["location"] == "/sign-in/sent"
    assert "Nothing new was sent. " in page
    assert again_in(40).search(page)
    assert "one-time-code" in page
    upstream.too_soon = 1800
    await press(browser, "/sign-in/sent")
    assert "You can ask again in 30 minutes." in (await browser.get("/sign-in/sent")).text


async def test_sending_it_again_repeats_what_was_asked(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    await press(browser, f"/i/{INVITATION}")
    await press(browser, "/sign-in/sent")
    assert [asked["invitation"] for asked in upstream.requests] == [INVITATION, INVITATION]


@pytest.mark.parametrize("typed", ["123456", " 123 456 ", "123-456", "12–34–56"])
async def test_a_code_signs_in_the_browser_that_asked_and_leads_to_its_goal(app: FastAPI, upstream: Upstream, typed: str) -> None:
    browser = a_browser(app, pre="p" * 43)
    goal = {"kind": "sender", "organisation_id": ORGANISATION, "invoice_id": None}
    upstream.links["cil_1"] = Link(HANA, "p" * 43, goal=goal)
    await press(browser, "/sign-in", email=HANA)
    answer = await press(browser, "/sign-in/sent", "/sign-in/code", code=typed)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/invoices/{ORGANISATION}")
    cookie = next(value for value in answer.headers.get_list("set-cookie") if value.startswith("__Host-client="))
    assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= {part.strip() for part in cookie.split(";")}
    assert "Domain" not in cookie


async def test_a_wrong_code_says_how_many_tries_are_left(app: FastAPI, upstream: Upstream) -> None:
    browser = a_browser(app, pre="p" * 43)
    upstream.links["cil_1"] = Link(HANA, "p" * 43, tries_left=3)
    await press(browser, "/sign-in", email=HANA)
    said = [(await press(browser, "/sign-in/sent", "/sign-in/code", code="000000")).text for _ in range(4)]
    assert "That is not the code. 2 tries left." in said[0]
    assert 'value="000000"' in said[0]
    assert "That is not the code. 1 try left." in said[1]
    assert "That was the last try." in said[2]
    assert "No code is waiting for this browser." in said[3]


async def test_what_cannot_be_a_code_costs_no_try(app: FastAPI, upstream: Upstream) -> None:
    browser = a_browser(app, pre="p" * 43)
    upstream.links["cil_1"] = Link(HANA, "p" * 43)
    await press(browser, "/sign-in", email=HANA)
    for typed in ("", "12345", "abcdef", "１２３４５６"):
        page = await press(browser, "/sign-in/sent", "/sign-in/code", code=typed)
        assert "The code has 6 digits." in page.text
    assert upstream.links["cil_1"].tries_left == 5


async def test_signing_in_as_somebody_else_is_said_and_ends_the_session_before(app: FastAPI, upstream: Upstream) -> None:
    before = upstream.signed_in(ZOE)
    browser = a_browser(app, pre="p" * 43, client=before)
    upstream.links["cil_1"] = Link(HANA, "p" * 43)
    await press(browser, f"/i/{INVITATION}")
    assert f"You are signed in here as {ZOE}. Opening this signs you out of that." in (await browser.get("/sign-in/sent")).text
    await press(browser, "/sign-in/sent", "/sign-in/code", code="123456")
    assert before not in upstream.sessions


async def test_the_sent_page_without_a_request_leads_to_the_address_field(browser: httpx.AsyncClient) -> None:
    assert (await browser.get("/sign-in/sent")).headers["location"] == "/sign-in"
    browser.cookies.set("__Host-asked", "not-ours", domain="invoices.example", path="/")
    assert (await browser.get("/sign-in/sent")).headers["location"] == "/sign-in"


async def test_who_is_signed_in_skips_the_sign_in_page(app: FastAPI, upstream: Upstream) -> None:
    page = await a_browser(app, client=upstream.signed_in(HANA)).get("/sign-in")
    assert (page.status_code, page.headers["location"]) == (303, "/invoices")


@pytest.mark.parametrize("page", ["/sign-in", f"/i/{INVITATION}", "/s/cil_1"])
async def test_a_browser_without_cookies_is_told_instead_of_sent_in_circles(app: FastAPI, page: str) -> None:
    answer = await a_browser(app).post(page, data={"form_token": "any"})
    assert answer.status_code == 403
    assert "This browser keeps no cookies for this site, so it cannot stay signed in." in answer.text


@pytest.mark.parametrize("page", ["/sign-in", "/sign-in/sent", "/sign-in/code", f"/i/{INVITATION}", "/s/cil_1", "/invoices/sign-out"])
async def test_a_form_of_another_site_is_refused(app: FastAPI, upstream: Upstream, page: str) -> None:
    browser = a_browser(app, pre="p" * 43, client=upstream.signed_in(HANA))
    upstream.calls.clear()
    assert (await browser.post(page, headers={"sec-fetch-site": "cross-site"})).status_code == 403
    assert (await browser.post(page, data={"form_token": "wrong"})).status_code == 403
    assert upstream.calls == []


async def test_with_portal_down_signing_in_says_the_mail_stays_good(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    upstream.down = {"portal"}
    for page in (await browser.get("/sign-in"), await press(browser, f"/i/{INVITATION}"), await browser.get("/s/cil_1")):
        assert page.status_code == 503
        assert "Signing in is not possible right now; your link stays good." in page.text


async def test_when_no_mail_leaves_a_line_says_so_to_everybody(browser: httpx.AsyncClient, upstream: Upstream) -> None:
    said = "Mails are not leaving at the moment, for anybody, since "
    assert said not in (await browser.get("/sign-in")).text
    upstream.mail_failing_since = "2026-11-21T09:42:00Z"
    assert said in (await browser.get("/sign-in")).text
    pages = []
    for email in (HANA, ZOE):
        await press(browser, "/sign-in", email=email)
        pages.append((await browser.get("/sign-in/sent")).text.replace(email, "…"))
    assert said in pages[0]
    assert pages[0] == pages[1]
    assert (await browser.get("/sign-in/mail-line")).text.count(said) == 1
    upstream.mail_failing_since = None
    assert (await browser.get("/sign-in/mail-line")).text.strip() == ""


@pytest.mark.parametrize(
    ("hops", "written", "network"),
    [
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "198.51.100.1, 203.0.113.9", "198.51.100.1"),
        (2, "1.2.3.4, 198.51.100.1, 203.0.113.9", "198.51.100.1"),
        (2, "203.0.113.9", "203.0.113.9"),
    ],
)
async def test_limits_count_the_address_our_outermost_proxy_saw(
    keys: Path, upstream: Upstream, hops: int, written: str, network: str
) -> None:
    async with a_site(keys, upstream, trusted_hops=hops) as app:
        browser = a_browser(app)
        browser.headers["x-forwarded-for"] = written
        await press(browser, "/sign-in", email=HANA)
    assert [asked["network"] for asked in upstream.requests] == [network]


async def test_a_live_session_reaches_the_portal_after_signing_in(app: FastAPI, upstream: Upstream) -> None:
    browser = a_browser(app, pre="p" * 43)
    upstream.links["cil_1"] = Link(HANA, "p" * 43)
    upstream.sender(HANA, ORGANISATION, "Kōwhai & Hart Studio Ltd", [an_invoice("INV-1")])
    await press(browser, f"/i/{INVITATION}")
    await press(browser, "/sign-in/sent", "/sign-in/code", code="123456")
    assert "INV-1" in (await browser.get("/invoices")).text


@pytest.mark.parametrize(
    ("agent", "words"),
    [
        ("Mozilla/5.0 (Windows NT 10.0; Win64; x64) Chrome/140.0 Safari/537.36 Edg/140.0", "Edge on Windows"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 19_0 like Mac OS X) Version/19.0 Safari/604.1", "Safari on iPhone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Firefox on Linux"),
        ("Mozilla/5.0 (Linux; Android 15) Chrome/140.0 Mobile Safari/537.36", "Chrome on Android"),
        ("curl/8.0", "an unknown browser"),
    ],
)
def test_a_browser_is_described_in_words_people_know(agent: str, words: str) -> None:
    assert describe(agent) == words
