"""Events published by portal: a client asked to sign in."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from common.events import EventData


class SignInLinkRequested(EventData, type="portal.sign_in_link.requested.v1"):
    """Mail a sign-in link and code. `sealed` holds {token, code}, readable by notifier alone; `link_id` is the seal's subject.

    `organisation_name`, its id and `invited_at` are set when it was asked for from an invitation. Worthless after `expires_at`.
    `share_id` names that invitation's share; the mail is not sent once it ended.
    """

    link_id: str
    email: str
    agent: str
    expires_at: datetime
    organisation_name: str | None = None
    invited_at: datetime | None = None
    organisation_id: str | None = None
    share_id: str | None = None
    sealed: dict[str, Any]
