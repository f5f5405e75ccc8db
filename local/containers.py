"""MongoDB and RabbitMQ in containers, for tests on machines where a Docker engine answers."""

import os
import socket
import time
from collections.abc import Sequence
from contextlib import closing
from urllib.parse import urlsplit

import docker
from docker.errors import DockerException, ImageNotFound
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from local.mongod import REPLICA_SET
from local.rabbitmq import Broker

MONGO_IMAGE = "mongo:8.0"
RABBITMQ_IMAGE = "rabbitmq:4-management"
PULL_WITHIN = 60.0


def engine_answers() -> bool:
    """Is there a Docker engine? Says no at once where nobody listens at DOCKER_HOST or the usual socket."""
    # Asked by hand first: the client leaves its socket open when it cannot connect, and our tests take such a warning for an error.
    if not somebody_listens(os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"):
        return False
    try:
        with closing(docker.from_env(timeout=2)) as client:
            return bool(client.ping())
    except DockerException:
        return False


def somebody_listens(address: str) -> bool:
    """Does a unix:// or tcp:// address take connections?"""
    parts = urlsplit(address)
    family, target = (socket.AF_UNIX, parts.path) if parts.scheme == "unix" else (socket.AF_INET, (parts.hostname, parts.port or 2375))
    with socket.socket(family) as probe:
        probe.settimeout(2)
        return probe.connect_ex(target) == 0


def images_within_reach(images: Sequence[str] = (MONGO_IMAGE, RABBITMQ_IMAGE)) -> bool:
    """Are the images on this machine, or can they be pulled within a minute altogether?"""
    deadline = time.monotonic() + PULL_WITHIN
    try:
        with closing(docker.from_env(timeout=PULL_WITHIN)) as client:
            return all(present_or_pulled(client, image, deadline) for image in images)
    except (DockerException, OSError):
        return False


def present_or_pulled(client: docker.DockerClient, image: str, deadline: float) -> bool:
    """One image; a pull is watched step by step, because the client's own timeout starts again with every byte."""
    try:
        client.images.get(image)
    except ImageNotFound:
        for step in client.api.pull(image, stream=True, decode=True):
            if "error" in step or time.monotonic() > deadline:
                return False
    return True


def start_mongo(port: int) -> DockerContainer:
    """A replica set member that listens on the same port inside and outside, so that the set's address is true on both sides."""
    options = f"--replSet {REPLICA_SET} --port {port} --bind_ip_all"
    return started(DockerContainer(MONGO_IMAGE).with_command(options), {port: port})


def start_rabbitmq(broker: Broker) -> DockerContainer:
    """A broker with its management API, on the ports and with the administrator the caller chose."""
    user, password = broker.admin
    container = DockerContainer(RABBITMQ_IMAGE).with_env("RABBITMQ_DEFAULT_USER", user).with_env("RABBITMQ_DEFAULT_PASS", password)
    # The port-listener check asks by port number: inside and outside must be the same here too.
    listen = f'-rabbit tcp_listeners [{{"0.0.0.0",{broker.port}}}]'
    container = container.with_env("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", listen)
    return started(container, {broker.port: broker.port, 15672: broker.management_port})


def started(container: DockerContainer, ports: dict[int, int]) -> DockerContainer:
    """Start with ports published on 127.0.0.1 only. Testcontainers' own reaper would be a third image; the fixtures end what they start."""
    testcontainers_config.ryuk_disabled = True
    container.ports.update({f"{inside}/tcp": ("127.0.0.1", outside) for inside, outside in ports.items()})  # type: ignore[misc]
    return container.start()
