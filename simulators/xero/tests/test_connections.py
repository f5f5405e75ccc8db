"""The connections endpoint and what ends a connection."""

import re

import httpx
from joserfc import jwt

from xero_simulator.simulator import Simulator
from xero_simulator.testing import Connected


async def test_a_connection_has_xeros_form(http: httpx.AsyncClient, connected: Connected) -> None:
    connection = await connected("owner", "kowhai")
    response = await http.get("/Connections", headers=connection.headers)
    (only,) = response.json()
    assert set(only) == {"id", "authEventId", "tenantId", "tenantType", "tenantName", "createdDateUtc", "updatedDateUtc"}
    assert (only["tenantId"], only["tenantName"]) == (connection.tenant, "Kōwhai & Hart Studio Ltd")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{7}", only["createdDateUtc"])
    assert "X-AppMinLimit-Remaining" in response.headers
    assert "X-MinLimit-Remaining" not in response.headers


async def test_the_auth_event_finds_the_connection_just_made(http: httpx.AsyncClient, simulator: Simulator, connected: Connected) -> None:
    await connected("owner", "kowhai")
    second = await connected("owner", "pike")
    event = jwt.decode(second.tokens["access_token"], simulator.key).claims["authentication_event_id"]
    assert len((await http.get("/connections", headers=second.headers)).json()) == 2
    (found,) = (await http.get("/connections", params={"authEventId": event}, headers=second.headers)).json()
    assert found["tenantId"] == second.tenant


async def test_connections_belong_to_the_person_who_made_them(http: httpx.AsyncClient, connected: Connected) -> None:
    await connected("owner", "kowhai")
    other = await connected("colleague", "kowhai")
    assert len((await http.get("/connections", headers=other.headers)).json()) == 1


async def test_ending_a_connection_leaves_the_tokens_for_the_others(http: httpx.AsyncClient, connected: Connected) -> None:
    first = await connected("owner", "kowhai")
    second = await connected("owner", "pike")
    listed = {c["tenantId"]: c["id"] for c in (await http.get("/connections", headers=second.headers)).json()}
    assert (await http.delete(f"/connections/{listed[first.tenant]}", headers=second.headers)).status_code == 204
    refused = await first.read("Contacts")
    assert (refused.status_code, refused.json()["Detail"]) == (403, "AuthenticationUnsuccessful")
    assert (await second.read("Contacts")).status_code == 200


async def test_ending_by_a_wrong_id_is_refused(http: httpx.AsyncClient, connected: Connected) -> None:
    connection = await connected()
    assert (await http.delete(f"/connections/{connection.tenant}", headers=connection.headers)).status_code == 403
    assert (await http.delete("/connections/unknown", headers=connection.headers)).status_code == 404
    assert (await connection.read("Contacts")).status_code == 200


async def test_connecting_again_keeps_the_id_and_shows_in_the_times(http: httpx.AsyncClient, connected: Connected) -> None:
    connection = await connected()
    (before,) = (await http.get("/connections", headers=connection.headers)).json()
    assert before["createdDateUtc"] == before["updatedDateUtc"]
    await http.post("/control/disconnect", json={"tenant": "kowhai"})
    again = await connected()
    (after,) = (await http.get("/connections", headers=again.headers)).json()
    assert after["id"] == before["id"]
    assert after["createdDateUtc"] != after["updatedDateUtc"]


async def test_disconnecting_inside_xero_is_only_seen_by_calling(http: httpx.AsyncClient, connected: Connected) -> None:
    connection = await connected()
    await http.post("/control/disconnect", json={"tenant": "kowhai"})
    assert (await http.get("/connections", headers=connection.headers)).json() == []
    assert (await connection.read("Invoices")).status_code == 403


async def test_a_revoked_role_refuses_until_it_is_given_back(http: httpx.AsyncClient, connected: Connected) -> None:
    connection = await connected("colleague", "kowhai")
    role = {"tenant": "kowhai", "login": "colleague"}
    await http.post("/control/roles/revoke", json=role)
    assert (await connection.read("Invoices")).status_code == 403
    await http.post("/control/roles/restore", json=role)
    assert (await connection.read("Invoices")).status_code == 200
