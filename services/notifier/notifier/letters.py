"""What a mail says: texts from the templates, one link, headers nobody else can write into."""

from __future__ import annotations

import re
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from functools import cache

from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from common.addresses import InvalidAddress, canonical, domain_of
from common.clock import utc_now
from notifier.models import About, Mail, Secret, cleaned, grouped

SENDER_NAME = "Client Invoices"


def letter(mail: Mail, secret: Secret, public_url: str, mail_from: str) -> EmailMessage:
    """The finished message, a text part that reads well alone and the same as HTML.

    Raises ValueError when something in it cannot stand in a header, or its link lacks the secret.
    """
    public_url = public_url.rstrip("/")
    names = {
        "address": mail.email,
        "link": link_of(mail, secret, public_url),
        "code": grouped(secret.code) if secret.code else None,
        "home": f"{public_url}/",
        **_names(mail.about),
    }
    message = EmailMessage(policy=SMTP)
    message["From"] = Address(SENDER_NAME, addr_spec=mail_from)
    message["To"] = _address("", mail.email)
    if (reply_to := _reply_to(mail)) is not None:
        message["Reply-To"] = reply_to
    message["Subject"] = " ".join(_template(mail, "subject.txt", names).split())
    message["Date"] = utc_now()
    message["Message-ID"] = f"<{mail.event_id}@{domain_of(mail_from)}>"
    message["Auto-Submitted"] = "auto-generated"
    _require_one_line_each(message)
    message.set_content(_template(mail, "body.txt", names))
    message.add_alternative(_inliner().inline(_template(mail, "body.html", names)), subtype="html")
    return message


def link_of(mail: Mail, secret: Secret, public_url: str) -> str:
    """The one link of a mail, built from PUBLIC_URL and nothing a stranger wrote."""
    if mail.kind == "invitation":
        return f"{public_url}/i/{_present(secret.invitation)}"
    if mail.kind == "reconnect":
        return f"{public_url}/auth/xero/start?next=clients&organisation={_present(mail.about.organisation_id)}"
    return f"{public_url}/s/{_present(secret.token)}"


def _names(about: About) -> dict[str, str | None]:
    return {
        "organisation": cleaned(about.organisation_name or ""),
        "contact": cleaned(about.contact_name or ""),
        "person": cleaned(about.person_name or ""),
        "person_email": _usable(about.person_email),
        "agent": cleaned(about.agent or "") or "an unknown browser",
        "invited_on": _date(about.invited_at) if about.invited_at else None,
        "since": f"{_date(about.since)}, {about.since:%H:%M} UTC" if about.since else None,
        "cause": about.cause,
    }


def _reply_to(mail: Mail) -> Address | None:
    """An invitation is answered to the person who shared, when their address is one."""
    email = _usable(mail.about.person_email) if mail.kind == "invitation" else None
    return _address(cleaned(mail.about.person_name or ""), email) if email else None


def _usable(email: str | None) -> str | None:
    """The address in its canonical form; None when it is none."""
    try:
        return canonical(email or "")
    except InvalidAddress:
        return None


def _address(name: str, email: str) -> Address:
    """Built from its parts, so that nothing in them is read as header syntax. Raises ValueError for an encoded word, which would be."""
    if "=?" in email:
        raise ValueError("an address holds an encoded word")
    local, _, domain = email.rpartition("@")
    return Address(name, username=local, domain=domain)


def _require_one_line_each(message: EmailMessage) -> None:
    """No header brings another one along: neither as it reads nor, beside its folding, as it is written. Raises ValueError."""
    for name, value in message.items():
        written = re.sub(r"\r\n[ \t]", "", message.policy.fold(name, value)).removesuffix("\r\n")
        if re.search(r"[\r\n]", f"{value}{written}"):
            raise ValueError(f"{name} holds a line break")


def _template(mail: Mail, file: str, names: dict[str, str | None]) -> str:
    return _templates().get_template(f"{mail.kind}/{file}").render(names)


def _date(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y}"


def _present(value: str | None) -> str:
    if not value:
        raise ValueError("the sealed part lacks what this mail's link needs")
    return value


@cache
def _templates() -> Environment:
    """A name missing in a template is an error; only HTML is escaped."""
    escaping = select_autoescape(["html"])
    return Environment(
        loader=PackageLoader("notifier"), autoescape=escaping, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )


@cache
def _inliner() -> CSSInliner:
    return CSSInliner(load_remote_stylesheets=False)
