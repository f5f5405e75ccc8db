"""What the documents name exists: links lead somewhere, functions are there, the table of settings is the one in the code."""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest

from client_invoices.installation import SERVICES, SERVICES_ON_THE_BUS
from common.settings import ServiceSettings
from local.system import ROOT

DOCUMENTS = sorted([ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("services/*/README.md")])
SOURCES = [path for folder in ("libs", "services", "simulators", "local") for path in sorted((ROOT / folder).rglob("*.py"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]*)(?:#[^)]*)?\)")
NAMED = re.compile(r"`((?:[\w-]+/)*\w+\.py):([\w.]+)`")
OWN_SETTINGS = re.compile(r"^### (\S+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
ROW = re.compile(r"^\| `([A-Z][A-Z0-9_]*)` \|", re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    links = [link for link in LINK.findall(document.read_text()) if link and "://" not in link]

    assert [link for link in links if not (document.parent / link).exists()] == []


def test_every_function_the_walkthrough_names_exists() -> None:
    named = NAMED.findall((ROOT / "docs" / "walkthrough.md").read_text())

    assert len(named) > 80
    assert [f"{file}:{name}" for file, name in named if name not in names_in(only(file))] == []


def test_the_settings_in_the_operating_guide_are_those_of_the_code() -> None:
    text = (ROOT / "docs" / "operating.md").read_text()
    listed = {title: set(ROW.findall(body)) for title, body in OWN_SETTINGS.findall(text) if ROW.search(body)}

    shared = set(ServiceSettings.model_fields)
    inside = {"every-service": {name.upper() for name in shared}}
    for service in SERVICES:
        settings = importlib.import_module(f"{service.replace('-', '_')}.settings").Settings
        own = {name.upper() for name in set(settings.model_fields) - shared}
        inside |= {service: own} if own else {}
    assert listed == inside


def only(file: str) -> Path:
    """The one source file whose path ends so."""
    (found,) = [path for path in SOURCES if str(path).endswith(f"/{file}")]
    return found


def names_in(source: Path) -> set[str]:
    """Functions and classes of a file, methods as Class.method."""
    tree = ast.parse(source.read_text())
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    outer = [node for node in tree.body if isinstance(node, definitions)]
    methods = {
        f"{node.name}.{inner.name}"
        for node in outer
        if isinstance(node, ast.ClassDef)
        for inner in node.body
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    return {node.name for node in outer} | methods


def test_every_test_the_promises_rest_on_exists() -> None:
    named = set(re.findall(r"`(test_[a-z0-9_]+)`", (ROOT / "docs" / "security.md").read_text()))
    parts = ("libs", "local", "operations", "services", "simulators", "tests")
    files = [file for part in parts for file in (ROOT / part).rglob("test_*.py")]
    there = {name for file in files for name in re.findall(r"^(?:async )?def (test_[a-z0-9_]+)", file.read_text(), re.MULTILINE)}
    assert len(named) > 50
    assert named <= there, f"docs/security.md names tests that are gone: {sorted(named - there)}"


def test_the_operating_guide_says_what_a_backup_leaves_out(keys: Path) -> None:
    text = (ROOT / "docs" / "operating.md").read_text().partition("| service | left out |")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| ([\w, -]+) \| (.*) \|$", text, re.MULTILINE)
    told = {service: set(re.findall(r"`(\w+)`", names)) for services, names in rows for service in services.split(", ") if service != "---"}
    assert told == {service: left_out_of(service, keys) for service in SERVICES_ON_THE_BUS}


def left_out_of(service: str, keys: Path) -> set[str]:
    """The collections of a service that no backup holds."""
    package = service.replace("-", "_")
    needed = {"xero_client_id": "none", "xero_client_secret": "none", "xero_webhook_key": "none"}
    settings = importlib.import_module(f"{package}.settings").Settings(keys_dir=keys / service, public_keys_dir=keys / "public", **needed)
    runtime = importlib.import_module(f"{package}.main").create_app(settings).state.runtime
    assert runtime.keeping.left_out | runtime.keeping.by_itself <= set(runtime.indexes)
    return set(runtime.keeping.left_out)
