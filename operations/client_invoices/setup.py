"""Sets up an installation: keys, rings, passwords, the database's replica set and users, the broker's topology and users.

Everything here may run again: what is there is kept, what is missing is made. All secrets live below one folder,
one part of it for each service, so that a service is given its own part and nothing else:

    <service>/identity.k1.key  <service>/rings/*.json  <service>/secrets/{mongo_url,rabbitmq_url}
    public/*.pub               every service's public keys
    mongo/keyfile              what the members of the replica set know each other by
    rabbitmq/20-admin.conf     the broker's administrator
    operations/passwords.json  every password, for this command alone
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from client_invoices.installation import OPERATIONS, RINGS, SERVICES, SERVICES_ON_THE_BUS
from client_invoices.services import Refused
from common.bus import users
from common.keys import make_keys

ADMIN = "admin"
REPLICA_SET = "rs0"
SERVICE_UID = 10001
"""Whom the images run as (deploy/Dockerfile)."""

STORE_UID = 999
"""Whom the official images of MongoDB and RabbitMQ run as."""

WAIT_SECONDS = 120.0
UNAUTHORISED = frozenset({13, 18})
"""MongoDB's codes for "not allowed" and "authentication failed": what a database without our administrator answers to him."""

USER_EXISTS = 51003
ALREADY_INITIALISED = 23


class NotReady(Refused):
    """A store did not come up in time, or refuses us."""


def make_files(folder: Path, *, mongo: str, rabbitmq: str, replica_set: str = REPLICA_SET) -> None:
    """Makes every key, ring, password and address below `folder`. `mongo` and `rabbitmq` are host:port as services reach them."""
    make_keys(folder, (*SERVICES, OPERATIONS), RINGS)
    passwords = _kept_passwords(folder / "operations" / "passwords.json")
    _make(folder / "mongo" / "keyfile", base64.b64encode(os.urandom(741)).decode())
    _make(folder / "rabbitmq" / "20-admin.conf", f"default_user = {ADMIN}\ndefault_pass = {passwords['rabbitmq'][ADMIN]}\n")
    for service in SERVICES_ON_THE_BUS:
        database = f"mongodb://{service}:{quote(passwords['mongo'][service])}@{mongo}/?replicaSet={replica_set}&authSource={service}"
        _make(folder / service / "secrets" / "mongo_url", database)
        _make(folder / service / "secrets" / "rabbitmq_url", f"amqp://{service}:{quote(passwords['rabbitmq'][service])}@{rabbitmq}/")
    if os.geteuid() == 0:
        _give_to_their_owners(folder)


def set_up_mongo(folder: Path, *, member: str, at: str = "127.0.0.1:27017") -> None:
    """Makes the server at `at` a replica set of one, named `member` (host:port as services reach it), with one user for each service.

    Must reach a fresh server from its own network namespace: the first user can be made from localhost alone
    (MongoDB's "localhost exception"). Raises NotReady.
    """
    passwords = json.loads((folder / "operations" / "passwords.json").read_text())["mongo"]
    _until(lambda: _initiated(at, member, passwords[ADMIN]), f"MongoDB at {at}")
    with _admin(at, passwords[ADMIN]) as client:
        for service in SERVICES_ON_THE_BUS:
            _save_user(client[service], service, passwords[service], [{"role": "readWrite", "db": service}])


def set_up_broker(folder: Path, topology: Path, *, at: str) -> None:
    """Declares exchange, queues, bindings and users through the management API at `at` (http://host:port). Raises NotReady."""
    passwords = json.loads((folder / "operations" / "passwords.json").read_text())["rabbitmq"]
    definitions = json.loads(topology.read_text()) | {"users": users({name: passwords[name] for name in SERVICES_ON_THE_BUS})}
    with httpx.Client(base_url=at, auth=(ADMIN, passwords[ADMIN]), timeout=10, trust_env=False) as http:
        _until(lambda: _answers(http), f"RabbitMQ at {at}")
        answer = http.post("/api/definitions", json=definitions)
    if answer.is_error:
        raise NotReady(f"RabbitMQ refused the topology with {answer.status_code}: {answer.text[:300]}")


def _kept_passwords(file: Path) -> Mapping[str, Mapping[str, str]]:
    kept: dict[str, dict[str, str]] = json.loads(file.read_text()) if file.exists() else {}
    wanted = (ADMIN, *SERVICES_ON_THE_BUS)
    passwords = {
        store: {name: kept.get(store, {}).get(name) or secrets.token_urlsafe(24) for name in wanted} for store in ("mongo", "rabbitmq")
    }
    if passwords != kept:
        file.unlink(missing_ok=True)
        _make(file, json.dumps(passwords, indent=1))
    return passwords


def _make(file: Path, text: str) -> None:
    """Creates a file readable by its owner alone; one that is there is kept."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as made:
            made.write(text)


def _give_to_their_owners(folder: Path) -> None:
    for path in folder.rglob("*"):
        owner = STORE_UID if path.relative_to(folder).parts[0] in ("mongo", "rabbitmq") else SERVICE_UID
        os.chown(path, owner, owner)


def _initiated(at: str, member: str, password: str) -> bool:
    """Is it the primary of its set, with an administrator? If not, does the next thing missing and lets the caller ask again."""
    try:
        with _admin(at, password) as client:
            return bool(client.admin.command("hello").get("isWritablePrimary")) and bool(client.admin.command("usersInfo", ADMIN))
    except OperationFailure as error:
        if error.code not in UNAUTHORISED:
            return False
    except PyMongoError:
        return False
    with _connected(at) as client:
        try:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": [{"_id": 0, "host": member}]})
        except OperationFailure as error:
            if error.code == ALREADY_INITIALISED and client.admin.command("hello").get("isWritablePrimary"):
                _save_user(client.admin, ADMIN, password, [{"role": "root", "db": "admin"}])
    return False


def _save_user(database: Any, name: str, password: str, roles: list[dict[str, str]]) -> None:
    try:
        database.command("createUser", name, pwd=password, roles=roles)
    except OperationFailure as error:
        if error.code != USER_EXISTS:
            raise
        database.command("updateUser", name, pwd=password, roles=roles)


def _connected(at: str, **more: Any) -> MongoClient[dict[str, Any]]:
    return MongoClient(f"mongodb://{at}", directConnection=True, serverSelectionTimeoutMS=2000, socketTimeoutMS=5000, **more)


def _admin(at: str, password: str) -> MongoClient[dict[str, Any]]:
    return _connected(at, username=ADMIN, password=password, authSource="admin")


def _answers(http: httpx.Client) -> bool:
    try:
        return http.get("/api/overview").is_success
    except httpx.TransportError:
        return False


def _until(ready: Callable[[], bool], name: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not ready():
        if time.monotonic() > deadline:
            raise NotReady(f"{name} was not ready within {WAIT_SECONDS:.0f} s.")
        time.sleep(0.5)
