"""The Share form as it is filled in: read from a form or an address, written into an address, and what sharing wants of it."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import date
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from starlette.datastructures import FormData, QueryParams

from common.contracts.invoice_lists import MOST_PICKED
from web.hints import split
from web.models import query

MOST_ADDRESSES = 20
LONGEST_FIELD = 320 * MOST_ADDRESSES


@dataclass(frozen=True)
class Draft:
    """The form. `what`: all, from (a date) or picked; the dates as typed.

    `find` and `page`: which part of the invoices to pick from is shown.
    """

    email: str = ""
    what: str = "all"
    from_date: str = ""
    invoices: tuple[str, ...] = ()
    ends_on: str = ""
    find: str = ""
    page: int = 1

    @classmethod
    def of(cls, given: FormData | QueryParams) -> Draft:
        """Picked invoices stand one by one in a form, and as one value in an address."""
        what, page = str(given.get("what", "")), str(given.get("pick_page", ""))
        picked = [str(one) for one in given.getlist("invoice")] + _unpacked(str(given.get("picks", "")))
        return cls(
            email=str(given.get("email", "")).strip()[:LONGEST_FIELD],
            what=what if what in ("all", "from", "picked") else "all",
            from_date=str(given.get("from_date", ""))[:20],
            invoices=tuple(dict.fromkeys(one[:36] for one in picked))[: MOST_PICKED + 1],
            ends_on=str(given.get("ends_on", ""))[:20],
            find=str(given.get("find", "")).strip()[:100],
            page=int(page) if page.isascii() and page.isdigit() and 0 < len(page) < 6 and int(page) else 1,
        )

    @property
    def emails(self) -> list[str]:
        return split(self.email)

    @property
    def shared_from(self) -> date | None:
        """The day from which invoices are shared, if that is chosen and a date."""
        return day_of(self.from_date) if self.what == "from" else None

    def query(self) -> str:
        """The form in an address, to find it again after signing in and to look at what it would show."""
        what = self.what if self.what != "all" else ""
        parts = [("email", self.email), ("what", what), ("from_date", self.from_date), ("ends_on", self.ends_on)]
        return urlencode([(name, value) for name, value in [*parts, ("picks", _packed(self.invoices))] if value])

    def policy(self) -> dict[str, Any]:
        """Which invoices, as sharing wants it."""
        if self.what == "picked":
            return {"invoice_ids": list(self.invoices)}
        return {"from_date": self.shared_from and self.shared_from.isoformat()}

    def wanted(self, contact_name: str) -> dict[str, Any]:
        """As sharing wants it."""
        ends_on = day_of(self.ends_on)
        return {
            "emails": self.emails,
            "contact_name": contact_name,
            "ends_on": ends_on and ends_on.isoformat(),
            **self.policy(),
        }

    def chosen(self) -> dict[str, Any]:
        """Which invoices are counted as shared, as values of an address, where a list without ids would be no list."""
        if self.what == "picked":
            return {"picked": list(self.invoices[:MOST_PICKED]) or ["none"]}
        return query(shared_from=self.shared_from)

    def faults(self) -> list[tuple[str, str]]:
        """(field, fault) of what cannot be sent as it stands; share.html has the words."""
        return [
            *([("email", "missing")] if not self.emails else []),
            *([("email", "too_many")] if len(self.emails) > MOST_ADDRESSES else []),
            *([("from_date", "no_date")] if self.what == "from" and not self.shared_from else []),
            *([("picked", "none")] if self.what == "picked" and not self.invoices else []),
            *([("picked", "too_many_picked")] if self.what == "picked" and len(self.invoices) > MOST_PICKED else []),
            *([("ends_on", "no_date")] if self.ends_on and not day_of(self.ends_on) else []),
        ]


def day_of(text: str) -> date | None:
    """The date of an ISO text; None for anything else."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _packed(ids: tuple[str, ...]) -> str:
    """Ids of invoices in a third of their length; what is no UUID names no invoice and is left out."""
    uuids = [found for found in map(_uuid, ids) if found]
    return base64.urlsafe_b64encode(b"".join(uuid.bytes for uuid in uuids)).decode().rstrip("=")


def _unpacked(text: str) -> list[str]:
    try:
        together = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, ValueError):
        return []
    return [str(UUID(bytes=together[at : at + 16])) for at in range(0, len(together) - 15, 16)]


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
