"""What deploy/assemble.py puts around an application is a system of its own, in which Python runs, and no more than that."""

import importlib.util
import os
import subprocess
from pathlib import Path
from types import ModuleType

import pytest

from local.system import ROOT

USES = """
import asyncio, ctypes, hashlib, pwd, socket, sqlite3, ssl, zlib
assert ssl.create_default_context().get_ca_certs(), "no certificates"
assert pwd.getpwuid(10001).pw_name == "client-invoices"
ctypes.CDLL("libgcc_s.so.1")
asyncio.run(asyncio.sleep(0))
print("all of it")
"""


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = tmp_path_factory.mktemp("image")
    assemble().put_system(image)
    return image


def assemble() -> ModuleType:
    spec = importlib.util.spec_from_file_location("assemble", ROOT / "deploy" / "assemble.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_python_runs_in_it_with_certificates_names_and_threads(image: Path) -> None:
    environment = {"PATH": os.environ["PATH"], "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt"}
    entering = ["chroot"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "chroot"]  # only root may enter another root
    ran = subprocess.run(
        [*entering, image, "/usr/local/bin/python", "-c", USES], env=environment, capture_output=True, text=True, check=False
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("all of it\n", "", 0)


def test_it_holds_no_shell_no_package_manager_and_nothing_that_is_never_run(image: Path) -> None:
    programs = {path.name for path in assemble().programs(image) if ".so" not in path.name}
    assert [name for name in programs if not name.startswith("python")] == []
    assert [name for name in ("sh", "dash", "bash", "pip", "ensurepip", "apt") if list(image.rglob(name))] == []
    modules = {path.name for path in image.rglob("*.py")}
    assert {"asyncio", "test", "tkinter"} & {path.parent.name for path in image.rglob("__init__.py")} == {"asyncio"}
    assert {"selectors.py", "turtle.py"} & modules == {"selectors.py"}


def test_scanners_find_the_packages_of_its_libraries(image: Path) -> None:
    listed = {path.name: path.read_text() for path in (image / "var/lib/dpkg/status.d").iterdir()}
    assert {"libc6", "zlib1g"} <= set(listed)
    assert "\nVersion: " in listed["libc6"]
    assert (image / "etc/os-release").is_file()
