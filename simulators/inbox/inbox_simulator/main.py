"""What the pages and the JSON API are made of."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles

from inbox_simulator import api, pages
from inbox_simulator.faults import Faults
from inbox_simulator.settings import Settings
from inbox_simulator.store import Store

STATIC = Path(__file__).parent / "static"


def create_app(settings: Settings) -> FastAPI:
    """Pages for people, /api for tests; the mail server beside them shares `app.state.store` and `app.state.faults`."""
    app = FastAPI(title="Inbox simulator", lifespan=closing_the_store, telemetry={"logs": False})
    app.state.settings = settings
    app.state.store = Store(settings.data_dir)
    app.state.faults = Faults()
    app.include_router(api.router)
    app.include_router(pages.router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app


@asynccontextmanager
async def closing_the_store(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.store.close()
