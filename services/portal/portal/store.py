"""Every query of portal's database, and its indexes. Whatever ends is compared with the database's clock, `$$NOW`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from common import claims
from common.erasure import in_batches
from common.mongo import Database, Document, Index, Reader, Tx
from portal.models import (
    CODE_TRIES,
    LINK_MINUTES,
    SESSION_IDLE_HOURS,
    Client,
    Goal,
    Link,
    MailServer,
    Session,
    SignInRequest,
)

SIGN_IN_REQUESTS = "sign_in_requests"
LINKS = "links"
CLIENTS = "clients"
SESSIONS = "sessions"
BROWSERS = "browsers"
LIMITS = "limits"
MAIL_SERVER = "mail_server"

DAY = 24 * 3600
BROWSER_DAYS = 180
MOST_SESSIONS = 100
OPEN_REQUESTS = 3
"""A code may belong to any of the last few mails a browser asked for: the first went to a mistyped address, say."""

INDEXES = {
    SIGN_IN_REQUESTS: [claims.INDEX, Index(("browser", 1), ("_id", -1)), Index(("asked_at", 1), expire_after=DAY)],
    LINKS: [
        Index(("email", 1), ("browser", 1), ("state", 1)),
        Index(("request_id", 1)),
        Index(("expires_at", 1), expire_after=DAY),
        Index(("goal.organisation_id", 1)),
    ],
    CLIENTS: [Index(("email", 1), unique=True), Index(("look_at", 1))],
    SESSIONS: [Index(("ends_at", 1), expire_after=0), Index(("client_id", 1), ("idle_until", -1))],
    BROWSERS: [Index(("seen_at", 1), expire_after=BROWSER_DAYS * DAY), Index(("client_id", 1))],
    LIMITS: [Index(("expires_at", 1), expire_after=0)],
    MAIL_SERVER: [],
}


# ── requests for a sign-in mail


async def add_request(tx: Tx, request: SignInRequest) -> None:
    """Stores a request as a row the link sender claims."""
    row = request.document() | {"state": "pending", "due_at": claims.IMMEDIATELY, "reported": 0}
    await tx.collection(SIGN_IN_REQUESTS).insert_one(row)


async def claim_requests(db: Database, *, limit: int, lease: float) -> list[Document]:
    return await claims.claim(db, SIGN_IN_REQUESTS, limit=limit, lease=lease)


async def finish_request(tx: Tx, row: Document, state: str, subject: str) -> None:
    """Ends the row's work; its code counts from now. The address it was about is removed. Raises claims.LeaseLost."""
    until = {"$dateAdd": {"startDate": "$$NOW", "unit": "minute", "amount": LINK_MINUTES}}
    ended = [*claims.done(state, subject=subject), {"$set": {"code_until": until}}, {"$unset": ["email", "invitation", "link"]}]
    await claims.finish(tx, SIGN_IN_REQUESTS, row, ended)


async def give_back_request(db: Database, row: Document, *, seconds: float, counted: bool) -> None:
    await db.collection(SIGN_IN_REQUESTS).update_one(claims.mine(row), claims.later(seconds, counted=counted))


async def raise_code_tries(tx: Tx, browser: str) -> list[SignInRequest]:
    """Counts one try on each of this browser's open requests; answers those that still had one, as they are now, newest first."""
    rows = tx.collection(SIGN_IN_REQUESTS)
    opened: Document = {"browser": browser, "code_open": True, "$expr": {"$gt": ["$code_until", "$$NOW"]}}
    found = await rows.find(opened, sort=[("_id", -1)], limit=OPEN_REQUESTS, projection={"_id": 1})
    raised = []
    for row in found:
        with_tries = {"_id": row["_id"], **opened, "code_tries": {"$lt": CODE_TRIES}}
        raised.append(await rows.find_one_and_update(with_tries, {"$inc": {"code_tries": 1}}))
    return [SignInRequest.model_validate(row) for row in raised if row]


async def lower_code_tries(tx: Tx, request_ids: list[str]) -> None:
    """Takes one counted try back from each."""
    await tx.collection(SIGN_IN_REQUESTS).update_many({"_id": {"$in": request_ids}, "code_tries": {"$gt": 0}}, {"$inc": {"code_tries": -1}})


async def close_code(tx: Tx, browser: str, request_id: str) -> None:
    """No code is taken for this request any more, if this browser made it."""
    await tx.collection(SIGN_IN_REQUESTS).update_one({"_id": request_id, "browser": browser}, {"$set": {"code_open": False}})


# ── links


async def add_link(tx: Tx, link: Link) -> None:
    await tx.collection(LINKS).insert_one(link.document())


async def find_link(reader: Reader, digest: str) -> Link | None:
    """The link whose token has this hash."""
    expired = {"$set": {"expired": {"$lte": ["$expires_at", "$$NOW"]}}}
    found = await reader.collection(LINKS).aggregate([{"$match": {"_id": digest}}, expired])
    return Link.model_validate(found[0]) if found else None


