"""Who may call portal, and what it says to input that cannot be right."""

from typing import Any

import pytest

from common.http import admitted
from common.testing import Harness
from portal.testing import call, dump

WEB = frozenset({"service:web"})
MATRIX = {
    ("POST", "/internal/identify"): WEB,
    ("POST", "/internal/sign-in-requests"): WEB,
    ("POST", "/internal/links/inspect"): WEB,
    ("POST", "/internal/links/redeem"): WEB,
    ("POST", "/internal/codes/redeem"): WEB,
    ("POST", "/internal/sessions/end"): WEB,
    ("POST", "/internal/sessions/end-other"): WEB,
    ("POST", "/internal/sessions/list"): WEB,
    ("GET", "/internal/mail-server"): WEB,
}
ASKING = {"browser": "b", "agent": "Firefox", "network": "127.0.0.1"}
BODIES: dict[str, dict[str, Any]] = {
    "identify": {"session": "cis_x", "audiences": ["sharing"]},
    "sign-in-requests": {"email": "a@b.example", **ASKING},
    "links/inspect": {"token": "cil_x", "browser": "b"},
    "links/redeem": {"token": "cil_x", "browser": "b", "agent": "Firefox"},
    "codes/redeem": {"code": "123456", "browser": "b", "agent": "Firefox"},
    "sessions/end": {"session": "cis_x"},
    "sessions/end-other": {"session": "cis_x", "other": "cis_y"},
    "sessions/list": {"session": "cis_x"},
}


def test_every_route_stands_in_the_access_matrix(portal: Harness) -> None:
    assert admitted(portal.app) == MATRIX
    assert {f"/internal/{path}" for path in BODIES} == {path for method, path in MATRIX if method == "POST"}


@pytest.mark.parametrize("path", BODIES)
async def test_only_web_is_admitted(portal: Harness, path: str) -> None:
    before = await dump(portal)
    for service in ("auth", "xero-gateway", "sharing", "portal", "notifier"):
        answer = await portal.http.post(f"/internal/{path}", json=BODIES[path], headers=portal.as_service(service))
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    for headers in (portal.as_client(), portal.as_provider()):
        assert (await portal.http.post(f"/internal/{path}", json=BODIES[path], headers=headers)).status_code == 403
    answer = await portal.http.post(f"/internal/{path}", json=BODIES[path])
    assert (answer.status_code, answer.json()["code"]) == (401, "bad_token")
    assert await dump(portal) == before


async def test_only_web_is_told_whether_mails_leave(portal: Harness) -> None:
    assert (await portal.http.get("/internal/mail-server", headers=portal.as_service("web"))).json() == {"failing_since": None}
    for headers in (portal.as_service("sharing"), portal.as_client(), portal.as_provider()):
        assert (await portal.http.get("/internal/mail-server", headers=headers)).status_code == 403
    assert (await portal.http.get("/internal/mail-server")).status_code == 401


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize("changes", [{"extra": 1}, {"browser": {"$ne": ""}}, {"session": ["x"]}, {"token": ""}, {"code": 123456}])
async def test_what_does_not_belong_in_a_body_is_refused(portal: Harness, path: str, changes: dict[str, Any]) -> None:
    answer = await call(portal, path, **BODIES[path] | changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("sign-in-requests", ASKING),
        ("sign-in-requests", {"email": "a@b.example", "link": "cil_x", **ASKING}),
        ("sign-in-requests", {"email": "a@b.example", **ASKING, "agent": "x" * 121}),
        ("sign-in-requests", {"invitation": "x" * 301, **ASKING}),
        ("identify", {"session": "cis_x", "audiences": ["xero-gateway"]}),
        ("identify", {"session": "cis_x", "audiences": ["sharing", "sharing"]}),
        ("codes/redeem", {"code": "12345", "browser": "b"}),
        ("codes/redeem", {"code": "1234567", "browser": "b"}),
        ("codes/redeem", {"code": "12345a", "browser": "b"}),
        ("codes/redeem", {"code": "١٢٣٤٥٦", "browser": "b"}),
    ],
)
async def test_values_out_of_shape_are_refused(portal: Harness, path: str, body: dict[str, Any]) -> None:
    answer = await call(portal, path, **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("email", ["nobody", "a@b@c.example", "a b@c.example", "a@b.example\r\nBcc: x@y.example", "a\u202e@b.example"])
async def test_what_is_no_address_is_told_so_and_leaves_nothing(portal: Harness, email: str) -> None:
    before = await dump(portal)
    answer = await call(portal, "sign-in-requests", **BODIES["sign-in-requests"] | {"email": email})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_address")
    assert await dump(portal) == before
    answer = await call(portal, "links/redeem", token="cil_x", browser="b", email=email)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_address")


async def test_unknown_secrets_have_one_answer_each(portal: Harness) -> None:
    answers = {path: await call(portal, path, **BODIES[path]) for path in BODIES}
    told = {path: (answer.status_code, answer.json().get("code") if answer.content else None) for path, answer in answers.items()}
    assert told == {
        "identify": (401, "not_signed_in"),
        "sign-in-requests": (202, None),
        "links/inspect": (200, None),
        "links/redeem": (404, "link_unknown"),
        "codes/redeem": (422, "wrong_code"),  # this browser just asked for a mail
        "sessions/end": (204, None),
        "sessions/end-other": (401, "not_signed_in"),
        "sessions/list": (401, "not_signed_in"),
    }
    assert answers["links/inspect"].json()["state"] == "unknown"
    assert (await call(portal, "codes/redeem", code="123456", browser="never asked")).json()["code"] == "code_unknown"
