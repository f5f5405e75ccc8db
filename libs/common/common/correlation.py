"""Which request or event the work at hand belongs to, so that one id leads from a click to a mail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog

from common import tracing
from common.ids import new_id

_correlation: ContextVar[str | None] = ContextVar("correlation_id", default=None)
_causation: ContextVar[str | None] = ContextVar("causation_id", default=None)


def correlation_id() -> str:
    """The id of the click or event this work began with; a new one when it began by itself."""
    return _correlation.get() or new_id("cor")


def causation_id() -> str | None:
    """The id of the event being handled, if one is."""
    return _causation.get()


def carried() -> dict[str, Any]:
    """What a row of work keeps of the click or event it comes from, for `resumed`."""
    return {"correlation_id": correlation_id(), "traceparent": tracing.traceparent()}


@contextmanager
def resumed(row: Mapping[str, Any], name: str) -> Iterator[None]:
    """Work on a row goes on under the id and in the trace it was stored with; `name` is its span's. Rows that carry nothing begin anew."""
    with (
        correlated(row.get("correlation_id") or new_id("cor")),
        tracing.span(name, tracing.CONSUMER, parent=row.get("traceparent")),
    ):
        yield


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
