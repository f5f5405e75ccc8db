"""The test of a connection: one read-only call that names the fault."""

from typing import Any

import pytest

from common.testing import OTHER_ORGANISATION
from xero_simulator.testing import sign_in


async def outcome(world: Any) -> str:
    path = f"/internal/organisations/{world.kowhai}/connection-test"
    answer = await world.service.http.post(path, headers=world.service.as_provider(world.kowhai))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["outcome"])


async def test_a_good_connection_costs_one_call_that_reads_one_invoice(world: Any) -> None:
    await world.forget_calls()
    assert await outcome(world) == "ok"
    (call,) = await world.calls()
    assert (call["method"], call["path"]) == ("GET", "/api.xro/2.0/Invoices")
    assert "pageSize=1&" in call["query"]


@pytest.mark.parametrize(
    ("fault", "found"),
    [
        ({"offline": True}, "network"),
        ({"server_error": True}, "network"),
        ({"wrong_json": True}, "network"),
        ({"limit_minute": True}, "limit"),
        ({"limit_day": True}, "limit"),
        ({"token_expired": True}, "credential"),
    ],
)
async def test_what_is_wrong_at_xero_is_named(world: Any, fault: dict[str, bool], found: str) -> None:
    await world.act("faults", **fault)
    assert await outcome(world) == found


@pytest.mark.parametrize("status", [401, 403])
async def test_a_missing_permission_is_named_however_xero_refuses(world: Any, status: int) -> None:
    world.auth.confirms = False
    await world.act("faults", scope_refusal_status=status)
    weak = await sign_in(world.xero, "colleague", "kowhai", scope="openid profile email offline_access accounting.contacts.read")
    world.auth.tokens[world.kowhai] = weak.tokens["access_token"]
    world.auth.renews = False
    assert await outcome(world) == "scope"


async def test_a_login_that_lost_its_role_is_told_from_one_that_has_to_sign_in(world: Any) -> None:
    world.auth.confirms = False
    await world.act("faults", forbidden=True)
    assert await outcome(world) == "organisation"
    world.auth.confirms = True
    assert await outcome(world) == "credential"
    await world.act("faults", forbidden=False)
    assert await outcome(world) == "credential"


async def test_only_a_provider_of_that_organisation_tests_it(world: Any) -> None:
    service, path = world.service, f"/internal/organisations/{world.kowhai}/connection-test"
    await world.forget_calls()
    assert (await service.http.post(path)).status_code == 401
    for headers in (service.as_client(), service.as_service("web"), service.as_pdf_holder()):
        assert (await service.http.post(path, headers=headers)).status_code == 403
    assert (await service.http.post(path, headers=service.as_provider(OTHER_ORGANISATION))).status_code == 404
    assert await world.calls() == []
