"""What a mail that came back says, read from the report a mail server writes about it (RFC 3464)."""

from __future__ import annotations

from email import message_from_bytes, policy
from email.message import Message

from notifier.models import reason_for

SENT_BACK = "sent back by the mail server of that address"


def reason_of(content: bytes) -> str | None:
    """Why a mail came back, in words for people; None for what is no report, or one that says nothing final (delayed, delivered)."""
    message = message_from_bytes(content, policy=policy.default)
    if message.get_content_type() != "multipart/report" or message.get_param("report-type") != "delivery-status":
        return None
    for part in message.walk():
        if part.get_content_type() == "message/delivery-status":
            return next((_reason(fields) for fields in _recipients(part) if _said(fields, "Action").lower() == "failed"), None)
    return None


def _recipients(part: Message) -> list[Message]:
    """The groups of fields about recipients; the first group is about the whole mail."""
    groups = part.get_payload()
    return [group for group in groups[1:] if isinstance(group, Message)] if isinstance(groups, list) else []


def _reason(fields: Message) -> str:
    """The server's own words may hold anything and are left out."""
    return reason_for(_said(fields, "Status").split(maxsplit=1)[0] if _said(fields, "Status") else "") or SENT_BACK


def _said(fields: Message, name: str) -> str:
    return str(fields.get(name, "")).strip()
