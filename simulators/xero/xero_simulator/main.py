"""What the simulator is made of."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

from xero_simulator import __doc__ as description
from xero_simulator import accounting, back_office, connections, control, control_books, deep_links, identity, pages
from xero_simulator.books import Refused
from xero_simulator.clock import Clock
from xero_simulator.demo.plant import add_large, plant
from xero_simulator.faults import Faults
from xero_simulator.ledger import NotFound
from xero_simulator.limits import Limiter
from xero_simulator.settings import Settings
from xero_simulator.simulator import Simulator
from xero_simulator.store import Store
from xero_simulator.tokens import signing_key
from xero_simulator.webhooks import Sender


def create_app(settings: Settings | None = None) -> FastAPI:
    """One application with all surfaces. Its books are in DATA_DIR, made from the seed when missing."""
    simulator = build(settings or Settings())
    app = FastAPI(
        title="Xero simulator",
        description=description or "",
        lifespan=_lifespan,
        openapi_url="/control/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.simulator = simulator
    app.mount("/static", StaticFiles(directory=pages.FOLDER / "static"))
    app.include_router(control.health)
    for part in (identity, connections, control, control_books, back_office, deep_links, accounting):
        app.include_router(part.router)
    app.add_exception_handler(Refused, _refused)
    app.add_exception_handler(NotFound, _not_found)
    return app


async def _refused(_: Request, error: Exception) -> Response:
    return JSONResponse({"detail": str(error)}, 400)


async def _not_found(request: Request, error: Exception) -> Response:
    if request.url.path.startswith("/control/"):
        return JSONResponse({"detail": str(error)}, 404)
    return pages.page(request, "nothing.html", status=404)


def build(settings: Settings) -> Simulator:
    store = Store(settings.data_dir)
    clock, faults = Clock(store), Faults()
    if store.fact("seed") is None:
        plant(store, settings.seed, settings.anchor_day, clock.now())
    wanted = f"{settings.large_organisations} {settings.large_invoices}"
    if settings.large_invoices and store.fact("large") != wanted:
        add_large(store, clock.now(), settings.large_organisations, settings.large_invoices)
    sender = Sender(settings, store, clock, faults)
    return Simulator(settings, store, clock, signing_key(store), faults, sender, Limiter(settings.app_tier))


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    sender = asyncio.create_task(app.state.simulator.sender.run())
    yield
    for task in (sender, app.state.simulator.day.task):
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    app.state.simulator.store.close()
