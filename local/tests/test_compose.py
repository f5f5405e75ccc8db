"""docker-compose.yml says the same as the code: who calls whom, which settings exist, and that nobody holds another's keys."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import yaml

from client_invoices.installation import CALLS, SERVICES, SERVICES_ON_THE_BUS
from local.system import ROOT, setting_name

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
REAL: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.real.yml").read_text())
PARTS = COMPOSE["services"]
OURS = [name for name, part in PARTS.items() if "build" in part]


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_knows_the_addresses_of_those_it_calls_and_no_others(service: str) -> None:
    settings = importlib.import_module(f"{service.replace('-', '_')}.settings").Settings
    called = {other for other in CALLS.get(service, ()) if f"{setting_name(other)}_URL".lower() in settings.model_fields}
    assert {other for other in SERVICES if f"{setting_name(other)}_URL" in PARTS[service]["environment"]} == called


@pytest.mark.parametrize("service", SERVICES)
def test_every_setting_of_a_service_exists(service: str) -> None:
    settings = importlib.import_module(f"{service.replace('-', '_')}.settings").Settings
    set_here = set(PARTS[service]["environment"]) | set(REAL["services"][service]["environment"])
    assert {name for name in set_here if name.lower() not in settings.model_fields} == set()


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_holds_its_own_keys_and_everybodys_public_ones(service: str) -> None:
    assert PARTS[service]["volumes"] == [f"{service}-keys:/keys:ro", "public-keys:/public-keys:ro"]


@pytest.mark.parametrize("service", SERVICES_ON_THE_BUS)
def test_a_service_starts_when_its_users_are_there(service: str) -> None:
    assert set(PARTS[service]["depends_on"]) == {"mongo-setup", "broker-setup"}


@pytest.mark.parametrize("part", OURS)
def test_every_part_of_ours_is_built_from_the_one_dockerfile_and_cannot_write_its_own_files(part: str) -> None:
    build = PARTS[part]["build"]
    places = [ROOT / "services" / build["args"]["SERVICE"], ROOT / "simulators" / build["args"]["SERVICE"], ROOT / build["args"]["SERVICE"]]
    assert build["dockerfile"] == "deploy/Dockerfile"
    assert any(place.is_dir() for place in places)
    assert PARTS[part]["read_only"]


def test_only_the_demonstration_is_published_and_on_this_machine_alone() -> None:
    published = {name: part["ports"] for name, part in PARTS.items() if "ports" in part}
    assert set(published) == {"gateway", "xero", "inbox"}
    assert all(port.startswith("127.0.0.1:") for ports in published.values() for port in ports)


def test_with_the_real_xero_nothing_of_the_simulators_is_left() -> None:
    for service in SERVICES:
        merged = PARTS[service]["environment"] | REAL["services"][service]["environment"]
        simulated = [
            name for name, value in merged.items() if value and ("8181" in str(value) or "simulated" in str(value) or "8182" in str(value))
        ]
        assert simulated == []
        assert merged["ENVIRONMENT"] == "production"
    assert {name for name, part in REAL["services"].items() if part.get("profiles")} == {"xero", "inbox"}
