"""A real RabbitMQ on this machine, from Debian's package, with its whole state in one folder of ours."""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

from local.processes import plain_environment, write_atomically

ADMIN = "admin"
SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # not /usr/sbin/rabbitmq-server: that wrapper insists on the user rabbitmq


@dataclass(frozen=True)
class Broker:
    """Where a RabbitMQ listens and who may enter: `passwords` maps users to passwords, `admin` among them."""

    port: int
    management_port: int
    passwords: Mapping[str, str] = field(repr=False)
    host: str = "127.0.0.1"

    @property
    def management_url(self) -> str:
        """Base of the management API, without a slash at the end."""
        return f"http://{self.host}:{self.management_port}"

    @property
    def admin(self) -> tuple[str, str]:
        """User and password for the management API, as httpx takes them."""
        return ADMIN, self.passwords[ADMIN]

    def amqp_url(self, user: str = ADMIN, vhost: str = "/") -> str:
        """The address a user connects to; KeyError for a user without a password here."""
        path = "" if vhost == "/" else quote(vhost, safe="")
        return f"amqp://{quote(user, safe='')}:{quote(self.passwords[user], safe='')}@{self.host}:{self.port}/{path}"


def command() -> list[str]:
    """How to start it; `environment` says where and on which ports."""
    return [SERVER]


def environment(folder: Path, broker: Broker, dist_port: int) -> dict[str, str]:
    """Write the configuration below `folder` and give the environment that makes the server use nothing outside of it.

    The node's name comes from the folder, so several brokers live side by side and one finds its data again on other ports.
    RUNNING_UNDER_SYSTEMD makes the start script become the Erlang VM instead of waiting for it: one pid, signals arrive.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "rabbitmq.conf", configuration(broker), mode=0o600)
    write_atomically(folder / "enabled_plugins", "[rabbitmq_management].\n")
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:12]
    return plain_environment(os.environ) | {
        "HOME": str(folder),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODENAME": f"invoices-{name}@localhost",
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_ADVANCED_CONFIG_FILE": str(folder / "advanced.config"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "rabbitmq.pid"),
        "RABBITMQ_DIST_PORT": str(dist_port),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none",
        "RUNNING_UNDER_SYSTEMD": "true",
    }


def configuration(broker: Broker) -> str:
    """The text of rabbitmq.conf: bound to this machine, logging to the console, modest in memory and disk."""
    user, password = broker.admin
    return f"""\
listeners.tcp.1 = {broker.host}:{broker.port}
management.tcp.ip = {broker.host}
management.tcp.port = {broker.management_port}
default_user = {user}
default_pass = {password}
log.console = true
log.file = false
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
raft.wal_max_size_bytes = 33554432
"""


def is_listening(broker: Broker) -> bool:
    """Are both the management API and the AMQP port open?"""
    check = f"{broker.management_url}/api/health/checks/port-listener/{broker.port}"
    try:
        # verify=False: it is plain http, and loading certificates for nothing costs 20 ms a call
        return httpx.get(check, auth=broker.admin, timeout=3, verify=False).status_code == 200
    except httpx.TransportError:
        return False


def declare(broker: Broker, definitions: Mapping[str, Any]) -> None:
    """Post exchanges, queues, bindings, users and permissions; safe to repeat. Raises httpx.HTTPStatusError when they are refused."""
    answer = httpx.post(f"{broker.management_url}/api/definitions", auth=broker.admin, json=definitions, timeout=30)
    answer.raise_for_status()
