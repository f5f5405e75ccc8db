"""What the auth service can be told, from the environment."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """The app registered at Xero and where Xero answers; the defaults are the real Xero.

    `xero_connections_cap` is what Xero's tier allows the app, 5 for the smallest; it is shown, Xero enforces it.
    `xero_pkce` is off because the two reports on PKCE with a secret-holding app contradict each other (it may be refused).
    """

    xero_client_id: str
    xero_client_secret: SecretStr
    xero_scopes: str = "openid profile email offline_access accounting.contacts.read accounting.invoices.read"
    xero_connections_cap: int = 5
    xero_pkce: Literal["on", "off"] = "off"
    xero_issuer: str = "https://identity.xero.com"
    xero_discovery_url: str = "https://identity.xero.com/.well-known/openid-configuration"
    xero_authorize_url: str = "https://login.xero.com/identity/connect/authorize"
    xero_token_url: str = "https://identity.xero.com/connect/token"
    xero_connections_url: str = "https://api.xero.com/connections"
    xero_revocation_url: str = "https://identity.xero.com/connect/revocation"
    sharing_url: str = "http://127.0.0.1:8103"

    @property
    def redirect_uri(self) -> str:
        """Where Xero sends people back to; registered at Xero letter by letter."""
        return f"{self.public_url.rstrip('/')}/auth/xero/callback"
