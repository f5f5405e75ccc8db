"""Sign-in, tokens and revocation as the app meets them."""

import base64
import hashlib

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import KeySet

from xero_simulator.simulator import Simulator
from xero_simulator.testing import REDIRECT, SCOPES, Connected, consent, exchange

ASKED = {"response_type": "code", "client_id": "simulated-client", "redirect_uri": REDIRECT, "scope": SCOPES, "state": "s1"}
INVALID_GRANT = b'{"error":"invalid_grant"}'


async def refresh(http: httpx.AsyncClient, token: str) -> httpx.Response:
    return await exchange(http, grant_type="refresh_token", refresh_token=token)


async def test_the_discovery_document_names_endpoints_that_exist(http: httpx.AsyncClient) -> None:
    document = (await http.get("/.well-known/openid-configuration")).json()
    assert document["issuer"] == "http://127.0.0.1:8181"
    assert (await http.get(document["jwks_uri"])).json()["keys"][0]["alg"] == "RS256"
    assert (await http.get(document["authorization_endpoint"], params=ASKED)).status_code == 200
    assert (await http.post(document["token_endpoint"])).status_code == 400
    assert (await http.post(document["revocation_endpoint"])).status_code == 400


async def test_the_first_choice_of_the_page_is_the_owner_at_the_studio(http: httpx.AsyncClient) -> None:
    text = (await http.get("/identity/connect/authorize", params=ASKED)).text
    assert "Simulator" in text
    assert text.index("Kōwhai &amp; Hart Studio Ltd") < text.index("Allow access</button>") < text.index("Allow as Tom")
    assert text.count("Allow access</button>") == 1
    assert "Read contacts" in text


async def test_tokens_carry_xeros_claims_and_no_other_keys(http: httpx.AsyncClient, connected: Connected) -> None:
    connection = await connected(nonce="n-1")
    assert set(connection.tokens) == {"id_token", "access_token", "expires_in", "token_type", "refresh_token", "scope"}
    assert connection.tokens["expires_in"] == 1800
    keys = KeySet.import_key_set((await http.get("/.well-known/openid-configuration/jwks")).json())
    identity = jwt.decode(connection.tokens["id_token"], keys, algorithms=["RS256"]).claims
    access = jwt.decode(connection.tokens["access_token"], keys, algorithms=["RS256"]).claims
    assert identity["nonce"] == "n-1"
    assert identity["aud"] == "simulated-client"
    assert identity["email"] == "hana.hart@kowhai-hart.example"
    assert identity["exp"] - identity["iat"] == 300
    digest = hashlib.sha256(connection.tokens["access_token"].encode()).digest()[:16]
    assert identity["at_hash"] == base64.urlsafe_b64encode(digest).decode().rstrip("=")
    assert "authentication_event_id" in access
    assert "authentication_event_id" not in identity
    assert access["scope"] == SCOPES.split()


async def test_without_offline_access_there_is_no_refresh_token(connected: Connected) -> None:
    connection = await connected(scope="openid accounting.contacts.read")
    assert "refresh_token" not in connection.tokens


async def test_declining_goes_back_with_access_denied_and_the_state(http: httpx.AsyncClient) -> None:
    back = await consent(http, "owner", "", decision="decline")
    assert (back["error"], back["state"]) == ("access_denied", "s1")
    assert "code" not in back


async def test_a_login_without_organisation_gets_tokens_and_no_connection(http: httpx.AsyncClient) -> None:
    back = await consent(http, "nobody", "")
    tokens = (await exchange(http, grant_type="authorization_code", code=back["code"], redirect_uri=REDIRECT)).json()
    listed = await http.get("/connections", headers={"Authorization": f"Bearer {tokens['access_token']}"})
    assert (listed.status_code, listed.json()) == (200, [])


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"client_id": "other"}, "unauthorized_client"),
        ({"redirect_uri": REDIRECT + "/"}, "invalid_request"),
        ({"scope": "openid accounting.transactions"}, "invalid_scope"),
        ({"scope": "accounting.reports.read"}, "invalid_scope"),
        ({"scope": ""}, "invalid_scope"),
    ],
)
async def test_a_wrong_request_stays_on_an_error_page(http: httpx.AsyncClient, change: dict[str, str], error: str) -> None:
    response = await http.get("/identity/connect/authorize", params={**ASKED, **change})
    assert response.status_code == 500
    assert error in response.text
    assert "location" not in response.headers


async def test_a_code_works_once(http: httpx.AsyncClient) -> None:
    code = (await consent(http, "owner", ""))["code"]
    assert (await exchange(http, grant_type="authorization_code", code=code, redirect_uri=REDIRECT)).status_code == 200
    again = await exchange(http, grant_type="authorization_code", code=code, redirect_uri=REDIRECT)
    assert (again.status_code, again.content) == (400, INVALID_GRANT)


@pytest.mark.parametrize(("seconds", "status"), [(295, 200), (300, 400)])
async def test_a_code_lives_five_minutes(http: httpx.AsyncClient, simulator: Simulator, seconds: int, status: int) -> None:
    code = (await consent(http, "owner", ""))["code"]
    simulator.clock.advance(seconds)
    assert (await exchange(http, grant_type="authorization_code", code=code, redirect_uri=REDIRECT)).status_code == status


async def test_a_code_is_bound_to_its_redirect(http: httpx.AsyncClient) -> None:
    code = (await consent(http, "owner", ""))["code"]
    response = await exchange(http, grant_type="authorization_code", code=code, redirect_uri="http://localhost:8080/other")
    assert response.content == INVALID_GRANT


