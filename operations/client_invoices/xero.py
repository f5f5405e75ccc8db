"""Commands about organisations and Xero: their connections, the calls they have left, and asking Xero now."""

from __future__ import annotations

import json
import time
from datetime import datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Column, Table

from client_invoices.screen import console
from client_invoices.services import Installation, Refused

PAGE = 500
POLL_SECONDS = 1.0
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table")]
Most = Annotated[int, typer.Option(help="How many to show", min=1)]


def connections(
    context: typer.Context,
    state: Annotated[str | None, typer.Option(help="Only those in this state: live, needs_reauth or ended")] = None,
    most: Most = 1000,
    as_json: AsJson = False,
) -> None:
    """Every provider's way into an organisation, the oldest first: its state, and when its tokens were renewed and used last."""
    named = {"state": state} if state else {}
    found, more = _pages(context.obj, "auth", "connections", most, **named)
    if as_json:
        typer.echo(json.dumps({"connections": found, "more": more}, indent=1))
        return
    table = Table(Column("organisation", no_wrap=True), "name", "login", "state", "cause", "renewed", "days idle")
    for row in found:
        idle = "" if row["idle_days"] is None else str(row["idle_days"])
        named_by = (row["organisation_id"], row["organisation_name"], row["login"])
        table.add_row(*named_by, row["state"], row["cause"] or "", _moment(row["refreshed_at"]), idle)
    console.print(table if found else "There are no connections.")
    _tell(more, most)


def budget(context: typer.Context, most: Most = 1000, as_json: AsJson = False) -> None:
    """Calls to Xero each organisation has left, and what keeps it from calling."""
    found, more = _pages(context.obj, "xero-gateway", "budgets", most)
    if as_json:
        typer.echo(json.dumps({"budgets": found, "more": more}, indent=1))
        return
    table = Table(Column("organisation", no_wrap=True), "name", "this minute", "today", "in flight", "waits until")
    for row in found:
        today = "" if row["day_left"] is None else f"{row['day_left']} of {row['a_day']}"
        waits = f"{_moment(row['paused_until'])} (limit: {row['paused_for']})" if row["paused_until"] else ""
        waits = waits or (f"{_moment(row['broken_until'])} (Xero fails)" if row["broken_until"] else "")
        left = (str(row["minute_left"]), today, str(row["in_flight"]))
        table.add_row(row["organisation_id"], row["organisation_name"], *left, waits)
    console.print(table if found else "Xero was not called yet.")
    _tell(more, most)


def reconcile(
    context: typer.Context,
    organisation: Annotated[str | None, typer.Option(help="Its id, such as org_…")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every organisation that shares something")] = False,
    wait: Annotated[bool, typer.Option(help="Stay until Xero was asked")] = True,
    at_most: Annotated[int, typer.Option(help="Seconds to stay", min=1)] = 600,
    as_json: AsJson = False,
) -> None:
    """Ask Xero now what changed. Exit code 1 when somebody was not asked in time, or cannot be."""
    if every == bool(organisation):
        raise Refused("Name one organisation with --organisation, or all with --all.")
    installation: Installation = context.obj
    asked = installation.post("xero-gateway", "/reconciliations", {"organisation_id": organisation})
    left: dict[str, Any] = {}
    if wait and asked["organisations"]:
        left = _watched(installation, asked, organisation, at_most, shown=not as_json)
    if as_json:
        typer.echo(json.dumps({**asked, "left": left or None}, indent=1))
    else:
        _say(asked["organisations"], left, wait)
    if left and sum(left[why] for why in ("now", "later", "not_connected")):
        raise typer.Exit(1)


def _watched(installation: Installation, asked: dict[str, Any], organisation: str | None, seconds: int, *, shown: bool) -> dict[str, Any]:
    """How many are left when nobody is asked any more, or when time is up."""
    ends_at, total = time.monotonic() + seconds, asked["organisations"]
    named = {"since": asked["since"]} | ({"organisation_id": organisation} if organisation else {})
    with Progress(TextColumn("Asking Xero"), BarColumn(), MofNCompleteColumn(), console=Console(stderr=True), disable=not shown) as bar:
        task = bar.add_task("", total=total)
        while True:
            left: dict[str, Any] = installation.get("xero-gateway", "/reconciliations", **named)
            bar.update(task, completed=max(0, total - left["now"] - left["later"] - left["not_connected"]))
            if not left["now"] or time.monotonic() > ends_at:
                return left
            time.sleep(POLL_SECONDS)


def _say(organisations: int, left: dict[str, Any], waited: bool) -> None:
    if not organisations:
        console.print("Nobody was asked: nothing is shared there.")
    elif not waited:
        console.print(f"Xero will be asked for {organisations} organisations.")
    else:
        done = organisations - left["now"] - left["later"] - left["not_connected"]
        console.print(f"Xero was asked for {max(0, done)} of {organisations} organisations.")
        if left["now"]:
            console.print(f"{left['now']} are still under way.")
        if left["later"]:
            console.print(f"{left['later']} have used their part of the day's calls; the first goes on at {_moment(left['later_at'])}.")
        if left["not_connected"]:
            console.print(f"{left['not_connected']} are not connected to Xero; see `client-invoices connections`.")


def _pages(installation: Installation, service: str, what: str, most: int, **named: str) -> tuple[list[dict[str, Any]], bool]:
    """Up to `most` rows, page by page, and whether there are more."""
    found: list[dict[str, Any]] = []
    after: str | None = ""
    while after is not None and len(found) < most:
        page = installation.get(service, f"/{what}", after=after, limit=min(PAGE, most - len(found)), **named)
        found += page[what]
        after = page["after"]
    return found, after is not None


def _tell(more: bool, most: int) -> None:
    if more:
        console.print(f"There are more; --most {most * 10} shows more of them.")


def _moment(told: str | None) -> str:
    return f"{datetime.fromisoformat(told):%Y-%m-%d %H:%M} UTC" if told else ""
