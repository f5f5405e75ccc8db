"""Puts one part into a folder that runs by itself, for its image: `python assemble.py SERVICE WHEELS TARGET` in the repository's root.

TARGET then holds the part's package, common, and exactly the dependencies their pyproject.toml name, out of WHEELS, where everything
of requirements.lock was downloaded by hash. `python TARGET` starts the part.
"""

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

LANGUAGES = ("root", "en")
"""Those the pages are written in. Babel brings 30 MB of figures and dates for all the others."""


def main(service: str, wheels: Path, target: Path) -> None:
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


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
