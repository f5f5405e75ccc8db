"""One mail as it was received, and what a reader or a test wants to know of it."""

import re
from datetime import datetime
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser

from pydantic import BaseModel

WEB_ADDRESS = re.compile(r"https?://[^\s<>\"'\])]+")


class Mail(BaseModel):
    """`mail_from` and `rcpt_to` are the envelope, which may differ from the headers; `links` are all web addresses, each once, in order."""

    id: int
    at: datetime
    mail_from: str
    rcpt_to: list[str]
    subject: str
    headers: list[tuple[str, str]]
    text: str | None
    html: str | None
    links: list[str]


def read_mail(number: int, at: datetime, mail_from: str, rcpt_to: list[str], content: bytes) -> Mail:
    """Take the bytes of DATA apart."""
    message = message_from_bytes(content, policy=policy.default)
    text, html = body(message, "plain"), body(message, "html")
    return Mail(
        id=number,
        at=at,
        mail_from=mail_from,
        rcpt_to=rcpt_to,
        subject=str(message.get("Subject", "")),
        headers=[(name, str(value)) for name, value in message.items()],
        text=text,
        html=html,
        links=links(text, html),
    )


def body(message: EmailMessage, kind: str) -> str | None:
    """The part people read, as text or HTML; None when there is no such part."""
    part = message.get_body((kind,))
    return None if part is None else str(part.get_content()).replace("\r\n", "\n")


def links(text: str | None, html: str | None) -> list[str]:
    """Web addresses of the text part, then the targets of the HTML part's links."""
    collector = LinkTargets()
    collector.feed(html or "")
    found = [address.rstrip(".,;:!?") for address in WEB_ADDRESS.findall(text or "")]
    return list(dict.fromkeys(found + collector.found))


class LinkTargets(HTMLParser):
    """Collects where the links of a page lead."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        target = dict(attrs).get("href") if tag == "a" else None
        if target and target.startswith(("http://", "https://")):
            self.found.append(target)
