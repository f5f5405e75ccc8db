"""`client-invoices`: the operator's command."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from client_invoices import audits, backups, queues, rings, seed, xero
from client_invoices.screen import console
from client_invoices.services import Installation, Refused

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Sets up and looks after an installation of Client Invoices.",
)
setting_up = typer.Typer(no_args_is_help=True, help="Make users and topology of a new installation; after `keys init`, safe to repeat.")
app.add_typer(setting_up, name="setup")
app.add_typer(rings.keys, name="keys")
app.add_typer(audits.audit, name="audit")
app.add_typer(queues.parked, name="parked")
app.add_typer(queues.outbox, name="outbox")
app.command("status")(queues.status)
app.command("connections")(xero.connections)
app.command("budget")(xero.budget)
app.command("reconcile")(xero.reconcile)
app.command("backup")(backups.backup)
app.command("restore")(backups.restore)
app.command("seed")(seed.seed)
Stay = Annotated[bool, typer.Option("--stay", help="Then wait to be ended, as a container beside mongod's must")]
Folder = Annotated[Path, typer.Option("--folder", help="Where keys and secrets are kept", envvar="INSTALLATION")]


@app.callback()
def installation(
    context: typer.Context,
    data_dir: Annotated[
        Path | None, typer.Option(help="The data folder of a running `make up`; without it the services' own names")
    ] = None,
    keys: Annotated[Path, typer.Option(help="The folder with this command's key", envvar="OPERATIONS_KEYS")] = Path("/install/operations"),
) -> None:
    if context.invoked_subcommand != "setup":
        context.obj = Installation.of_make_up(data_dir) if data_dir else Installation.of_containers(keys)


@setting_up.command("mongo")
def mongo(folder: Folder, member: str = "mongo:27017", at: str = "127.0.0.1:27017", stay: Stay = False) -> None:
    """Make the database a replica set with one user for each service. Run it in the database's own network."""
    from client_invoices import setup  # not above: the drivers it needs would slow every other command by a second

    setup.set_up_mongo(folder, member=member, at=at)
    console.print(f"The replica set {setup.REPLICA_SET} and the services' users are there.")
    if stay:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # the first process of a container is not ended without
        signal.pause()


@setting_up.command("broker")
def broker(folder: Folder, topology: Path = Path("topology.json"), at: str = "http://rabbitmq:15672") -> None:
    """Declare exchange, queues, bindings and the services' users."""
    from client_invoices import setup

    setup.set_up_broker(folder, topology, at=at)
    console.print("The broker's topology and users are there.")


def main() -> None:
    """Runs the command; what it cannot do is one sentence and exit code 1."""
    try:
        app()
    except (Refused, *rings.PROBLEMS) as error:
        Console(stderr=True, soft_wrap=True).print(str(error))
        raise SystemExit(1) from None
