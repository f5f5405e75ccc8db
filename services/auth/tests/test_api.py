"""The calls of other services: who may make them, and what foreign, unknown and ended things answer."""

import json

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import OKPKey

from auth.testing import KOWHAI, KOWHAI_ID, MERE, PIKE, PIKE_ID, SCOPES, TANE, Browser, PretendXero
from common.http import admitted
from common.ids import new_id
from common.testing import Harness

ACCESS_MATRIX = {
    ("GET", "/auth/xero/start"): set(),
    ("GET", "/auth/xero/callback"): set(),
    ("POST", "/internal/identify"): {"service:web"},
    ("POST", "/internal/sessions/list"): {"service:web"},
    ("POST", "/internal/sessions/end"): {"service:web"},
    ("POST", "/internal/sessions/end-other"): {"service:web"},
    ("POST", "/internal/organisations/{organisation_id}/connection"): {"service:web"},
    ("POST", "/internal/organisations/{organisation_id}/access-token"): {"service:xero-gateway"},
    ("POST", "/internal/organisations/{organisation_id}/refusals"): {"service:xero-gateway"},
    ("POST", "/internal/leavings"): {"service:web"},
    ("POST", "/internal/leavings/look"): {"service:web"},
}
INTERNAL = [path.replace("{organisation_id}", KOWHAI_ID) for _, path in ACCESS_MATRIX if path.startswith("/internal")]
GRANT = f"{new_id('tks')}.1"


def test_every_route_names_its_callers(auth: Harness) -> None:
    assert admitted(auth.app) == ACCESS_MATRIX


@pytest.mark.parametrize("path", INTERNAL)
async def test_everybody_else_is_refused(auth: Harness, path: str) -> None:
    allowed = "xero-gateway" if path.endswith(("access-token", "refusals")) else "web"
    for name in {"web", "xero-gateway", "sharing", "portal", "notifier", "auth"} - {allowed}:
        assert (await auth.http.post(path, json={}, headers=auth.as_service(name))).status_code == 403
    for headers in (auth.as_provider(KOWHAI_ID), auth.as_client()):
        assert (await auth.http.post(path, json={}, headers=headers)).status_code == 403
    assert (await auth.http.post(path, json={})).status_code == 401


