"""What we ask Xero to allow, in words, made from the scopes that are really asked for."""

from __future__ import annotations

_ = str
"""Marks a text for the catalogue; the page translates it."""

NO_WORDS = frozenset({"openid"})
"""Belongs to every sign-in and allows nothing by itself."""

WORDS = {
    "profile": _("Your name, to say who shared"),
    "email": _("Your e-mail address, to know your account again"),
    "offline_access": _("Reading while you are away, so shared invoices stay true"),
    "accounting.contacts.read": _("Read your contacts"),
    "accounting.invoices.read": _("Read your invoices"),
    "accounting.transactions.read": _("Read your invoices and payments"),
    "accounting.settings.read": _("Read your organisation's settings: its time zone and short name"),
}


def permissions(scopes: str) -> list[str]:
    """Each permission in words, in the order asked. A scope without words of ours is shown by its own name, never hidden."""
    return [WORDS.get(scope, scope) for scope in scopes.split() if scope not in NO_WORDS]
