"""What makes a service: an API, a second port for health and metrics, the bus, and its named loops, in one process or in two."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import uvicorn
from fastapi import APIRouter, FastAPI
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from common import admin as common_admin
from common import backup, erasure, http, inbox, logging, outbox, restores, tracing
from common.bus import Bus
from common.errors import Unavailable
from common.events import Handlers
from common.identity import Verifier
from common.mongo import Database, Indexes
from common.settings import ServiceSettings

STOP_SECONDS = 20
LOOP_SECONDS = 8.0
"""What a loop has for the step it is in when the process stops; after that it is cancelled, and its leases run out."""

STARTING_SECONDS = 60
OPERATOR_SECONDS = 4 * 3600.0
"""How long one request of an operator may take: copying a database takes as long as it is large. Each call within has its own limit."""


class Loop(Protocol):
    """Work that goes on beside the API while `not db.stopping`. A loop that raises ends the process; it is then started anew."""

    name: str

    async def run(self, db: Database) -> None: ...


class Runtime:
    """The moving parts of one service."""

    def __init__(
        self,
        app: FastAPI,
        settings: ServiceSettings,
        handlers: Handlers,
        loops: Sequence[Loop],
        indexes: Indexes,
        resources: Mapping[str, Any],
        admin: Sequence[APIRouter],
        keeping: backup.Keeping,
    ) -> None:
        if not (settings.run_api or settings.mongo_url):
            raise ValueError(f"{app.title} has no workers, so RUN_API=false leaves nothing to run")
        self.app = app
        self.settings = settings
        self.handlers = handlers
        self.indexes = {**indexes, **outbox.INDEXES, **inbox.INDEXES, **erasure.INDEXES, **restores.INDEXES}
        self.resources = resources
        self.db = Database(settings.mongo_url, app.title, settings.mongo_database) if settings.mongo_url else None
        # Events wait in the outbox and the inbox: an API without workers needs no broker.
        self.bus = Bus(settings.rabbitmq_url, app.title) if settings.rabbitmq_url and settings.run_workers else None
        self.loops = list(loops)
        self.admin = admin
        self.keeping = keeping
        self.started = False
        app.state.draining = False
        app.state.db = self.db

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[None]:
        """Collections and indexes made, clients open; closes everything at the end."""
        try:
            if self.db:
                await self._prepared(self.db)
            self.started = True
            yield
        finally:
            for resource in self.resources.values():
                close = getattr(resource, "aclose", None)
                if close and inspect.iscoroutinefunction(close):
                    await close()
            if self.bus:
                await self.bus.close()
            if self.db:
                self.db.close()

    def work(self) -> list[tuple[str, Any]]:
        """Everything that runs beside the API, as (name, coroutine)."""
        if self.db is None or not self.settings.run_workers:
            return []
        running: list[tuple[str, Any]] = [(loop.name, loop.run(self.db)) for loop in self.loops]
        if self.bus:
            relay = outbox.Relay(self.bus)
            running.append((relay.name, self._relaying(relay, self.bus, self.db)))
            if self.handlers:
                worker = inbox.Worker(self.handlers)
                running.append(("consumer", self.bus.consume(self.db, self.handlers)))
                running.append((worker.name, worker.run(self.db)))
        return running

    async def faults(self) -> list[str]:
        """Why this process should get no requests; empty when it should."""
        found = [] if self.started else ["starting"]
        if self.app.state.draining:
            found.append("stopping")
        if self.bus and not self.bus.topology_seen:
            found.append("the broker's topology was not seen yet")
        if self.bus and self.handlers and not self.bus.consumes and not self._consumed:
            found.append("the queue was not seen yet")
        if self.db:
            try:
                await self.db.ping()
            except Unavailable:
                found.append("the database does not answer")
        self._consumed = self._consumed or bool(self.bus and self.bus.consumes)
        return found

    _consumed = False

    async def drain(self) -> None:
        """Not ready any more, and every answer asks for its connection to be closed; the API still serves for `drain_seconds`."""
        self.app.state.draining = True
        await asyncio.sleep(self.settings.drain_seconds)

    async def rest(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """Everything of `work` ends between two steps, or is cancelled when a step takes too long."""
        if self.bus:
            self.bus.stop()
        if self.db and tasks:
            self.db.stop()
            await asyncio.wait(tasks, timeout=LOOP_SECONDS)
        for task in tasks:
            task.cancel()

    async def _relaying(self, relay: outbox.Relay, bus: Bus, db: Database) -> None:
        """The relay measures what waits although there is no broker to connect to."""
        async with asyncio.TaskGroup() as group:
            group.create_task(bus.connect_publisher())
            await relay.run(db)

    async def _prepared(self, db: Database) -> None:
        async with asyncio.timeout(STARTING_SECONDS):
            while True:
                try:
                    return await db.prepare(self.indexes)
                except Unavailable:
                    await asyncio.sleep(0.5)


def create_service(
    name: str,
    settings: ServiceSettings,
    *,
    routers: Sequence[APIRouter] = (),
    handlers: Handlers | None = None,
    loops: Sequence[Loop] = (),
    indexes: Indexes | None = None,
    resources: Mapping[str, Any] | None = None,
    admin: Sequence[APIRouter] = (),
    keeping: backup.Keeping | None = None,
) -> FastAPI:
    """A service's app with everything it is made of.

    `resources` become `app.state.<name>` and are closed at the end; `admin` is what operators may ask beside common.admin; `keeping`
    says what of the database a backup leaves out and what a restored one has to put right.
    """
    app = FastAPI(title=name, docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    http.install(app)
    for router in routers:
        app.include_router(router)
    resources = resources or {}
    for key, value in {**resources, "settings": settings, "verifier": Verifier(settings.public_keys_dir, name)}.items():
        setattr(app.state, key, value)
    app.state.runtime = Runtime(app, settings, handlers or {}, loops, indexes or {}, resources, admin, keeping or backup.Keeping())
    return app


def main(create_app: Callable[[], FastAPI]) -> None:
    """Runs a service until SIGTERM or SIGINT; any part that fails ends the process with a code other than 0."""
    app = create_app()
    settings: ServiceSettings = app.state.settings
    logging.configure(app.title, settings.log_level)
    tracing.configure(app.title, settings.otel_exporter_otlp_endpoint)
    try:
        with asyncio.Runner(loop_factory=_loop_factory) as runner:
            runner.run(serve(app))
    finally:
        tracing.close()


async def serve(app: FastAPI) -> None:
    """Opens the service, runs API, health port and loops in one TaskGroup, and stops them in order:

    not ready, no new connections, requests that were begun, loops.
    """
    runtime: Runtime = app.state.runtime
    settings = runtime.settings
    ops = _Server(_config(operations(runtime), settings.listen_host, settings.health_port))
    told = asyncio.Event()
    for signum in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(signum, told.set)
    async with asyncio.TaskGroup() as health:
        health.create_task(ops.serve(), name="health")
        try:
            async with runtime.opened(), asyncio.TaskGroup() as group:
                tasks = [group.create_task(_never_ends(name, work, runtime), name=name) for name, work in runtime.work()]
                logging.get_logger().info("service.started", port=settings.port, api=settings.run_api, workers=bool(tasks))
                await (_serve_until(told, runtime) if settings.run_api else told.wait())
                await runtime.rest(tasks)
        finally:
            ops.stop()


async def _serve_until(told: asyncio.Event, runtime: Runtime) -> None:
    """The API, until the process is told to end; returns when the last request was answered."""
    api = _Server(_config(runtime.app, runtime.settings.listen_host, runtime.settings.port))

    async def leave() -> None:
        await told.wait()
        await runtime.drain()
        api.stop()

    leaving = asyncio.create_task(leave())
    try:
        await api.serve()
    finally:
        leaving.cancel()


async def _never_ends(name: str, work: Any, runtime: Runtime) -> None:
    await work
    if runtime.db is None or not runtime.db.stopping:
        raise RuntimeError(f"{name} ended by itself")


class _Server(uvicorn.Server):
    """Leaves signals to `serve`: two servers in one process would take them from each other."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True


def _config(app: Any, host: str, port: int) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        host=host,
        port=port,
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=STOP_SECONDS,
        h11_max_incomplete_event_size=16 * 1024,
        backlog=2048,
    )


def operations(runtime: Runtime) -> FastAPI:
    """Health, metrics and what operators ask, on a port that is never routed from outside."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    http.install(app)
    for name in ("db", "settings", "verifier", *runtime.resources):
        setattr(app.state, name, getattr(runtime.app.state, name))
    app.state.request_seconds = OPERATOR_SECONDS
    app.state.handlers, app.state.indexes, app.state.keeping = runtime.handlers, runtime.indexes, runtime.keeping
    app.include_router(common_admin.rings)
    if runtime.db:
        app.include_router(common_admin.router)
        app.include_router(backup.router)
    for router in runtime.admin:
        app.include_router(router)

    @app.get("/livez")
    async def alive() -> Response:
        return PlainTextResponse("alive")

    @app.get("/readyz")
    async def ready() -> Response:
        faults = await runtime.faults()
        return JSONResponse({"ready": not faults, "faults": faults}, 503 if faults else 200)

    @app.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return app


def _loop_factory() -> asyncio.AbstractEventLoop:
    import uvloop

    return uvloop.new_event_loop()
