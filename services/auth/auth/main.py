"""What the auth service is made of."""

from __future__ import annotations

from fastapi import FastAPI

from auth import api, audit_store, browser, store, vault
from auth.auditor import Auditor
from auth.handlers import HANDLERS
from auth.refresher import Refresher
from auth.settings import Settings
from auth.tokens import Tokens
from auth.xero import Xero
from common.crypto import KeyRing
from common.identity import Signer
from common.service import create_service

CALLBACK_SECONDS = 20.0
"""A callback makes up to four calls to Xero with a code that works once: it may take longer than a page."""


def create_app(settings: Settings | None = None) -> FastAPI:
    options = settings or Settings()
    ring = KeyRing.load(options.keys_dir / "rings" / f"{vault.RING}.json")
    xero = Xero(options)
    keeper = vault.Vault(ring)
    tokens = Tokens(xero, keeper)
    return create_service(
        "auth",
        options,
        routers=(browser.router, api.router),
        handlers=HANDLERS,
        loops=(Refresher(tokens), Auditor()),
        indexes={**store.INDEXES, **audit_store.INDEXES},
        resources={
            "tokens": tokens,
            "xero": xero,
            "ring": ring,
            "vault": keeper,
            "signer": Signer("auth", options.keys_dir),
            "request_seconds": CALLBACK_SECONDS,
        },
    )
