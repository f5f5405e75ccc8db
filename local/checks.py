"""`make test` and its parts: runs every check, goes on after a failure, and says at the end what ran and how long it took."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local.bootstrap import ROOT, import_paths

LINT = (
    ("ruff check", ("-m", "ruff", "check", ".")),
    ("ruff format", ("-m", "ruff", "format", "--check", ".")),
    ("import-linter", ("-c", "from importlinter.cli import lint_imports_command as main; main()")),
)


@dataclass(frozen=True)
class Outcome:
    """One check: how it is called in the summary, whether it passed, and its seconds."""

    name: str
    passed: bool
    seconds: float


def main(wanted: Sequence[str]) -> int:
    """Run the named groups of checks (lint, types, tests) and give 0 only when all passed."""
    outcomes = [outcome for group in wanted for outcome in GROUPS[group]()]
    print("\nWhat ran:")
    for outcome in outcomes:
        print(f"  {'passed' if outcome.passed else 'FAILED'}  {outcome.seconds:6.1f} s  {outcome.name}")
    return 0 if all(outcome.passed for outcome in outcomes) else 1


def lint() -> list[Outcome]:
    """Style and the rules on who may import whom."""
    return [check(name, command) for name, command in LINT]


def types() -> list[Outcome]:
    """mypy --strict: all packages together, then each folder of tests by itself, because test files of different services share names."""
    packages = [str(package) for package in packages_in(ROOT)]
    tests = [folder for folder in tests_in(ROOT) if any(folder.glob("*.py"))]
    return [
        check("mypy, packages", ("-m", "mypy", *packages, "conftest.py")),
        *(check(f"mypy, {folder.relative_to(ROOT)}", ("-m", "mypy", str(folder))) for folder in tests),
    ]


def tests() -> list[Outcome]:
    """pytest over everything `testpaths` in pyproject.toml names, by two processes: they wait more than they work."""
    return [check("pytest", ("-m", "pytest", "-n", "2", "--dist", "loadgroup", "--no-loadscope-reorder"))]


def packages_in(root: Path) -> list[Path]:
    """Folders of all importable packages of ours, tests aside."""
    homes = [path for path in import_paths(root) if path != root]
    inside = [init.parent for home in homes for init in sorted(home.glob("*/__init__.py"))]
    return [*inside, root / "local"]


def tests_in(root: Path) -> list[Path]:
    """Folders of tests: one of each package, and those for the whole."""
    homes = [path for path in import_paths(root) if path != root]
    return [*(home / "tests" for home in homes), root / "local" / "tests", root / "tests"]


def check(name: str, command: Sequence[str]) -> Outcome:
    """Run one tool of the virtual environment in the root of the repository."""
    print(f"\n{name}", flush=True)
    begun = time.monotonic()
    done = subprocess.run([sys.executable, *command], cwd=ROOT)
    return Outcome(name, done.returncode == 0, time.monotonic() - begun)


GROUPS = {"lint": lint, "types": types, "tests": tests}

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:] or list(GROUPS)))
