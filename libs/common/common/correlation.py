"""Which request or event the work at hand belongs to, so that one id leads from a click to a mail."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import structlog

from common.ids import new_id

_correlation: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_causation: ContextVar[str | None] = ContextVar("causation_id", default=None)


def correlation_id() -> str:
    """The id of the click or event this work began with; a new one when it began by itself."""
    return _correlation.get() or new_id("cor")


def causation_id() -> str | None:
    """The id of the event being handled, if one is."""
    return _causation.get()


@contextmanager
def correlated(correlation: str, causation: str | None = None) -> Iterator[None]:
    """Everything inside, its logs and its events belong to `correlation`."""
    first = _correlation.set(correlation)
    second = _causation.set(causation)
    with structlog.contextvars.bound_contextvars(correlation_id=correlation):
        try:
            yield
        finally:
            _correlation.reset(first)
            _causation.reset(second)
