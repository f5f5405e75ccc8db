"""Puts one part into a folder that is its whole image: `python assemble.py SERVICE WHEELS IMAGE` in the repository's root, as root.

IMAGE then holds, and nothing else: in /app the part's package, common, and exactly the dependencies their pyproject.toml name, out of
WHEELS, where everything of requirements.lock was downloaded by hash; this Python with its standard library; the shared libraries these
load. There is no shell and no package manager in it. `python /app` starts the part.
"""

import re
import shutil
import subprocess
import sys
import sysconfig
import tomllib
from pathlib import Path

LANGUAGES = ("root", "en")
"""Those the pages are written in. Babel brings 30 MB of figures and dates for all the others."""
NOT_RUN = shutil.ignore_patterns(
    *("__pycache__", "site-packages", "dist-packages", "ensurepip", "config-*", "distutils", "lib2to3"),
    *("test", "_test*", "_xxtest*", "idlelib", "tkinter", "_tkinter*", "turtle*", "pydoc_data"),
    *("_curses*", "readline.*", "_dbm.*", "_gdbm.*", "nis.*"),
)
"""Of the standard library: what only a developer, a terminal or another kind of database uses, with the libraries these would bring."""
PYTHON_BY_NAME = Path("usr/local/bin/python")
SYSTEM_FILES = {
    "etc/passwd": "root:x:0:0::/:\nclient-invoices:x:10001:10001::/app:\n",
    "etc/group": "root:x:0:\nclient-invoices:x:10001:\n",
    "etc/nsswitch.conf": "hosts: files dns\n",
}
TAKEN_ALONG = ("/etc/os-release", "/etc/ssl/certs/ca-certificates.crt", "/etc/ld.so.conf", "/etc/ld.so.conf.d")
PACKAGES = Path("var/lib/dpkg/status.d")
"""Where scanners look for the Debian packages of an image without a package manager, one file for each."""


def main(service: str, wheels: Path, image: Path) -> None:
    put_application(service, wheels, image / "app")
    put_system(image)


def put_application(service: str, wheels: Path, target: Path) -> None:
    folder = next(path for path in (Path("services") / service, Path("simulators") / service, Path(service)) if path.is_dir())
    parts = [folder, Path("libs/common")]
    wanted = sorted({name for part in parts for name in dependencies(part) if not name.startswith("client-invoices-")})
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--root-user-action=ignore"]
    subprocess.run([*pip, "--no-index", "--find-links", str(wheels), "--target", str(target), *wanted], check=True)
    for data in target.glob("babel/locale-data/*.dat"):
        if data.name.removesuffix(".dat").split("_")[0] not in LANGUAGES:
            data.unlink()
    for part in parts:
        for package in (path.parent for path in part.glob("*/__init__.py")):
            shutil.copytree(package, target / package.name, ignore=shutil.ignore_patterns("__pycache__"))
            module = package.name
            if part is folder:
                (target / "__main__.py").write_text(f"import runpy\n\nrunpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n")
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(target)], check=True)


def dependencies(part: Path) -> list[str]:
    """Direct dependencies of a part, its extras among them: an image can do everything. One without the list fails here, as it should."""
    table = tomllib.loads((part / "pyproject.toml").read_text())["project"]
    return [*table["dependencies"], *(name for extra in table.get("optional-dependencies", {}).values() for name in extra)]


def put_system(image: Path) -> None:
    """All that must be around the application for it to run."""
    put_python(image)
    for name, text in SYSTEM_FILES.items():
        (image / name).parent.mkdir(parents=True, exist_ok=True)
        (image / name).write_text(text)
    for path in map(Path, TAKEN_ALONG):
        take(path, image)
    put_libraries(image)
    (image / "tmp").mkdir()
    (image / "tmp").chmod(0o1777)


def put_python(image: Path) -> None:
    """The interpreter and the standard library where they are here, for Python finds the one from the other, and `python` as its name."""
    interpreter = Path(sys.executable).resolve()
    take(interpreter, image)
    by_name = image / PYTHON_BY_NAME
    by_name.parent.mkdir(parents=True, exist_ok=True)
    by_name.unlink(missing_ok=True)
    by_name.symlink_to(interpreter)
    library = Path(sysconfig.get_path("stdlib"))
    copy = shutil.copytree(library, within(image, library), ignore=NOT_RUN)
    subprocess.run([sys.executable, "-m", "compileall", "-q", "-s", str(image), "-p", "/", str(copy)], check=True)


def put_libraries(image: Path) -> None:
    """The shared libraries that anything in the image loads, and a word on the Debian package each is from."""
    listed = subprocess.run(["ldd", *map(str, programs(image))], check=False, capture_output=True, text=True).stdout
    if missing := set(re.findall(r"(\S+) => not found", listed)):
        raise SystemExit(f"Libraries that something in the image loads are not here: {', '.join(sorted(missing))}.")
    libraries = {path for path in map(Path, re.findall(r"(/\S+) \(0x", listed)) if not path.is_relative_to(image)}
    libc = next(path for path in libraries if path.name == "libc.so.6")
    libraries.add(libc.with_name("libgcc_s.so.1"))  # what ends a thread loads it by name
    for path in sorted(libraries):
        take(path, image)
    subprocess.run(["ldconfig", "-r", str(image)], check=True)
    for package in sorted({package for path in libraries if (package := package_of(path))}):
        (image / PACKAGES).mkdir(parents=True, exist_ok=True)
        status = subprocess.run(["dpkg-query", "--status", package], check=True, capture_output=True, text=True).stdout
        (image / PACKAGES / package.partition(":")[0]).write_text(status)


def programs(image: Path) -> list[Path]:
    """Everything in it that is machine code."""
    files = (path for path in image.rglob("*") if path.is_file() and not path.is_symlink())
    return [path for path in files if path.read_bytes()[:4] == b"\x7fELF"]


def package_of(library: Path) -> str | None:
    """The Debian package that brought a library, if one did; dpkg knows it by one of the two names a merged /usr gives it."""
    for path in (library, library.resolve(), Path("/usr", *library.parts[1:])):
        found = subprocess.run(["dpkg-query", "--search", str(path)], check=False, capture_output=True, text=True)
        if found.returncode == 0:
            return found.stdout.partition(": ")[0]
    return None


def take(path: Path, image: Path) -> None:
    """Copies a file or folder of this system to the same place in the image; a link becomes what it points to."""
    place = within(image, path)
    place.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        shutil.copytree(path, place)
    else:
        shutil.copy2(path, place)


def within(image: Path, path: Path) -> Path:
    return image / path.relative_to("/")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
