"""A new installation gets its files, its database users and its broker users; a second run changes nothing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pymongo import MongoClient
from pymongo.errors import OperationFailure

from client_invoices import setup
from client_invoices.installation import RINGS, SERVICES, SERVICES_ON_THE_BUS
from common.mongo import Database, Index
from conftest import running
from local import mongod
from local.processes import free_ports
from local.rabbitmq import Broker
from local.topology import FILE


@pytest.fixture
def installation(tmp_path: Path) -> Path:
    folder = tmp_path / "installation"
    setup.make_files(folder, mongo="mongo:27017", rabbitmq="rabbitmq:5672")
    return folder


def files_of(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_every_service_gets_its_own_keys_rings_and_addresses(installation: Path) -> None:
    made = set(files_of(installation))
    assert {f"public/{service}.k1.pub" for service in SERVICES} < made
    for service in SERVICES:
        rings = {f"{service}/rings/{purpose}.json" for purpose, owners in RINGS.items() if service in owners}
        urls = {f"{service}/secrets/{name}" for name in ("mongo_url", "rabbitmq_url") if service in SERVICES_ON_THE_BUS}
        assert {name for name in made if name.startswith(f"{service}/")} == {f"{service}/identity.k1.key"} | rings | urls


def test_secrets_are_for_their_owner_alone_and_kept_by_a_second_run(installation: Path) -> None:
    assert {oct(path.stat().st_mode & 0o077) for path in installation.rglob("*") if path.is_file()} == {"0o0"}
    before = files_of(installation)
    setup.make_files(installation, mongo="mongo:27017", rabbitmq="rabbitmq:5672")
    assert files_of(installation) == before


def test_a_lost_file_is_made_again_with_the_passwords_that_are_kept(installation: Path) -> None:
    before = files_of(installation)
    (installation / "sharing" / "secrets" / "mongo_url").unlink()
    setup.make_files(installation, mongo="mongo:27017", rabbitmq="rabbitmq:5672")
    assert files_of(installation) == before


@pytest.fixture
def guarded_mongod(installation: Path, tmp_path: Path) -> Iterator[int]:
    """A mongod that demands a password, like the one of docker-compose.yml."""
    (port,) = free_ports(1)
    command = [*mongod.command(tmp_path, port), "--keyFile", str(installation / "mongo" / "keyfile")]
    with running(command, None, tmp_path):
        yield port


def test_the_database_gets_one_user_for_each_service_who_sees_nothing_else(installation: Path, guarded_mongod: int) -> None:
    at = f"127.0.0.1:{guarded_mongod}"
    for _ in range(2):
        setup.set_up_mongo(installation, member=at, at=at)
    url = (installation / "portal" / "secrets" / "mongo_url").read_text().replace("mongo:27017", at)
    with MongoClient[dict[str, str]](url) as client:
        client["portal"]["links"].insert_one({"_id": "1"})
        with pytest.raises(OperationFailure, match="not authorized"):
            client["sharing"]["shares"].find_one()
    with MongoClient[dict[str, str]](f"mongodb://{at}", directConnection=True) as stranger, pytest.raises(OperationFailure):
        stranger["portal"]["links"].find_one()


async def test_a_services_own_user_may_copy_its_database_and_put_it_back(installation: Path, guarded_mongod: int) -> None:
    at = f"127.0.0.1:{guarded_mongod}"
    await asyncio.to_thread(setup.set_up_mongo, installation, member=at, at=at)
    db = Database((installation / "portal" / "secrets" / "mongo_url").read_text().replace("mongo:27017", at), "portal")
    try:
        await db.prepare({"clients": [Index(("email", 1), unique=True)], "outbox": []})
        await db.collection("clients").insert_one({"_id": "cli_1", "email": "you@demo.example"})
        copied = [rows async for rows in db.read_raw("clients", await db.moment())]
        await db.collection("clients").delete_many({})
        staged = db.staged()
        await staged.prepare({"clients": [Index(("email", 1), unique=True)]})
        await staged.collection("clients").insert_raw(copied[0])
        await db.put_in_place("clients")
        await db.drop_staged()
        assert await db.collection("clients").find({}) == [{"_id": "cli_1", "email": "you@demo.example"}]
    finally:
        db.close()


def test_the_broker_gets_topology_and_users(installation: Path, rabbitmq: Broker) -> None:
    passwords = installation / "operations" / "passwords.json"
    kept = json.loads(passwords.read_text())
    kept["rabbitmq"] = dict(rabbitmq.passwords)  # the broker is shared with other tests
    passwords.chmod(0o600)
    passwords.write_text(json.dumps(kept))
    setup.set_up_broker(installation, FILE, at=rabbitmq.management_url)
    asked = httpx.get(f"{rabbitmq.management_url}/api/whoami", auth=("portal", kept["rabbitmq"]["portal"]), trust_env=False)
    assert asked.status_code == 401  # it may publish and consume, but not manage
    assert "not_authorised" in asked.text or "not_authorized" in asked.text.lower()
    queues = httpx.get(f"{rabbitmq.management_url}/api/queues", auth=rabbitmq.admin, trust_env=False).json()
    assert {"sharing", "notifier", "xero-gateway"} <= {queue["name"] for queue in queues}
