"""Events published by notifier: what became of an invitation's mail, and whether mails leave at all."""

from __future__ import annotations

from datetime import datetime

from common.events import EventData


class EmailSent(EventData, type="notifier.email.sent.v1"):
    """The mail server took the invitation of this share. `version` is the invitation's number."""

    share_id: str
    at: datetime


class EmailFailed(EventData, type="notifier.email.failed.v1"):
    """The invitation of this share was refused for good, not handed over in time, or came back. `reason` is a text for people.

    `returned`: the mail server had taken it, and the mailbox's own server sent it back later.
    """

    share_id: str
    at: datetime
    reason: str
    returned: bool = False


class MailServerChanged(EventData, type="notifier.mail_server.changed.v1"):
    """The mail server stopped taking mails, whoever they are for, or takes them again: then `failing_since` is None."""

    failing_since: datetime | None
