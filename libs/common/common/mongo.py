"""MongoDB: collections with deadlines, transactions that may run again, and the outbox inside them. The only importer of the driver.

The driver is Motor, as the customer named it. `transact` is ours because Motor's own retries the body but not the commit.
"""

from __future__ import annotations

import asyncio
import copy
import os
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Concatenate, ParamSpec, TypeVar

os.environ.setdefault("MOTOR_MAX_WORKERS", "64")  # read when motor is imported; see design.md section 5

import pymongo
from bson import Timestamp
from bson.codec_options import CodecOptions
from bson.raw_bson import RawBSONDocument
from motor.motor_asyncio import AsyncIOMotorClient
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import CollectionInvalid, DuplicateKeyError, OperationFailure, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from common.correlation import causation_id, correlation_id
from common.deadlines import remaining
from common.errors import Unavailable
from common.events import EventData, new_event
from common.telemetry import TRANSACTION_RETRIES

Document = dict[str, Any]
Filter = Mapping[str, Any]
P = ParamSpec("P")
R = TypeVar("R")

CALL_SECONDS = 3.0
TRANSACTION_SECONDS = 8.0
POOL = 64
WRITES_AT_ONCE = 24
"""Writes outside transactions may hold this many of the pool's connections, so that a commit always finds one."""

MAJORITY = WriteConcern(w="majority", j=True)
IMMEDIATELY = datetime(1970, 1, 1, tzinfo=UTC)
"""`due_at` of new work: due by any clock, so that a service whose clock runs ahead delays nothing. Ids keep the order."""

NAMESPACE_EXISTS = 48
"""The server's error code for a collection that is there. Source: MongoDB's list of error codes."""

OUTBOX = "outbox"
INBOX = "inbox"
STAGED = "staged."
"""In front of the names of collections that are yet to take the place of the service's own."""

RAW_AT_ONCE = 500


class DatabaseUnavailable(Unavailable):
    code = "database_unavailable"


class DuplicateKey(Exception):
    """A unique index refused the write. `keys` names the fields."""

    def __init__(self, error: DuplicateKeyError) -> None:
        details = error.details or {}
        self.keys: tuple[str, ...] = tuple(details.get("keyPattern", {}))
        super().__init__(f"duplicate {', '.join(self.keys)}")


@dataclass(frozen=True)
class Updated:
    """What a write did."""

    matched: int
    modified: int
    upserted: bool = False


class Index:
    """An index a service needs, made at start: `Index(("organisation_id", 1), ("email", 1), unique=True)`."""

    def __init__(
        self,
        *keys: tuple[str, int],
        unique: bool = False,
        where: Filter | None = None,
        expire_after: int | None = None,
    ) -> None:
        """where: only documents that match (partial index); expire_after: seconds after the date in the field (TTL)."""
        self.keys = list(keys)
        self.options: Document = {"unique": unique} if unique else {}
        if where is not None:
            self.options["partialFilterExpression"] = where
        if expire_after is not None:
            self.options["expireAfterSeconds"] = expire_after


Indexes = Mapping[str, Sequence[Index]]


