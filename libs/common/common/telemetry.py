"""Metrics every service has, by their Prometheus names."""

from __future__ import annotations

import time
from collections.abc import Iterable
from itertools import product

from prometheus_client import Counter, Gauge, Histogram

MEASURE_SECONDS = 5.0
"""How often what waits is counted: finer than Prometheus asks, and five times a second would be half of what an idle service does."""


REQUESTS = Histogram("http_request_seconds", "Time to answer a request", ["method", "route", "status"])
EVENTS_PUBLISHED = Counter("events_published_total", "Events the broker confirmed", ["type"])
EVENTS_RETURNED = Counter("events_returned_total", "Events the broker could route to nobody; look at the topology", ["type"])
EVENTS_STORED = Counter("events_stored_total", "Events stored in the inbox", ["outcome"])
EVENTS_HANDLED = Counter("events_handled_total", "Handler runs", ["type", "outcome"])
OUTBOX_WAITING = Gauge("outbox_waiting", "Events not yet confirmed by the broker")
OUTBOX_LAG = Gauge("outbox_lag_seconds", "How long the oldest event not yet confirmed has waited; 0 when none waits")
INBOX_WAITING = Gauge("inbox_waiting", "Events stored and not yet handled")
INBOX_PARKED = Gauge("inbox_parked", "Events set aside after their last attempt; list and replay them")
ERASURES_WAITING = Gauge("erasures_waiting", "Providers and organisations that left and whose erasure has passes to come")
TRANSACTION_RETRIES = Counter("mongo_transaction_retries_total", "Transactions run again", ["part"])
KEYS_HELD = Gauge("ring_keys_held", "Keys of rings as this process read them at its start; 1 each", ["ring", "key", "state"])


def from_zero(counter: Counter, *choices: Iterable[str]) -> Counter:
    """The counter, telling 0 for every combination of these values of its labels: Prometheus sees no increase in what was not there."""
    for values in product(*choices):
        counter.labels(*values)
    return counter


class Often:
    """`is_due()` at most once in so many seconds, the first time at once."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._due_at = 0.0

    def is_due(self) -> bool:
        now = time.monotonic()
        if now < self._due_at:
            return False
        self._due_at = now + self._seconds
        return True
