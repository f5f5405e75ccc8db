"""RabbitMQ: the topology, robust connections, and storing what arrives before anything is done with it."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage, AbstractRobustChannel, AbstractRobustConnection, AbstractRobustExchange
from aio_pika.exceptions import AMQPException, ChannelInvalidStateError

from common import inbox
from common.events import Handlers
from common.logging import get_logger
from common.mongo import Database, DatabaseUnavailable

EXCHANGE = "events"
PREFETCH = 50
PUBLISH_SECONDS = 3.0
HEARTBEAT_SECONDS = 10
RECONNECT_SECONDS = 0.5
DEAD_SECONDS = 90.0
QUEUE_ARGUMENTS: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
"""Poison is judged by the inbox, so the broker's own limit must never be reached: it would drop innocent messages."""

HASHING = "rabbit_password_hashing_sha256"
log = get_logger()


class ConsumerLost(Exception):
    """No consumer for 90 seconds. The process ends and is started anew, which is better than being deaf."""


class Bus:
    """One service's connections: one to publish, one to consume. Both come back by themselves."""

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self._service = service
        self._publishing: AbstractRobustConnection | None = None
        self._consuming: AbstractRobustConnection | None = None
        self._exchange: AbstractRobustExchange | None = None
        self._channel: AbstractRobustChannel | None = None
        self.topology_seen = False
        self._stopping = False

    @property
    def publishes(self) -> bool:
        """Whether publishing is worth trying now."""
        return self._exchange is not None and self._publishing is not None and self._publishing.connected.is_set()

    @property
    def consumes(self) -> bool:
        return self._channel is not None and self._consuming is not None and self._consuming.connected.is_set()

    async def connect_publisher(self) -> None:
        """Connects, however long it takes, and checks that the exchange exists: a service never declares it itself."""
        while not self._stopping:
            try:
                self._publishing = await self._connect("publish")
                channel = await self._publishing.channel(publisher_confirms=True, on_return_raises=True)
                self._exchange = await channel.declare_exchange(EXCHANGE, passive=True)
                self.topology_seen = True
                return
            except (TimeoutError, AMQPException, OSError, RuntimeError) as error:
                log.warning("bus.not_ready", reason=f"{type(error).__name__}: {error}")
                await self._drop(self._publishing)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def publish(self, routing_key: str, body: bytes, *, message_id: str, content_type: str) -> None:
        """Returns when the broker confirmed. PublishError: nobody is bound. Anything else: unknown, send the same id again."""
        if self._exchange is None:
            raise ConnectionError("not connected to the broker")
        message = aio_pika.Message(
            body, message_id=message_id, content_type=content_type, delivery_mode=aio_pika.DeliveryMode.PERSISTENT, app_id=self._service
        )
        await self._exchange.publish(message, routing_key, mandatory=True, timeout=PUBLISH_SECONDS)

    async def consume(self, db: Database, handlers: Handlers) -> None:
        """Stores what arrives in the inbox, until cancelled. Raises ConsumerLost after 90 s without a consumer."""
        types = {kind.type: kind for kind in handlers}

        async def on_message(message: AbstractIncomingMessage) -> None:
            await _store_and_ack(db, message, types)

        await self._attach(on_message)
        last_seen = time.monotonic()
        while not db.stopping:
            await db.rest(1)
            if self.consumes:
                last_seen = time.monotonic()
            elif time.monotonic() - last_seen > DEAD_SECONDS:
                raise ConsumerLost(self._service)

    def stop(self) -> None:
        """Tries no more to connect."""
        self._stopping = True

    async def close(self) -> None:
        await self._drop(self._consuming)
        await self._drop(self._publishing)

    async def _attach(self, on_message: Any) -> None:
        while not self._stopping:
            try:
                self._consuming = await self._connect("consume")
                self._channel = await self._consuming.channel()
                await self._channel.set_qos(prefetch_count=PREFETCH)
                queue = await self._channel.declare_queue(self._service, passive=True)
                await queue.consume(on_message)
                return
            except (TimeoutError, AMQPException, OSError, RuntimeError) as error:
                log.warning("bus.no_queue", reason=f"{type(error).__name__}: {error}")
                self._channel = None
                await self._drop(self._consuming)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _connect(self, purpose: str) -> AbstractRobustConnection:
        return await aio_pika.connect_robust(
            self._url,
            timeout=PUBLISH_SECONDS,
            heartbeat=HEARTBEAT_SECONDS,
            reconnect_interval=RECONNECT_SECONDS,
            client_properties={"connection_name": f"{self._service} {purpose}"},
        )

    @staticmethod
    async def _drop(connection: AbstractRobustConnection | None) -> None:
        if connection is not None:
            with suppress(Exception):
                await asyncio.wait_for(connection.close(), 2)


async def _store_and_ack(db: Database, message: AbstractIncomingMessage, types: Mapping[str, Any]) -> None:
    """Inserts, then acknowledges. While Mongo is away the message stays unacknowledged: nothing is rejected or counted."""
    wait = 0.2
    while True:
        try:
            await inbox.store(db, message.body, message.message_id, types)
            break
        except DatabaseUnavailable:
            await asyncio.sleep(wait)
            wait = min(wait * 2, 5)
    with suppress(ChannelInvalidStateError, AMQPException):  # the channel went away: it will be delivered again and dropped as seen
        await message.ack()


def definitions(
    handlers: Mapping[str, Handlers], *, passwords: Mapping[str, str] | None = None, vhost: str = "/", publishers: tuple[str, ...] = ()
) -> dict[str, Any]:
    """The broker's definitions for `POST /api/definitions`: exchange, queues, bindings, and users with the least rights.

    handlers: service name -> its HANDLERS. publishers: services that only publish. Users are left out without `passwords`.
    Source of the format: RabbitMQ's "Definitions" documentation.
    """
    services = sorted({*handlers, *publishers})
    consuming = sorted(name for name in handlers if handlers[name])
    made: dict[str, Any] = {
        "vhosts": [{"name": vhost}],
        "exchanges": [
            {"name": EXCHANGE, "vhost": vhost, "type": "topic", "durable": True, "auto_delete": False, "internal": False, "arguments": {}}
        ],
        "queues": [
            {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": QUEUE_ARGUMENTS} for name in consuming
        ],
        "bindings": [
            {
                "source": EXCHANGE,
                "vhost": vhost,
                "destination": name,
                "destination_type": "queue",
                "routing_key": kind,
                "arguments": {},
            }
            for name in consuming
            for kind in sorted(contract.type for contract in handlers[name])
        ],
        "permissions": [
            {"user": name, "vhost": vhost, "configure": "^$", "write": f"^{EXCHANGE}$", "read": f"^{name}$"} for name in services
        ],
        "topic_permissions": [
            {"user": name, "vhost": vhost, "exchange": EXCHANGE, "write": rf"^{name}\.", "read": "^$"} for name in services
        ],
    }
    if passwords is not None:
        made["users"] = users({name: passwords[name] for name in services})
    return made


def users(passwords: Mapping[str, str]) -> list[dict[str, Any]]:
    """The definitions' users, one for each service with a password; what they may do stands in the permissions."""
    how = {"hashing_algorithm": "rabbit_password_hashing_sha256", "tags": []}
    return [{"name": name, "password_hash": _password_hash(password), **how} for name, password in passwords.items()]


def _password_hash(password: str) -> str:
    """RabbitMQ's salted SHA-256: base64(salt ‖ sha256(salt ‖ password)), salt of 4 bytes ("Passwords" in its documentation)."""
    salt = os.urandom(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()
