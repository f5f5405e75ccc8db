"""What the notifier can be told, from the environment."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SecretStr

from common.settings import ServiceSettings


class Settings(ServiceSettings):
    """The mail server and the address mails come from.

    `smtp_starttls`: required (with a valid certificate), on (when the server offers it), off (for a server on this machine).
    `return_domain`: the domain whose mail is delivered to `return_port` here, which is how we notice mails that come back.
    """

    smtp_host: str = "127.0.0.1"
    smtp_port: int = 25
    smtp_starttls: Literal["on", "off", "required"] = "required"
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    mail_from: str = "invoices@client-invoices.example"
    return_domain: str | None = None
    return_port: Annotated[int, Field(ge=0, le=65535)] = 0

    def return_path(self, token: str) -> str:
        """The envelope's sender, to which a mail comes back: an address of its own where we receive returns, else where mails come from."""
        return f"{token}@{self.return_domain}" if self.return_domain else self.mail_from
