"""What the notifier can be told, from the environment."""

from __future__ import annotations

from typing import Literal

from pydantic import SecretStr

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """The mail server and the address mails come from.

    `smtp_starttls`: required (with a valid certificate), on (when the server offers it), off (for a server on this machine).
    """

    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_starttls: Literal["on", "off", "required"] = "required"
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    mail_from: str = "invoices@client-invoices.example"
