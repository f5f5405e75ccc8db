"""Makes this machine ready: Debian packages, the virtual environment, the locked dependencies and the import paths.

Standard library only, because it runs before anything is installed: `python3 local/bootstrap.py up|test`.
"""

from __future__ import annotations  # so that a Python too old for the annotations still reaches the sentence that says so

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OLDEST_PYTHON = (3, 11)

# Debian package -> a file below / that it brings. Looking for the file is faster than asking dpkg, and any way of installing it will do.
RUN_PACKAGES = {
    "rabbitmq-server": "usr/lib/rabbitmq/bin/rabbitmq-server",
    "caddy": "usr/bin/caddy",
    "libcurl4": "usr/lib/*/libcurl.so.4",  # mongod's wheel brings no libraries; libcurl4 depends on libssl3, the other one it needs
    # Letters for the papers that are drawn here: most of the world's scripts, Chinese and Japanese, Korean, emoji.
    "fonts-noto-core": "usr/share/fonts/truetype/noto/NotoSans-Regular.ttf",
    "fonts-droid-fallback": "usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "fonts-nanum": "usr/share/fonts/truetype/nanum/NanumSquareR.ttf",
    "fonts-symbola": "usr/share/fonts/truetype/ancient-scripts/Symbola_hint.ttf",
}
TEST_PACKAGES = {
    "chromium": "usr/bin/chromium",
    "libatomic1": "usr/lib/*/libatomic.so.1",  # the program that Playwright brings to drive the browser needs it
    "ca-certificates": "etc/ssl/certs/ca-certificates.crt",  # the images take them along
}

# Debian starts a server as soon as it is installed unless policy-rc.d answers 101. Whatever stood there before comes back at the end;
# a backup left by a killed run is the older truth, so it is never overwritten.
INSTALL_SCRIPT = """
policy=/usr/sbin/policy-rc.d
saved=$policy.before-client-invoices
restore() { rm -f "$policy"; if [ -e "$saved" ]; then mv "$saved" "$policy"; fi; }
trap restore EXIT
trap 'exit 1' HUP INT TERM
if [ -e "$policy" ] && [ ! -e "$saved" ]; then mv "$policy" "$saved"; fi
printf '#!/bin/sh\\nexit 101\\n' > "$policy" && chmod 755 "$policy" || exit 1
export DEBIAN_FRONTEND=noninteractive
apt-get -o DPkg::Lock::Timeout=300 update -qq || exit 1
apt-get -o DPkg::Lock::Timeout=300 install -y -qq --no-install-recommends "$@" || exit 1
"""


def main(purpose: str) -> None:
    """Bring the machine to the state `make up` (purpose "up") or `make test` ("test") needs; quick when it is there already."""
    if sys.version_info < OLDEST_PYTHON:
        stop(f"Client Invoices needs Python 3.11 or newer; {sys.executable} is {sys.version.split()[0]}.")
    with only_one_at_a_time(ROOT):
        install_debian_packages(missing_packages(wanted_packages(purpose), Path("/")))
        make_environment(ROOT / ".venv")
        install_locked(ROOT / ".venv", ROOT / "requirements-dev.lock")
        write_import_paths(ROOT / ".venv", ROOT)


def stop(reason: str) -> None:
    """Say why and end with a failure."""
    raise SystemExit(reason)


@contextmanager
def only_one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, so that two runs started together do not install into each other."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def wanted_packages(purpose: str) -> dict[str, str]:
    """The Debian packages a purpose needs, each with the file that shows it is there."""
    return RUN_PACKAGES | TEST_PACKAGES if purpose == "test" else RUN_PACKAGES


def missing_packages(wanted: dict[str, str], system: Path) -> list[str]:
    """Names of the packages whose file is not found below `system`; python3-venv too when this Python cannot make environments."""
    missing = [package for package, pattern in wanted.items() if not any(system.glob(pattern))]
    if importlib.util.find_spec("ensurepip") is None:
        missing.append("python3-venv")
    return missing


def install_debian_packages(packages: list[str]) -> None:
    """Install with apt as root or through sudo without a password; otherwise name what is missing and how to get it."""
    if not packages:
        return
    by_hand = f"sudo apt-get install --no-install-recommends {' '.join(packages)}"
    prefix = root_prefix()
    if prefix is None or shutil.which("apt-get") is None:
        stop(f"Missing Debian packages: {', '.join(packages)}. Install them and start again:\n    {by_hand}")
    say(f"Installing Debian packages: {', '.join(packages)}")
    done = subprocess.run(
        [*(prefix or []), "sh", "-c", INSTALL_SCRIPT, "sh", *packages], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )
    if done.returncode != 0:
        stop(f"apt could not install {', '.join(packages)} (its messages are above). Try it by hand and start again:\n    {by_hand}")


def root_prefix() -> list[str] | None:
    """What to write before a command so that it runs as root: nothing, sudo, or None where neither works."""
    if os.geteuid() == 0:
        return []
    if shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True).returncode == 0:
        return ["sudo", "-n"]
    return None


def make_environment(venv: Path) -> None:
    """Create the virtual environment; one whose Python no longer starts (upgraded or moved away) is made anew."""
    python = venv / "bin" / "python"
    if starts(python):
        return
    say("Making the virtual environment .venv")
    done = subprocess.run([sys.executable, "-m", "venv", "--clear", str(venv)])
    if done.returncode != 0 or not starts(python):
        stop(f"{sys.executable} could not make a virtual environment in {venv}.")


def starts(python: Path) -> bool:
    """Does this interpreter run, is it new enough, and has it pip?"""
    check = f"import sys, importlib.util as u; sys.exit(sys.version_info < {OLDEST_PYTHON} or u.find_spec('pip') is None)"
    try:
        return subprocess.run([str(python), "-I", "-c", check], capture_output=True).returncode == 0
    except OSError:
        return False


def install_locked(venv: Path, lock: Path) -> None:
    """Install the locked dependencies when the stamp in the environment does not match the lock file and its Python."""
    stamp, wanted = venv / "installed.stamp", fingerprint(venv, lock)
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    stamp.unlink(missing_ok=True)  # an interrupted install must not look complete
    say(f"Installing the dependencies of {lock.name} (about half a minute the first time)")
    pip = [str(venv / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    done = subprocess.run([*pip, "--require-hashes", "--no-deps", "-r", str(lock)], stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        stop(f"pip could not install {lock.name}; its messages are above.")
    stamp.write_text(wanted)


def fingerprint(venv: Path, lock: Path) -> str:
    """Changes when the lock file changes or the environment was made by another Python."""
    made_by = (venv / "pyvenv.cfg").read_bytes()
    return hashlib.sha256(lock.read_bytes() + b"\0" + made_by).hexdigest()


def write_import_paths(venv: Path, root: Path) -> None:
    """List the folders of all packages in a .pth file, so that `import sharing` works from anywhere without installing ourselves."""
    text = "".join(f"{folder}\n" for folder in import_paths(root))
    for site_packages in venv.glob("lib/python3*/site-packages"):
        target = site_packages / "client-invoices.pth"
        if not target.is_file() or target.read_text() != text:
            fresh = target.with_suffix(".new")
            fresh.write_text(text)
            fresh.replace(target)


def import_paths(root: Path) -> list[Path]:
    """The folders that hold importable packages: common, operations, each service, each simulator, and the root for `local` and `tests`."""
    parts = [*(root / "services").glob("*"), *(root / "simulators").glob("*")]
    return [root / "libs" / "common", root / "operations", *sorted(part for part in parts if part.is_dir()), root]


def say(text: str) -> None:
    print(text, flush=True)


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "up")