class Collection:
    """One collection, in or outside a transaction. Every call has a deadline; driver errors become ours."""

    def __init__(self, raw: Any, session: Any, writes: asyncio.Semaphore) -> None:
        self._raw = raw
        self._session = session
        self._writes = writes

    async def find_one(self, where: Filter, projection: Any = None, sort: Any = None) -> Document | None:
        document: Document | None = await self._read(lambda: self._raw.find_one(where, projection, sort=sort, session=self._session))
        return document

    async def find(self, where: Filter, *, sort: Any = None, limit: int = 0, skip: int = 0, projection: Any = None) -> list[Document]:
        cursor = self._raw.find(where, projection, sort=sort, limit=limit, skip=skip, session=self._session)
        documents: list[Document] = await self._read(lambda: cursor.to_list(None))
        return documents

    async def aggregate(self, pipeline: Sequence[Filter]) -> list[Document]:
        documents: list[Document] = await self._read(lambda: self._raw.aggregate(list(pipeline), session=self._session).to_list(None))
        return documents

    async def count(self, where: Filter) -> int:
        return int(await self._read(lambda: self._raw.count_documents(where, session=self._session)))

    async def estimate(self) -> int:
        """About how many documents there are, without looking at them."""
        return int(await self._read(self._raw.estimated_document_count))

    async def insert_one(self, document: Filter) -> None:
        await self._write(lambda: self._raw.insert_one(dict(document), session=self._session))

    async def insert_many(self, documents: Iterable[Filter]) -> None:
        rows = [dict(document) for document in documents]
        if rows:
            await self._write(lambda: self._raw.insert_many(rows, ordered=False, session=self._session))

    async def insert_raw(self, documents: Iterable[bytes]) -> None:
        """Documents as MongoDB stores them (BSON), each with its `_id`."""
        rows = [RawBSONDocument(document) for document in documents]
        await self._write(lambda: self._raw.insert_many(rows, ordered=False, session=self._session))

    async def update_one(self, where: Filter, update: Any, *, upsert: bool = False) -> Updated:
        result = await self._write(lambda: self._raw.update_one(where, update, upsert=upsert, session=self._session))
        return Updated(result.matched_count, result.modified_count, result.upserted_id is not None)

    async def upsert_many(self, changes: Iterable[tuple[Filter, Any]]) -> None:
        """Each (filter, update) as an upsert of one document, all in one call to the database, in no order."""
        requests = [UpdateOne(where, update, upsert=True) for where, update in changes]
        if requests:
            await self._write(lambda: self._raw.bulk_write(requests, ordered=False, session=self._session))

    async def update_each(self, changes: Iterable[tuple[Filter, Any]]) -> None:
        """Each (filter, update) on at most one document, all in one call to the database, in no order."""
        requests = [UpdateOne(where, update) for where, update in changes]
        if requests:
            await self._write(lambda: self._raw.bulk_write(requests, ordered=False, session=self._session))

    async def update_many(self, where: Filter, update: Any) -> Updated:
        result = await self._write(lambda: self._raw.update_many(where, update, session=self._session))
        return Updated(result.matched_count, result.modified_count)

    async def replace_one(self, where: Filter, document: Filter, *, upsert: bool = False) -> Updated:
        result = await self._write(lambda: self._raw.replace_one(where, dict(document), upsert=upsert, session=self._session))
        return Updated(result.matched_count, result.modified_count, result.upserted_id is not None)

    async def find_one_and_update(
        self, where: Filter, update: Any, *, upsert: bool = False, before: bool = False, sort: Any = None, projection: Any = None
    ) -> Document | None:
        """The document after the update, or as it was when `before`; None when nothing matched."""
        which = ReturnDocument.BEFORE if before else ReturnDocument.AFTER
        options = {"upsert": upsert, "return_document": which, "sort": sort, "projection": projection, "session": self._session}
        document: Document | None = await self._write(lambda: self._raw.find_one_and_update(where, update, **options))
        return document

    async def delete_one(self, where: Filter) -> int:
        return int((await self._write(lambda: self._raw.delete_one(where, session=self._session))).deleted_count)

    async def delete_many(self, where: Filter) -> int:
        return int((await self._write(lambda: self._raw.delete_many(where, session=self._session))).deleted_count)

    async def _read(self, call: Callable[[], Awaitable[Any]]) -> Any:
        return await _within_deadline(call, self._session is not None)

    async def _write(self, call: Callable[[], Awaitable[Any]]) -> Any:
        if self._session is not None:
            return await _within_deadline(call, True)
        async with self._writes:
            return await _within_deadline(call, False)


@dataclass
class Tx:
    """One try of one transaction. Made anew for each try, so nothing leaks from one to the next."""

    database: Database
    session: Any
    emitted: int = field(default=0)

    def collection(self, name: str) -> Collection:
        return self.database._collection(name, self.session)

    async def now(self) -> datetime:
        """The database's clock, by which expiry, leases and limits are judged."""
        return await self.database.now()

    async def emit(self, subject: str, data: EventData) -> None:
        """Publishes an event with this transaction: the row is stored with the state, the relay sends it after the commit."""
        event = new_event(self.database.service, subject, data, correlation=correlation_id(), causation=causation_id())
        await self.collection(OUTBOX).insert_one(
            {
                "_id": event.id,
                "type": event.type,
                "subject": subject,
                "body": event.model_dump_json(),
                "state": "pending",
                "due_at": IMMEDIATELY,
                "created_at": event.time,
                "attempts": 0,
                "reported": 0,
                **({"about": data.about} if data.about else {}),
                **({"traceparent": event.traceparent} if event.traceparent else {}),
            }
        )
        self.emitted += 1


