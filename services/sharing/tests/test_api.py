"""Who may call which route, what is refused and how, and that nothing tells unknown, foreign and ended apart."""

import asyncio
import itertools
import sys
import time
from typing import Any

import pytest

from common.contracts.sharing import ClientInvited, ShareEnded
from common.crypto import KeyRing
from common.http import admitted
from common.testing import OTHER_ORGANISATION, Harness, Headers
from sharing.testing import CLIENT, CONTACT, Desk, an_invoice, token_in, uuid_of

ORGANISATIONS = "/internal/organisations/{organisation_id}"
PROVIDER, CLIENTS = frozenset({"provider"}), frozenset({"client"})
PORTAL, AUTH = frozenset({"service:portal"}), frozenset({"service:auth"})
ACCESS = {
    ("GET", f"{ORGANISATIONS}/share-counts"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/clients"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/shares"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/shares/{{share_id}}"): PROVIDER,
    ("POST", f"{ORGANISATIONS}/shares/{{share_id}}/end"): PROVIDER,
    ("POST", f"{ORGANISATIONS}/shares/{{share_id}}/resend"): PROVIDER,
    ("POST", f"{ORGANISATIONS}/contacts/{{contact_id}}/carry-over"): PROVIDER,
    ("POST", f"{ORGANISATIONS}/contacts/{{contact_id}}/preview"): PROVIDER,
    ("POST", f"{ORGANISATIONS}/contacts/{{contact_id}}/preview/{{invoice_id}}"): PROVIDER,
    ("POST", f"{ORGANISATIONS}/shares/end"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/address-uses"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/awaiting"): PROVIDER,
    ("POST", f"{ORGANISATIONS}/awaiting"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/contacts/{{contact_id}}/shares"): PROVIDER,
    ("POST", f"{ORGANISATIONS}/contacts/{{contact_id}}/shares"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/contacts/{{contact_id}}/invoices"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/contacts/{{contact_id}}/invoices/{{invoice_id}}"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/contacts/{{contact_id}}/timeline"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/shares/{{share_id}}/viewings"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/shares/{{share_id}}/preview"): PROVIDER,
    ("GET", f"{ORGANISATIONS}/shares/{{share_id}}/preview/{{invoice_id}}"): PROVIDER,
    ("GET", "/internal/client/home"): CLIENTS,
    ("GET", "/internal/client/senders/{organisation_id}"): CLIENTS,
    ("GET", "/internal/client/senders/{organisation_id}/invoices/{invoice_id}"): CLIENTS,
    ("POST", "/internal/client/senders/{organisation_id}/invoices/{invoice_id}/pdf"): CLIENTS,
    ("GET", "/internal/client/senders/{organisation_id}/list"): CLIENTS,
    ("GET", "/internal/client/senders/{organisation_id}/statement"): CLIENTS,
    ("POST", "/internal/client/senders/{organisation_id}/downloads"): CLIENTS,
    ("GET", "/internal/client/downloads"): CLIENTS,
    ("GET", "/internal/client/downloads/{download_id}"): CLIENTS,
    ("GET", "/internal/client/invitations/{token}"): CLIENTS,
    ("POST", "/internal/client/senders/{organisation_id}/decline"): CLIENTS,
    ("POST", "/internal/addresses/lookup"): PORTAL,
    ("POST", "/internal/addresses/holding"): PORTAL,
    ("POST", "/internal/invitations/press"): PORTAL,
    ("POST", "/internal/departures"): AUTH,
    ("POST", "/internal/departures/look"): AUTH,
}
BODIES: dict[str, Any] = {
    f"{ORGANISATIONS}/contacts/{{contact_id}}/shares": {"emails": [CLIENT], "contact_name": "Harbour Books"},
    f"{ORGANISATIONS}/awaiting": {"hidden": True},
    f"{ORGANISATIONS}/shares/end": {"share_ids": ["shr_1"]},
    "/internal/addresses/lookup": {"email": CLIENT},
    "/internal/invitations/press": {"invitation": "cii_unknown"},
    "/internal/departures": {
        "provider": {"id": "prv_1", "name": "", "email": ""},
        "organisations": [],
        "ending": [],
        "erasing": [],
        "deleting": False,
    },
    "/internal/departures/look": {"organisation_ids": []},
}


def test_every_route_stands_in_the_access_table(sharing: Harness) -> None:
    assert admitted(sharing.app) == ACCESS


@pytest.mark.parametrize(("method", "route"), ACCESS)
async def test_a_route_refuses_everybody_it_does_not_admit(sharing: Harness, desk: Desk, method: str, route: str) -> None:
    share = await desk.share([an_invoice()])
    path = route.format(
        organisation_id=desk.organisation,
        share_id=share["id"],
        contact_id=CONTACT,
        invoice_id=an_invoice().invoice_id,
        token="cii_1",
        download_id="dl_1",
    )
    callers: dict[str, Headers] = {
        "provider": sharing.as_provider(),
        "client": sharing.as_client(),
        **{f"service:{name}": sharing.as_service(name) for name in ("auth", "web", "portal", "notifier", "xero-gateway")},
    }
    for name, headers in callers.items():
        answer = await sharing.http.request(method, path, json=BODIES.get(route), headers=headers)
        assert (answer.status_code == 403) is (name not in ACCESS[method, route]), name
    assert (await sharing.http.request(method, path, json=BODIES.get(route))).status_code == 401


@pytest.mark.parametrize(("method", "route"), [route for route, who in ACCESS.items() if who == PROVIDER])
async def test_a_provider_of_another_organisation_gets_the_common_404(sharing: Harness, desk: Desk, method: str, route: str) -> None:
    share = await desk.share([an_invoice()])
    path = route.format(organisation_id=desk.organisation, share_id=share["id"], contact_id=CONTACT, invoice_id=an_invoice().invoice_id)
    answer = await sharing.http.request(method, path, json=BODIES.get(route), headers=sharing.as_provider(OTHER_ORGANISATION))
    assert_common_404(answer)
    assert await sharing.published(ShareEnded) == []


async def test_another_organisations_share_is_unknown_under_ones_own_path(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    headers = sharing.as_provider(OTHER_ORGANISATION)
    assert_common_404(await sharing.http.get(f"{other_desk.path}/shares/{share['id']}", headers=headers))
    assert_common_404(await sharing.http.post(f"{other_desk.path}/shares/{share['id']}/end", headers=headers))
    assert_common_404(await sharing.http.post(f"{other_desk.path}/shares/shr_unknown/end", headers=headers))
    assert_common_404(await sharing.http.post(f"{other_desk.path}/shares/{share['id']}/resend", headers=headers))
    assert_common_404(await sharing.http.post(f"{other_desk.path}/shares/shr_unknown/resend", headers=headers))
    assert_common_404(await sharing.http.get(f"{other_desk.path}/contacts/{CONTACT}/invoices", headers=headers))
    assert (await sharing.http.get(f"{other_desk.path}/contacts/{CONTACT}/shares", headers=headers)).json() == {"shares": []}
    assert (await sharing.http.get(f"{other_desk.path}/clients", headers=headers)).json()["total"] == 0
    uses = await sharing.http.get(f"{other_desk.path}/address-uses", params={"email": CLIENT}, headers=headers)
    assert uses.json() == {"uses": []}
    ended = await sharing.http.post(f"{other_desk.path}/shares/end", json={"share_ids": [share["id"]]}, headers=headers)
    assert ended.json() == {"results": [{"share_id": share["id"], "ended_at": None, "reason": "not_found"}]}
    assert (await sharing.http.get(f"{other_desk.path}/shares", headers=headers)).json()["total"] == 0
    counts = await sharing.http.get(f"{other_desk.path}/share-counts", params={"contact_id": CONTACT}, headers=headers)
    assert counts.json() == {"counts": {CONTACT: 0}}
    assert await desk.numbers_seen() == {"INV-1"}


async def test_unknown_foreign_ended_and_moved_answer_one_404(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    mine, theirs = an_invoice("INV-1"), an_invoice("INV-2")
    share = await desk.share([mine])
    await other_desk.share([theirs], "stranger@demo.example")
    await desk.end(share["id"])
    senders = "/internal/client/senders"
    ids = (mine.invoice_id, theirs.invoice_id, uuid_of("unknown"), "x", "%00", "$ne", "{}", "..%2f")
    paths = [f"{senders}/{organisation}" for organisation in (desk.organisation, OTHER_ORGANISATION, "org_unknown", "$ne")]
    paths += [f"{senders}/{organisation}/invoices/{invoice}" for organisation in (desk.organisation, OTHER_ORGANISATION) for invoice in ids]
    answers = [await sharing.http.get(path, headers=sharing.as_client()) for path in paths]
    for answer in answers:
        assert_common_404(answer)
    assert len({answer.content for answer in answers}) == 1
    assert len({tuple(sorted(name for name in answer.headers)) for answer in answers}) == 1


@pytest.mark.parametrize("email", ["", "nobody", "a@b@c", "two@demo.example, three@demo.example", "a\u202e@demo.example", "x" * 300])
async def test_what_is_no_address_is_refused_and_the_others_are_invited(sharing: Harness, desk: Desk, email: str) -> None:
    refused, invited = await desk.invite_all([email, CLIENT])
    assert refused == {"email": email, "outcome": "refused", "reason": "invalid_address", "share": None}
    assert (invited["email"], invited["outcome"]) == (CLIENT, "invited")


@pytest.mark.parametrize(
    "body",
    [
        {"emails": [CLIENT]},
        {"emails": [], "contact_name": "Harbour Books"},
        {"emails": [CLIENT] * 21, "contact_name": "Harbour Books"},
        {"emails": [CLIENT], "contact_name": "  "},
        {"emails": [{"$ne": None}], "contact_name": "Harbour Books"},
        {"emails": [CLIENT], "contact_name": "Harbour Books", "from_date": "2026-02-30"},
        {"emails": [CLIENT], "contact_name": "Harbour Books", "invoice_ids": []},
        {"emails": [CLIENT], "contact_name": "Harbour Books", "invoice_ids": ["x"] * 501},
        {"emails": [CLIENT], "contact_name": "Harbour Books", "invoice_ids": ["x"], "from_date": "2026-02-01"},
        [],
    ],
)
async def test_a_share_with_missing_or_strange_values_is_refused(sharing: Harness, desk: Desk, body: Any) -> None:
    answer = await sharing.http.post(f"{desk.path}/contacts/{CONTACT}/shares", json=body, headers=sharing.as_provider())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("contact", ["unknown", "$ne", uuid_of("x").upper(), "0" * 32])
async def test_a_contact_that_xero_can_not_have_is_unknown(sharing: Harness, desk: Desk, contact: str) -> None:
    path = f"{desk.path}/contacts/{contact}/shares"
    assert_common_404(await sharing.http.post(path, json={"emails": [CLIENT], "contact_name": "X"}, headers=sharing.as_provider()))


@pytest.mark.parametrize("query", ["page=0", "page=x", "view=mine", "view=unpaid", "date_from=2026-02-30", f"search={'x' * 201}"])
async def test_a_list_refuses_what_it_can_not_show(sharing: Harness, desk: Desk, query: str) -> None:
    await desk.share([an_invoice()])
    answer = await sharing.http.get(f"/internal/client/senders/{desk.organisation}?{query}", headers=sharing.as_client())
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("query", ["search[$ne]=1", "filter[$or]=1", "search=.*", "search=%24where", "contact[$ne]=x", "organisation_id=x"])
async def test_nothing_in_a_query_string_reaches_the_database_as_a_question(
    sharing: Harness, desk: Desk, other_desk: Desk, query: str
) -> None:
    await desk.share([an_invoice()])
    await other_desk.share([an_invoice("INV-2")], "stranger@demo.example")
    answer = await sharing.http.get(f"/internal/client/senders/{desk.organisation}?view=all&{query}", headers=sharing.as_client())
    assert {row["number"] for row in answer.json()["invoices"]} <= {"INV-1"}


# ── portal and invitations


async def lookup(sharing: Harness, email: str) -> Any:
    return (await sharing.http.post("/internal/addresses/lookup", json={"email": email}, headers=sharing.as_service("portal"))).json()


async def test_an_address_is_known_once_it_was_invited_whatever_becomes_of_it(sharing: Harness, desk: Desk) -> None:
    share = await desk.invite()
    assert await lookup(sharing, CLIENT) == {"known": False, "live": 0}
    await desk.end(share["id"])
    share = await desk.share([an_invoice()])
    assert await lookup(sharing, " YOU@demo.example") == {"known": True, "live": 1}
    await desk.end(share["id"])
    assert await lookup(sharing, CLIENT) == {"known": True, "live": 0}
    assert await lookup(sharing, "nobody@demo.example") == {"known": False, "live": 0}
    refused = await sharing.http.post("/internal/addresses/lookup", json={"email": "x"}, headers=sharing.as_service("portal"))
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_address")


async def test_a_pressed_invitation_opens_once_and_dies_with_its_share(sharing: Harness, desk: Desk, ring: KeyRing) -> None:
    share = await desk.share([an_invoice()])
    token = token_in((await sharing.published(ClientInvited))[0], ring)

    async def press(text: str) -> Any:
        return await sharing.http.post("/internal/invitations/press", json={"invitation": text}, headers=sharing.as_service("portal"))

    pressed = await press(token)
    assert pressed.json() == {
        "email": CLIENT,
        "share_id": share["id"],
        "organisation_id": desk.organisation,
        "organisation_name": "Kōwhai & Hart",
        "invited_at": pressed.json()["invited_at"],
    }
    opened = await desk.look(share["id"])
    assert opened["state"] == "opened"
    assert (await press(token)).json() == pressed.json()
    assert (await desk.look(share["id"]))["opened_at"] == opened["opened_at"]
    assert_common_404(await press(token[:-1]))
    await desk.end(share["id"])
    assert_common_404(await press(token))
    await desk.share([an_invoice()])
    assert_common_404(await press(token))


async def test_an_invitation_leads_only_its_own_address_to_the_sender(sharing: Harness, desk: Desk, ring: KeyRing) -> None:
    share = await desk.share([an_invoice()])
    path = f"/internal/client/invitations/{token_in((await sharing.published(ClientInvited))[0], ring)}"
    assert (await sharing.http.get(path, headers=sharing.as_client())).json() == {"organisation_id": desk.organisation}
    assert_common_404(await sharing.http.get(path, headers=sharing.as_client("stranger@demo.example")))
    assert_common_404(await sharing.http.get(f"{path}x", headers=sharing.as_client()))
    assert (await desk.look(share["id"]))["state"] == "invited"
    await desk.end(share["id"])
    assert_common_404(await sharing.http.get(path, headers=sharing.as_client()))


async def test_access_ends_under_two_hundred_viewers(sharing: Harness, desk: Desk, capsys: pytest.CaptureFixture[str]) -> None:
    share = await desk.share([an_invoice()])
    path, headers = f"/internal/client/senders/{desk.organisation}", sharing.as_client()
    busy, ended, seen_after_the_end = asyncio.Event(), asyncio.Event(), 0

    async def view_until_refused() -> int:
        nonlocal seen_after_the_end
        for views in itertools.count():
            late = ended.is_set()
            answer = await sharing.http.get(path, headers=headers)
            if answer.status_code == 404:
                return views
            assert answer.status_code == 200
            seen_after_the_end += late
            busy.set()
        raise AssertionError

    viewers = [asyncio.create_task(view_until_refused()) for _ in range(200)]
    await busy.wait()
    began = time.monotonic()
    await desk.end(share["id"])
    ended.set()
    seconds = time.monotonic() - began
    views = sum(await asyncio.gather(*viewers))
    assert seen_after_the_end == 0
    assert (await desk.look(share["id"]))["views"] == views > 0
    assert await desk.numbers_seen() is None
    with capsys.disabled():
        sys.stdout.write(f"\naccess ended under 200 viewers in {seconds * 1000:.0f} ms, {views} views before\n")


def assert_common_404(answer: Any) -> None:
    assert answer.status_code == 404
    assert answer.json() == {"type": "about:blank", "title": "Not found", "status": 404, "code": "not_found"}
