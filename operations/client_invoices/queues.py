"""Commands about what waits between the services: status, parked events, sending the outbox again."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Column, Table

from client_invoices.installation import SERVICES, SERVICES_ON_THE_BUS
from client_invoices.screen import console
from client_invoices.services import Installation, Refused

parked = typer.Typer(no_args_is_help=True, help="Events that failed four times or could not be read.")
outbox = typer.Typer(no_args_is_help=True, help="Events a service sends.")
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document instead of a table")]
Service = Annotated[str, typer.Argument(help="A service's name")]


def status(context: typer.Context, as_json: AsJson = False) -> None:
    """How every service is: ready or why not, and what waits. Exit code 1 when one is not ready or holds parked events."""
    installation: Installation = context.obj
    found = {service: _state(installation, service) for service in SERVICES}
    if as_json:
        typer.echo(json.dumps(found, indent=1))
    else:
        table = Table("service", "ready", "to send", "to handle", "parked")
        for service, state in found.items():
            table.add_row(service, state["problem"] or "yes", _waits(state, "outbox"), _waits(state, "inbox"), str(state.get("parked", "")))
        console.print(table)
    if any(state["problem"] or state.get("parked") for state in found.values()):
        raise typer.Exit(1)


@parked.command("list")
def list_parked(context: typer.Context, service: Annotated[str | None, typer.Argument()] = None, as_json: AsJson = False) -> None:
    """Every parked event, or those of one service, the oldest first."""
    installation: Installation = context.obj
    found = [
        {"service": name, **event}
        for name in ([service] if service else SERVICES_ON_THE_BUS)
        for event in installation.get(name, "/parked", limit=500)["events"]
    ]
    if as_json:
        typer.echo(json.dumps(found, indent=1))
        return
    table = Table("service", Column("event", no_wrap=True), "type", "since", "why")
    for event in found:
        table.add_row(event["service"], event["id"], event["type"], event["received_at"], event["reason"])
    console.print(table if found else "Nothing is parked.")


@parked.command("show")
def show(context: typer.Context, service: Service, event: str) -> None:
    """One parked event; secrets and addresses are hidden."""
    typer.echo(json.dumps(context.obj.get(service, f"/parked/{event}"), indent=1))


@parked.command("replay")
def replay(context: typer.Context, service: Service, events: Annotated[list[str], typer.Argument()]) -> None:
    """Handle parked events again, after the cause is mended."""
    _each(context.obj, service, events, "replay", "is handled again")


@parked.command("drop")
def drop(context: typer.Context, service: Service, events: Annotated[list[str], typer.Argument()]) -> None:
    """Give parked events up for good."""
    _each(context.obj, service, events, "drop", "is given up")


@outbox.command("replay")
def replay_outbox(
    context: typer.Context,
    service: Service,
    since: Annotated[datetime, typer.Option(formats=["%Y-%m-%dT%H:%M:%S", "%Y-%m-%d"], help="UTC")],
) -> None:
    """Send every event made since then again, after the broker lost its data; whoever has seen one drops it."""
    changed = context.obj.post(service, "/outbox/replay", {"since": since.replace(tzinfo=UTC).isoformat()})["changed"]
    console.print(f"{service} sends {changed} events again.")


def _each(installation: Installation, service: str, events: list[str], action: str, done: str) -> None:
    for event in events:
        installation.post(service, f"/parked/{event}/{action}")
        console.print(f"{event} {done}.")


def _state(installation: Installation, service: str) -> dict[str, Any]:
    faults = installation.faults(service)
    state: dict[str, Any] = {"problem": "; ".join(faults)}
    if service in SERVICES_ON_THE_BUS and faults != ["does not answer"]:
        try:
            state |= installation.get(service, "/status")
        except Refused as refusal:
            state["problem"] = "; ".join([*faults, str(refusal)])
    return state


def _waits(state: dict[str, Any], queue: str) -> str:
    if queue not in state:
        return ""
    waiting, oldest = state[queue]["waiting"], state[queue]["oldest"]
    return f"{waiting} since {oldest}" if waiting else "0"
