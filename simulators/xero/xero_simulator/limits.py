"""Xero's rate limits: fixed windows for each organisation and for the app, and calls at the same time.

Source of the figures: developer.xero.com, "OAuth 2.0 API limits" and "Pricing and policy updates" (2026).
"""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from xero_simulator.clock import to_ms

MINUTE, DAY = 60_000, 86_400_000
CONCURRENT, PER_MINUTE, APP_PER_MINUTE = 5, 60, 10_000
Tier = Literal["starter", "core"]
PER_DAY: dict[Tier, int] = {"starter": 1_000, "core": 5_000}  # for each organisation; the higher tiers allow what core does


@dataclass(frozen=True)
class Refusal:
    """`problem` as in X-Rate-Limit-Problem; `retry_after` in seconds, only for the minute and the day."""

    problem: str
    retry_after: int | None = None


@dataclass
class Window:
    """Counts within fixed spans of `length` ms; the spans of different organisations begin at different times."""

    length: int
    limit: int
    offset: int = 0
    span: int = -1
    used: int = 0

    def left(self, now: int) -> int:
        span = (now + self.offset) // self.length
        if span != self.span:
            self.span, self.used = span, 0
        return max(0, self.limit - self.used)

    def seconds_to_next(self, now: int) -> int:
        return -(-(self.length - (now + self.offset) % self.length) // 1000)


@dataclass
class Budget:
    """What one organisation has used."""

    minute: Window
    day: Window
    running: int = 0


@dataclass
class Limiter:
    tier: Tier = "core"
    app: Window = field(default_factory=lambda: Window(MINUTE, APP_PER_MINUTE))
    budgets: dict[str, Budget] = field(default_factory=dict)

    def enter(self, tenant: str, moment: datetime) -> Refusal | None:
        """Counts a call in, or says why not; a refused call does not count. Every entered call must leave."""
        now, budget = to_ms(moment), self.budget(tenant)
        if budget.running >= CONCURRENT:
            return Refusal("concurrent")
        if budget.day.left(now) <= 0:
            return Refusal("day", budget.day.seconds_to_next(now))
        if budget.minute.left(now) <= 0:
            return Refusal("minute", budget.minute.seconds_to_next(now))
        if not self.enter_app(moment):
            return Refusal("appminute")
        budget.minute.used += 1
        budget.day.used += 1
        budget.running += 1
        return None

    def enter_app(self, moment: datetime) -> bool:
        """Counts a call against the app's own minute only, as /connections does."""
        if self.app.left(to_ms(moment)) <= 0:
            return False
        self.app.used += 1
        return True

    def leave(self, tenant: str) -> None:
        self.budget(tenant).running -= 1

    def pretend(self, problem: str, tenant: str, moment: datetime) -> Refusal:
        """The refusal that this limit would give now if it were used up."""
        budget = self.budget(tenant)
        window = {"day": budget.day, "minute": budget.minute}.get(problem)
        return Refusal(problem, window.seconds_to_next(to_ms(moment)) if window else None)

    def move_to(self, tier: Tier) -> None:
        """The app's tier from now on; what was used of the day stays used."""
        self.tier = tier
        for budget in self.budgets.values():
            budget.day.limit = PER_DAY[tier]

    def clear(self) -> None:
        """Nothing is used up any more; calls on their way still count as running."""
        self.app.used = 0
        for budget in self.budgets.values():
            budget.minute.used = budget.day.used = 0

    def told(self, moment: datetime) -> dict[str, Any]:
        """The tier and what is left to the app and to each organisation that was called."""
        now = to_ms(moment)
        left = {
            tenant: {"minute": budget.minute.left(now), "day": budget.day.left(now), "running": budget.running}
            for tenant, budget in self.budgets.items()
        }
        return {"tier": self.tier, "app_minute": self.app.left(now), "organisations": left}

    def headers(self, tenant: str | None, moment: datetime) -> dict[str, str]:
        """What is left, for every answer; without a tenant only the app's."""
        now = to_ms(moment)
        app = {"X-AppMinLimit-Remaining": str(self.app.left(now))}
        if tenant is None:
            return app
        budget = self.budget(tenant)
        return {"X-DayLimit-Remaining": str(budget.day.left(now)), "X-MinLimit-Remaining": str(budget.minute.left(now)), **app}

    def budget(self, tenant: str) -> Budget:
        """What this organisation has used; its windows begin at a moment of its own."""
        if tenant not in self.budgets:
            spread = int.from_bytes(hashlib.sha256(tenant.encode()).digest()[:8], "big")
            self.budgets[tenant] = Budget(Window(MINUTE, PER_MINUTE, spread % MINUTE), Window(DAY, PER_DAY[self.tier], spread % DAY))
        return self.budgets[tenant]
