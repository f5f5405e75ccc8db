"""The time, read in one place. For business dates and display; expiry, leases and limits use the database's clock."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo


def utc_now() -> datetime:
    """Now, aware, in UTC, cut to milliseconds because BSON dates hold no more."""
    return milliseconds(datetime.now(UTC))


def milliseconds(moment: datetime) -> datetime:
    """The same moment in UTC without microseconds below the millisecond."""
    moment = moment.astimezone(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def local_date(moment: datetime, time_zone: str) -> date:
    """The calendar date of a moment in an IANA time zone: the day that decides what is due or overdue."""
    return moment.astimezone(ZoneInfo(time_zone)).date()


def end_of_day(day: date, time_zone: str) -> datetime:
    """The moment in UTC at which a date is over in an IANA time zone: the first of the next day."""
    return datetime.combine(day + timedelta(days=1), time(), ZoneInfo(time_zone)).astimezone(UTC)
