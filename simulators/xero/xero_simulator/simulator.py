"""The parts of one running simulator, and the one way to change its books."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request
from joserfc.jwk import RSAKey

from xero_simulator.calls import CallLog
from xero_simulator.clock import Clock
from xero_simulator.faults import Faults
from xero_simulator.kept_answers import KeptAnswers
from xero_simulator.limits import Limiter
from xero_simulator.settings import Settings
from xero_simulator.store import Store
from xero_simulator.webhooks import Sender


@dataclass
class Day:
    """How far the day that is played has come; `told` says what happened, the newest first."""

    total: int = 0
    done: int = 0
    told: list[str] = field(default_factory=list)
    task: asyncio.Task[None] | None = None

    @property
    def running(self) -> bool:
        return self.task is not None and not self.task.done()


@dataclass
class Simulator:
    settings: Settings
    store: Store
    clock: Clock
    key: RSAKey
    faults: Faults
    sender: Sender
    limiter: Limiter
    kept_answers: KeptAnswers = field(default_factory=KeptAnswers)
    calls: CallLog = field(default_factory=CallLog)
    day: Day = field(default_factory=Day)

    @contextmanager
    def change(self) -> Iterator[datetime]:
        """One transaction at one instant; webhooks leave once it is committed."""
        with self.store.transaction():
            yield self.clock.now()
        self.sender.wake()


def of_request(request: Request) -> Simulator:
    simulator: Simulator = request.app.state.simulator
    return simulator


Running = Annotated[Simulator, Depends(of_request)]
