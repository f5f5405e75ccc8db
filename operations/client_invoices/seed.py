"""The command that fills a running installation with ready-made shares, for looking at every page."""

from __future__ import annotations

import asyncio
from typing import Annotated

import httpx
import typer

from client_invoices.screen import console
from client_invoices.services import Installation, Refused


def seed(
    context: typer.Context,
    product: Annotated[str, typer.Option(help="Where people open it; beside `make up` --data-dir says so")] = "http://localhost:8080",
    inbox: Annotated[str, typer.Option(help="The simulated mailbox")] = "http://127.0.0.1:8182",
    back_office: Annotated[str, typer.Option(help="The simulated Xero")] = "http://127.0.0.1:8181",
) -> None:
    """Share with demo addresses, one share in every state. For the simulators alone: refused where people sign in with the real Xero."""
    installation: Installation = context.obj
    if installation.urls is not None:
        if not {"inbox", "back_office"} <= set(installation.urls):
            raise Refused("Demo data is for the simulators alone, and this installation uses the real Xero or a real mail server.")
        product, inbox = installation.urls["product"], installation.urls["inbox"]
        back_office = installation.urls["back_office"].removesuffix("/back-office")
    asyncio.run(_made(product, inbox, back_office))
    console.print(f"The ready-made shares are there: {product}")


async def _made(product: str, inbox: str, back_office: str) -> None:
    try:
        from local import demo
        from local.people import NotThere
    except ImportError as error:
        raise Refused("Demo data is made the way people do it, by what is in the repository: run this from a checkout.") from error
    try:
        if (there := await demo.signs_in_at(product)) != back_office:
            raise Refused(f"Demo data is for the simulators alone; people sign in at {there}, which is not {back_office}.")
        await demo.make(product, inbox, back_office)
    except (NotThere, httpx.HTTPError) as error:
        raise Refused(f"Not all could be made: {error}") from error
