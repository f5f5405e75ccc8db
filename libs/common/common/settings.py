"""What every service can be told, read once from the environment and passed down."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SecretsSettingsSource, SettingsConfigDict

SHIPPED_SECRETS = frozenset({"guest", "simulated-secret", "simulated-webhook-key", "change-me"})
"""Values that stand in this repository. Whoever reads it knows them, so production refuses them."""


class ServiceSettings(BaseSettings):
    """Settings all services share; each service adds its own. Environment names are the field names in upper case.

    SECRETS_DIR names folders, parted by colons, whose files are settings too: `mongo_url` holds MONGO_URL. The environment wins.
    """

    model_config = SettingsConfigDict(extra="ignore", frozen=True)

    environment: Literal["development", "production"] = "development"
    public_url: str = "http://localhost:8080"
    listen_host: str = "127.0.0.1"
    port: int = 8000
    health_port: int = 9000
    run_api: bool = True
    run_workers: bool = True
    """API and workers (consumer, relay, loops) may be processes of their own; health and metrics answer in both."""

    drain_seconds: Annotated[float, Field(ge=0, le=60)] = 0
    """How long a process that was told to end goes on serving, not ready any more, so that whoever sends it requests turns to others."""

    mongo_url: str | None = None
    mongo_database: str | None = None
    rabbitmq_url: str | None = None
    keys_dir: Path = Path("keys")
    public_keys_dir: Path = Path("keys/public")
    default_time_zone: str = "Pacific/Auckland"
    """Decides what is due today, and how times are written, where Xero does not tell an organisation's own time zone."""

    otel_exporter_otlp_endpoint: str | None = None
    """A collector that speaks OTLP over HTTP, such as http://collector:4318; none: no traces."""

    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        folders = [folder for folder in os.environ.get("SECRETS_DIR", "").split(":") if Path(folder).is_dir() and folder]
        files = SecretsSettingsSource(settings_cls, secrets_dir=folders) if folders else file_secret_settings
        return init_settings, env_settings, files

    @field_validator("default_time_zone")
    @classmethod
    def is_a_time_zone(cls, name: str) -> str:
        try:
            ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError("is no IANA time zone such as Pacific/Auckland") from error
        return name

    @model_validator(mode="after")
    def refuse_to_run_nothing(self) -> ServiceSettings:
        if not (self.run_api or self.run_workers):
            raise ValueError("RUN_API and RUN_WORKERS are both false, so there is nothing to run")
        return self

    @model_validator(mode="after")
    def refuse_shipped_secrets(self) -> ServiceSettings:
        """Raises ValueError naming every setting that still holds a secret from this repository in production."""
        if self.environment == "production":
            shipped = [name for name, value in self if _text(value) in SHIPPED_SECRETS]
            if self.rabbitmq_url and "guest:guest@" in self.rabbitmq_url:
                shipped.append("rabbitmq_url")
            if shipped:
                raise ValueError(f"{', '.join(name.upper() for name in shipped)}: a development secret; set a secret of your own")
        return self


def _text(value: object) -> str:
    reveal = getattr(value, "get_secret_value", None)
    return str(reveal() if reveal else value)
