"""What Prometheus asks for is measured, every alert is explained, and what the operator's guide names exists."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable
from functools import cache
from typing import Any, NamedTuple

import pytest
import typer.main
import yaml

from client_invoices.cli import app
from local.system import ROOT

PRODUCTION = ROOT / "deploy" / "k8s" / "overlays" / "production"
GUIDE = (ROOT / "docs" / "operating.md").read_text()
SELECTED = re.compile(r"\b([a-z]+(?:_[a-z]+)+)\b(?:\{([^}]*)\})?(?!\s*\()")
AS_ONE = re.compile(r"max(?: by \([a-z, ]+\) )?\($")
ROW_OF_METRICS = re.compile(r"^\| ((?:`[a-z_]+(?:\{[^}`]*\})?`(?:, )?)+)(?: \([a-z]+\))? \|", re.MULTILINE)
EVENT = re.compile(r"`([a-z_]+\.[a-z_]+)`")
COMMANDS = (
    r"client_invoices ([^\n#]+)",
    r"compose run [^\n`]*\b(?:operations|files) ([^\n`,]+)",
    r"`(?:client-invoices )?([a-z]+(?: [^`]*)?)`",
)
app_command: Any = typer.main.get_command(app)


class Metric(NamedTuple):
    """`labels` with those Prometheus adds; `texts` are those of its file, the values of its labels among them."""

    kind: str
    labels: set[str]
    texts: set[str]


@cache
def sources() -> list[list[ast.AST]]:
    """The code of all services, file by file."""
    folders = ("libs/common/common", "services/*/*", "operations/client_invoices")
    paths = [path for folder in folders for path in ROOT.glob(f"{folder}/*.py") if path.parent.name != "tests"]
    return [list(ast.walk(ast.parse(path.read_text()))) for path in paths]


def calls(nodes: list[ast.AST]) -> list[ast.Call]:
    return [node for node in nodes if isinstance(node, ast.Call) and node.args]


def texts(nodes: Iterable[ast.AST]) -> set[str]:
    return {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}


@cache
def measured() -> dict[str, Metric]:
    """Every metric of the code."""
    return {
        name: Metric(call.func.id, {"service", "le", *(ast.literal_eval(call.args[2]) if len(call.args) > 2 else ())}, texts(nodes))
        for nodes in sources()
        for call in calls(nodes)
        if isinstance(call.func, ast.Name) and call.func.id in ("Counter", "Gauge", "Histogram")
        for name in texts(call.args[:1])
    }


def logged(*levels: str) -> set[str]:
    """The events the code logs at these levels."""
    lines = [call for nodes in sources() for call in calls(nodes) if isinstance(call.func, ast.Attribute) and call.func.attr in levels]
    return {text for call in lines for text in texts(ast.walk(call.args[0])) if re.fullmatch(r"[a-z_]+\.[a-z_]+", text)}


def rules() -> list[dict[str, Any]]:
    _, alerts = yaml.safe_load_all((PRODUCTION / "monitoring.yaml").read_text())
    return [rule for group in alerts["spec"]["groups"] for rule in group["rules"]]


def asked() -> dict[str, str]:
    """Every query of the alerts, the dashboard and the scalers, by what asks it."""
    panels = json.loads((PRODUCTION / "dashboard.json").read_text())["panels"]
    scalers = [each for each in yaml.safe_load_all((PRODUCTION / "scaling.yaml").read_text()) if each["kind"] == "ScaledObject"]
    return (
        {rule["alert"]: rule["expr"] for rule in rules()}
        | {f"{panel['title']} {at}": target["expr"] for panel in panels for at, target in enumerate(panel["targets"])}
        | {
            f"{each['metadata']['name']} {at}": it["metadata"]["query"]
            for each in scalers
            for at, it in enumerate(each["spec"]["triggers"])
        }
    )


@pytest.mark.parametrize("name", asked())
def test_every_query_asks_for_metrics_and_labels_that_exist_and_takes_replicas_as_one(name: str) -> None:
    metrics, query = measured(), asked()[name]
    selected = [(match, re.sub("_(count|bucket)$", "", match[1])) for match in SELECTED.finditer(query)]
    assert selected
    assert {metric for _, metric in selected} <= set(metrics)
    for match, metric in selected:
        kind, labels, values_of_it = metrics[metric]
        matchers = re.findall(r'(\w+)(?:=|=~)"([^"]*)"', match[2] or "")
        assert {label for label, _ in matchers} <= labels
        assert {value for label, values in matchers if label not in ("service", "status") for value in values.split("|")} <= values_of_it
        assert kind != "Gauge" or AS_ONE.search(query[: match.start()]), f"every replica tells the same {metric}"
    grouped = {label for labels in re.findall(r"by \(([a-z, ]+)\)", query) for label in labels.split(", ")}
    assert grouped <= set.union(*(metrics[metric].labels for _, metric in selected))


def test_every_alert_is_explained_with_its_severity() -> None:
    explained = dict(re.findall(r"^\| `([A-Z]\w+)` \| (critical|warning) \|", GUIDE, re.MULTILINE))
    assert explained == {rule["alert"]: rule["labels"]["severity"] for rule in rules()}
    assert all(rule["annotations"].keys() == {"summary", "description"} for rule in rules())


def test_the_metrics_of_the_guide_are_those_that_are_measured() -> None:
    _, _, table = GUIDE.partition("| metric | look when |\n|---|---|\n")
    named = {name for row in ROW_OF_METRICS.findall(table.partition("\n\n")[0]) for name in re.findall(r"`([a-z_]+)", row)}
    assert len(named) > 20
    assert named == set(measured())
    assert set(re.findall(r"`([a-z_]+_total)\b", GUIDE)) <= named


def test_every_event_of_the_guide_is_logged_and_every_error_is_in_it() -> None:
    named = {event for event in EVENT.findall(GUIDE) if event.rpartition(".")[2] not in ("json", "yaml", "env")}
    assert len(named) > 30
    assert named <= logged("info", "warning", "error")
    assert logged("error") <= named


def test_every_command_of_the_guide_can_be_given_and_every_command_is_in_it() -> None:
    lines = [re.sub(r"[\[\]]", "", line).split() for pattern in COMMANDS for line in re.findall(pattern, GUIDE)]
    given = [words for words in lines if words[0].startswith("--") or words[0] in app_command.commands]
    assert len(given) > 50
    assert [words for words in given if fault_of(words)] == []
    table = GUIDE.partition("| command | does |")[2].partition("\n\n")[0]
    assert {name for name in names_of(app_command) if f"`{name}" not in table} == set()


def fault_of(words: list[str]) -> str:
    """The first word the command would not take; empty when it would take all."""
    command, value_may_follow = app_command, False
    for word in words:
        if word.startswith("--"):
            if not any(word in (*parameter.opts, *parameter.secondary_opts) for parameter in command.params):
                return word
            value_may_follow = True
        elif word in getattr(command, "commands", {}):
            command, value_may_follow = command.commands[word], False
        elif hasattr(command, "commands") and not value_may_follow:
            return word
    return ""


def names_of(group: Any, before: str = "") -> set[str]:
    """Every command below a group by its whole name."""
    below = {f"{before}{name}": command for name, command in group.commands.items()}
    return {name for name, it in below.items() if not hasattr(it, "commands")}.union(
        *(names_of(it, f"{name} ") for name, it in below.items() if hasattr(it, "commands"))
    )
