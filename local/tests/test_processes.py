"""Ports and pids: what counts as free, and that only our own leftovers are ended."""

import json
import os
import socket
import subprocess
from pathlib import Path

from local.processes import born_at, end_leftover, free_ports, is_free, note_pid, tail, write_atomically


def test_a_port_somebody_listens_on_is_not_free() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        assert not is_free(server.getsockname()[1])


def test_free_ports_are_different_and_free() -> None:
    ports = free_ports(5)
    assert len(set(ports)) == 5
    assert all(is_free(port) for port in ports)


def test_a_leftover_is_ended_and_forgotten(tmp_path: Path) -> None:
    file = tmp_path / "child.pid"
    with subprocess.Popen(["sleep", "600"]) as child:
        note_pid(file, child.pid)
        assert end_leftover(file) == child.pid
    assert not file.exists()


def test_a_stranger_that_got_the_pid_of_a_leftover_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "child.pid"
    file.write_text(json.dumps({"pid": os.getpid(), "born_at": 1}))
    assert end_leftover(file) is None
    assert not file.exists()


def test_a_broken_or_missing_pid_file_ends_nobody(tmp_path: Path) -> None:
    (tmp_path / "half.pid").write_text('{"pid": 1')
    assert end_leftover(tmp_path / "half.pid") is None
    assert end_leftover(tmp_path / "none.pid") is None


def test_a_process_that_is_gone_has_no_birth() -> None:
    with subprocess.Popen(["true"]) as child:
        pass
    assert born_at(child.pid) is None


def test_a_secret_is_written_for_its_owner_alone(tmp_path: Path) -> None:
    write_atomically(tmp_path / "secrets.json", "{}", mode=0o600)
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["secrets.json"]


def test_the_tail_of_a_log_is_its_last_lines(tmp_path: Path) -> None:
    (tmp_path / "log").write_text("".join(f"line {number}\n" for number in range(5000)))
    assert tail(tmp_path / "log", 2) == "line 4998\nline 4999"
    assert tail(tmp_path / "missing") == ""
