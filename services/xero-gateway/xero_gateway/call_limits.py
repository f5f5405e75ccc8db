"""Xero's limits of calls, what people and background work may take of them, and how long a denied call has to wait. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, ConfigDict

IN_FLIGHT = 5
PER_MINUTE = 60
APP_PER_MINUTE = 10_000
FOR_PEOPLE = 5
"""Calls of a minute, beside one of those in flight and a tenth of the day, that background work leaves to people."""

BREAKS_AFTER = 5
"""Failures in a row after which an organisation's Xero is left alone for a while."""

LONGEST_BREAK_SECONDS = 15
UNKNOWN_LIMIT_SECONDS = 5.0
"""Xero says how long to wait for its minute and day limits only."""

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
Limit = Literal["minute", "day"]


@dataclass(frozen=True)
class Patience:
    """Seconds a call may take, and how long it may wait for its turn before: of people within the time of the call."""

    seconds: float
    turn: float
    people: bool

    @property
    def overall(self) -> float:
        return self.seconds if self.people else self.turn + self.seconds


PEOPLE = Patience(seconds=6.0, turn=3.0, people=True)
BACKGROUND = Patience(seconds=30.0, turn=65.0, people=False)
"""Waits for the next minute where it stands: giving work back and taking it again for every minute would cost more."""


@dataclass(frozen=True)
class Asking:
    """Who wants to make a call of an organisation that has `per_day`, and for how long it counts as in flight."""

    people: bool
    per_day: int
    lease_ms: int

    @property
    def day_reserve(self) -> int:
        """What background work leaves of the day."""
        return self.per_day // 10


@dataclass
class Told:
    """What an answer told: calls left in Xero's minute and day, and whether Xero was well. None where it told nothing."""

    minute_left: int | None = None
    day_left: int | None = None
    app_left: int | None = None
    well: bool | None = None

    def read(self, headers: Mapping[str, str]) -> None:
        """Takes Xero's headers of an answer that was not refused for a limit."""
        self.minute_left = _number(headers, "x-minlimit-remaining")
        self.day_left = _number(headers, "x-daylimit-remaining")
        self.app_left = _number(headers, "x-appminlimit-remaining")


class Shape(BaseModel):
    """Read from the database."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class CountedCall(Shape):
    """In flight until it ended, at the latest `until`."""

    until: datetime
    ended: datetime | None = None


class Denial(Shape):
    """Why a call was not allowed at `asked_at`, with what tells when it will be."""

    denied: Literal["paused", "broken", "concurrent", "minute", "people", "day"]
    asked_at: datetime
    calls: list[CountedCall]
    paused_until: datetime | None = None
    paused_for: str | None = None
    broken_until: datetime | None = None
    day_seen_at: datetime | None = None
    day_resets_at: datetime | None = None

    @property
    def limit(self) -> Limit | None:
        """The limit of Xero's that stands behind it, for people."""
        if self.denied == "day" or (self.denied == "paused" and self.paused_for == "day"):
            return "day"
        return "minute" if self.denied in ("minute", "paused") else None

    def seconds(self, *, people: bool) -> float:
        """Until it is worth asking again; 0 when that may be any moment."""
        moment = {"paused": self.paused_until, "broken": self.broken_until}.get(self.denied)
        if self.denied == "minute":
            moment = self._minute_over(PER_MINUTE if people else PER_MINUTE - FOR_PEOPLE)
        if self.denied == "day":
            probe = (self.day_seen_at or self.asked_at) + HOUR
            moment = min(probe, self.day_resets_at or probe)
        return max(0.0, (moment - self.asked_at).total_seconds()) if moment else 0.0

    def _minute_over(self, allowed: int) -> datetime:
        """When enough of the minute's calls are older than a minute; one in flight counts as if it ended now."""
        ends = sorted(min(call.ended or call.until, self.asked_at) for call in self.calls)
        return ends[len(ends) - allowed] + MINUTE


class CallsLeft(Shape):
    """The calls an organisation has today, of `a_day`. `day_left` is None before the first call.

    `day_resets_at` is known once a new day was seen to begin, or Xero refused a call and said when the next does.
    """

    a_day: int
    day_left: int | None = None
    day_resets_at: datetime | None = None
    paused_until: datetime | None = None
    paused_for: str | None = None
    asked_at: datetime | None = None

    @property
    def paused(self) -> Limit | None:
        """The limit because of which Xero is not asked now."""
        if self.paused_until is None or self.asked_at is None or self.paused_until <= self.asked_at:
            return None
        return "day" if self.paused_for == "day" else "minute"


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 9 else None