async def list_live_codes(reader: Reader, request_ids: Sequence[str]) -> list[tuple[str, str, str]]:
    """(hash of the token, link id, HMAC of the code) of what these requests led to and can still be spent.

    Only what comparing needs: reading whole links would take longer for requests that led to one, and show in the answer's time.
    """
    where = {"request_id": {"$in": list(request_ids)}, "code": {"$ne": None}, **_ALIVE}
    found = await reader.collection(LINKS).find(where, projection={"link_id": 1, "code": 1})
    return [(row["_id"], row["link_id"], row["code"]) for row in found]


async def replace_older_links(tx: Tx, email: str, browser: str, request_id: str) -> None:
    """Voids the unused links of the same address and the same browser that were asked for before this request."""
    older = {"email": email, "browser": browser, "state": "alive", "request_id": {"$lt": request_id}}
    await tx.collection(LINKS).update_many(older, [{"$set": {"state": "replaced", "ended_at": "$$NOW"}}])


async def spend_link(tx: Tx, digest: str) -> bool:
    """The one conditional update that consumes a link; False when somebody else did, or its time is over."""
    spent = [{"$set": {"state": "used", "ended_at": "$$NOW"}}]
    return (await tx.collection(LINKS).update_one({"_id": digest, **_ALIVE}, spent)).matched == 1


async def count_wrong_address(tx: Tx, digest: str, most: int) -> Link | None:
    """Counts a wrong address; the try that makes `most` of them ends the link. None when it was not alive any more."""
    tries = {"$add": ["$address_tries", 1]}
    state = {"$cond": [{"$gte": [tries, most]}, "dead", "$state"]}
    counted = [{"$set": {"address_tries": tries, "state": state}}]
    row = await tx.collection(LINKS).find_one_and_update({"_id": digest, **_ALIVE}, counted)
    return Link.model_validate(row) if row else None


async def kill_links(tx: Tx, request_ids: Sequence[str]) -> None:
    """Ends what is left of these requests' links."""
    where = {"request_id": {"$in": list(request_ids)}, "state": "alive"}
    await tx.collection(LINKS).update_many(where, {"$set": {"state": "dead"}})


async def redirect_links(db: Database, organisation_id: str, before: datetime, goal: Goal) -> None:
    """Gives the links of an organisation made before that moment another goal."""
    where = {"goal.organisation_id": organisation_id, "made_at": {"$lt": before}}
    changed = {"$set": {"goal": goal.model_dump()}}
    await in_batches(db, LINKS, where, lambda batch: db.collection(LINKS).update_many(batch, changed))


_ALIVE = {"state": "alive", "$expr": {"$gt": ["$expires_at", "$$NOW"]}}


# ── clients, their sessions and browsers


async def find_client(reader: Reader, email: str) -> Client | None:
    row = await reader.collection(CLIENTS).find_one({"email": email})
    return Client.model_validate(row) if row else None


async def add_client(tx: Tx, client: Client) -> None:
    await tx.collection(CLIENTS).insert_one(client.document())


async def use_client(tx: Tx, client_id: str, now: datetime) -> None:
    """A client signs in: always a write, so that it and being erased cannot pass each other unseen. It is looked at soon."""
    update = {"$set": {"idle_since": None}, "$min": {"look_at": now}, "$inc": {"sign_ins": 1}}
    await tx.collection(CLIENTS).update_one({"_id": client_id}, update)


async def list_clients_to_look_at(db: Database, limit: int) -> list[Client]:
    """Those whose time to be looked at has come, the longest past first."""
    rows = await db.collection(CLIENTS).find({"look_at": {"$lte": await db.now()}}, sort=[("look_at", 1)], limit=limit)
    return [Client.model_validate(row) for row in rows]


async def find_client_by_id(tx: Tx, client_id: str) -> Client | None:
    row = await tx.collection(CLIENTS).find_one({"_id": client_id})
    return Client.model_validate(row) if row else None


async def save_look(tx: Tx, client: Client) -> None:
    await tx.collection(CLIENTS).update_one({"_id": client.id}, {"$set": client.model_dump(include={"look_at", "idle_since"})})


async def delete_client(tx: Tx, client_id: str) -> None:
    """The identity, the browsers it is known in, and what is left of sessions."""
    await tx.collection(BROWSERS).delete_many({"client_id": client_id})
    await tx.collection(SESSIONS).delete_many({"client_id": client_id})
    await tx.collection(CLIENTS).delete_one({"_id": client_id})


async def add_session(tx: Tx, session: Session) -> None:
    await tx.collection(SESSIONS).insert_one(session.document())


