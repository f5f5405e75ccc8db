"""Setting the machine up: what is missing, when the lock is installed again, and that Debian's servers are not left running."""

import os
import subprocess
from pathlib import Path

import pytest

from local.bootstrap import (
    INSTALL_SCRIPT,
    TEST_PACKAGES,
    fingerprint,
    import_paths,
    missing_packages,
    starts,
    wanted_packages,
    write_import_paths,
)


def test_only_tests_need_a_browser_and_fonts() -> None:
    assert not TEST_PACKAGES.keys() & wanted_packages("up").keys()
    assert TEST_PACKAGES.keys() <= wanted_packages("test").keys()


def test_a_package_is_missing_when_its_file_is(tmp_path: Path) -> None:
    (tmp_path / "usr" / "lib" / "x86_64-linux-gnu").mkdir(parents=True)
    (tmp_path / "usr" / "lib" / "x86_64-linux-gnu" / "libcurl.so.4").touch()
    assert missing_packages({"libcurl4": "usr/lib/*/libcurl.so.4", "caddy": "usr/bin/caddy"}, tmp_path) == ["caddy"]


def test_a_changed_lock_or_another_python_asks_for_a_new_install(tmp_path: Path) -> None:
    (tmp_path / "pyvenv.cfg").write_text("version = 3.11.2\n")
    lock = tmp_path / "requirements.lock"
    lock.write_text("a==1")
    first = fingerprint(tmp_path, lock)
    assert fingerprint(tmp_path, lock) == first
    lock.write_text("a==2")
    second = fingerprint(tmp_path, lock)
    (tmp_path / "pyvenv.cfg").write_text("version = 3.13.1\n")
    assert len({first, second, fingerprint(tmp_path, lock)}) == 3


def test_an_environment_whose_python_is_gone_does_not_start(tmp_path: Path) -> None:
    (tmp_path / "python").symlink_to("/nowhere/python3")
    assert not starts(tmp_path / "python")


def test_every_package_folder_is_importable_and_the_list_follows_new_ones(tmp_path: Path) -> None:
    site_packages = tmp_path / ".venv" / "lib" / "python3.11" / "site-packages"
    site_packages.mkdir(parents=True)
    (tmp_path / "services" / "sharing").mkdir(parents=True)
    write_import_paths(tmp_path / ".venv", tmp_path)
    listed = site_packages / "client-invoices.pth"
    expected = ("libs/common", "operations", "services/sharing", "")
    assert listed.read_text().split() == [str(tmp_path / folder) for folder in expected]
    (tmp_path / "services" / "auth").mkdir()
    write_import_paths(tmp_path / ".venv", tmp_path)
    assert listed.read_text().split() == [str(path) for path in import_paths(tmp_path)]


@pytest.mark.parametrize(("before", "apt_code"), [(None, 0), ("echo mine", 0), ("echo mine", 100)])
def test_servers_may_not_start_during_the_install_and_the_old_rule_comes_back(tmp_path: Path, before: str | None, apt_code: int) -> None:
    policy = tmp_path / "policy-rc.d"
    if before:
        policy.write_text(before)
    apt = tmp_path / "apt-get"
    apt.write_text(
        f'#!/bin/sh\ncase "$*" in *install*) cat {policy} > {tmp_path}/during; echo "$*" > {tmp_path}/asked; exit {apt_code};; esac\n'
    )
    apt.chmod(0o755)
    script = INSTALL_SCRIPT.replace("/usr/sbin/policy-rc.d", str(policy))
    done = subprocess.run(["sh", "-c", script, "sh", "caddy", "chromium"], env={"PATH": f"{tmp_path}:{os.environ['PATH']}"})
    assert (done.returncode == 0) == (apt_code == 0)
    assert (tmp_path / "during").read_text() == "#!/bin/sh\nexit 101\n"
    assert (tmp_path / "asked").read_text().split()[-2:] == ["caddy", "chromium"]
    assert (policy.read_text() if policy.exists() else None) == before
