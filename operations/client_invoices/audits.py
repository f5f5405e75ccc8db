"""The command that verifies the audit of the vault."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from client_invoices.progress import watched
from client_invoices.services import Refused

audit = typer.Typer(no_args_is_help=True, help="The record of every access to Xero's tokens.")


@audit.command("verify")
def verify(
    context: typer.Context,
    known: Annotated[list[str] | None, typer.Option(help="An anchor as auth's log told it, NUMBER:HASH; may be repeated")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document instead of lines")] = False,
) -> None:
    """Read every chain and name the first broken link of each that is broken. Exit code 1 when one is."""
    anchors = dict(_anchor(each) for each in known or ())
    found = watched(context.obj, "auth", "/audit/verify", "Reading links", {"known": anchors}, shown=not as_json)
    typer.echo(json.dumps(found, indent=1) if as_json else "\n".join(found["lines"]))
    if found["broken"]:
        raise typer.Exit(1)


def _anchor(told: str) -> tuple[str, str]:
    number, _, hash = told.partition(":")
    if not (number.isdigit() and hash):
        raise Refused(f"{told} is no anchor: NUMBER:HASH, as auth's log tells it.")
    return number, hash


@audit.callback()
def commands() -> None:
    """So that one command alone stays a command of its own name."""
