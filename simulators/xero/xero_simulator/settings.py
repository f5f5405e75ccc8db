"""What the environment may decide about one simulator."""

from datetime import date
from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict

from xero_simulator.limits import Tier


class Settings(BaseSettings):
    """Every value has a default that fits `make up`; the README lists them."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore")

    listen_host: str = "127.0.0.1"
    port: int = 8181
    public_url: str = "http://127.0.0.1:8181"
    internal_url: str = ""
    data_dir: Path = Path(".local/xero-simulator")
    client_id: str = "simulated-client"
    client_secret: str = "simulated-secret"
    redirect_uris: str = "http://localhost:8080/auth/xero/callback"
    webhook_url: str = "http://localhost:8080/webhooks/xero"
    webhook_key: str = "simulated-webhook-key"
    app_tier: Tier = "core"
    anchor_day: date | None = None
    seed: int = 1
    large_organisations: int = 1
    large_invoices: int = 0
    product_url: str = "http://localhost:8080"
    inbox_url: str = "http://127.0.0.1:8182"

    @property
    def registered_redirects(self) -> list[str]:
        return [uri.strip() for uri in self.redirect_uris.split(",") if uri.strip()]

    @property
    def inside(self) -> str:
        """Where services reach it, when containers make that another address than the browser's."""
        return self.internal_url.rstrip("/") or self.issuer

    @property
    def issuer(self) -> str:
        return self.public_url.rstrip("/")
