"""Cookies, form tokens and headers: what keeps a page's requests its own."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from web.client_testing import a_browser, press
from web.rendering import static
from web.testing import SESSION, Upstream, a_site
from web.testing_ledger import KOWHAI, RATA, a_share

CLIENT = f"/o/{KOWHAI}/clients/{RATA}"
SHARE = f"shr_{1:026d}"
IDS = {
    "org": KOWHAI,
    "contact": RATA,
    "share": SHARE,
    "token": "t",
    "invitation": "i",
    "invoice": "i",
    "name": "n",
    "topic": "t",
    "way": "delete",
    "organisation_id": KOWHAI,
}


@pytest.fixture
async def up() -> Upstream:
    upstream = Upstream()
    upstream.shares = [a_share(1)]
    return upstream


@pytest.fixture
async def site(keys: Path, up: Upstream) -> AsyncIterator[FastAPI]:
    async with a_site(keys, up) as app:
        yield app


def unsafe_routes(app: FastAPI) -> list[str]:
    found = []
    for route in iter_route_contexts(app.routes):
        if isinstance(route.original_route, APIRoute) and (route.methods or set()) - {"GET", "HEAD"}:
            found.append(re.sub(r"\{(\w+)(:path)?\}", lambda part: IDS[part[1]], str(route.path)))
    return found


async def test_every_unsafe_route_refuses_a_request_of_another_site(site: FastAPI, up: Upstream) -> None:
    paths = unsafe_routes(site)
    assert {"/sign-out", f"{CLIENT}/share", f"{CLIENT}/shares/{SHARE}/end"} <= set(paths)
    for path in paths:
        for origin in (
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site"},
            {"sec-fetch-site": "none"},
            {"sec-fetch-site": ""},
        ):
            async with a_browser(site, provider=SESSION, client="cis_x", pre="cib_x") as browser:
                answer = await browser.post(path, data={"form_token": "k1:00"}, headers=origin)
            assert answer.status_code == 403, (path, origin)
            assert "Another site tried" in answer.text
    assert not up.invited
    assert not up.signed_out


async def test_every_unsafe_route_refuses_a_form_without_its_token(site: FastAPI, up: Upstream) -> None:
    for path in unsafe_routes(site):
        for fields in ({}, {"form_token": "k1:00"}, {"form_token": "ÿ"}, {"form_token": "k9:00"}):
            async with a_browser(site, provider=SESSION, client="cis_x", pre="cib_x") as browser:
                answer = await browser.post(path, data=fields)
            assert answer.status_code == 403, (path, fields)
    assert not up.invited
    assert not up.signed_out


async def test_a_browser_without_fetch_metadata_is_judged_by_its_origin(site: FastAPI, up: Upstream) -> None:
    async with a_browser(site, provider=SESSION) as browser:
        del browser.headers["sec-fetch-site"]
        opened = await browser.get(f"{CLIENT}/share")
        token = opened.text.split('name="form_token" value="')[1].split('"')[0]
        form = {"form_token": token, "email": "ana@rata.example"}
        foreign = await browser.post(f"{CLIENT}/share", data=form, headers={"origin": "https://elsewhere.example"})
        silent = await browser.post(f"{CLIENT}/share", data=form)
        assert (foreign.status_code, silent.status_code) == (403, 403)
        assert not up.invited
        own = await browser.post(f"{CLIENT}/share", data=form, headers={"origin": "https://invoices.example"})
    assert own.status_code == 303


async def test_a_token_of_one_session_opens_no_form_of_another(site: FastAPI) -> None:
    async with a_browser(site, provider=SESSION) as browser:
        opened = await browser.get(f"{CLIENT}/share")
        token = opened.text.split('name="form_token" value="')[1].split('"')[0]
        browser.cookies.set("__Host-provider", "pis_other", domain="invoices.example", path="/")
        answer = await browser.post(f"{CLIENT}/share", data={"form_token": token, "email": "ana@rata.example"})
    assert answer.status_code == 403
    assert "signed in or out" in answer.text


async def test_every_answer_carries_the_headers(site: FastAPI) -> None:
    async with a_browser(site, provider=SESSION) as browser:
        for path in ("/", "/nowhere", f"{CLIENT}/share", "/help", static("app.css"), "/organisations"):
            answer = await browser.get(path)
            assert answer.headers["content-security-policy"] == (
                "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; font-src 'self'; "
                "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
            )
            assert answer.headers["referrer-policy"] == "same-origin"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cross-origin-opener-policy"] == "same-origin"


async def test_pages_are_kept_nowhere_and_static_files_for_ever(site: FastAPI) -> None:
    async with a_browser(site, provider=SESSION) as browser:
        for path in ("/", "/help", CLIENT, "/nowhere"):
            assert (await browser.get(path)).headers["cache-control"] == "no-store"
        kept = await browser.get(static("app.js"))
        assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert kept.headers["content-type"] == "text/javascript; charset=utf-8"
        assert (await browser.get("/static/app.js")).status_code == 404
        assert (await browser.get("/static/../settings.py")).status_code == 404


async def test_signing_out_ends_the_session_and_takes_its_cookie_alone(site: FastAPI, up: Upstream) -> None:
    async with a_browser(site, provider=SESSION, client="cis_x") as browser:
        answer = await press(browser, CLIENT + "/share", "/sign-out")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?bye=provider")
    assert up.signed_out == [SESSION]
    taken = [cookie for cookie in answer.headers.get_list("set-cookie") if "Max-Age=0" in cookie]
    assert [cookie.split("=")[0] for cookie in taken] == ["__Host-provider"]


async def test_no_page_holds_a_script_or_a_style_of_its_own(site: FastAPI) -> None:
    async with a_browser(site, provider=SESSION) as browser:
        for path in ("/", CLIENT, f"{CLIENT}/share", f"/o/{KOWHAI}/clients", f"/o/{KOWHAI}/shares", "/help/security"):
            page = (await browser.get(path)).text
            assert "style=" not in page
            assert "<style" not in page
            assert " on" + "click" not in page
            assert page.count("<script") == page.count("<script src=")
