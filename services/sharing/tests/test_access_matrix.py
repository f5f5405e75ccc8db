"""Every route, called by everybody, for what is theirs, foreign, ended and unknown: nothing foreign is ever told, every 404 is one."""

from __future__ import annotations

import itertools
from typing import Any

from common.http import admitted
from common.testing import ORGANISATION, OTHER_ORGANISATION, Harness, Headers
from sharing.testing import CLIENT, CONTACT, OTHER_CONTACT, Desk, an_invoice, uuid_of

STRANGER = "stranger@demo.example"
MINE, THEIRS, OVER = an_invoice("CANARY-MINE"), an_invoice("CANARY-THEIRS"), an_invoice("CANARY-OVER", contact_id=OTHER_CONTACT)
NOT_FOUND = {"type": "about:blank", "title": "Not found", "status": 404, "code": "not_found"}
BODIES: dict[str, Any] = {
    "/contacts/{contact_id}/shares": {"emails": ["n/a"], "contact_name": "Harbour Books"},
    "/awaiting": {"hidden": False},
    "/contacts/{contact_id}/preview": {},
    "/contacts/{contact_id}/preview/{invoice_id}": {},
    "/carry-over": {"contact_name": "Harbour Books"},
    "/shares/end": {"share_ids": ["shr_unknown"]},
    "/addresses/lookup": {"email": "nobody@demo.example"},
    "/addresses/holding": {"emails": ["nobody@demo.example"]},
    "/invitations/press": {"invitation": "cii_unknown"},
    "/departures": {
        "provider": {"id": "prv_9", "name": "", "email": ""},
        "organisations": [],
        "ending": [],
        "erasing": [],
        "deleting": False,
    },
    "/departures/look": {"organisation_ids": []},
}
ENDING = ("/end", "/decline")
"""Routes that end what is somebody's own; they are called with their own ids last."""


async def ids_of(desk: Desk, other_desk: Desk) -> dict[str, list[str]]:
    """One's own, a foreign, an ended and an unknown id for each place in a path."""
    mine = await desk.share([MINE])
    over = await desk.share([OVER], contact=OTHER_CONTACT)
    await desk.end(over["id"])
    theirs = await other_desk.share([THEIRS], STRANGER)
    return {
        "organisation_id": [ORGANISATION, OTHER_ORGANISATION, "org_unknown"],
        "share_id": [mine["id"], theirs["id"], over["id"], "shr_unknown"],
        "contact_id": [CONTACT, OTHER_CONTACT, uuid_of("unknown contact")],
        "invoice_id": [MINE.invoice_id, THEIRS.invoice_id, OVER.invoice_id, uuid_of("unknown invoice"), "$ne"],
        "download_id": [await download(desk, CLIENT), await download(other_desk, STRANGER), "dl_unknown"],
        "token": ["cii_unknown"],
    }


async def download(desk: Desk, email: str) -> str:
    """Of everything this address sees of the desk's organisation."""
    path = f"/internal/client/senders/{desk.organisation}/downloads"
    return str((await desk.service.http.post(path, headers=desk.service.as_client(email))).json()["id"])


def paths(route: str, ids: dict[str, list[str]]) -> list[str]:
    names = [name for name in ids if f"{{{name}}}" in route]
    return [route.format(**dict(zip(names, chosen, strict=True))) for chosen in itertools.product(*(ids[name] for name in names))]


async def test_nobody_is_told_what_is_not_theirs_by_any_route(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    ids = await ids_of(desk, other_desk)
    callers: dict[str, tuple[str, Headers, set[str]]] = {
        "provider": ("provider", sharing.as_provider(), {"CANARY-MINE", "CANARY-OVER", CLIENT}),
        "foreign provider": ("provider", sharing.as_provider(OTHER_ORGANISATION, id="prv_2"), {"CANARY-THEIRS", STRANGER}),
        "client": ("client", sharing.as_client(), {"CANARY-MINE"}),
        "foreign client": ("client", sharing.as_client(STRANGER), {"CANARY-THEIRS"}),
        "nobody's client": ("client", sharing.as_client("nobody@demo.example"), set()),
        **{name: (f"service:{name}", sharing.as_service(name), set()) for name in ("portal", "auth", "web", "notifier", "xero-gateway")},
        "nobody": ("", {}, set()),
    }
    canaries = {"CANARY-MINE", "CANARY-THEIRS", "CANARY-OVER", CLIENT, STRANGER}
    calls = 0
    for (method, route), who in sorted(admitted(sharing.app).items(), key=lambda item: item[0][1].endswith(ENDING)):
        body = next((body for ending, body in BODIES.items() if route.endswith(ending)), None)
        for path in paths(route, ids):
            for name, (role, headers, own) in callers.items():
                if method == "POST" and route.endswith(ENDING) and name in ("provider", "client", "foreign provider", "foreign client"):
                    continue  # ending one's own is another test's; here nobody else can
                answer = await sharing.http.request(method, path, headers=headers, json=body)
                calls += 1
                assert answer.status_code < 500, (name, method, path)
                told = {canary for canary in canaries if canary in answer.text}
                assert told <= own, (name, method, path, told)
                if not role:
                    assert answer.status_code == 401, (name, method, path)
                elif role not in who:
                    assert answer.status_code == 403, (name, method, path)
                elif answer.status_code == 404:
                    assert answer.json() == NOT_FOUND, (name, method, path)
    assert calls > 1000


async def test_what_is_open_to_its_owner_is_the_same_404_to_everybody_else(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    ids = await ids_of(desk, other_desk)
    mine, _theirs, over, _unknown = ids["share_id"]
    own = {
        f"{desk.path}/shares/{mine}": 200,
        f"{desk.path}/shares/{mine}/preview": 200,
        f"{desk.path}/shares/{mine}/preview/{MINE.invoice_id}": 200,
        f"{desk.path}/shares/{mine}/viewings": 200,
        f"{desk.path}/contacts/{CONTACT}/invoices/{MINE.invoice_id}": 200,
        f"{desk.path}/contacts/{CONTACT}/timeline": 200,
        f"{desk.path}/shares/{over}": 200,
        f"{desk.path}/shares/{over}/preview": 404,
    }
    for path, expected in own.items():
        assert (await sharing.http.get(path, headers=sharing.as_provider())).status_code == expected, path
        assert (await sharing.http.get(path, headers=sharing.as_provider(OTHER_ORGANISATION))).json() == NOT_FOUND, path
    base = f"/internal/client/senders/{ORGANISATION}"
    for path, expected in {base: 200, f"{base}/invoices/{MINE.invoice_id}": 200, f"{base}/invoices/{OVER.invoice_id}": 404}.items():
        assert (await sharing.http.get(path, headers=sharing.as_client())).status_code == expected, path
        assert (await sharing.http.get(path, headers=sharing.as_client(STRANGER))).json() == NOT_FOUND, path
