"""Connections between the app and organisations: made by consent, listed and ended by the app or in the back office."""

import re
import uuid
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse

from xero_simulator import door, ledger
from xero_simulator.clock import from_ms, to_ms
from xero_simulator.simulator import Running, Simulator
from xero_simulator.tokens import caller

router = APIRouter()


def connect(simulator: Simulator, login: str, organisation: str, auth_event: str, now: datetime) -> None:
    """Makes the connection, or wakes an ended one: its id stays, so `updated` then differs from `created`."""
    sql = """INSERT INTO connections VALUES (?, ?, ?, ?, 1, ?, ?) ON CONFLICT (login, organisation)
        DO UPDATE SET auth_event = excluded.auth_event, live = 1, updated = excluded.updated"""
    simulator.store.run(sql, str(uuid.uuid4()), login, organisation, auth_event, to_ms(now), to_ms(now))


def disconnect(simulator: Simulator, organisation: str, login: str | None, now: datetime) -> int:
    """Ends the connections to an organisation, of one login or of all; answers how many."""
    sql = "UPDATE connections SET live = 0, updated = ? WHERE organisation = ? AND live AND (? IS NULL OR login = ?)"
    return simulator.store.run(sql, to_ms(now), organisation, login, login)


@router.get("/Connections", include_in_schema=False)
@router.get("/connections")
async def list_connections(request: Request, simulator: Running) -> Response:
    """The caller's live connections; `authEventId` narrows to those of one consent."""
    wanted = next((value for name, value in request.query_params.items() if name.lower() == "autheventid"), None)

    def answer() -> Response:
        login = caller(simulator, request.headers.get("authorization")).login
        if simulator.faults.no_connections:
            return JSONResponse([])
        rows = simulator.store.rows("SELECT * FROM connections WHERE login = ? AND live ORDER BY updated, id", login)
        return JSONResponse([_shape(simulator, row) for row in rows if wanted in (None, "", row["auth_event"])])

    return await door.answer_untenanted(simulator, request, answer)


@router.delete("/Connections/{connection_id}", include_in_schema=False)
@router.delete("/connections/{connection_id}")
async def end_connection(connection_id: str, request: Request, simulator: Running) -> Response:
    """204; 403 when an organisation's id was given instead of a connection's, 404 for anything else."""

    def answer() -> Response:
        login = caller(simulator, request.headers.get("authorization")).login
        sql = "UPDATE connections SET live = 0, updated = ? WHERE id = ? AND login = ? AND live"
        if simulator.store.run(sql, to_ms(simulator.clock.now()), connection_id, login):
            return Response(status_code=204)
        if simulator.store.row("SELECT 1 FROM connections WHERE organisation = ? OR auth_event = ?", connection_id, connection_id):
            return door.problem(403, "AuthenticationUnsuccessful")
        return door.not_found()

    return await door.answer_untenanted(simulator, request, answer)


def _shape(simulator: Simulator, row: Any) -> dict[str, Any]:
    return {
        "id": row["id"],
        "authEventId": row["auth_event"],
        "tenantId": row["organisation"],
        "tenantType": "ORGANISATION",
        "tenantName": ledger.organisation(simulator.store, row["organisation"]).name,
        "createdDateUtc": _ticks(row["created"]),
        "updatedDateUtc": _ticks(row["updated"]),
    }


def _ticks(milliseconds: int) -> str:
    """Seven decimals and no zone, as .NET writes it."""
    return re.sub(r"(\.\d{3})$", r"\g<1>0000", from_ms(milliseconds).replace(tzinfo=None).isoformat(timespec="milliseconds"))
