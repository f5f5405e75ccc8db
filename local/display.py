"""Shows how the programs stand: a live table in a terminal, one line per change elsewhere."""

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from local.supervisor import State, Status

STYLES = {
    State.READY: "green",
    State.RESTARTING: "bold red",
    State.NOT_READY: "yellow",
    State.STARTING: "cyan",
    State.STOPPING: "cyan",
}


class Display(Protocol):
    """What the supervisor reports to."""

    def changed(self, status: Status) -> None:
        """A program's status is a different one now."""

    def say(self, text: str) -> None:
        """Something to tell beside the statuses."""


class Lines:
    """One plain line per change, for logs and pipes."""

    def __init__(self, ports: Mapping[str, int]) -> None:
        self._ports = ports
        self._console = Console(soft_wrap=True, markup=False, highlight=False)

    def changed(self, status: Status) -> None:
        port = f" on port {self._ports[status.name]}" if status.state is State.READY else ""
        self.say(f"{status.name} {status.state}{port}{': ' + status.note if status.note else ''}")

    def say(self, text: str) -> None:
        self._console.print(f"{time.strftime('%H:%M:%S')} {text}")


class LiveTable:
    """A table that is redrawn in place, with everything said so far below it."""

    def __init__(self, statuses: Sequence[Status], ports: Mapping[str, int], notes: Mapping[str, str]) -> None:
        self._statuses, self._ports, self._notes = statuses, ports, notes
        self._said: list[str] = []

    def changed(self, status: Status) -> None:
        """Nothing to do: the table is drawn four times a second."""

    def say(self, text: str) -> None:
        self._said = [*self._said[-11:], text]

    def __rich__(self) -> Group:
        table = Table(box=None, padding=(0, 2, 0, 0))
        for title in ("", "state", "port", "pid", "for", "restarts", ""):
            table.add_column(title, style="bold" if not title else "", overflow="fold")
        for status in self._statuses:
            table.add_row(*self._row(status))
        return Group(table, Text(""), *(Text(line) for line in self._said))

    def _row(self, status: Status) -> tuple[str | Text, ...]:
        return (
            status.name,
            Text(status.state, style=STYLES.get(status.state, "dim")),
            str(self._ports[status.name]),
            str(status.pid or ""),
            duration(time.monotonic() - status.since),
            str(status.restarts or ""),
            Text(status.note or self._notes.get(status.name, ""), style="dim"),
        )


@contextmanager
def shown(statuses: Sequence[Status], ports: Mapping[str, int], notes: Mapping[str, str], *, plain: bool) -> Iterator[Display]:
    """Show the statuses while the block runs. `ports` and `notes` go by program name."""
    console = Console()
    if plain or not console.is_terminal:
        lines = Lines(ports)
        for name, note in notes.items():
            lines.say(f"{name}: {note}")
        yield lines
    else:
        table = LiveTable(statuses, ports, notes)
        with Live(table, console=console, refresh_per_second=4, transient=False):
            yield table


def duration(seconds: float) -> str:
    """A length of time as a person reads it at a glance: 4 s, 12 min, 3 h."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
