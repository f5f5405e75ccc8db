"""`make up` around the supervisor: lock, leftovers, secrets, state."""

import fcntl
import json
import subprocess
import sys
from pathlib import Path

from client_invoices.installation import SERVICES_ON_THE_BUS
from local.display import duration
from local.system import PARTS, PORTS, System
from local.up import clear_up, inherited, kept_passwords, moved_note


def test_a_second_run_on_the_same_data_is_refused_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text(json.dumps({"pid": 4242, "urls": {"product": "http://localhost:8080"}}))
    with (tmp_path / "lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        second = subprocess.run([sys.executable, "-m", "local.up", "--data-dir", str(tmp_path), "--plain"], capture_output=True, text=True)
    assert second.returncode == 1
    assert f"runs already with the data folder {tmp_path} (process 4242, http://localhost:8080)" in second.stderr
    assert second.stdout == ""


def test_a_leftover_of_a_killed_run_is_ended_before_the_next(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with subprocess.Popen(["sleep", "600"]) as child:
        from local.processes import note_pid

        note_pid(tmp_path / "run" / "rabbitmq.pid", child.pid)
        clear_up(tmp_path, reset=False)
    assert child.returncode is not None


def test_starting_empty_forgets_all_data_but_keeps_the_lock(tmp_path: Path) -> None:
    (tmp_path / "mongod").mkdir()
    (tmp_path / "mongod" / "data").touch()
    (tmp_path / "secrets.json").touch()
    (tmp_path / "lock").touch()
    clear_up(tmp_path, reset=True)
    assert {entry.name for entry in tmp_path.iterdir()} == {"lock", "run", "logs"}


def test_data_is_kept_unless_told_otherwise(tmp_path: Path) -> None:
    (tmp_path / "mongod").mkdir()
    clear_up(tmp_path, reset=False)
    assert (tmp_path / "mongod").is_dir()


def test_passwords_are_random_kept_and_readable_by_their_owner_alone(tmp_path: Path) -> None:
    first = kept_passwords(tmp_path / "secrets.json")
    assert len(set(first.values())) == len(SERVICES_ON_THE_BUS) + 1
    assert kept_passwords(tmp_path / "secrets.json") == first
    assert (tmp_path / "secrets.json").stat().st_mode & 0o777 == 0o600


def test_a_secret_in_the_shell_is_not_inherited_by_everybody() -> None:
    shell = {"PATH": "/bin", "LOG_LEVEL": "debug", "XERO_CLIENT_SECRET": "s", "SMTP_PASSWORD": "s", "MONGO_URL": "mongodb://elsewhere"}
    assert inherited(shell) == {"PATH": "/bin", "LOG_LEVEL": "debug"}


def test_a_moved_port_is_named_beside_its_program() -> None:
    ports = {**PORTS, "XERO_GATEWAY_HEALTH_PORT": 40001}
    system = System({}, ports, Path("/data"), {})
    notes = {part.name: moved_note(part, system, {"XERO_GATEWAY_HEALTH_PORT": 9102}) for part in PARTS}
    assert {name: note for name, note in notes.items() if note} == {
        "xero-gateway": "port 9102 is taken, so XERO_GATEWAY_HEALTH_PORT is 40001"
    }


def test_durations_are_read_at_a_glance() -> None:
    assert [duration(seconds) for seconds in (4, 720, 10800)] == ["4 s", "12 min", "3 h"]
