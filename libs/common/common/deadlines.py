"""How long the work at hand may still take. Deadlines shrink inward: a call never waits longer than its caller."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_ends_at: ContextVar[float | None] = ContextVar("deadline", default=None)


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Limits everything inside to `seconds`, or to what an outer deadline leaves."""
    token = _ends_at.set(time.monotonic() + remaining(seconds))
    try:
        yield
    finally:
        _ends_at.reset(token)


@contextmanager
def deadline_anew(seconds: float) -> Iterator[None]:
    """Limits everything inside to `seconds` whatever an outer deadline leaves: for an answer that is sent piece by piece."""
    token = _ends_at.set(time.monotonic() + seconds)
    try:
        yield
    finally:
        _ends_at.reset(token)


def remaining(limit: float) -> float:
    """Seconds left, at most `limit`, and never less than a tenth so that a call fails by itself and says why."""
    ends_at = _ends_at.get()
    return limit if ends_at is None else max(0.1, min(limit, ends_at - time.monotonic()))
