"""For tests: what sharing answers when a client takes something away, added to the stand-ins of client_testing."""

from __future__ import annotations

from collections.abc import Callable
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
