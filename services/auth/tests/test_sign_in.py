"""Signing in with Xero: what is asked, what is kept, and every callback that must not get through."""

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import ECKey, RSAKey

from auth.browser import PRE_COOKIE, SESSION_COOKIE
from auth.main import create_app
from auth.settings import Settings
from auth.testing import KOWHAI, KOWHAI_ID, MERE, PIKE, PIKE_ID, SCOPES, TANE, Browser, PretendXero
from common.contracts.auth import OrganisationConnected, OrganisationDisconnected, OrganisationUpdated
from common.testing import Harness, HarnessFactory

PUBLIC = "http://localhost:8080"
STRANGER = RSAKey.generate_key(2048, {"kid": "k1", "use": "sig", "alg": "RS256"})


async def test_the_authorise_url_asks_for_exactly_the_documented_scopes(browser: Browser, xero: PretendXero) -> None:
    url = urlsplit(await browser.start())
    asked = parse_qs(url.query)
    assert f"{url.scheme}://{url.netloc}{url.path}" == f"{xero.url}/authorize"
    assert asked["scope"] == ["openid profile email offline_access accounting.contacts.read accounting.invoices.read"]
    assert asked["redirect_uri"] == ["http://localhost:8080/auth/xero/callback"]
    assert asked["response_type"] == ["code"]
    assert asked["client_id"] == ["our-app"]
    assert set(asked) == {"scope", "redirect_uri", "response_type", "client_id", "state", "nonce"}
    assert len(asked["state"][0]) >= 43


async def test_pkce_is_asked_and_proved_where_it_is_switched_on(harness: HarnessFactory, xero: PretendXero) -> None:
    async with harness(create_app, Settings, **xero.settings, xero_pkce="on") as service:
        browser = Browser(service, xero)
        assert parse_qs(urlsplit(await browser.start()).query)["code_challenge_method"] == ["S256"]
        assert (await browser.sign_in(MERE)).headers["location"] == f"{PUBLIC}/o/{KOWHAI_ID}/clients"


async def test_signing_in_opens_the_organisation_just_chosen(browser: Browser, auth: Harness) -> None:
    answer = await browser.sign_in(MERE)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{PUBLIC}/o/{KOWHAI_ID}/clients"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"
    (connected,) = await auth.published(OrganisationConnected)
    assert (connected.organisation_id, connected.tenant_id, connected.version) == (KOWHAI_ID, KOWHAI, 1)
    assert (connected.name, connected.time_zone) == ("Kōwhai & Hart Studio Ltd", None)


async def test_cookies_hold_to_this_host_and_are_out_of_reach_of_scripts(browser: Browser) -> None:
    begun = (await browser.get("/auth/xero/start")).headers.get_list("set-cookie")
    done = (await browser.sign_in(MERE)).headers.get_list("set-cookie")
    session = next(cookie for cookie in done if cookie.startswith(f"{SESSION_COOKIE}=pis_"))
    for cookie in (*begun, *done):
        assert {"HttpOnly", "Path=/", "SameSite=lax", "Secure"} <= set(cookie.split("; "))
        assert "domain" not in cookie.lower()
    assert "max-age" not in session.lower()


