"""What the environment may decide."""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """Every value has a default that fits `make up`; the README lists them."""

    model_config = SettingsConfigDict(env_ignore_empty=True, extra="ignore", frozen=True)

    listen_host: str = "127.0.0.1"
    port: int = 8182
    smtp_port: int = 8125
    data_dir: Path = Path(".local/inbox")
    product_url: str = "http://localhost:8080"