async def test_identify_names_the_person_and_signs_for_each_audience(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    answer = (await browser.identify(KOWHAI_ID, "sharing", "xero-gateway")).json()
    assert answer["provider"]["name"] == "Mere Hart"
    assert answer["provider"]["email"] == "mere@kowhai.example"
    assert answer["organisation"] == {**answer["organisations"][0], "cause": None, "time_zone": None}
    assert answer["organisation"]["state"] == "connected"
    assert set(answer["tokens"]) == {"sharing", "xero-gateway"}
    key = OKPKey.import_key((auth.runtime.settings.public_keys_dir / "auth.k1.pub").read_bytes())
    said = jwt.decode(answer["tokens"]["sharing"], key, algorithms=["Ed25519"]).claims
    assert (said["aud"], said["role"], said["org"], said["sub"]) == ("sharing", "provider", KOWHAI_ID, answer["provider"]["id"])


async def test_without_an_organisation_nothing_is_signed(browser: Browser) -> None:
    await browser.sign_in(MERE)
    answer = (await browser.identify(None, "sharing")).json()
    assert (answer["organisation"], answer["tokens"]) == (None, {})


async def test_organisations_come_last_used_first(browser: Browser) -> None:
    await browser.sign_in(MERE)
    await browser.sign_in(MERE, PIKE)
    await browser.identify(KOWHAI_ID)
    assert [row["id"] for row in (await browser.identify()).json()["organisations"]] == [KOWHAI_ID, PIKE_ID]


@pytest.mark.parametrize("organisation", [PIKE_ID, "org_00000000000000000000000000", "org_", "..", "$ne", ""])
async def test_a_foreign_or_unknown_organisation_is_the_one_404(browser: Browser, colleague: Browser, organisation: str) -> None:
    await browser.sign_in(MERE)
    await colleague.sign_in(TANE, PIKE)
    answer = await browser.identify(organisation, "sharing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    assert answer.json() == (await browser.identify("org_7ZZZZZZZZZZZZZZZZZZZZZZZZZ")).json()


@pytest.mark.parametrize("session", ["", "x", "pis_guessed", "a" * 201])
async def test_an_unknown_session_is_nobody(auth: Harness, session: str) -> None:
    answer = await auth.http.post("/internal/identify", json={"session": session}, headers=auth.as_service("web"))
    assert (answer.status_code, answer.json()["code"]) in {(401, "not_signed_in"), (422, "invalid_request")}


@pytest.mark.parametrize(
    "body", [{}, {"session": {"$ne": ""}}, {"session": "s", "audiences": ["portal"]}, {"session": "s", "organisation_id": {"$gt": ""}}, []]
)
async def test_a_malformed_question_says_which_field(auth: Harness, body: object) -> None:
    answer = await auth.http.post("/internal/identify", json=body, headers=auth.as_service("web"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("organisation", [PIKE_ID, "org_unknown", "%24ne"])
async def test_no_access_token_for_an_unknown_organisation(browser: Browser, auth: Harness, organisation: str) -> None:
    await browser.sign_in(MERE)
    answer = await auth.http.post(f"/internal/organisations/{organisation}/access-token", headers=auth.as_service("xero-gateway"))
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("body", [{}, {"grant": GRANT, "status": 500}, {"grant": "x", "status": 401}, {"grant": {"$ne": 1}, "status": 401}])
async def test_a_malformed_refusal_is_refused(auth: Harness, body: object) -> None:
    answer = await auth.http.post(f"/internal/organisations/{KOWHAI_ID}/refusals", json=body, headers=auth.as_service("xero-gateway"))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_a_refusal_by_an_unknown_organisation_is_the_one_404(browser: Browser, auth: Harness) -> None:
    await browser.sign_in(MERE)
    (token_set,) = await auth.db.collection("token_sets").find({})
    for grant in (GRANT, f"{token_set['_id']}.1"):
        body = {"grant": grant, "status": 403}
        answer = await auth.http.post(f"/internal/organisations/{PIKE_ID}/refusals", json=body, headers=auth.as_service("xero-gateway"))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_no_secret_stands_in_the_database_in_clear(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.start()
    await browser.sign_in(MERE, KOWHAI, PIKE)
    await browser.identify(KOWHAI_ID)
    dump = ""
    for name in auth.runtime.indexes:
        dump += json.dumps(await auth.db.collection(name).find({}), default=str)
    canaries = [*xero.secrets, browser.session, *(secret.rsplit(".", 1)[-1] for secret in xero.secrets)]
    assert len(canaries) >= 5
    assert "mere@kowhai.example" in dump
    assert [canary for canary in canaries if canary in dump or (canary[:40] in dump and not canary.startswith("eyJ"))] == []


async def connection(auth: Harness, browser: Browser, organisation: str = KOWHAI_ID) -> httpx.Response:
    path = f"/internal/organisations/{organisation}/connection"
    return await auth.http.post(path, json={"session": browser.session}, headers=auth.as_service("web"))


async def test_settings_are_told_who_reaches_the_organisation_and_what_was_granted(
    browser: Browser, colleague: Browser, auth: Harness, xero: PretendXero
) -> None:
    await browser.sign_in(MERE)
    xero.lie["answer"] = {"scope": "openid email offline_access accounting.contacts.read"}
    await colleague.sign_in(TANE, KOWHAI, PIKE)
    told = (await connection(auth, browser)).json()
    assert told["scopes"] == SCOPES.split()
    assert {(each["email"], each["works"], each["you"]) for each in told["logins"]} == {
        ("mere@kowhai.example", True, True),
        ("tane@kowhai.example", True, False),
    }
    assert (told["connections_used"], told["connections_cap"]) == (2, 5)
    assert (await connection(auth, colleague)).json()["scopes"] == xero.lie["answer"]["scope"].split()
    assert (await connection(auth, browser, PIKE_ID)).status_code == 404


async def test_only_what_xero_still_lists_counts_as_a_connection(browser: Browser, auth: Harness, xero: PretendXero) -> None:
    await browser.sign_in(MERE, KOWHAI, PIKE)
    xero.disconnect(MERE, PIKE)
    await browser.sign_in(MERE)
    told = (await connection(auth, browser)).json()
    assert (told["connections_used"], len(told["logins"])) == (1, 1)
    assert (await connection(auth, browser, PIKE_ID)).json()["logins"] == []