async def test_a_second_organisation_joins_the_first_and_opens(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    answer = await browser.sign_in(MERE, PIKE)
    assert answer.headers["location"] == f"{PUBLIC}/o/{PIKE_ID}/clients"
    assert [row["id"] for row in (await browser.identify()).json()["organisations"]] == [PIKE_ID, KOWHAI_ID]
    assert [event.organisation_id for event in await auth.published(OrganisationConnected)] == [KOWHAI_ID, PIKE_ID]


async def test_the_newest_connection_opens_when_xero_does_not_say_which_was_chosen(browser: Browser, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    given = xero.consent(await browser.start(), MERE, PIKE)
    for entry in xero.tenants["mere"].values():
        entry["authEventId"] = "unchanged since last year"
    assert (await browser.get("/auth/xero/callback", **given)).headers["location"] == f"{PUBLIC}/o/{PIKE_ID}/clients"


async def test_a_practice_is_no_organisation(browser: Browser, xero: PretendXero) -> None:
    given = xero.consent(await browser.start(), MERE)
    xero.connect(MERE, PIKE, "event", name="A practice", kind="PRACTICE")
    answer = await browser.get("/auth/xero/callback", **given)
    assert answer.headers["location"] == f"{PUBLIC}/?xero=no_organisation"


@pytest.mark.parametrize(
    ("goal", "path"),
    [
        ({"next": "organisations"}, "/organisations"),
        ({"next": "clients", "organisation": KOWHAI_ID}, f"/o/{KOWHAI_ID}/clients"),
        (
            {"next": "share", "organisation": KOWHAI_ID, "contact": "0c1f7b3a-0000-4000-8000-000000000009"},
            f"/o/{KOWHAI_ID}/clients/0c1f7b3a-0000-4000-8000-000000000009/share",
        ),
        ({"next": "share", "organisation": PIKE_ID, "contact": "0c1f7b3a-0000-4000-8000-000000000009"}, f"/o/{KOWHAI_ID}/clients"),
        ({"next": "share", "organisation": KOWHAI_ID, "contact": "../../evil"}, f"/o/{KOWHAI_ID}/clients"),
        ({"next": "//evil.example"}, f"/o/{KOWHAI_ID}/clients"),
        ({"next": "https://evil.example"}, f"/o/{KOWHAI_ID}/clients"),
        ({"next": "clients", "organisation": "/\\evil.example"}, f"/o/{KOWHAI_ID}/clients"),
    ],
)
async def test_a_sign_in_ends_at_a_named_page_of_ours(browser: Browser, goal: dict[str, str], path: str) -> None:
    assert (await browser.sign_in(MERE, **goal)).headers["location"] == PUBLIC + path


async def test_reconnecting_returns_to_the_organisation_it_was_begun_for(browser: Browser) -> None:
    await browser.sign_in(MERE)
    answer = await browser.sign_in(MERE, PIKE, organisation=KOWHAI_ID)
    assert answer.headers["location"] == f"{PUBLIC}/o/{KOWHAI_ID}/clients"


async def test_declining_says_so(browser: Browser) -> None:
    state = parse_qs(urlsplit(await browser.start()).query)["state"][0]
    answer = await browser.get("/auth/xero/callback", error="access_denied", state=state)
    assert answer.headers["location"] == f"{PUBLIC}/?xero=declined"


async def test_the_same_login_is_the_same_provider_whatever_its_address(browser: Browser) -> None:
    await browser.sign_in(MERE)
    first = (await browser.identify()).json()["provider"]
    await browser.sign_in({**MERE, "email": "mere.new@kowhai.example", "family_name": "Pike"})
    second = (await browser.identify()).json()["provider"]
    assert second == {"id": first["id"], "name": "Mere Pike", "email": "mere.new@kowhai.example"}


async def test_two_logins_with_one_address_are_two_providers(browser: Browser, colleague: Browser) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in({**MERE, "sub": "somebody else"}, PIKE)
    assert (await colleague.identify()).json()["provider"]["id"] != (await browser.identify()).json()["provider"]["id"]
    assert (await colleague.identify(KOWHAI_ID)).status_code == 404


async def test_a_changed_name_is_published_once(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    for _ in range(2):
        given = xero.consent(await browser.start(), MERE, KOWHAI, name="Kōwhai Limited")
        await browser.get("/auth/xero/callback", **given)
    (updated,) = await auth.published(OrganisationUpdated)
    assert (updated.name, updated.version) == ("Kōwhai Limited", 2)


async def test_a_wider_reading_scope_of_an_earlier_consent_is_let_in(browser: Browser, xero: PretendXero) -> None:
    xero.lie["answer"] = {"scope": f"{SCOPES} accounting.settings.read"}
    assert (await browser.sign_in(MERE)).headers["location"] == f"{PUBLIC}/o/{KOWHAI_ID}/clients"


async def test_a_narrower_scope_is_let_in_and_kept_for_the_settings_to_show(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    granted = SCOPES.replace(" accounting.invoices.read", "")
    xero.lie["answer"] = {"scope": granted}
    await browser.sign_in(MERE)
    (kept,) = await auth.db.collection("token_sets").find({})
    assert kept["scope"] == granted


async def test_any_conformant_provider_works_by_its_addresses_alone(browser: Browser, xero: PretendXero) -> None:
    """What OpenID Connect leaves open, all at once: claims at userinfo alone, one full name, keys unnamed and of other kinds,
    the audience as a list, `iss` in the callback, no hash of the access token, no scope where it is the one asked for."""
    encrypting = RSAKey.generate_key(2048, {"kid": "e1", "use": "enc"})
    xero.published = [*xero.published, encrypting, ECKey.generate_key("P-256", {"kid": "ec"})]
    xero.header = {"kid": None}
    gone = dict.fromkeys(("given_name", "family_name", "email", "at_hash"))
    xero.claims = {**gone, "aud": ["our-app"], "azp": "our-app"}
    xero.lie = {
        "discovery": {"userinfo_endpoint": f"{xero.url}/userinfo", "authorization_response_iss_parameter_supported": True},
        "userinfo": {"sub": "mere", "name": "Mere Hart", "email": "mere@kowhai.example"},
        "answer": {"scope": "", "token_type": "BEARER"},
    }
    given = xero.consent(await browser.start(), MERE, KOWHAI) | {"iss": xero.url}
    assert (await browser.get("/auth/xero/callback", **given)).headers["location"] == f"{PUBLIC}/o/{KOWHAI_ID}/clients"
    told = (await browser.identify()).json()["provider"]
    assert (told["name"], told["email"]) == ("Mere Hart", "mere@kowhai.example")


@pytest.mark.parametrize("told", [{"sub": "somebody else", "email": "mere@kowhai.example"}, {"sub": "mere"}, ["mere"]])
async def test_userinfo_of_somebody_else_or_without_an_address_signs_nobody_in(browser: Browser, xero: PretendXero, told: object) -> None:
    xero.claims = {"email": None}
    xero.lie = {"discovery": {"userinfo_endpoint": f"{xero.url}/userinfo"}, "userinfo": told}
    assert (await browser.sign_in(MERE)).headers["location"] == f"{PUBLIC}/?xero=failed"


async def test_an_unnamed_key_among_several_is_refused(browser: Browser, xero: PretendXero) -> None:
    xero.published = [STRANGER, *xero.published]
    xero.header = {"kid": None}
    assert (await browser.sign_in(MERE)).headers["location"] == f"{PUBLIC}/?xero=failed"


async def test_signing_in_again_ends_what_xero_no_longer_lists(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    xero.disconnect(MERE, PIKE)
    await browser.sign_in(MERE)
    assert [event.organisation_id for event in await auth.published(OrganisationDisconnected)] == [PIKE_ID]
    states = {row["id"]: row["state"] for row in (await browser.identify()).json()["organisations"]}
    assert states == {KOWHAI_ID: "connected", PIKE_ID: "disconnected"}


async def test_without_any_organisation_only_who_has_one_to_look_after_is_let_in(
    browser: Browser, colleague: Browser, auth: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE)
    xero.disconnect(TANE, KOWHAI)
    answer = await colleague.get("/auth/xero/callback", **xero.consent(await colleague.start(), TANE))
    assert answer.headers["location"] == f"{PUBLIC}/?xero=no_organisation"
    assert (await colleague.identify()).json()["organisations"] == []
    xero.disconnect(MERE, KOWHAI)
    answer = await browser.get("/auth/xero/callback", **xero.consent(await browser.start(), MERE))
    assert answer.headers["location"] == f"{PUBLIC}/organisations"
    assert (await browser.identify(KOWHAI_ID)).json()["organisation"]["state"] == "disconnected"
    assert len(await auth.published(OrganisationDisconnected)) == 1


async def test_twenty_callbacks_at_once_sign_in_once(browser: Browser, xero: PretendXero) -> None:
    given = xero.consent(await browser.start(), MERE, KOWHAI)
    answers = await asyncio.gather(*(browser.get("/auth/xero/callback", **given) for _ in range(20)))
    places = sorted(answer.headers["location"].removeprefix(PUBLIC) for answer in answers)
    assert places == ["/?xero=expired"] * 19 + [f"/o/{KOWHAI_ID}/clients"]


Spoil = Callable[[PretendXero, dict[str, str]], Any]
BROKEN: dict[str, Spoil] = {
    "another issuer in the callback (mix-up)": lambda _, given: given.update(iss="https://evil.example"),
    "an unknown code": lambda _, given: given.update(code="guessed"),
    "an empty code": lambda _, given: given.update(code=""),
    "a code and an error together": lambda _, given: given.update(error="server_error"),
    "an overlong code": lambda _, given: given.update(code="x" * 5000),
    "no ID token": lambda xero, _: xero.lie.update(answer={"id_token": None}),
    "an ID token that is no JWT": lambda xero, _: xero.lie.update(answer={"id_token": "a.b.c"}),
    "a signature by another key of the same name": lambda xero, _: xero.lie.update(key=STRANGER),
    "an unknown key": lambda xero, _: xero.header.update(kid="k9"),
    "an empty name for the key": lambda xero, _: xero.header.update(kid=""),
    "alg none": lambda xero, _: xero.header.update(alg="none"),
    "HS256 with the public key as the secret": lambda xero, _: xero.header.update(alg="HS256"),
    "RS512, which is not on the list": lambda xero, _: xero.header.update(alg="RS512"),
    "another issuer": lambda xero, _: xero.claims.update(iss="https://evil.example"),
    "no issuer": lambda xero, _: xero.claims.update(iss=None),
    "another audience": lambda xero, _: xero.claims.update(aud="another-app"),
    "a second audience": lambda xero, _: xero.claims.update(aud=["our-app", "another-app"]),
    "no audience": lambda xero, _: xero.claims.update(aud=None),
    "an expired ID token": lambda xero, _: xero.claims.update(exp=int(time.time()) - 120),
    "no expiry": lambda xero, _: xero.claims.update(exp=None),
    "issued in the future": lambda xero, _: xero.claims.update(iat=int(time.time()) + 600),
    "not valid yet": lambda xero, _: xero.claims.update(nbf=int(time.time()) + 600),
    "the nonce of another sign-in": lambda xero, _: xero.claims.update(nonce="x" * 43),
    "no nonce": lambda xero, _: xero.claims.update(nonce=None),
    "no subject": lambda xero, _: xero.claims.update(sub=None),
    "an empty subject": lambda xero, _: xero.claims.update(sub=""),
    "a subject that is no text": lambda xero, _: xero.claims.update(sub=7),
    "no address": lambda xero, _: xero.claims.update(email=None),
    "the hash of another access token": lambda xero, _: xero.claims.update(at_hash="x" * 22),
    "a scope that can write": lambda xero, _: xero.lie.update(answer={"scope": f"{SCOPES} accounting.invoices"}),
    "an administrative scope": lambda xero, _: xero.lie.update(answer={"scope": f"{SCOPES} app.connections"}),
}
EXPIRED: dict[str, Spoil] = {
    "an unknown state": lambda _, given: given.update(state="guessed"),
}
AWAY: dict[str, Spoil] = {
    "Xero answers 502": lambda xero, _: xero.lie.update(away=True),
    "a proxy's page": lambda xero, _: xero.lie.update(html=403),
    "an answer cut off": lambda xero, _: xero.lie.update(cut=True),
    "no refresh token": lambda xero, _: xero.lie.update(answer={"refresh_token": None}),
    "no access token": lambda xero, _: xero.lie.update(answer={"access_token": ""}),
    "another kind of token": lambda xero, _: xero.lie.update(answer={"token_type": "mac"}),
    "our secret refused": lambda xero, _: xero.lie.update(error="invalid_client"),
    "connections that are no list": lambda xero, _: xero.lie.update(connections={"error": "?"}),
    "a connection without a tenant": lambda xero, _: xero.lie.update(connections=[{"id": "x", "tenantType": "ORGANISATION"}]),
    "the new token refused": lambda xero, _: xero.lie.update(unauthorised=True),
}
OUTCOMES = {"failed": BROKEN, "expired": EXPIRED, "unavailable": AWAY}
TABLE = [pytest.param(spoil, failure, id=text) for failure, rows in OUTCOMES.items() for text, spoil in rows.items()]


@pytest.mark.parametrize(("spoil", "failure"), TABLE)
async def test_a_broken_callback_signs_nobody_in(browser: Browser, auth: Harness, xero: PretendXero, spoil: Spoil, failure: str) -> None:
    given = xero.consent(await browser.start(), MERE, KOWHAI)
    spoil(xero, given)
    answer = await browser.get("/auth/xero/callback", **given)
    assert (answer.status_code, answer.headers["location"]) == (303, f"{PUBLIC}/?xero={failure}")
    assert SESSION_COOKIE not in browser.cookies
    for collection in ("sessions", "providers", "token_sets", "connections"):
        assert await auth.db.collection(collection).count({}) == 0


async def test_a_callback_works_once(browser: Browser, xero: PretendXero) -> None:
    given = xero.consent(await browser.start(), MERE, KOWHAI)
    pre = browser.cookies[PRE_COOKIE]
    await browser.get("/auth/xero/callback", **given)
    browser.cookies[PRE_COOKIE] = pre
    xero.codes[given["code"]] = {**parsed(xero, given), "sub": "mere"}
    assert (await browser.get("/auth/xero/callback", **given)).headers["location"] == f"{PUBLIC}/?xero=expired"


def parsed(xero: PretendXero, given: dict[str, str]) -> dict[str, str]:
    return {"redirect_uri": f"{PUBLIC}/auth/xero/callback", "event": "e", "nonce": "n", **given}


async def test_a_callback_works_only_in_the_browser_that_began(browser: Browser, colleague: Browser, xero: PretendXero) -> None:
    given = xero.consent(await browser.start(), MERE, KOWHAI)
    assert (await colleague.get("/auth/xero/callback", **given)).headers["location"] == f"{PUBLIC}/?xero=expired"
    await colleague.start()
    assert (await colleague.get("/auth/xero/callback", **given)).headers["location"] == f"{PUBLIC}/?xero=expired"
    assert (await browser.get("/auth/xero/callback", **given)).headers["location"] == f"{PUBLIC}/o/{KOWHAI_ID}/clients"


async def test_a_sign_in_is_good_for_ten_minutes_of_the_databases_clock(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    given = xero.consent(await browser.start(), MERE, KOWHAI)
    (row,) = await auth.db.collection("sign_ins").find({})
    left = (row["expires_at"] - await auth.db.now()).total_seconds()
    assert 590 < left <= 600
    await auth.db.collection("sign_ins").update_one({}, [{"$set": {"expires_at": "$$NOW"}}])
    assert (await browser.get("/auth/xero/callback", **given)).headers["location"] == f"{PUBLIC}/?xero=expired"


async def test_a_parameter_given_twice_is_refused(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    given = xero.consent(await browser.start(), MERE, KOWHAI)
    answer = await auth.http.get(f"/auth/xero/callback?state={given['state']}&code={given['code']}&code=other")
    assert answer.headers["location"] == f"{PUBLIC}/?xero=failed"


async def test_two_tabs_of_one_browser_do_not_disturb_each_other(browser: Browser, xero: PretendXero) -> None:
    first, second = await browser.start(), await browser.start(next="organisations")
    assert (await browser.get("/auth/xero/callback", **xero.consent(second, MERE, KOWHAI))).headers["location"] == f"{PUBLIC}/organisations"
    assert first != second


async def test_the_issuer_must_be_named_when_xero_says_it_always_is(browser: Browser, xero: PretendXero) -> None:
    xero.lie["discovery"] = {"authorization_response_iss_parameter_supported": True}
    given = xero.consent(await browser.start(), MERE, KOWHAI)
    assert (await browser.get("/auth/xero/callback", **given)).headers["location"] == f"{PUBLIC}/?xero=failed"
    given = xero.consent(await browser.start(), MERE, KOWHAI) | {"iss": xero.url}
    assert (await browser.get("/auth/xero/callback", **given)).headers["location"] == f"{PUBLIC}/o/{KOWHAI_ID}/clients"


async def test_unknown_keys_make_us_read_xeros_keys_once_a_minute_at_most(browser: Browser, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    xero.header["kid"] = "k9"
    for _ in range(3):
        assert (await browser.sign_in(MERE)).headers["location"] == f"{PUBLIC}/?xero=failed"
    assert xero.keys_read == 1


async def test_a_rotated_signing_key_is_found(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE)
    fresh = RSAKey.generate_key(2048, {"kid": "k2", "use": "sig", "alg": "RS256"})
    xero.published, xero.header, xero.lie = [fresh], {"kid": "k2"}, {"key": fresh}
    auth.app.state.xero._keys_read_at -= 61
    assert (await browser.sign_in(MERE)).headers["location"] == f"{PUBLIC}/o/{KOWHAI_ID}/clients"
