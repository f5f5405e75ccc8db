"""Everything sharing is made of."""

from __future__ import annotations

from fastapi import FastAPI

from common.crypto import KeyRing
from common.erasure import Eraser
from common.identity import Signer
from common.service import create_service
from sharing import (
    api,
    client_api,
    download_store,
    erasing,
    leaving_api,
    leaving_store,
    paper_api,
    preview_api,
    snapshot_store,
    store,
)
from sharing.expirer import Expirer
from sharing.handlers import handlers_with
from sharing.settings import Settings
from sharing.sweepers import ContactEraser, Ender


def create_app(settings: Settings | None = None) -> FastAPI:
    settings = settings or Settings()
    ring = KeyRing.load(settings.event_seal_ring)
    return create_service(
        "sharing",
        settings,
        routers=[api.router, client_api.router, paper_api.router, preview_api.router, leaving_api.router],
        handlers=handlers_with(ring),
        loops=[Expirer(), Ender(), ContactEraser(), Eraser(erasing.forget)],
        indexes={**store.INDEXES, **snapshot_store.INDEXES, **leaving_store.INDEXES, **download_store.INDEXES},
        resources={"event_seal": ring, "signer": Signer("sharing", settings.keys_dir)},
    )
