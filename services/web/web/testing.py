"""For tests: auth, xero-gateway and sharing as a provider's pages meet them over HTTP, with a small ledger kept in memory."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import httpx
from fastapi import FastAPI, Query, Request
from fastapi.responses import JSONResponse, Response

from web.client_testing import served
from web.main import create_app
from web.settings import DemoLinks, Settings
from web.testing_ledger import (
    A_SENDER,
    A_TIMELINE,
    DRAFTS_ONLY,
    NO_EMAIL,
    NOW,
    PIKE,
    RATA,
    TODAY,
    a_contact,
    a_device,
    a_ledger,
    a_share,
    an_invoice_list,
    an_organisation,
    in_utc,
)

SESSION, IDLE_SESSION = "pis_live", "pis_idle"
SHARING = "/sharing/internal/organisations/{org}"


class Upstream:
    """What the services behind the pages hold. Names in `failing` answer with (status, code); `refusing_shares` fails invitations alone,
    `not_ending` the ending of these; `idle`: the provider's session was left alone for an hour."""

    def __init__(self) -> None:
        self.organisations = [an_organisation(), an_organisation(PIKE, "Pike & Larkmoor LLP")]
        self.contacts: dict[str, dict[str, Any]] = {
            RATA: a_contact(RATA, "Rātā Joinery Ltd", "accounts@rata.example", "C-00012"),
            DRAFTS_ONLY: a_contact(DRAFTS_ONLY, "Only Drafts Ltd", "n/a", None),
            NO_EMAIL: a_contact(NO_EMAIL, "مكتبة النور", None, "007"),
        }
        self.invoices: dict[str, list[dict[str, Any]]] = {RATA: a_ledger()}
        self.left_out: dict[str, dict[str, int]] = {DRAFTS_ONLY: {"draft": 3, "bill": 2}, RATA: {"draft": 1, "bill": 2, "voided": 1}}
        self.shares: list[dict[str, Any]] = []
        self.in_full: dict[str, dict[str, Any]] = {}
        self.viewings: list[dict[str, Any]] = []
        self.timeline: list[dict[str, Any]] = []
        self.loads: dict[str, dict[str, Any]] = {}
        self.refusing_shares = False
        self.idle = False
        self.not_ending: set[str] = set()
        self.hides_awaiting = False
        self.failing: dict[str, tuple[int, str]] = {}
        self.devices = [a_device("0a", current=True), a_device("0b", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0) Version/18 Safari/605", 9)]
        self.connection: dict[str, Any] = {
            "scopes": ["openid", "profile", "email", "offline_access", "accounting.contacts.read", "accounting.invoices.read"],
            "logins": [{"name": "Hana Kōwhai", "email": "hana@kowhai.example", "works": True, "you": True}],
            "connections_used": 2,
            "connections_cap": 5,
        }
        self.calls_left: dict[str, Any] = {"left": 4812, "a_day": 5000, "resets_at": None, "paused": None, "paused_until": None}
        self.updates: dict[str, Any] = {"instant": False, "last_webhook_at": None, "checked_at": None, "checked_every_seconds": 900}
        self.test_outcome = "ok"
        self.leaving: dict[str, Any] = {"colleagues": {}, "ending": {}, "under_way": None, "lost": False}
        self.left: list[dict[str, Any]] = []
        self.signed_out: list[str] = []
        self.calls: list[str] = []
        self.invited: list[dict[str, Any]] = []
        self.looks: list[dict[str, Any]] = []
        self.app = _app(self)


@asynccontextmanager
async def a_site(
    keys: Path, upstream: Upstream, *, public_url: str = "https://invoices.example", demo: bool = False
) -> AsyncIterator[FastAPI]:
    """The web service with the upstream behind it over real HTTP."""
    async with served(upstream.app) as behind:
        links = DemoLinks(inbox="http://127.0.0.1:8182/", back_office="http://127.0.0.1:8181/back-office") if demo else None
        app = create_app(
            Settings(
                keys_dir=keys / "web",
                public_keys_dir=keys / "public",
                public_url=public_url,
                auth_url=f"{behind}/auth",
                xero_gateway_url=f"{behind}/gateway",
                sharing_url=f"{behind}/sharing",
                portal_url=f"{behind}/portal",
                demo_links=links,
            )
        )
        yield app
        await app.state.services.aclose()


async def words(browser: httpx.AsyncClient, path: str, status: int = 200) -> str:
    """What a page says, without its markup."""
    answer = await browser.get(path)
    assert answer.status_code == status, (path, answer.status_code)
    return said(answer)


def said(answer: httpx.Response) -> str:
    """What the main part of an answer says."""
    text = re.sub(r"<[^>]+>", " ", answer.text.split("<main", 1)[1].split("<footer", 1)[0])
    return re.sub(r"\s+([.,;])", r"\1", re.sub(r"\s+", " ", html.unescape(text)))


def _app(up: Upstream) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def watched(request: Request, go_on: Any) -> Response:
        service = request.url.path.split("/")[1]
        up.calls.append(f"{request.method} {request.url.path}")
        if service in up.failing:
            status, code = up.failing[service]
            return _problem(status, code)
        answer: Response = await go_on(request)
        return answer

    _add_auth(app, up)
    _add_leaving(app, up)
    _add_gateway(app, up)
    _add_endings(app, up)
    _add_shares(app, up)
    _add_stored(app, up)
    return app


def _add_auth(app: FastAPI, up: Upstream) -> None:
    @app.post("/auth/internal/identify")
    async def identify(asked: dict[str, Any]) -> Response:
        if asked["session"] != SESSION or up.idle:
            return _problem(401, "session_idle" if up.idle or asked["session"] == IDLE_SESSION else "not_signed_in")
        wanted = asked["organisation_id"]
        found = next((org for org in up.organisations if org["id"] == wanted), None)
        if wanted and not found:
            return _problem(404, "not_found")
        me = {"id": "prv_1", "name": "Hana Kōwhai", "email": "hana@kowhai.example"}
        tokens = dict.fromkeys(asked["audiences"], "token")
        return JSONResponse({"provider": me, "organisations": up.organisations, "organisation": found, "tokens": tokens})

    @app.post("/auth/internal/organisations/{org}/connection")
    async def connection() -> dict[str, Any]:
        return up.connection

    @app.post("/auth/internal/sessions/list")
    async def sessions() -> dict[str, Any]:
        return {"sessions": up.devices}

    @app.post("/auth/internal/sessions/end", status_code=204)
    async def end(asked: dict[str, Any]) -> None:
        up.signed_out.append("everywhere" if asked["everywhere"] else asked["session"])

    @app.post("/auth/internal/sessions/end-other", status_code=204)
    async def end_other(asked: dict[str, Any]) -> None:
        up.signed_out.append(asked["other"])


def _add_leaving(app: FastAPI, up: Upstream) -> None:
    @app.post("/auth/internal/leavings/look")
    async def look(asked: dict[str, Any]) -> dict[str, Any]:
        account = [_affected(up, organisation) for organisation in up.organisations]
        here = next((each for each in account if each["organisation_id"] == asked["organisation_id"]), None)
        return {"organisation": here, "account": account, "under_way": up.leaving["under_way"]}

    @app.post("/auth/internal/leavings")
    async def leave(asked: dict[str, Any]) -> Response:
        if up.refusing_shares:
            return _problem(503, "sharing_unavailable")
        if up.leaving["lost"]:
            return _problem(503, "auth_unavailable")
        if up.leaving["under_way"]:
            return _problem(409, "leaving_under_way")
        up.left.append(asked)
        return JSONResponse({"opens": asked["kind"] != "delete" and not up.leaving["colleagues"].get(asked["organisation_id"])})


def _affected(up: Upstream, organisation: dict[str, Any]) -> dict[str, Any]:
    id = organisation["id"]
    return {
        "organisation_id": id,
        "name": organisation["name"],
        "connected": organisation["state"] != "disconnected",
        "accesses": None
        if "sharing" in up.failing
        else len([share for share in up.shares if share["state"] != "ended" and share["organisation_id"] == id]),
        "ending": up.leaving["ending"].get(id),
        "colleagues": up.leaving["colleagues"].get(id, 0),
    }


def _add_gateway(app: FastAPI, up: Upstream) -> None:
    base = "/gateway/internal/organisations/{org}"

    @app.get(f"{base}/contacts")
    async def contacts(search: str = "", page: int = 1) -> dict[str, Any]:
        found = [one for one in up.contacts.values() if search.casefold() in one["name"].casefold()]
        return {"contacts": found[(page - 1) * 50 : page * 50], "page": page, "page_size": 50, "total": len(found)}

    @app.get(f"{base}/contacts/{{contact}}")
    async def contact(contact: str) -> Response:
        return JSONResponse(up.contacts[contact]) if contact in up.contacts else _problem(404, "not_found")

    @app.get(f"{base}/contacts/{{contact}}/invoices")
    async def invoices(
        contact: str,
        view: str = "unpaid",
        search: str = "",
        page: int = 1,
        picked: Annotated[list[str] | None, Query()] = None,
        hides_awaiting: bool = False,
        as_client: bool = False,
    ) -> Response:
        if contact not in up.contacts:
            return _problem(404, "not_found")
        rows = up.invoices.get(contact, [])
        if as_client:
            rows = [row for row in rows if row["status"] != "VOIDED" and (picked is None or row["invoice_id"] in picked)]
        found = an_invoice_list(rows, up.left_out.get(contact, {}), view.replace("to_pay", "unpaid"), search, page, picked, hides_awaiting)
        return JSONResponse(found | {"view": view})

    @app.get(f"{base}/calls")
    async def calls() -> dict[str, Any]:
        return up.calls_left

    @app.get(f"{base}/updates")
    async def updates() -> dict[str, Any]:
        return up.updates

    @app.post(f"{base}/connection-test")
    async def connection_test() -> dict[str, Any]:
        return {"outcome": up.test_outcome}

    @app.get(f"{base}/invoices/{{invoice}}")
    async def invoice(invoice: str) -> Response:
        if invoice not in up.in_full:
            return _problem(404, "not_found")
        found = up.in_full[invoice]
        return JSONResponse(
            {"invoice": found, "standing": "open", "today": str(TODAY), "as_of": in_utc(NOW), "link": "https://go.xero.example/9"}
        )

    @app.get(f"{base}/invoices/{{invoice}}/online")
    async def online(invoice: str) -> dict[str, Any]:
        return {"url": f"https://in.xero.example/{invoice}"}

    @app.get(f"{base}/loads/{{load}}")
    async def load(load: str) -> Response:
        return JSONResponse(up.loads[load]) if load in up.loads else _problem(404, "not_found")


def _add_shares(app: FastAPI, up: Upstream) -> None:
    @app.get(f"{SHARING}/share-counts")
    async def counts() -> dict[str, Any]:
        live = [share["contact_id"] for share in up.shares if share["state"] != "ended"]
        return {"counts": {contact: live.count(contact) for contact in live}}

    @app.get(f"{SHARING}/clients")
    async def clients(search: str = "") -> dict[str, Any]:
        names = {share["contact_id"]: share["contact_name"] for share in up.shares if search.casefold() in share["contact_name"].casefold()}
        rows = [
            {"contact_id": one, "name": name, "shares": 1, "as_of": in_utc(datetime.now(UTC) - timedelta(hours=2, minutes=5))}
            for one, name in names.items()
        ]
        return {"clients": rows, "page": 1, "page_size": 50, "total": len(rows)}

    @app.get(f"{SHARING}/contacts/{{contact}}/shares")
    async def shares_of(contact: str) -> dict[str, Any]:
        return {"shares": [share for share in up.shares if share["contact_id"] == contact]}

    @app.post(f"{SHARING}/contacts/{{contact}}/shares")
    async def invite(contact: str, asked: dict[str, Any]) -> Response:
        if up.refusing_shares:
            return _problem(503, "unavailable")
        if asked.get("ends_on") and asked["ends_on"] < str(TODAY):
            return _problem(422, "end_date_over")
        terms = {name: value for name, value in asked.items() if name != "emails" and value is not None}
        return JSONResponse({"results": [_invited(up, contact, email, terms) for email in asked["emails"]]})

    @app.get(f"{SHARING}/contacts/{{contact}}/timeline")
    async def timeline(contact: str, kind: str = "", before: int = 0, limit: int = 50) -> dict[str, Any]:
        known = [share["contact_name"] for share in up.shares if share["contact_id"] == contact]
        rows = [entry for entry in up.timeline if known and kind in ("", entry["kind"])]
        after = str(before + limit) if len(rows) > before + limit else None
        return {"contact_name": known[0] if known else None, "as_of": in_utc(NOW) if known else None,
                "entries": rows[before : before + limit], "next": after}  # fmt: skip

    @app.get(f"{SHARING}/address-uses")
    async def uses(email: Annotated[list[str], Query()]) -> dict[str, Any]:
        live = [share for share in up.shares if share["email"] in email and share["state"] != "ended"]
        return {"uses": [{name: share[name] for name in ("email", "contact_id", "contact_name")} for share in live]}

    @app.get(f"{SHARING}/shares")
    async def shares(page: int = 1, id: Annotated[list[str] | None, Query()] = None) -> dict[str, Any]:
        wanted = [share for share in up.shares if (share["id"] in id if id else share["state"] != "ended")]
        wanted.sort(key=lambda share: str(share["mail"] != "failed"))
        return {"shares": wanted[(page - 1) * 50 : page * 50], "page": page, "page_size": 50, "total": len(wanted)}

    @app.get(f"{SHARING}/shares/{{share}}")
    async def share(share: str) -> Response:
        found = next((one for one in up.shares if one["id"] == share), None)
        return JSONResponse(found) if found else _problem(404, "not_found")


def _add_endings(app: FastAPI, up: Upstream) -> None:
    @app.get(f"{SHARING}/awaiting")
    async def awaiting() -> dict[str, Any]:
        return {"hidden": up.hides_awaiting}

    @app.post(f"{SHARING}/awaiting", status_code=204)
    async def hide_awaiting(asked: dict[str, Any]) -> None:
        up.hides_awaiting = asked["hidden"]

    @app.post(f"{SHARING}/shares/end")
    async def end_many(asked: dict[str, Any]) -> dict[str, Any]:
        return {"results": [_ended(up, name) for name in asked["share_ids"]]}

    @app.post(f"{SHARING}/shares/{{share}}/end")
    async def end(share: str) -> Response:
        found = next((one for one in up.shares if one["id"] == share), None)
        if found is None:
            return _problem(404, "not_found")
        _ended(up, share)
        return JSONResponse(found)

    @app.post(f"{SHARING}/contacts/{{contact}}/carry-over")
    async def carry_over(contact: str, asked: dict[str, Any]) -> dict[str, Any]:
        merged = [share for share in up.shares if share["contact_id"] == contact and share["merged_to"]]
        carried = [
            a_share(len(up.shares) + n, email=one["email"], contact_id=one["merged_to"]["contact_id"], contact_name=asked["contact_name"])
            for n, one in enumerate(merged, start=1)
        ]
        for one in merged:
            one |= {"state": "ended", "ended_at": in_utc(NOW), "ended_by": "Hana Kōwhai", "ended_reason": "carried"}
            one |= {"carried_to": one["merged_to"] | {"name": asked["contact_name"]}, "merged_to": None}
        up.shares += carried
        return {"shares": carried}

    @app.post(f"{SHARING}/shares/{{share}}/resend")
    async def resend(share: str) -> Response:
        found = next((one for one in up.shares if one["id"] == share), None)
        if found is None:
            return _problem(404, "not_found")
        if found["resend_at"] and datetime.fromisoformat(found["resend_at"]) > datetime.now(UTC):
            return _problem(429, "too_soon")
        found |= {"mail": "queued", "mail_reason": None}
        return JSONResponse(found)


def _add_stored(app: FastAPI, up: Upstream) -> None:
    @app.get(f"{SHARING}/contacts/{{contact}}/invoices")
    async def stored(contact: str, view: str = "unpaid", search: str = "", page: int = 1) -> Response:
        if not any(share["contact_id"] == contact for share in up.shares):
            return _problem(404, "not_found")
        found = _listed(up, contact, view, search, page)
        rows = [row | {"link": None} for row in found["invoices"]]
        return JSONResponse(found | {"invoices": rows, "as_of": in_utc(datetime.now(UTC) - timedelta(hours=2, minutes=5))})

    @app.get(f"{SHARING}/contacts/{{contact}}/invoices/{{invoice}}")
    async def stored_invoice(contact: str, invoice: str) -> Response:
        if invoice not in up.in_full or not up.shares:
            return _problem(404, "not_found")
        about = {"standing": "open", "today": str(TODAY), "as_of": in_utc(NOW), "timeline": A_TIMELINE}
        return JSONResponse({"invoice": up.in_full[invoice], "viewings": up.viewings, **about})

    @app.get(f"{SHARING}/shares/{{share}}/viewings")
    async def viewings(share: str) -> dict[str, Any]:
        return {"viewings": [viewing for viewing in up.viewings if viewing["share_id"] == share]}

    @app.post(f"{SHARING}/contacts/{{contact}}/preview")
    async def preview_terms(contact: str, asked: dict[str, Any]) -> dict[str, Any]:
        up.looks.append({"contact": contact, **asked})
        return {"hides_awaiting": up.hides_awaiting, "shown": None}

    @app.post(f"{SHARING}/contacts/{{contact}}/preview/{{invoice}}")
    async def preview_invoice_of_terms(contact: str, invoice: str, asked: dict[str, Any]) -> dict[str, Any]:
        up.looks.append({"contact": contact, "invoice": invoice, **asked})
        return {"hides_awaiting": up.hides_awaiting, "shown": None}

    @app.get(f"{SHARING}/shares/{{share}}/preview")
    async def preview(share: str, view: str = "to_pay", search: str = "", page: int = 1) -> dict[str, Any]:
        return _listed(up, RATA, view.replace("to_pay", "unpaid"), search, page) | {"sender": A_SENDER, "view": view}

    @app.get(f"{SHARING}/shares/{{share}}/preview/{{invoice}}")
    async def preview_invoice(share: str, invoice: str) -> Response:
        if invoice not in up.in_full:
            return _problem(404, "not_found")
        about = {"standing": "open", "today": str(TODAY), "as_of": in_utc(NOW), "timeline": A_TIMELINE}
        return JSONResponse({"sender": A_SENDER, "invoice": up.in_full[invoice], **about})


def _listed(up: Upstream, contact: str, view: str, search: str, page: int) -> dict[str, Any]:
    return an_invoice_list(up.invoices.get(contact, []), up.left_out.get(contact, {}), view, search, page)


def _invited(up: Upstream, contact: str, email: str, terms: dict[str, Any]) -> dict[str, Any]:
    if "@" not in email:
        return {"email": email, "outcome": "refused", "reason": "invalid_address"}
    mailed_just_now = any(invited["email"] == email for invited in up.invited)
    up.invited.append({"email": email, **terms, "contact_id": contact})
    known = next((share for share in up.shares if share["email"] == email and share["state"] != "ended"), None)
    if known:
        return {"email": email, "outcome": "known" if mailed_just_now else "resent", "share": known}
    new = {"email": email, "contact_id": contact, "contact_name": terms["contact_name"], "shared_at": in_utc(NOW)}
    fresh = a_share(len(up.shares) + 1, **new, state="invited", views=0, last_seen_at=None)
    up.shares.append(fresh)
    return {"email": email, "outcome": "invited", "share": fresh}


def _ended(up: Upstream, name: str) -> dict[str, Any]:
    share = next((one for one in up.shares if one["id"] == name), None)
    if share is None or name in up.not_ending:
        return {"share_id": name, "reason": "not_found" if share is None else "unavailable"}
    share |= {"state": "ended", "ended_at": in_utc(NOW), "ended_by": "Hana Kōwhai", "ended_reason": "revoked"}
    return {"share_id": name, "ended_at": share["ended_at"]}


def _problem(status: int, code: str) -> JSONResponse:
    return JSONResponse(
        {"type": "about:blank", "title": code, "status": status, "code": code}, status, media_type="application/problem+json"
    )
