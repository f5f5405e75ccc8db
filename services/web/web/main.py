"""What the web service is made of."""

from __future__ import annotations

from fastapi import FastAPI

from common.crypto import KeyRing
from common.http import ServiceClient
from common.identity import Signer
from common.service import create_service
from web import failures, files
from web.clients import Services
from web.pages import (
    access,
    account,
    client,
    client_account,
    client_link,
    client_sign_in,
    clients,
    downloads,
    help,
    home,
    invoice,
    leave,
    organisations,
    portal,
    settings,
    share,
    share_as_client,
    statement,
    timeline,
)
from web.security import SecurityHeaders
from web.settings import Settings

PAGE_SECONDS = 10.0
ROUTERS = (
    files.router,
    home.router,
    help.router,
    organisations.router,
    clients.router,
    client.router,
    timeline.router,
    share.router,
    share_as_client.router,
    access.router,
    invoice.router,
    settings.router,
    account.router,
    leave.router,
    client_sign_in.router,
    client_link.router,
    client_account.router,
    downloads.router,  # their addresses stand below a sender's, where portal takes the rest for an invoice's id
    statement.router,
    portal.router,
)


def create_app(given: Settings | None = None) -> FastAPI:
    """The web service: pages, static files, and the services behind them."""
    options = given or Settings()
    app = create_service(
        "web",
        options,
        routers=ROUTERS,
        resources={
            "services": services(options),
            "csrf_ring": KeyRing.load(options.keys_dir / "rings" / "csrf.json"),
            "request_seconds": PAGE_SECONDS,
        },
    )
    failures.install(app)
    app.add_middleware(SecurityHeaders)
    return app


def services(options: Settings) -> Services:
    """Clients of the four services behind the pages, all speaking in the name of web."""
    signer = Signer("web", options.keys_dir)
    return Services(
        auth=ServiceClient(options.auth_url, signer=signer, audience="auth"),
        portal=ServiceClient(options.portal_url, signer=signer, audience="portal"),
        gateway=ServiceClient(options.xero_gateway_url, signer=signer, audience="xero-gateway", waits=True),
        sharing=ServiceClient(options.sharing_url, signer=signer, audience="sharing"),
    )
