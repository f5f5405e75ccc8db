"""For tests: what sharing answers when a client takes something away, added to the stand-ins of client_testing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI, Header, Request
from fastapi.responses import JSONResponse

Held = dict[str, Any]
SENDERS = "/sharing/internal/client/senders/{organisation}"
TOO_MANY = JSONResponse({"status": 422, "code": "too_many"}, 422, media_type="application/problem+json")
NOT_FOUND = JSONResponse({"status": 404, "code": "not_found"}, 404, media_type="application/problem+json")


def an_entry(kind: str, day: str, amount: int, balance: int, **changes: Any) -> dict[str, Any]:
    """One movement of a statement, of invoice INV-1."""
    about = {"invoice_id": "11111111-0000-4000-8000-000000000001", "number": "INV-1", "reference": "", "due_date": None, "dated": None}
    return {"day": day, "kind": kind, "amount": amount, "balance": balance, **about, **changes}


def an_account(**changes: Any) -> dict[str, Any]:
    """An account that owed 100.00, had an invoice of 460.00 and a payment of 60.00, and owes 500.00, 400.00 of it late."""
    entries = [
        an_entry("invoice", "2026-11-01", 46000, 56000, due_date="2026-11-12"),
        an_entry("payment", "2026-11-12", -6000, 50000, reference="Ref 1", dated="2026-10-30"),
    ]
    account: dict[str, Any] = {
        "contact_id": "c-1", "contact_name": "Rātā Joinery", "currency": "NZD", "opening": 10000, "entries": entries, "closing": 50000,
        "ageing": {"current": 0, "to_30": 40000, "to_60": 0, "to_90": 0, "older": 10000},
    }  # fmt: skip
    return account | changes


def a_statement(sender: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """A statement of everything of a sender over a month."""
    found = {"sender": sender, "today": "2026-11-21", "first": "2026-11-01", "last": "2026-11-21", "limits": [], "accounts": [an_account()]}
    return {**found, "too_long": False, "awaiting": 0, "voided": 0, **changes}


def a_download(**changes: Any) -> dict[str, Any]:
    """Of two invoices of a sender, asked for just now, ready."""
    download: dict[str, Any] = {
        "id": "dl_1", "organisation_id": "org_1", "sender": "Kōwhai", "time_zone": "Pacific/Auckland", "total": 2, "kept": 2, "missed": 0,
        "ready": True, "reason": None, "limit": None, "created_at": "2026-11-21T09:42:00Z", "purge_at": "2026-11-28T09:42:00Z",
        "invoice_ids": [],
    }  # fmt: skip
    return download | changes


@dataclass
class Papers:
    """What was asked for and is to be had: downloads by address, and the invoices whose PDF is not kept."""

    downloads: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    unkept: set[str] = field(default_factory=set)
    asked: list[dict[str, str]] = field(default_factory=list)


def add_downloads(app: FastAPI, papers: Papers, find: Callable[[str, str], Held | None]) -> None:
    """Asking for many PDFs, and how far they are. Ids of more than two hundred invoices are too many."""

    @app.post(f"{SENDERS}/downloads")
    async def ask(organisation: str, request: Request, authorization: str = Header()) -> Any:
        held = find(organisation, authorization)
        if held is None:
            return NOT_FOUND
        papers.asked.append(dict(request.query_params))
        return TOO_MANY if len(held["invoices"]) > 200 else {"id": "dl_1"}

    @app.get("/sharing/internal/client/downloads")
    async def listed(authorization: str = Header()) -> Any:
        return {"downloads": papers.downloads.get(authorization.removeprefix("Bearer "), [])}

    @app.get("/sharing/internal/client/downloads/{download}")
    async def one(download: str, authorization: str = Header()) -> Any:
        mine = papers.downloads.get(authorization.removeprefix("Bearer "), [])
        return next((found for found in mine if found["id"] == download), NOT_FOUND)


def add_papers(app: FastAPI, find: Callable[[str, str], Held | None], list_page: Callable[[Held, Any], Held]) -> None:
    """`find` gives what a sender shares with whom, `list_page` its whole list; a sender's `statement` and `too_many` change the answers."""

    @app.get(f"{SENDERS}/list")
    async def whole_list(organisation: str, request: Request, authorization: str = Header()) -> Any:
        held = find(organisation, authorization)
        if held is None:
            return NOT_FOUND
        return TOO_MANY if held["sender"].get("too_many") else list_page(held, request.query_params)

    @app.get(f"{SENDERS}/statement")
    async def statement(organisation: str, request: Request, authorization: str = Header()) -> Any:
        held = find(organisation, authorization)
        if held is None:
            return NOT_FOUND
        held["asked"] = dict(request.query_params)
        return a_statement(held["sender"], **held["sender"].get("statement", {}))
