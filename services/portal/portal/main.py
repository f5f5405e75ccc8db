"""What the portal service is made of."""

from __future__ import annotations

from fastapi import FastAPI

from common.backup import Keeping
from common.erasure import Eraser
from common.http import ServiceClient
from common.identity import Signer
from common.service import create_service
from portal.api import router
from portal.client_eraser import ClientEraser
from portal.clients import SharingClient
from portal.handlers import HANDLERS
from portal.link_sender import LinkSender
from portal.links import forget
from portal.settings import Rings, Settings
from portal.store import BROWSERS, INDEXES, LIMITS, LINKS, MAIL_SERVER, SESSIONS, SIGN_IN_REQUESTS


def create_app(settings: Settings | None = None) -> FastAPI:
    """The portal service: its routes, the loop that makes sign-in links, and sharing behind both."""
    settings = settings or Settings()
    rings = Rings.load(settings.keys_dir)
    signer = Signer("portal", settings.keys_dir)
    sharing = SharingClient(ServiceClient(settings.sharing_url, signer=signer, audience="sharing"))
    return create_service(
        "portal",
        settings,
        routers=[router],
        handlers=HANDLERS,
        loops=[LinkSender(sharing, rings), ClientEraser(sharing), Eraser(forget)],
        indexes=INDEXES,
        resources={"sharing": sharing, "rings": rings, "signer": signer},
        keeping=Keeping(left_out=frozenset({SIGN_IN_REQUESTS, LINKS, SESSIONS, BROWSERS, LIMITS, MAIL_SERVER})),
    )