@pytest.mark.parametrize(
    ("kept", "verifier", "status"),
    [("v" * 43, "v" * 43, 200), ("v" * 43, "w" * 43, 400), ("v" * 43, "", 400), ("v" * 42, "v" * 42, 400), ("+" * 43, "+" * 43, 400)],
)
async def test_the_verifier_must_fit_the_challenge(http: httpx.AsyncClient, kept: str, verifier: str, status: int) -> None:
    challenge = base64.urlsafe_b64encode(hashlib.sha256(kept.encode()).digest()).decode().rstrip("=")
    code = (await consent(http, "owner", "", code_challenge=challenge, code_challenge_method="S256"))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT, "code_verifier": verifier}
    assert (await exchange(http, **form)).status_code == status


async def test_pkce_can_be_refused_as_for_a_web_app(http: httpx.AsyncClient, simulator: Simulator) -> None:
    simulator.faults.refuse_pkce = True
    back = await consent(http, "owner", "", code_challenge="c" * 43, code_challenge_method="S256")
    assert back["error"] == "access_denied"


async def test_the_secret_may_stand_in_the_body(http: httpx.AsyncClient) -> None:
    code = (await consent(http, "owner", ""))["code"]
    form = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
    response = await http.post("/connect/token", data={**form, "client_id": "simulated-client", "client_secret": "simulated-secret"})
    assert response.status_code == 200


async def test_the_token_endpoint_names_each_error(http: httpx.AsyncClient) -> None:
    auth = ("simulated-client", "simulated-secret")
    assert (await http.post("/connect/token", json={"grant_type": "refresh_token"}, auth=auth)).json() == {"error": "invalid_request"}
    assert (await http.post("/connect/token", data={"grant_type": "refresh_token"})).json() == {"error": "invalid_request"}
    wrong = await http.post("/connect/token", data={"grant_type": "refresh_token"}, auth=("simulated-client", "guess"))
    assert (wrong.status_code, wrong.json()) == (400, {"error": "invalid_client"})
    assert (await exchange(http, grant_type="password")).json() == {"error": "unsupported_grant_type"}
    assert (await exchange(http, grant_type="client_credentials")).json() == {"error": "unauthorized_client"}
    assert (await refresh(http, "unknown")).content == INVALID_GRANT


async def test_an_access_token_lives_thirty_minutes(simulator: Simulator, connected: Connected) -> None:
    connection = await connected()
    simulator.clock.advance(29 * 60)
    assert (await connection.read("Organisation")).status_code == 200
    simulator.clock.advance(61)
    refused = await connection.read("Organisation")
    assert refused.status_code == 401
    assert refused.json()["Detail"].startswith("TokenExpired: token expired at ")


async def test_a_refresh_rotates_and_the_old_token_works_for_thirty_minutes_more(
    http: httpx.AsyncClient, simulator: Simulator, connected: Connected
) -> None:
    old = (await connected()).tokens["refresh_token"]
    new = (await refresh(http, old)).json()["refresh_token"]
    assert new != old
    simulator.clock.advance(29 * 60)
    assert (await refresh(http, old)).json()["refresh_token"] not in (old, new)
    simulator.clock.advance(60)
    assert (await refresh(http, old)).content == INVALID_GRANT
    assert (await refresh(http, new)).status_code == 200


@pytest.mark.parametrize(("days", "status"), [(59, 200), (60, 400)])
async def test_an_unused_refresh_token_lives_sixty_days(
    http: httpx.AsyncClient, simulator: Simulator, connected: Connected, days: int, status: int
) -> None:
    token = (await connected()).tokens["refresh_token"]
    simulator.clock.advance(days * 86_400)
    assert (await refresh(http, token)).status_code == status


async def test_a_lost_refresh_answer_has_rotated_all_the_same(http: httpx.AsyncClient, simulator: Simulator, connected: Connected) -> None:
    token = (await connected()).tokens["refresh_token"]
    simulator.faults.lose_refresh_answers = 1
    assert (await refresh(http, token)).status_code == 502
    simulator.clock.advance(31 * 60)
    assert (await refresh(http, token)).content == INVALID_GRANT


async def test_revocation_ends_tokens_and_all_connections(http: httpx.AsyncClient, connected: Connected) -> None:
    first = await connected("owner", "kowhai")
    second = await connected("owner", "pike")
    response = await http.post(
        "/connect/revocation", data={"token": second.tokens["refresh_token"]}, auth=("simulated-client", "simulated-secret")
    )
    assert (response.status_code, response.content) == (200, b"")
    assert (await refresh(http, first.tokens["refresh_token"])).content == INVALID_GRANT
    assert (await first.read("Organisation")).status_code == 403
    assert (await http.get("/connections", headers=first.headers)).json() == []


async def test_scopes_add_up_over_consents(connected: Connected) -> None:
    await connected(scope="openid accounting.contacts.read")
    connection = await connected(scope="openid accounting.invoices.read")
    assert (await connection.read("Contacts")).status_code == 200


async def test_when_xero_is_offline_no_page_and_no_token_is_given(http: httpx.AsyncClient, simulator: Simulator) -> None:
    simulator.faults.offline = True
    assert (await http.get("/identity/connect/authorize", params=ASKED)).status_code == 503
    assert (await refresh(http, "any")).status_code == 503
    assert (await http.get("/.well-known/openid-configuration")).status_code == 503
