"""The parameters of a list call: names in any case, values as Xero reads them."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000
MOST_IDS = 50


class TooManyIds(Exception):
    """More than 50 ids: to Xero this is a path it cannot find."""


@dataclass(frozen=True)
class Query:
    """`paged` when page, pageSize or summaryOnly was sent. Ids are in dashed lower case."""

    paged: bool = False
    page: int = 1
    page_size: int = DEFAULT_PAGE
    summary: bool = False
    include_archived: bool = False
    created_by_my_app: bool = False
    where: str = ""
    order: str = ""
    search: str = ""
    unit_places: int = 2
    ids: list[str] = field(default_factory=list)
    contact_ids: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    modified_since: datetime | None = None

    @staticmethod
    def read(parameters: Sequence[tuple[str, str]], if_modified_since: str | None) -> "Query":
        given = {name.lower(): value for name, value in parameters}
        summary = _flag(given, "summaryonly")
        return Query(
            paged=summary or "page" in given or "pagesize" in given,
            page=max(1, _number(given.get("page"), 1)),
            page_size=min(LARGEST_PAGE, max(1, _number(given.get("pagesize"), DEFAULT_PAGE))),
            summary=summary,
            include_archived=_flag(given, "includearchived"),
            created_by_my_app=_flag(given, "createdbymyapp"),
            where=given.get("where", ""),
            order=given.get("order", ""),
            search=given.get("searchterm", ""),
            unit_places=4 if given.get("unitdp") == "4" else 2,
            ids=[dashed(text) for text in _items(given, "ids")],
            contact_ids=[dashed(text) for text in _items(given, "contactids")],
            numbers=_items(given, "invoicenumbers"),
            statuses=[status.upper() for status in _items(given, "statuses")],
            modified_since=_instant(if_modified_since),
        )

    def check_ids(self) -> None:
        """Raises TooManyIds."""
        if max(len(self.ids), len(self.contact_ids), len(self.numbers)) > MOST_IDS:
            raise TooManyIds


def dashed(text: str) -> str:
    """A guid in its usual form; what is none stays as it is and matches nothing."""
    try:
        return str(uuid.UUID(text.strip()))
    except ValueError:
        return text.strip()


def _flag(given: dict[str, str], name: str) -> bool:
    return given.get(name, "").lower() == "true"


def _number(text: str | None, otherwise: int) -> int:
    return int(text) if text and re.fullmatch(r"-?\d{1,9}", text) else otherwise


def _items(given: dict[str, str], name: str) -> list[str]:
    return [part.strip() for part in given.get(name, "").split(",") if part.strip()]


def _instant(text: str | None) -> datetime | None:
    """ISO 8601 or RFC 1123, UTC when no zone is told, cut to the second; what cannot be read is ignored, as Xero does."""
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        try:
            moment = parsedate_to_datetime(text)
        except ValueError:
            return None
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return aware.astimezone(UTC).replace(microsecond=0)
