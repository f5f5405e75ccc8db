"""Every setting a service has can be told in every way to run it: by `make up`, by docker-compose and in Kubernetes."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from client_invoices.installation import SERVICES, SERVICES_ON_THE_BUS
from local.system import PASSED_ON, PASSED_ON_TO_ALL, ROOT, System, choose_ports

K8S = ROOT / "deploy" / "k8s"
ADDRESSES = {"XERO_ISSUER", "XERO_DISCOVERY_URL", "XERO_AUTHORIZE_URL", "XERO_TOKEN_URL", "XERO_CONNECTIONS_URL", "XERO_REVOCATION_URL"}
DEFAULTS_WILL_DO = {
    "make up": {"MONGO_DATABASE", "RUN_API", "RUN_WORKERS", "DRAIN_SECONDS"},
    "compose": {"MONGO_DATABASE", "RUN_API", "RUN_WORKERS", "DRAIN_SECONDS"},  # one replica of each: nobody takes over meanwhile
    "kubernetes": {
        "MONGO_DATABASE",
        *("RUN_API", "RUN_WORKERS"),  # told where a service is split
        *ADDRESSES,
        *("XERO_API_URL", "XERO_DEEP_LINK", "XERO_CONTACTS_URL", "XERO_PKCE", "DEMO_LINKS"),
        "XERO_WEBHOOK_KEY_PREVIOUS",  # for the days of a change of keys
    },
}


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize("way", DEFAULTS_WILL_DO)
def test_every_setting_can_be_told(way: str, service: str, tmp_path: Path) -> None:
    tellers: dict[str, Callable[[str, Path], set[str]]] = {"make up": by_make_up, "compose": by_compose, "kubernetes": in_kubernetes}
    settings = importlib.import_module(f"{service.replace('-', '_')}.settings").Settings
    wanted = {name.upper() for name in settings.model_fields} - DEFAULTS_WILL_DO[way]
    wanted -= {"MONGO_URL", "RABBITMQ_URL"} if service not in SERVICES_ON_THE_BUS else set()
    assert wanted - tellers[way](service, tmp_path) == set()


def by_make_up(service: str, folder: Path) -> set[str]:
    """With everything people may set set, and with the simulators."""
    names = {*PASSED_ON_TO_ALL, *PASSED_ON.get(service, ())}
    system = System({}, choose_ports({})[0], folder, dict.fromkeys((*SERVICES, "operator"), "password"))
    (part,) = [part for part in system.parts if part.name == service]
    return names | set(system.environment(part))


def by_compose(service: str, _folder: Path) -> set[str]:
    compose = [yaml.safe_load((ROOT / name).read_text())["services"][service] for name in ("docker-compose.yml", "docker-compose.real.yml")]
    secrets = {name.upper() for part in compose for name in part.get("secrets", [])}
    keys = {"MONGO_URL", "RABBITMQ_URL"}  # files among the keys, made by `keys init`
    return by_image() | secrets | keys | {name for part in compose for name in part["environment"]}


def in_kubernetes(service: str, _folder: Path) -> set[str]:
    """By the installation's settings, the Deployment, the image, or a file among its keys."""
    settings = re.findall(r"^([A-Z_]+)=", (K8S / "overlays" / "production" / "settings.env").read_text(), re.MULTILINE)
    text = "".join(
        (K8S / "base" / part / name).read_text() for part, name in (("part", "deployment.yaml"), (service, "kustomization.yaml"))
    )
    files = {name.upper() for name in re.findall(r"path: secrets/(\w+)", text)}
    return by_image() | set(settings) | set(re.findall(r"name: ([A-Z_]+),", text)) | files


def by_image() -> set[str]:
    return set(re.findall(r"\b([A-Z_]+)=", (ROOT / "deploy" / "Dockerfile").read_text()))
