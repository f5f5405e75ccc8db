"""The real mongod and RabbitMQ, started the way `make up` starts them."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from pymongo import MongoClient

from local import mongod
from local import rabbitmq as server
from local.processes import dying_with_parent, free_ports
from local.rabbitmq import Broker


def test_mongod_keeps_its_data_when_it_moves_to_another_port(tmp_path: Path) -> None:
    first, second = free_ports(2)
    with (
        running_mongod(tmp_path, first),
        MongoClient[dict[str, Any]](mongod.url(first)) as client,
        client.start_session() as session,
        session.start_transaction(),
    ):
        client.try_it.things.insert_one({"_id": "kept"}, session=session)
    with running_mongod(tmp_path, second), MongoClient[dict[str, Any]](mongod.url(second)) as client:
        assert client.try_it.things.find_one() == {"_id": "kept"}


def test_definitions_can_be_declared_twice_and_their_users_may_enter(rabbitmq: Broker) -> None:
    definitions = {
        "vhosts": [{"name": "servers-test"}],
        "users": [{"name": "visitor", "password": "secret", "tags": ["management"]}],
        "permissions": [{"user": "visitor", "vhost": "servers-test", "configure": "", "write": "", "read": ""}],
    }
    server.declare(rabbitmq, definitions)
    server.declare(rabbitmq, definitions)
    me = httpx.get(f"{rabbitmq.management_url}/api/whoami", auth=("visitor", "secret"))
    assert me.json()["name"] == "visitor"


def test_nobody_enters_the_broker_as_guest(rabbitmq: Broker) -> None:
    assert httpx.get(f"{rabbitmq.management_url}/api/whoami", auth=("guest", "guest")).status_code == 401


def test_the_broker_keeps_its_whole_state_in_its_folder(tmp_path: Path) -> None:
    environment = server.environment(tmp_path, Broker(5673, 15673, {server.ADMIN: "secret"}), 25673)
    paths = {value for name, value in environment.items() if value.startswith("/") and name not in ("PATH", "RABBITMQ_CONF_ENV_FILE")}
    assert paths
    assert all(path.startswith(str(tmp_path)) for path in paths)
    assert (tmp_path / "rabbitmq.conf").stat().st_mode & 0o777 == 0o600


def test_addresses_carry_any_password_and_virtual_host() -> None:
    broker = Broker(5673, 15673, {"portal": "a/b@c"})
    assert broker.amqp_url("portal") == "amqp://portal:a%2Fb%40c@127.0.0.1:5673/"
    assert broker.amqp_url("portal", "test/1") == "amqp://portal:a%2Fb%40c@127.0.0.1:5673/test%2F1"
    assert "a/b@c" not in repr(broker)


@contextmanager
def running_mongod(folder: Path, port: int) -> Iterator[None]:
    with (folder / "log").open("ab") as log:
        child = subprocess.Popen(dying_with_parent(mongod.command(folder, port), by=signal.SIGKILL), stdout=log)
    try:
        while not mongod.is_primary(port):
            assert child.poll() is None, (folder / "log").read_text()[-2000:]
            time.sleep(0.05)
        yield
    finally:
        child.terminate()
        child.wait()
