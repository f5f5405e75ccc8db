"""Everything sharing is made of."""

from __future__ import annotations

from fastapi import FastAPI

from common.crypto import KeyRing
from common.service import create_service
from sharing import api, store
from sharing.handlers import handlers_with
from sharing.settings import Settings


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()
    ring = KeyRing.load(settings.event_seal_ring)
    return create_service(
        "sharing",
        settings,
        routers=[api.router],
        handlers=handlers_with(ring),
        indexes=store.INDEXES,
        resources={"event_seal": ring},
    )
