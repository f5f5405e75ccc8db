"""Turns of reading: how many reads a process works on at once, counting none that only waits for somebody outside the process.

Without giving turns back, a few reads that wait seconds for a slow Xero would keep every other read of the process waiting too.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import ContextVar

from common.deadlines import remaining

TURN_SECONDS = 8.0
Turns = asyncio.Semaphore
_current: ContextVar[Turn | None] = ContextVar("turn", default=None)


class Turn:
    """`async with Turn(turns):` one read, from its start to its end.

    A read that gets no turn in its time goes on without one, fails by itself and says why in its service's own words.
    """

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._held = False
        self._open = True
        self._outside = 0

    async def __aenter__(self) -> None:
        await self._take()
        self._token = _current.set(self)

    async def __aexit__(self, *_: object) -> None:
        _current.reset(self._token)
        self._open = False
        self._give()

    def leave(self) -> None:
        """Something the read waits for is outside; several may be at once."""
        self._outside += 1
        self._give()

    async def come_back(self) -> None:
        """Waits for a turn when nothing is outside any more, unless the read has ended meanwhile."""
        self._outside -= 1
        if self._outside == 0 and self._open:
            await self._take()

    async def _take(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(remaining(TURN_SECONDS)):
                await self._turns.acquire()
                if self._held or self._outside or not self._open:  # that changed while it waited
                    self._turns.release()
                else:
                    self._held = True

    def _give(self) -> None:
        if self._held:
            self._held = False
            self._turns.release()


@asynccontextmanager
async def outside() -> AsyncIterator[None]:
    """Gives the turn of the read this runs for, if any, to another for as long as the block waits for somebody outside."""
    turn = _current.get()
    if turn is None:
        yield
        return
    turn.leave()
    try:
        yield
    finally:
        await turn.come_back()