Reader = Any
"""A Database or a Tx: anything with `.collection(name)`. Store functions that only read take either."""


class Database:
    """A service's own database."""

    def __init__(self, url: str, service: str, name: str | None = None) -> None:
        """`name` is the database's name when it is not the service's own (tests run many side by side)."""
        self.service = service
        self.client: Any = AsyncIOMotorClient(
            url,
            appname=service,
            maxPoolSize=POOL,
            heartbeatFrequencyMS=2000,
            serverSelectionTimeoutMS=3000,
            connectTimeoutMS=3000,
            retryWrites=True,
            retryReads=True,
        )
        self._database = self.client.get_database(
            name or service,
            codec_options=CodecOptions(tz_aware=True, tzinfo=UTC),
            write_concern=MAJORITY,
            read_concern=ReadConcern("majority"),
        )
        self._writes = asyncio.Semaphore(WRITES_AT_ONCE)
        self._change = asyncio.Event()
        self.stopping = False
        self._prefix = ""

    def collection(self, name: str) -> Collection:
        return self._collection(name, None)

    async def transact(self, fn: Callable[Concatenate[Tx, P], Awaitable[R]], *args: P.args, **kwargs: P.kwargs) -> R:
        """Runs `fn(tx, …)` in one transaction and commits it; `fn` may run several times, so it touches Mongo only.

        Raises what `fn` raises (after rolling back), DuplicateKey, or DatabaseUnavailable.
        """
        ends_at = time.monotonic() + remaining(TRANSACTION_SECONDS)
        tries = 0
        async with await self._session() as session:
            while True:
                tx = Tx(self, session)
                try:
                    session.start_transaction(ReadConcern("snapshot"), MAJORITY)
                    result = await fn(tx, *args, **kwargs)
                    await self._commit(session, ends_at)
                    break
                except BaseException as error:
                    if session.in_transaction:
                        with suppress(PyMongoError):
                            await session.abort_transaction()
                    cause = error.__cause__ if isinstance(error, DatabaseUnavailable) else error
                    if not _has_label(cause, "TransientTransactionError"):
                        raise
                    if time.monotonic() > ends_at:
                        raise DatabaseUnavailable("The database is busy.") from error
                    TRANSACTION_RETRIES.labels("body").inc()
                tries += 1
                await asyncio.sleep(min(0.1, 0.002 * 2**tries) * random.random())
        self.notify()
        return result

    async def now(self) -> datetime:
        """The database server's clock."""
        answer = await _within_deadline(lambda: self.client.admin.command("hello"), False)
        moment: datetime = answer["localTime"]
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    def notify(self) -> None:
        """Wakes every loop of this process that waits for a change."""
        change, self._change = self._change, asyncio.Event()
        change.set()

    async def changed(self, within: float) -> None:
        """Returns at the next commit of this process, or after `within` seconds: polling finds what other processes did.

        At once when the process stops: a loop is `while not db.stopping`, so that it ends between two steps.
        """
        if self.stopping:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(within):  # not wait_for: on Python 3.11 it can swallow being cancelled
                await self._change.wait()

    async def rest(self, seconds: float) -> None:
        """Returns after `seconds`, or at once when the process stops."""
        ends_at = time.monotonic() + seconds
        while not self.stopping and (left := ends_at - time.monotonic()) > 0:
            await self.changed(within=left)

    def stop(self) -> None:
        """This process begins no more work: nothing is claimed, and loops end where they rest."""
        self.stopping = True
        self.notify()

    async def prepare(self, indexes: Indexes) -> None:
        """Makes collections and indexes. Collections first: making one inside concurrent transactions conflicts."""
        existing = set(await _within_deadline(self._database.list_collection_names, False))
        for name, wanted in ((f"{self._prefix}{name}", wanted) for name, wanted in indexes.items()):
            if name not in existing:
                await self._create(name)
            for index in wanted:
                await self._database[name].create_index(index.keys, **index.options)

    async def _create(self, name: str) -> None:
        """Another replica that starts at the same moment may be first; the driver and the server say so in two ways."""
        try:
            await self._database.create_collection(name)
        except CollectionInvalid:
            return
        except OperationFailure as error:
            if error.code != NAMESPACE_EXISTS:
                raise

    async def moment(self) -> str:
        """The newest moment whose writes are all safe, as `read_raw` takes it."""
        first = {"find": OUTBOX, "limit": 1, "singleBatch": True, "projection": {"_id": 1}, "readConcern": {"level": "snapshot"}}
        at = (await _within_deadline(lambda: self._database.command(first), False))["cursor"]["atClusterTime"]
        return f"{at.time}.{at.inc}"

    async def read_raw(self, name: str, moment: str) -> AsyncIterator[list[bytes]]:
        """Every document of a collection as it was at that moment, some at a time. Raises DatabaseUnavailable, also when that was
        longer ago than the server remembers (minSnapshotHistoryWindowInSeconds, five minutes by default)."""
        seconds, _, number = moment.partition(".")
        concern = {"level": "snapshot", "atClusterTime": Timestamp(int(seconds), int(number))}
        raw = self._database.with_options(codec_options=CodecOptions(document_class=RawBSONDocument))
        find = {"find": name, "batchSize": RAW_AT_ONCE, "readConcern": concern}
        cursor = await _within_deadline(lambda: raw.cursor_command(find, codec_options=raw.codec_options), False)
        while rows := await _within_deadline(lambda: cursor.to_list(RAW_AT_ONCE), False):
            yield [row.raw for row in rows]

    def staged(self) -> Database:
        """The same database with collections of its own, which take the place of these by `put_in_place`."""
        beside = copy.copy(self)
        beside._prefix, beside._change = STAGED, asyncio.Event()  # commits there are no news to the loops of this one
        return beside

    async def put_in_place(self, name: str) -> None:
        """The staged collection with its indexes becomes the service's own; nothing when none is staged."""
        if f"{STAGED}{name}" in await _within_deadline(self._database.list_collection_names, False):
            await _within_deadline(partial(self._database[f"{STAGED}{name}"].rename, name, dropTarget=True), False)

    async def drop_staged(self) -> None:
        for name in await _within_deadline(self._database.list_collection_names, False):
            if name.startswith(STAGED):
                await _within_deadline(partial(self._database.drop_collection, name), False)

    async def ping(self) -> None:
        """Raises DatabaseUnavailable when the database does not answer."""
        await _within_deadline(lambda: self.client.admin.command("ping"), False)

    async def drop(self) -> None:
        """Deletes the whole database; for tests."""
        await self.client.drop_database(self._database.name)

    def close(self) -> None:
        self.client.close()

    def _collection(self, name: str, session: Any) -> Collection:
        return Collection(self._database[f"{self._prefix}{name}"], session, self._writes)

    async def _session(self) -> Any:
        return await _within_deadline(self.client.start_session, False)

    async def _commit(self, session: Any, ends_at: float) -> None:
        while True:
            try:
                await _within_deadline(session.commit_transaction, True)
                return
            except DatabaseUnavailable as error:
                if not _has_label(error.__cause__, "UnknownTransactionCommitResult") or time.monotonic() > ends_at:
                    raise
                TRANSACTION_RETRIES.labels("commit").inc()
                await asyncio.sleep(0.05)


async def _within_deadline(call: Callable[[], Awaitable[Any]], in_transaction: bool) -> Any:
    """Awaits a driver call with the time that is left. Inside a transaction the driver's error keeps its labels as the cause."""
    seconds = remaining(CALL_SECONDS)
    try:
        with pymongo.timeout(seconds):
            return await call()
    except DuplicateKeyError as error:
        if in_transaction and _has_label(error, "TransientTransactionError"):
            raise DatabaseUnavailable("The database is busy.") from error
        raise DuplicateKey(error) from error
    except PyMongoError as error:
        raise DatabaseUnavailable("The database does not answer.") from error


def _has_label(error: BaseException | None, label: str) -> bool:
    return isinstance(error, PyMongoError) and error.has_error_label(label)