async def find_session(reader: Reader, digest: str) -> Session | None:
    """The live session with this hash, left as it is."""
    row = await reader.collection(SESSIONS).find_one({"_id": digest, **_LIVE})
    return Session.model_validate(row) if row else None


async def touch_session(reader: Reader, digest: str) -> Session | None:
    """The live session with this hash, its idle time begun anew."""
    until = {"$dateAdd": {"startDate": "$$NOW", "unit": "hour", "amount": SESSION_IDLE_HOURS}}
    row = await reader.collection(SESSIONS).find_one_and_update({"_id": digest, **_LIVE}, [{"$set": {"idle_until": until}}])
    return Session.model_validate(row) if row else None


async def list_sessions(reader: Reader, client_id: str) -> list[Session]:
    """Live ones, used last first; the latest MOST_SESSIONS."""
    rows = await reader.collection(SESSIONS).find({"client_id": client_id, **_LIVE}, sort=[("idle_until", -1)], limit=MOST_SESSIONS)
    return [Session.model_validate(row) for row in rows]


async def delete_session_of(tx: Tx, client_id: str, digest: str) -> None:
    await tx.collection(SESSIONS).delete_one({"_id": digest, "client_id": client_id})


async def delete_session(reader: Reader, digest: str) -> None:
    await reader.collection(SESSIONS).delete_one({"_id": digest})


async def delete_sessions_of(tx: Tx, client_id: str) -> None:
    await tx.collection(SESSIONS).delete_many({"client_id": client_id})


async def remember_browser(tx: Tx, key: str, client_id: str) -> None:
    """Notes that a browser signed in with an address; `key` is the HMAC of both."""
    await tx.collection(BROWSERS).update_one({"_id": key}, [{"$set": {"seen_at": "$$NOW", "client_id": client_id}}], upsert=True)


async def knows_browser(reader: Reader, key: str) -> bool:
    return await reader.collection(BROWSERS).find_one({"_id": key}) is not None


_LIVE = {"$expr": {"$and": [{"$gt": ["$idle_until", "$$NOW"]}, {"$gt": ["$ends_at", "$$NOW"]}]}}


# ── whether mails leave


async def save_mail_server(tx: Tx, told: MailServer) -> None:
    """Keeps the newest word of notifier."""
    newer = {"$lt": [{"$ifNull": ["$version", 0]}, told.version]}
    facts = {name: {"$cond": [newer, {"$literal": value}, f"${name}"]} for name, value in told.model_dump(exclude={"id"}).items()}
    await tx.collection(MAIL_SERVER).update_one({"_id": told.id}, [{"$set": facts}], upsert=True)


async def find_mail_server(reader: Reader, id: str) -> MailServer | None:
    row = await reader.collection(MAIL_SERVER).find_one({"_id": id})
    return MailServer.model_validate(row) if row else None


# ── limits


async def count_use(reader: Reader, key: str, windows: Sequence[tuple[int, int]]) -> tuple[bool, float]:
    """Notes one use of `key`, unless one of the windows of (seconds, most) that end now holds as many as it may.

    Answers whether it was noted, and the seconds until all windows have room again.
    """
    longest = max(seconds for seconds, _ in windows)
    room = {"$and": [{"$lt": [{"$size": _within(seconds)}, most]} for seconds, most in windows]}
    stages: list[Document] = [
        {"$set": {"uses": _within(longest), "at": "$$NOW", "expires_at": {"$dateAdd": _span(longest)}}},
        {"$set": {"counted": room}},
        {"$set": {"uses": {"$concatArrays": ["$uses", {"$cond": ["$counted", ["$$NOW"], []]}]}}},
    ]
    row = await reader.collection(LIMITS).find_one_and_update({"_id": key}, stages, upsert=True)
    assert row is not None
    return bool(row["counted"]), max(_wait(row["uses"], row["at"], seconds, most) for seconds, most in windows)


async def is_used_up(reader: Reader, key: str, window: tuple[int, int]) -> bool:
    """Whether the window of (seconds, most) that ends now holds as many uses of `key` as it may."""
    seconds, most = window
    full = {"_id": key, "$expr": {"$gte": [{"$size": _within(seconds)}, most]}}
    return await reader.collection(LIMITS).find_one(full) is not None


def _span(seconds: int) -> Document:
    return {"startDate": "$$NOW", "unit": "second", "amount": seconds}


def _within(seconds: int) -> Document:
    recent = {"$gt": ["$$this", {"$dateSubtract": _span(seconds)}]}
    return {"$filter": {"input": {"$ifNull": ["$uses", []]}, "cond": recent}}


def _wait(uses: list[datetime], at: datetime, seconds: int, most: int) -> float:
    """Seconds until the oldest use that fills the window leaves it. `uses` are in order, for one clock wrote them."""
    if len(uses) < most:
        return 0.0
    return max(0.0, seconds - (at - uses[-most]).total_seconds())
