"""The Kubernetes manifests are valid, and their network policies draw the same picture as docs/architecture.md and the code."""

from __future__ import annotations

import base64
import importlib
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from auth.settings import Settings as AuthSettings
from client_invoices.installation import CALLS, SERVICES, SERVICES_ON_THE_BUS
from client_invoices.setup import make_files
from common.service import LOOP_SECONDS, STOP_SECONDS
from local.system import ROOT, setting_name

KUBECTL = Path(sys.executable).parent / "kubectl"
SCHEMAS = ROOT / "deploy" / "k8s" / "schemas"
FROM_OUTSIDE = {"web", "auth", "xero-gateway"}
OVERLAYS = ("local", "production")


@pytest.fixture(scope="module")
def manifests(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, Any]]]:
    """overlay -> its resources, as `kubectl kustomize` makes them of a copy that has keys."""
    folder = tmp_path_factory.mktemp("deploy") / "deploy"
    shutil.copytree(ROOT / "deploy", folder, ignore=shutil.ignore_patterns("installation"))
    make_files(folder / "k8s" / "overlays" / "local" / "installation", mongo="mongo:27017", rabbitmq="rabbitmq:5672")
    return {overlay: resources(folder / "k8s" / "overlays" / overlay) for overlay in OVERLAYS}


def resources(overlay: Path) -> list[dict[str, Any]]:
    made = subprocess.run([KUBECTL, "kustomize", overlay], capture_output=True, text=True)
    assert made.returncode == 0, made.stderr[-2000:]
    return list(yaml.safe_load_all(made.stdout))


