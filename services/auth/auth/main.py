"""What the auth service is made of."""

from __future__ import annotations

from functools import partial

from fastapi import FastAPI

from auth import admin, api, audit_store, browser, leaving_api, leaving_store, restoring, store, vault
from auth.auditor import Auditor
from auth.clients import SharingClient
from auth.departures import Departures
from auth.handlers import HANDLERS
from auth.leaver import Leaver
from auth.leavings import nothing_more
from auth.refresher import Refresher
from auth.settings import Settings
from auth.tokens import Tokens
from auth.xero import Xero
from common.backup import Keeping
from common.crypto import KeyRing
from common.erasure import Eraser
from common.http import ServiceClient
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
    signer = Signer("auth", options.keys_dir)
    sharing = SharingClient(ServiceClient(options.sharing_url, signer=signer, audience="sharing"))
    departures = Departures(tokens, xero, sharing, keeper)
    return create_service(
        "auth",
        options,
        routers=(browser.router, api.router, leaving_api.router),
        handlers=HANDLERS,
        loops=(Refresher(tokens), Auditor(), Leaver(departures), Eraser(nothing_more)),
        indexes={**store.INDEXES, **audit_store.INDEXES, **leaving_store.INDEXES},
        resources={
            "tokens": tokens,
            "xero": xero,
            "ring": ring,
            "vault": keeper,
            "signer": signer,
            "sharing": sharing,
            "departures": departures,
            "request_seconds": CALLBACK_SECONDS,
        },
        admin=(admin.router,),
        keeping=Keeping(
            left_out=frozenset({store.SIGN_INS, store.SESSIONS}),
            by_itself=frozenset({audit_store.ANCHORS}),
            settle=partial(restoring.settle, ring),
        ),
    )
