"""The supervisor with tiny shell programs: order, restarts, stopping, and what happens when it is killed itself."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from local import supervisor
from local.processes import born_at, gone_within
from local.supervisor import Program, State, Status, Supervisor, in_levels

Check = Callable[[], Awaitable[bool]]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "FIRST_WAIT", 0.01)
    monkeypatch.setattr(supervisor, "LONGEST_WAIT", 0.04)
    monkeypatch.setattr(supervisor, "LOOK_WHILE_STARTING", 0.01)
    monkeypatch.setattr(supervisor, "LOOK_WHILE_RUNNING", 0.01)


class Watched(Supervisor):
    """Notes every change of a status, and can be waited for."""

    def __init__(self, folder: Path, *programs: Program) -> None:
        self.changes: list[tuple[str, State, str]] = []
        (folder / "run").mkdir(exist_ok=True)
        super().__init__(programs, folder / "run", self._note)

    def _note(self, status: Status) -> None:
        self.changes.append((status.name, status.state, status.note))

    def waits(self) -> list[str]:
        """The announced waits before restarts, such as "0.5"."""
        return [note.split("again in ")[1].split(" s")[0] for _, state, note in self.changes if state is State.RESTARTING]

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():  # noqa: ASYNC110 - the supervisor tells of changes through a callback, not through an event
            await asyncio.sleep(0.01)

    async def until_ready(self) -> None:
        await self.until(lambda: self.all_ready)


@asynccontextmanager
async def started(folder: Path, *programs: Program) -> AsyncIterator[Watched]:
    watched = Watched(folder, *programs)
    watched.start()
    try:
        yield watched
    finally:
        await watched.stop()


async def at_once() -> bool:
    return True


def shell(folder: Path, name: str, script: str = "exec sleep 600", *, ready: Check = at_once, after: tuple[str, ...] = ()) -> Program:
    """A program that is a shell script running in `folder`."""
    return Program(name, ["sh", "-c", f"cd {folder}; {script}"], {"PATH": os.environ["PATH"]}, folder / f"{name}.log", ready, after)


async def test_a_program_starts_only_when_those_before_it_are_ready(tmp_path: Path) -> None:
    open_now = asyncio.Event()

    async def when_open() -> bool:
        return open_now.is_set()

    first, second = shell(tmp_path, "first", ready=when_open), shell(tmp_path, "second", after=("first",))
    async with started(tmp_path, second, first) as watched:
        await watched.until(lambda: watched.statuses["first"].state is State.STARTING)
        await asyncio.sleep(0.05)
        assert watched.statuses["second"].state is State.WAITING
        open_now.set()
        await watched.until_ready()
    assert watched.changes.index(("first", State.READY, "")) < watched.changes.index(("second", State.STARTING, ""))


async def test_what_dies_is_restarted_with_growing_waits_up_to_the_longest(tmp_path: Path) -> None:
    async def never() -> bool:
        return False

    async with started(tmp_path, shell(tmp_path, "crashing", "echo no luck; exit 3", ready=never)) as watched:
        await watched.until(lambda: len(watched.waits()) >= 4)
    assert watched.waits()[:4] == ["0.01", "0.02", "0.04", "0.04"]
    assert "ended with 3: no luck; again in 0.01 s" in [note for _, _, note in watched.changes]
    assert watched.statuses["crashing"].restarts >= 4


async def test_a_program_that_was_ready_is_restarted_with_the_shortest_wait_again(tmp_path: Path) -> None:
    async with started(tmp_path, shell(tmp_path, "steady")) as watched:
        for deaths in range(1, 4):
            await watched.until_ready()
            os.kill(watched.statuses["steady"].pid or 0, signal.SIGKILL)
            await watched.until(lambda seen=deaths: len(watched.waits()) == seen)  # type: ignore[misc]
    assert watched.waits() == ["0.01", "0.01", "0.01"]
    assert any("ended by SIGKILL" in note for _, _, note in watched.changes)


async def test_a_check_that_fails_is_shown_and_asked_again(tmp_path: Path) -> None:
    errors = [ValueError("no such vhost")]

    async def once_broken() -> bool:
        if errors:
            raise errors.pop()
        return True

    async with started(tmp_path, shell(tmp_path, "broker", ready=once_broken)) as watched:
        await watched.until_ready()
    assert ("broker", State.STARTING, "ValueError: no such vhost") in watched.changes


async def test_a_program_that_stops_answering_is_shown_as_not_ready_but_left_alone(tmp_path: Path) -> None:
    well = asyncio.Event()
    well.set()

    async def when_well() -> bool:
        return well.is_set()

    async with started(tmp_path, shell(tmp_path, "service", ready=when_well)) as watched:
        await watched.until_ready()
        pid = watched.statuses["service"].pid
        well.clear()
        await watched.until(lambda: watched.statuses["service"].state is State.NOT_READY)
        well.set()
        await watched.until_ready()
        assert watched.statuses["service"].pid == pid


async def test_stopping_goes_backwards_and_lets_each_finish(tmp_path: Path) -> None:
    def talkative(name: str, *after: str) -> Program:
        script = f"trap 'echo {name} >> ended; exit 0' TERM; touch {name}.up; while :; do sleep 0.02; done"

        async def is_up() -> bool:
            return (tmp_path / f"{name}.up").exists()

        return shell(tmp_path, name, script, ready=is_up, after=after)

    async with started(tmp_path, talkative("store"), talkative("service", "store"), talkative("gateway", "service")) as watched:
        await watched.until_ready()
    assert (tmp_path / "ended").read_text().split() == ["gateway", "service", "store"]
    assert {status.state for status in watched.statuses.values()} == {State.STOPPED}
    assert list((tmp_path / "run").iterdir()) == []


async def test_what_ignores_the_request_to_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "PATIENCE", 0.1)

    async def is_up() -> bool:
        return (tmp_path / "up").exists()

    async with started(tmp_path, shell(tmp_path, "deaf", "trap '' TERM; touch up; while :; do sleep 0.02; done", ready=is_up)) as watched:
        await watched.until_ready()
        pid = watched.statuses["deaf"].pid or 0
    assert born_at(pid) is None


async def test_killing_ends_everything_at_once(tmp_path: Path) -> None:
    async with started(tmp_path, shell(tmp_path, "one"), shell(tmp_path, "two", "trap '' TERM; sleep 600")) as watched:
        await watched.until_ready()
        pids = [status.pid or 0 for status in watched.statuses.values()]
        watched.kill()
        await watched.until(lambda: all(born_at(pid) is None for pid in pids))


def test_nothing_survives_a_supervisor_that_is_killed(tmp_path: Path) -> None:
    script = f"""
import asyncio
from pathlib import Path
from local.supervisor import Program, Supervisor
async def ready(): return True
async def main():
    folder = Path({str(tmp_path)!r})
    child = Program("child", ["sleep", "600"], {{"PATH": "/usr/bin:/bin"}}, folder / "log", ready)
    supervisor = Supervisor([child], folder, lambda status: status.state == "ready" and print(status.pid, flush=True))
    supervisor.start()
    await asyncio.Event().wait()
asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        born = born_at(child)
        assert born is not None
        parent.kill()
    assert gone_within(child, born, seconds=60)


def test_levels_follow_the_longest_chain_of_needs(tmp_path: Path) -> None:
    programs = [
        shell(tmp_path, "gateway", after=("web",)),
        shell(tmp_path, "mongod"),
        shell(tmp_path, "web", after=("auth", "mongod")),
        shell(tmp_path, "auth", after=("mongod", "not in this run")),
    ]
    assert [[program.name for program in level] for level in in_levels(programs)] == [["mongod"], ["auth"], ["web"], ["gateway"]]
