"""How figures, dates and times are written for one reader: exact, in their language's way, in the organisation's time zone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from babel import Locale
from babel.dates import format_datetime, format_skeleton, format_time, get_timezone_name
from babel.numbers import format_decimal, get_currency_precision

from common.money import as_decimal

LOCALES = ("en_GB", "en_NZ", "en_AU", "en_IE", "en_US", "en_CA", "en_ZA", "en_IN", "en_SG")
"""Ways to write figures and dates that go with the languages our texts exist in. The first is the one for everybody else."""

MINUS = "\u2212"
NO_DECIMALS = "\u2008\u2007\u2007"
"""A punctuation space and two figure spaces: as wide as “.00”, so units stay under units."""

TILE_TINTS = 8


@dataclass(frozen=True)
class Reader:
    """Who a page is written for: `locale` as Babel names it, `time_zone` an IANA name, `now` the time of the request in UTC."""

    locale: str
    time_zone: str
    now: datetime

    @property
    def language(self) -> str:
        """The language tag of the page."""
        return self.locale.replace("_", "-")

    def figures(self, hundredths: int, currency: str) -> str:
        """An amount in hundredths as figures: grouped, minus as U+2212, currencies without decimals padded to the width of two."""
        whole_only = get_currency_precision(currency) == 0 and hundredths % 100 == 0
        text = str(format_decimal(abs(as_decimal(hundredths)), format="#,##0" if whole_only else "#,##0.00", locale=self.locale))
        return f"{MINUS if hundredths < 0 else ''}{text}{NO_DECIMALS if whole_only else ''}"

    def number(self, text: str | int) -> str:
        """A count, quantity or unit price, grouped, with the decimals it was given (up to 4)."""
        whole, _, decimals = str(text).partition(".")
        sign = MINUS if whole.startswith("-") else ""
        grouped = str(format_decimal(int(whole.lstrip("-") or 0), format="#,##0", locale=self.locale))
        decimals = decimals.rstrip("0") and decimals.rstrip("0").ljust(2, "0")
        return f"{sign}{grouped}{Locale.parse(self.locale).number_symbols['latn']['decimal'] + decimals if decimals else ''}"

    def day(self, day: date) -> str:
        """A date with its year: 4 Dec 2026."""
        return str(format_skeleton("yMMMd", day, locale=self.locale))

    def short_day(self, day: date, today: date) -> str:
        """A date, with its year only when that is not this year: 4 Dec."""
        return str(format_skeleton("MMMd", day, locale=self.locale)) if day.year == today.year else self.day(day)

    def clock(self, moment: datetime) -> str:
        """The time of day to the second: 10:42:07."""
        return str(format_time(moment, format="HH:mm:ss", tzinfo=ZoneInfo(self.time_zone), locale=self.locale))

    def moment(self, moment: datetime) -> str:
        """Date and time with the zone's short name: 4 Dec 2026, 10:42 NZDT."""
        zone = ZoneInfo(self.time_zone)
        local = moment.astimezone(zone)
        return f"{self.day(local.date())}, {format_datetime(local, 'HH:mm', locale=self.locale)} {_zone_name(local, zone)}"

    def ago(self, moment: datetime) -> str:
        """“4 minutes ago” up to 12 hours, then date and time with the zone's short name."""
        passed = self.now - moment
        if passed < timedelta(minutes=1):
            return "just now"
        if passed < timedelta(hours=1):
            return _counted(int(passed.total_seconds() // 60), "minute")
        if passed < timedelta(hours=12):
            return _counted(int(passed.total_seconds() // 3600), "hour")
        return self.moment(moment)


def reader(accept_language: str, time_zone: str, now: datetime) -> Reader:
    """The reader of a request: the first language asked for that we have a way of writing for, else LOCALES[0]."""
    wanted = [part.partition(";")[0].strip().replace("-", "_").lower() for part in accept_language.split(",")[:20]]
    known = {locale.lower(): locale for locale in LOCALES}
    return Reader(next((known[tag] for tag in wanted if tag in known), LOCALES[0]), time_zone, now)


def initials(name: str) -> str:
    """Two letters for an organisation's tile: of its first two words, else the first two of its only word."""
    words = [word for word in ("".join(c for c in part if c.isalnum()) for part in name.split()) if word]
    letters = words[0][0] + words[1][0] if len(words) > 1 else "".join(words)[:2]
    return letters.upper() or "·"


def tint(organisation_id: str) -> int:
    """Which of the eight tints an organisation's tile has: from its id, so it is the same everywhere and for ever."""
    return sum(position * ord(letter) for position, letter in enumerate(organisation_id, 1)) % TILE_TINTS


def settled_share(total: int, due: int) -> int:
    """How much of an invoice is settled, in whole percent; between 1 and 99 while it is neither untouched nor settled."""
    if total <= 0 or due >= total:
        return 0
    return 100 if due <= 0 else min(99, max(1, round(100 * (total - due) / total)))


def latest(days: Iterable[date | None]) -> date | None:
    """The last of some dates that may be missing."""
    return max((day for day in days if day), default=None)


def _counted(number: int, unit: str) -> str:
    return f"{number} {unit}{'' if number == 1 else 's'} ago"


def _zone_name(local: datetime, zone: ZoneInfo) -> str:
    name = local.tzname() or ""
    return name if name.isalpha() else str(get_timezone_name(local, width="short", locale="en"))
