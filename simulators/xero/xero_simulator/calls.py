"""A log of the calls made to the API, in memory: the last 20,000 and a count of all."""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class LoggedCall:
    at: datetime
    method: str
    path: str
    query: str
    tenant: str | None
    status: int
    milliseconds: int


@dataclass
class CallLog:
    recent: deque[LoggedCall] = field(default_factory=lambda: deque(maxlen=20_000))
    by_tenant: Counter[str] = field(default_factory=Counter)
    by_status: Counter[int] = field(default_factory=Counter)

    def add(self, call: LoggedCall) -> None:
        self.recent.append(call)
        self.by_tenant[call.tenant or ""] += 1
        self.by_status[call.status] += 1

    def clear(self) -> None:
        self.recent.clear()
        self.by_tenant.clear()
        self.by_status.clear()

    def counts(self) -> dict[str, Any]:
        return {"total": self.by_status.total(), "by_tenant": dict(self.by_tenant), "by_status": dict(self.by_status)}