def of_kind(found: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    return {each["metadata"]["name"]: each for each in found if each["kind"] == kind}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_resource_is_valid_in_the_strictest_reading(manifests: dict[str, list[dict[str, Any]]], overlay: str) -> None:
    for each in manifests[overlay]:
        schema = SCHEMAS / f"{each['kind'].lower()}_{each['apiVersion'].rpartition('/')[2]}.json"
        if schema.exists():
            jsonschema.validate(each, json.loads(schema.read_text()))
        else:
            kubernetes_validate.validate(each, "1.34", strict=True)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_services_reach_each_other_along_the_calls_of_the_code_alone(manifests: dict[str, list[dict[str, Any]]], overlay: str) -> None:
    policies = of_kind(manifests[overlay], "NetworkPolicy")
    assert policies["nothing-else"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    allowed_out = {(caller, called) for caller in SERVICES for called in peers(policies[caller], "egress", "to")}
    allowed_in = {(caller, called) for called in SERVICES for caller in peers(policies[called], "ingress", "from")}
    calls = {(caller, called) for caller, all_called in CALLS.items() for called in all_called}
    assert allowed_out == allowed_in == calls == drawn_calls()
    assert {name for name in SERVICES if "gateway" in roles(policies[name])} == FROM_OUTSIDE


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_on_the_bus_reaches_both_stores(manifests: dict[str, list[dict[str, Any]]], overlay: str) -> None:
    policies = of_kind(manifests[overlay], "NetworkPolicy")
    let_in, *_ = policies["stores"]["spec"]["ingress"]
    assert let_in == {
        "from": [{"podSelector": {"matchLabels": {"app.kubernetes.io/part-of": "client-invoices"}}}],
        "ports": [{"port": 27017}, {"port": 5672}],
    }
    for name in SERVICES_ON_THE_BUS:
        out = [(peer.get("podSelector"), rule["ports"]) for rule in policies[name]["spec"]["egress"] for peer in rule["to"]]
        assert ({"matchLabels": {"role": "mongo"}}, [{"port": 27017}]) in out
        assert ({"matchLabels": {"role": "rabbitmq"}}, [{"port": 5672}]) in out
        for deployment in deployments_of(manifests[overlay], name):
            assert deployment["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/part-of"] == "client-invoices"


def test_nothing_leads_from_the_simulators_installation_to_the_real_xero(manifests: dict[str, list[dict[str, Any]]]) -> None:
    (settings,) = [
        each["data"] for each in manifests["local"] if each["kind"] == "ConfigMap" and each["metadata"]["name"].startswith("settings-")
    ]
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]["auth"]["environment"]
    addresses = {name.upper() for name in AuthSettings.model_fields if name.startswith("xero_") and name.endswith(("_url", "_issuer"))}
    assert len(addresses) > 4
    for told in (settings, compose):
        assert {name for name in addresses if "8181" not in told.get(name, "")} == set()


def drawn_calls() -> set[tuple[str, str]]:
    """The table of docs/architecture.md."""
    rows = re.findall(r"^\| ([a-z-]+) \| ([a-z-]+) \|", (ROOT / "docs" / "architecture.md").read_text(), re.MULTILINE)
    return {(caller, called) for caller, called in rows if caller in SERVICES and called in SERVICES}


def peers(policy: dict[str, Any], way: str, side: str) -> set[str]:
    """Services a policy lets through on the port of the API."""
    found = {
        peer.get("podSelector", {}).get("matchLabels", {}).get("app.kubernetes.io/name")
        for rule in policy["spec"].get(way, [])
        if {"port": 8000} in rule.get("ports", [])
        for peer in rule.get(side, [])
    }
    return {name for name in found if name in SERVICES}


def deployments_of(found: list[dict[str, Any]], service: str) -> list[dict[str, Any]]:
    """Its API and its workers, or the one that is both."""
    made = of_kind(found, "Deployment").values()
    return [each for each in made if each["spec"]["selector"]["matchLabels"].get("app.kubernetes.io/name") == service]


def told_by(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container.get("env", [])}


def roles(policy: dict[str, Any]) -> set[str]:
    labels = [peer.get("podSelector", {}).get("matchLabels", {}) for rule in policy["spec"]["ingress"] for peer in rule.get("from", [])]
    return {label["role"] for label in labels if "role" in label}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_service_is_there_twice_and_cannot_do_more_than_serve(manifests: dict[str, list[dict[str, Any]]], overlay: str) -> None:
    found = manifests[overlay]
    for deployment in (each for service in SERVICES for each in deployments_of(found, service)):
        name, spec = deployment["metadata"]["name"], deployment["spec"]
        service = name.removesuffix("-worker")
        pod, (container,) = spec["template"]["spec"], spec["template"]["spec"]["containers"]
        assert spec.get("replicas") == (2 if overlay == "local" else None)  # which a release must not undo
        assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
        assert pod["serviceAccountName"] == name
        assert pod["securityContext"]["runAsNonRoot"]
        assert container["image"] == f"client-invoices/{service}"
        assert container["securityContext"]["readOnlyRootFilesystem"]
        assert of_kind(found, "PodDisruptionBudget")[name]["spec"]["selector"] == spec["selector"]
        assert of_kind(found, "Service")[name]["spec"]["selector"] == spec["selector"]["matchLabels"]
        called = {f"{setting_name(other)}_URL": f"http://{other}:8000" for other in CALLS.get(service, ())}
        told = told_by(container)
        assert {key: value for key, value in told.items() if key.endswith("_URL")} == called
        assert set(told) - set(called) <= {"RUN_API", "RUN_WORKERS", "DRAIN_SECONDS", "RETURN_PORT"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_each_part_of_a_service_runs_once_and_callers_reach_its_api(manifests: dict[str, list[dict[str, Any]]], overlay: str) -> None:
    for service in SERVICES:
        parts = {
            each["metadata"]["name"]: told_by(each["spec"]["template"]["spec"]["containers"][0])
            for each in deployments_of(manifests[overlay], service)
        }
        apis = [name for name, told in parts.items() if told.get("RUN_API") != "false"]
        workers = [name for name, told in parts.items() if told.get("RUN_WORKERS") != "false"]
        assert apis == ([] if service == "notifier" else [service])
        assert len(workers) == 1
        assert workers == apis or parts[workers[0]]["RUN_API"] == "false"
        ports = {port["name"] for port in of_kind(manifests[overlay], "Service")[service]["spec"]["ports"]}
        assert ("http" in ports) == bool(apis)


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_a_pod_has_the_time_to_end_what_it_began(manifests: dict[str, list[dict[str, Any]]], overlay: str) -> None:
    for deployment in (each for service in SERVICES for each in deployments_of(manifests[overlay], service)):
        pod = deployment["spec"]["template"]["spec"]
        draining = float(told_by(pod["containers"][0]).get("DRAIN_SECONDS", 0))
        assert pod["terminationGracePeriodSeconds"] > draining + STOP_SECONDS + LOOP_SECONDS
        assert "DRAIN_SECONDS" in told_by(pod["containers"][0]) or told_by(pod["containers"][0])["RUN_API"] == "false"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_gateway_has_the_time_to_answer_what_it_began(manifests: dict[str, list[dict[str, Any]]], overlay: str) -> None:
    pod = of_kind(manifests[overlay], "Deployment")["gateway"]["spec"]["template"]["spec"]
    told = told_by(pod["containers"][0])
    draining, grace = (float(told[name].removesuffix("s")) for name in ("DRAIN", "GRACE_PERIOD"))
    caddyfile = (ROOT / "deploy" / "gateway" / "Caddyfile").read_text()
    answering = re.search(r"response_header_timeout (\d+)s", caddyfile)
    assert answering
    assert "shutdown_delay {$DRAIN:" in caddyfile
    assert "grace_period {$GRACE_PERIOD:" in caddyfile
    assert draining > 4
    assert float(answering[1]) <= grace < pod["terminationGracePeriodSeconds"] - draining


def test_the_stores_keep_closed_what_fs_group_would_open(manifests: dict[str, list[dict[str, Any]]]) -> None:
    """The kubelet gives a secret's files to fsGroup, whatever their mode, and a claim's at every start of a pod: mongod refuses such a key
    file, and Erlang such a cookie."""
    mongo, rabbitmq = (of_kind(manifests["local"], "StatefulSet")[name]["spec"]["template"]["spec"] for name in ("mongo", "rabbitmq"))
    kinds = {volume["name"]: set(volume) - {"name"} for volume in mongo["volumes"]}
    copying, mongod = mongo["initContainers"][0], mongo["containers"][0]
    (key_file,) = (mount for mount in mongod["volumeMounts"] if mount["mountPath"] == "/keys")
    assert mongod["args"][mongod["args"].index("--keyFile") + 1] == "/keys/keyfile"
    assert kinds[key_file["name"]] == {"emptyDir"}
    assert {mount["name"]: mount["mountPath"] for mount in copying["volumeMounts"]} == {"secret": "/secret", key_file["name"]: "/keys"}
    assert copying["command"] == ["install", "--mode", "0400", "/secret/keyfile", "/keys/keyfile"]
    assert rabbitmq["securityContext"]["fsGroupChangePolicy"] == "OnRootMismatch"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pod_security_admits_every_pod(manifests: dict[str, list[dict[str, Any]]], overlay: str) -> None:
    """By the profile `restricted`, which production enforces; the operators' pods too, with what stands here laid over their own."""
    found = manifests[overlay]
    pods = [each["spec"]["template"]["spec"] for kind in ("Deployment", "StatefulSet", "Job") for each in of_kind(found, kind).values()]
    pods += [each["spec"]["jobTemplate"]["spec"]["template"]["spec"] for each in of_kind(found, "CronJob").values()]
    for pod in pods:
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert set(container["securityContext"]["capabilities"].get("add", [])) <= {"NET_BIND_SERVICE"}
    if overlay == "production":
        pods.append(of_kind(found, "MongoDBCommunity")["mongo"]["spec"]["statefulSet"]["spec"]["template"]["spec"])
        made_by_the_operator = {"mongod", "mongodb-agent", "mongod-posthook", "mongodb-agent-readinessprobe"}
        assert {container["name"] for container in [*pods[-1]["containers"], *pods[-1]["initContainers"]]} == made_by_the_operator
    for pod in pods:
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_every_deployment_of_ours_is_scaled_by_one_thing_that_is_measured(manifests: dict[str, list[dict[str, Any]]]) -> None:
    found = manifests["production"]
    by_cpu, by_backlog = of_kind(found, "HorizontalPodAutoscaler"), of_kind(found, "ScaledObject")
    assert all(each["spec"]["scaleTargetRef"]["name"] == name for name, each in (by_cpu | by_backlog).items())
    assert {each["spec"].get("minReplicas", each["spec"].get("minReplicaCount")) for each in (by_cpu | by_backlog).values()} == {2}
    for service in SERVICES:
        for deployment in deployments_of(found, service):
            name = deployment["metadata"]["name"]
            alone = told_by(deployment["spec"]["template"]["spec"]["containers"][0]).get("RUN_API") == "false"
            assert (name in by_backlog, name in by_cpu) == (alone, not alone)
    for name, scaler in by_backlog.items():
        queries = [trigger["metadata"]["query"] for trigger in scaler["spec"]["triggers"]]
        assert all(f'{{service="{name}"}}' in query for query in queries)
        assert name in of_kind(found, "Service")  # whose name Prometheus puts there


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_secret_a_service_mounts_is_made(manifests: dict[str, list[dict[str, Any]]], overlay: str) -> None:
    made = {
        re.sub(r"-[a-z0-9]{10}$", "", name): set(secret["data"])
        if secret["kind"] == "Secret"
        else {row["secretKey"] for row in secret["spec"]["data"]}
        for kind in ("Secret", "ExternalSecret")
        for name, secret in of_kind(manifests[overlay], kind).items()
    }
    for name in SERVICES:
        for deployment in deployments_of(manifests[overlay], name):
            (source,) = deployment["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
            assert {item["key"] for item in source["secret"]["items"]} == made[f"{name}-keys"]
            assert name not in SERVICES_ON_THE_BUS or {"mongo_url", "rabbitmq_url"} < made[f"{name}-keys"]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_every_pod_starts_with_the_settings_it_is_given(
    manifests: dict[str, list[dict[str, Any]]], overlay: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = manifests[overlay]
    (settings,) = (each["data"] for name, each in of_kind(found, "ConfigMap").items() if name.startswith("settings-"))
    for name in SERVICES:
        for deployment in deployments_of(found, name):
            (source,) = deployment["spec"]["template"]["spec"]["volumes"][0]["projected"]["sources"]
            folder = tmp_path / deployment["metadata"]["name"]
            folder.mkdir()
            for item in (each for each in source["secret"]["items"] if each["path"].startswith("secrets/")):
                (folder / item["key"]).write_text(kept_as(found, source["secret"]["name"], item["key"]))
            with monkeypatch.context() as environment:
                for key, value in {**settings, **told_by(deployment["spec"]["template"]["spec"]["containers"][0])}.items():
                    environment.setenv(key, value)
                environment.setenv("SECRETS_DIR", str(folder))
                given = importlib.import_module(f"{name.replace('-', '_')}.settings").Settings()
            assert given.environment == ("production" if overlay == "production" else "development")
            assert bool(given.mongo_url and given.rabbitmq_url) == (name in SERVICES_ON_THE_BUS)


def kept_as(found: list[dict[str, Any]], secret: str, key: str) -> str:
    """A secret's value; where it comes from outside, a word that stands for it."""
    made = of_kind(found, "Secret").get(secret)
    return base64.b64decode(made["data"][key]).decode() if made else f"from outside: {key}"


def test_every_secret_from_outside_is_a_file_of_the_installation_or_named_in_the_guide(
    manifests: dict[str, list[dict[str, Any]]], tmp_path: Path
) -> None:
    make_files(tmp_path, mongo="mongo-svc:27017", rabbitmq="rabbitmq:5672", replica_set="mongo")
    files = {
        (path.relative_to(tmp_path).parts[0], "-".join(path.relative_to(tmp_path).parts[1:]).removeprefix("secrets-"))
        for path in tmp_path.rglob("*")
        if path.is_file()
    }
    guide = (ROOT / "docs" / "operating.md").read_text().partition("### In production")[2].partition("\n### ")[0]
    for name, secret in of_kind(manifests["production"], "ExternalSecret").items():
        assert secret["spec"]["target"]["name"] == name
        for row in secret["spec"]["data"]:
            kept, named = row["remoteRef"]["key"].removeprefix("client-invoices/"), row["remoteRef"]["property"]
            by_hand = f"`{named}`" in guide or (kept == "mongo" and named in SERVICES_ON_THE_BUS)
            assert (kept, named) in files or by_hand, (kept, named)
    users = of_kind(manifests["production"], "MongoDBCommunity")["mongo"]["spec"]["users"]
    assert {user["passwordSecretRef"]["name"] for user in users} == {f"mongo-{name}" for name in SERVICES_ON_THE_BUS}


def test_a_release_can_declare_its_topology_before_its_pods(manifests: dict[str, list[dict[str, Any]]]) -> None:
    for found in manifests.values():
        step = {each["kind"] for each in found if each["metadata"].get("labels", {}).get("step") == "broker-setup"}
        assert step == {"Job", "ConfigMap"}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_nightly_backup_holds_the_operators_key_alone_and_reaches_the_health_ports(
    manifests: dict[str, list[dict[str, Any]]], overlay: str
) -> None:
    template = of_kind(manifests[overlay], "CronJob")["backup"]["spec"]["jobTemplate"]["spec"]["template"]
    key, kept = template["spec"]["volumes"]
    assert key["secret"]["items"] == [{"key": "identity.key", "path": "identity.k1.key"}]
    assert kept["persistentVolumeClaim"]["claimName"] in of_kind(manifests[overlay], "PersistentVolumeClaim")
    assert template["spec"]["containers"][0]["args"] == ["backup", "/backups", "--keep-days", "14"]
    policies = of_kind(manifests[overlay], "NetworkPolicy")
    assert template["metadata"]["labels"] == policies["operations"]["spec"]["podSelector"]["matchLabels"]
    for name in SERVICES_ON_THE_BUS:
        doors = [rule for rule in policies[name]["spec"]["ingress"] if rule["ports"] == [{"port": 9000}]]
        assert {"podSelector": {"matchLabels": template["metadata"]["labels"]}} in doors[0]["from"]
