"""What a part of the product imports stands among the dependencies of its pyproject.toml: its image holds those and nothing else."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from local.system import ROOT

PARTS = sorted(
    path.parent for pattern in ("libs/*", "services/*", "simulators/*", "operations") for path in ROOT.glob(f"{pattern}/pyproject.toml")
)
OURS = {path.parent.name for part in PARTS for path in part.glob("*/__init__.py")}
"""Which of them may import which is import-linter's business."""

FOR_TESTS = re.compile(r"testing(_\w+)?\.py")
"""Builders and stand-ins inside a package; they run with the development lock."""

COMES_WITH = {"starlette": "fastapi", "markupsafe": "jinja2", "pymongo": "motor", "email-validator": "pydantic"}
"""What a framework brings and hands out as its own."""

NEEDS = {"zoneinfo": "tzdata"}
"""What the standard library finds on a developer's machine and in no image."""

CHECKOUT = {"local"}
"""`client-invoices seed` plays people with it, and says that it needs a checkout."""

DISTRIBUTIONS = packages_distributions()


@pytest.mark.parametrize("part", PARTS, ids=lambda part: str(part.relative_to(ROOT)))
def test_a_part_declares_what_it_imports(part: Path) -> None:
    declared = declared_by(part) | (declared_by(ROOT / "libs/common") if part.name != "common" else set())
    missing = {module for module in imported_by(part) - CHECKOUT if not from_any_of(module) & declared}

    assert missing == set()


def from_any_of(module: str) -> set[str]:
    """The distributions a module may come from; several for one that is a shared name, such as opentelemetry."""
    names = {normal(name) for name in DISTRIBUTIONS.get(module, [module])}
    return {COMES_WITH.get(name, name) for name in names}


def declared_by(part: Path) -> set[str]:
    table = tomllib.loads((part / "pyproject.toml").read_text())["project"]
    names = [*table["dependencies"], *(name for extra in table.get("optional-dependencies", {}).values() for name in extra)]
    return {normal(re.split(r"[\[<>=;~ ]", name)[0]) for name in names} | {normal(table["name"])}


def imported_by(part: Path) -> set[str]:
    """Top-level modules that are imported when the part runs; what only type checkers read is left out."""
    found: set[str] = set()
    for file in part.glob("*/**/*.py"):
        if file.relative_to(part).parts[0] == "tests" or FOR_TESTS.fullmatch(file.name):
            continue
        for node in running(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                found |= {name.name.split(".")[0] for name in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.split(".")[0])
    return {NEEDS.get(module, module) for module in found} - sys.stdlib_module_names - OURS


def running(tree: ast.AST) -> list[ast.AST]:
    nodes = []
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            continue
        nodes += [node, *running(node)]
    return nodes


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
