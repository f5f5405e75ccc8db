"""What the web service can be told, from the environment."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field

from common.settings import ServiceSettings


class DemoLinks(BaseModel):
    """Where the simulators are opened; the demo strip shows when this is set. JSON in DEMO_LINKS."""

    inbox: str
    back_office: str


class Settings(ServiceSettings):
    """`xero_scopes` are the scopes auth asks for, separated by spaces: the list of permissions people read is made from them.

    `trusted_hops`: how many proxies of ours a request passes, the gateway among them. `xero_contacts_url` is where
    “Open contacts in Xero” leads.
    """

    auth_url: str = "http://127.0.0.1:8101"
    xero_gateway_url: str = "http://127.0.0.1:8102"
    sharing_url: str = "http://127.0.0.1:8103"
    portal_url: str = "http://127.0.0.1:8104"
    xero_scopes: str = "openid profile email offline_access accounting.contacts.read accounting.invoices.read"
    xero_contacts_url: str = "https://go.xero.com/app/contacts"
    trusted_hops: Annotated[int, Field(ge=1, le=10)] = 1
    demo_links: DemoLinks | None = None
