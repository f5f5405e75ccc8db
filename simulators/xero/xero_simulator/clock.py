"""The simulator's own time: the machine's clock plus what was moved in the back office, kept over restarts."""

from datetime import UTC, datetime, timedelta

from xero_simulator.store import Store

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(moment: datetime) -> int:
    """Unix milliseconds of an aware instant."""
    return (moment - EPOCH) // timedelta(milliseconds=1)


def from_ms(milliseconds: int) -> datetime:
    return EPOCH + timedelta(milliseconds=milliseconds)


def real_now() -> datetime:
    """The machine's time, for what partners compare with their own clock (the id token)."""
    return datetime.now(UTC)


class Clock:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._moved = timedelta(seconds=float(store.fact("clock_moved") or 0))

    def now(self) -> datetime:
        """The present instant in milliseconds, which is Xero's own precision."""
        return from_ms(to_ms(real_now() + self._moved))

    @property
    def moved_seconds(self) -> float:
        return self._moved.total_seconds()

    def advance(self, seconds: float) -> None:
        """Moves time on by `seconds`; a negative number takes back an earlier move, never past the real time."""
        self._moved = max(timedelta(), self._moved + timedelta(seconds=seconds))
        self._store.remember("clock_moved", str(self.moved_seconds))

    def restore(self) -> None:
        self._moved = timedelta()
        self._store.remember("clock_moved", "0")
