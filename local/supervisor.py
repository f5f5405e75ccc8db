"""Keeps a set of programs running: starts them in order of readiness, restarts what dies, stops all in reverse order."""

import asyncio
import os
import re
import signal
import time
from asyncio.subprocess import Process
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from local.processes import dying_with_parent, note_pid, tail

FIRST_WAIT, LONGEST_WAIT = 0.5, 10.0  # seconds before a restart: doubled each time until the program has been ready again
READY_WITHIN = 120.0  # seconds; a program that hangs while it starts is ended and started again
PATIENCE = 10.0  # seconds between SIGTERM and SIGKILL
LOOK_WHILE_STARTING, LOOK_WHILE_RUNNING = 0.1, 2.0
COLOURS = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Program:
    """What to run and how to tell that it is ready. The signal is what the kernel sends it when the supervisor itself is killed."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    log: Path
    is_ready: Callable[[], Awaitable[bool]]
    after: tuple[str, ...] = ()
    when_we_die: signal.Signals = signal.SIGKILL


class State(StrEnum):
    """Where a program stands, in the words of the status table."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    NOT_READY = "not ready"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"


@dataclass
class Status:
    """One row of the status table; `since` is time.monotonic() of the last change of state."""

    name: str
    state: State = State.WAITING
    pid: int | None = None
    restarts: int = 0
    note: str = ""
    since: float = field(default_factory=time.monotonic)


class Supervisor:
    """Runs programs until told to stop. `changed` is called with a program's status after each change of it."""

    def __init__(self, programs: Sequence[Program], pids: Path, changed: Callable[[Status], None]) -> None:
        self.programs = {program.name: program for program in programs}
        self.statuses = {program.name: Status(program.name) for program in programs}
        self._pids = pids
        self._changed = changed
        self._first_ready = {program.name: asyncio.Event() for program in programs}
        self._processes: dict[str, Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}

    @property
    def all_ready(self) -> bool:
        """Is every program ready at this moment?"""
        return all(status.state is State.READY for status in self.statuses.values())

    def start(self) -> None:
        """Begin to keep all programs running, in tasks of the running loop."""
        for program in self.programs.values():
            self._keepers[program.name] = asyncio.create_task(self._keep(program), name=f"keep {program.name}")

    async def failure(self) -> None:
        """Return only by raising: when keeping a program fails by a mistake of ours."""
        for keeper in asyncio.as_completed(self._keepers.values()):
            with suppress(asyncio.CancelledError):
                await keeper

    async def stop(self) -> None:
        """End all programs, those nobody needs any more first: SIGTERM, then SIGKILL for what stays too long."""
        for group in reversed(in_levels(list(self.programs.values()))):
            await asyncio.gather(*(self._end(program) for program in group))

    def kill(self) -> None:
        """End everything at once, without asking."""
        for keeper in self._keepers.values():
            keeper.cancel()
        for process in self._processes.values():
            send(process, signal.SIGKILL)

    async def _keep(self, program: Program) -> None:
        for name in program.after:
            if name in self._first_ready:
                await self._first_ready[name].wait()
        wait = FIRST_WAIT
        while True:
            process = await self._launch(program)
            was_ready = await self._watch(program, process)
            if was_ready:
                wait = FIRST_WAIT
            self.statuses[program.name].restarts += 1
            self._tell(program, State.RESTARTING, f"{how_it_ended(process, program.log)}; again in {wait:g} s", pid=None)
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)

    async def _launch(self, program: Program) -> Process:
        with program.log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *dying_with_parent(program.command, by=program.when_we_die),
                env=dict(program.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C in the terminal is for us alone: we stop the others in order
            )
        self._processes[program.name] = process
        note_pid(self._pids / f"{program.name}.pid", process.pid)
        self._tell(program, State.STARTING, "", pid=process.pid)
        return process

    async def _watch(self, program: Program, process: Process) -> bool:
        """Follow a process until it has ended; was it ready at any time?"""
        ended = asyncio.create_task(process.wait())
        give_up_at, was_ready = time.monotonic() + READY_WITHIN, False
        while not ended.done():
            ready, note = await answer_or_end(program.is_ready(), ended)
            if ended.done():
                break
            if ready:
                was_ready = True
                self._first_ready[program.name].set()
                self._tell(program, State.READY, "", pid=process.pid)
            elif was_ready:
                self._tell(program, State.NOT_READY, note, pid=process.pid)
            elif time.monotonic() > give_up_at:
                send(process, signal.SIGKILL)
            elif note:
                self._tell(program, State.STARTING, note, pid=process.pid)
            await asyncio.wait({ended}, timeout=LOOK_WHILE_RUNNING if ready else LOOK_WHILE_STARTING)
        return was_ready

    async def _end(self, program: Program) -> None:
        keeper = self._keepers.get(program.name)
        if keeper:
            keeper.cancel()
            await asyncio.wait({keeper})
        process = self._processes.get(program.name)
        if process and process.returncode is None:
            self._tell(program, State.STOPPING, "", pid=process.pid)
            send(process, signal.SIGTERM)
            try:
                await asyncio.wait_for(process.wait(), PATIENCE)
            except TimeoutError:
                send(process, signal.SIGKILL)
                await process.wait()
        (self._pids / f"{program.name}.pid").unlink(missing_ok=True)
        self._tell(program, State.STOPPED, "", pid=None)

    def _tell(self, program: Program, state: State, note: str, *, pid: int | None) -> None:
        status = self.statuses[program.name]
        if (status.state, status.note, status.pid) == (state, note, pid):
            return
        if status.state is not state:
            status.since = time.monotonic()
        status.state, status.note, status.pid = state, note, pid
        self._changed(status)


def in_levels(programs: Sequence[Program]) -> list[list[Program]]:
    """Groups in starting order: each program stands one group after the last of those it waits for."""
    levels: dict[str, int] = {}
    by_name = {program.name: program for program in programs}

    def level(name: str) -> int:
        if name not in levels:
            levels[name] = 1 + max((level(other) for other in by_name[name].after if other in by_name), default=-1)
        return levels[name]

    groups: list[list[Program]] = [[] for _ in range(1 + max((level(name) for name in by_name), default=-1))]
    for program in programs:
        groups[levels[program.name]].append(program)
    return groups


async def answer_or_end(question: Awaitable[bool], ended: asyncio.Task[int]) -> tuple[bool, str]:
    """The answer of a readiness check with the reason when it failed; (False, "") when the process ended meanwhile."""
    check = asyncio.ensure_future(question)
    await asyncio.wait({check, ended}, return_when=asyncio.FIRST_COMPLETED)
    if not check.done():
        check.cancel()
        return False, ""
    error = check.exception()
    return (False, f"{type(error).__name__}: {error}") if error else (check.result(), "")


def send(process: Process, number: signal.Signals) -> None:
    """Signal a program; SIGKILL goes to its whole session, so that nothing it started stays behind."""
    with suppress(ProcessLookupError):
        if process.returncode is None:
            if number is signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                process.send_signal(number)


def how_it_ended(process: Process, log: Path) -> str:
    """The signal that ended it, or its exit code with the last line of its log, which mostly says why."""
    code = process.returncode or 0
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    last_words = COLOURS.sub("", tail(log, lines=1)).strip()[:160]
    return f"ended with {code}: {last_words}" if last_words else f"ended with {code}"
