"""Ports and process ids: what is free, what still runs, and how to end it without hitting a stranger."""

import json
import os
import signal
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


def is_free(port: int) -> bool:
    """Could a server listen on this port of 127.0.0.1 now? Connections that are merely dying down do not count."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen(1)
        except OSError:
            return False
    return True


def free_ports(count: int) -> list[int]:
    """That many different ports nobody listens on; all are held until the last is found, so that none comes twice."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def dying_with_parent(command: Sequence[str], by: signal.Signals) -> list[str]:
    """The command, arranged so that the kernel sends `by` to its process when we die, even by kill -9 (prctl(2), PR_SET_PDEATHSIG)."""
    return ["setpriv", "--pdeathsig", by.name.removeprefix("SIG"), "--", *command]


def born_at(pid: int) -> int | None:
    """When a process started, in clock ticks since boot (proc(5), field 22 of stat), or None when it is gone or a zombie.

    The pair (pid, born_at) names a process for good; a pid alone may be somebody else's by now.
    """
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] == "Z" else int(fields[19])


def note_pid(file: Path, pid: int) -> None:
    """Remember a child in a file, for a later start that has to clear up after us."""
    write_atomically(file, json.dumps({"pid": pid, "born_at": born_at(pid)}))


def end_leftover(file: Path, patience: float = 10.0) -> int | None:
    """End the process a pid file names, if it still is that process; its pid, or None when there was nothing to end."""
    try:
        noted = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return None
    pid, born = noted["pid"], noted["born_at"]
    ended = pid if born is not None and born_at(pid) == born else None
    if ended is not None:
        end(pid, born, patience)
    file.unlink(missing_ok=True)
    return ended


def end(pid: int, born: int, patience: float) -> None:
    """SIGTERM, then SIGKILL after `patience` seconds; returns when the process is gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
        if gone_within(pid, born, patience):
            return
        os.kill(pid, signal.SIGKILL)
        gone_within(pid, born, patience)


def gone_within(pid: int, born: int, seconds: float) -> bool:
    """Wait for a process that is not our child."""
    deadline = time.monotonic() + seconds
    while born_at(pid) == born:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def write_atomically(file: Path, text: str, mode: int = 0o644) -> None:
    """Readers see the old text or the new one, never half of it."""
    fresh = file.with_name(f".{file.name}.{os.getpid()}")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(handle, "w") as out:
        out.write(text)
    fresh.replace(file)


def tail(log: Path, lines: int = 5) -> str:
    """The last lines of a log file, for a message that says why something did not start."""
    if not log.is_file():
        return ""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 8192))
        return "\n".join(file.read().decode(errors="replace").splitlines()[-lines:])


def plain_environment(source: Mapping[str, str]) -> dict[str, str]:
    """The part of an environment that a database or broker needs: nothing of ours, no secrets."""
    return {name: source[name] for name in ("PATH", "LANG", "LC_ALL", "TZ", "TMPDIR") if name in source}
