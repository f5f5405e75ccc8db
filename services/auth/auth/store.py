"""Every query and index of auth's database. Expiry and leases are written and compared with the database's clock."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from auth.models import Connection, Identity, Organisation, Provider, Session, SignIn, State, TokenSet, TokensUse
from common.ids import new_id
from common.mongo import Document, Index, Reader, Tx

SIGN_INS, SESSIONS, PROVIDERS = "sign_ins", "sessions", "providers"
TOKEN_SETS, CONNECTIONS, ORGANISATIONS = "token_sets", "connections", "organisations"

Field = Literal["access", "refresh", "previous"]
FIELDS: tuple[Field, ...] = ("access", "refresh", "previous")
"""The sealed tokens of a token set."""

SIGN_IN_SECONDS = 600
IDLE_SECONDS = 3600
SESSION_SECONDS = 12 * 3600
MOST_SESSIONS = 50
"""So many of a provider's sessions are listed; all of them end together."""
REFRESH_AT = 0.7
"""The part of an access token's life after which it is renewed."""
GRACE_SECONDS = 1800
"""How long Xero takes the previous refresh token again, for answers that were lost on the way."""
VALID_MARGIN_SECONDS = 60
"""An access token with less life than this is not handed out: a caller keeps it up to a minute."""
JUST_SECONDS = 60
LEASE_SECONDS = 45.0
"""How long one process may take for a refresh before another one may try."""
USE_NOTED_SECONDS = 300
CHECK_SECONDS = 20 * 60
IDLE_CHECK_SECONDS = 7 * 24 * 3600
"""Unused refresh tokens die after 60 days, so even an idle login's is renewed every week."""
RETRY_CHECK_SECONDS = 120
IN_USE_SECONDS = 3600

INDEXES = {
    SIGN_INS: [Index(("expires_at", 1), expire_after=3600)],
    SESSIONS: [Index(("ends_at", 1), expire_after=3600), Index(("provider_id", 1))],
    PROVIDERS: [Index(("issuer", 1), ("subject", 1), unique=True)],
    TOKEN_SETS: [
        Index(("provider_id", 1), unique=True),
        Index(("state", 1), ("check_at", 1)),
        *(Index((f"{field}.kid", 1), ("_id", 1)) for field in FIELDS),
    ],
    CONNECTIONS: [
        Index(("provider_id", 1), ("organisation_id", 1), unique=True),
        Index(("organisation_id", 1)),
        Index(("token_set_id", 1)),
        Index(("state", 1), ("_id", 1)),
    ],
    ORGANISATIONS: [Index(("state", 1))],
}


def ahead(seconds: float) -> Document:
    """An instant that many seconds after the database's now; before it when negative."""
    return {"$dateAdd": {"startDate": "$$NOW", "unit": "millisecond", "amount": int(seconds * 1000)}}


def literal(values: Document) -> Document:
    return {name: {"$literal": value} for name, value in values.items()}


# --- sign-ins -------------------------------------------------------------------------------------------------------------


async def add_sign_in(tx: Tx, sign_in: SignIn, browser: str) -> None:
    """`browser` is the hash of the cookie that binds the sign-in to the browser it began in."""
    kept = {**sign_in.model_dump(exclude={"id"}), "browser": browser, "state": "open"}
    update = [{"$set": {**literal(kept), "expires_at": ahead(SIGN_IN_SECONDS)}}]
    await tx.collection(SIGN_INS).update_one({"_id": sign_in.id}, update, upsert=True)


async def use_sign_in(tx: Tx, id: str, browser: str) -> SignIn | None:
    """Takes an open sign-in of this browser, once; None when there is none. Its secrets are gone afterwards."""
    where = {"_id": id, "browser": browser, "state": "open", "$expr": {"$gt": ["$expires_at", "$$NOW"]}}
    used = [{"$set": {"state": "used"}}, {"$unset": ["nonce", "verifier"]}]
    found = await tx.collection(SIGN_INS).find_one_and_update(where, used, before=True)
    return SignIn.model_validate(found) if found else None


# --- providers and sessions -----------------------------------------------------------------------------------------------


async def save_provider(tx: Tx, identity: Identity) -> Provider:
    """The provider of this login, made at the first sign-in, with the name and address Xero gives today."""
    who = {"issuer": identity.issuer, "subject": identity.subject}
    update = {
        "$set": {"name": identity.name, "email": identity.email},
        "$setOnInsert": {"_id": new_id("prv")},
        "$currentDate": {"signed_in_at": True},
    }
    return Provider.model_validate(await tx.collection(PROVIDERS).find_one_and_update(who, update, upsert=True))


async def find_provider_by(reader: Reader, identity: Identity) -> Provider | None:
    """The provider of a login that has signed in before."""
    found = await reader.collection(PROVIDERS).find_one({"issuer": identity.issuer, "subject": identity.subject})
    return Provider.model_validate(found) if found else None


async def find_provider(reader: Reader, id: str) -> Provider | None:
    found = await reader.collection(PROVIDERS).find_one({"_id": id})
    return Provider.model_validate(found) if found else None


async def list_providers(reader: Reader, ids: Sequence[str]) -> list[Provider]:
    found = await reader.collection(PROVIDERS).find({"_id": {"$in": list(ids)}}, sort=[("_id", 1)])
    return [Provider.model_validate(document) for document in found]


ALIVE = {"$and": [{"$gt": ["$idle_until", "$$NOW"]}, {"$gt": ["$ends_at", "$$NOW"]}]}


async def add_session(tx: Tx, id: str, provider_id: str, agent: str) -> None:
    """`id` is the hash of the session's secret."""
    times = {"created_at": "$$NOW", "last_seen_at": "$$NOW", "idle_until": ahead(IDLE_SECONDS), "ends_at": ahead(SESSION_SECONDS)}
    who = literal({"provider_id": provider_id, "agent": agent})
    await tx.collection(SESSIONS).update_one({"_id": id}, [{"$set": {**who, **times}}], upsert=True)


async def use_session(reader: Reader, id: str) -> str | None:
    """The provider of a session that is neither ended nor idle for too long, which now counts as used; None otherwise."""
    update = [{"$set": {"idle_until": ahead(IDLE_SECONDS), "last_seen_at": "$$NOW"}}]
    found = await reader.collection(SESSIONS).find_one_and_update({"_id": id, "$expr": ALIVE}, update)
    return str(found["provider_id"]) if found else None


async def find_session(reader: Reader, id: str) -> Session | None:
    """A session that is alive; looking at it does not count as use."""
    found = await reader.collection(SESSIONS).find_one({"_id": id, "$expr": ALIVE})
    return Session.model_validate(found) if found else None


async def was_idle(reader: Reader, id: str) -> bool | None:
    """Of a session that is over: whether it ended for want of use; None when nothing is known of it any more."""
    idle = {"$set": {"idle": {"$lte": ["$idle_until", "$$NOW"]}}}
    found = await reader.collection(SESSIONS).aggregate([{"$match": {"_id": id}}, idle])
    return bool(found[0]["idle"]) if found else None


async def list_sessions(reader: Reader, provider_id: str) -> list[Session]:
    """A provider's live sessions, used last first."""
    where = {"provider_id": provider_id, "$expr": ALIVE}
    found = await reader.collection(SESSIONS).find(where, sort=[("last_seen_at", -1)], limit=MOST_SESSIONS)
    return [Session.model_validate(document) for document in found]


async def delete_session(reader: Reader, id: str) -> None:
    await reader.collection(SESSIONS).delete_one({"_id": id})


async def delete_session_of(reader: Reader, provider_id: str, id: str) -> None:
    await reader.collection(SESSIONS).delete_one({"_id": id, "provider_id": provider_id})


async def delete_sessions_of(reader: Reader, provider_id: str) -> None:
    await reader.collection(SESSIONS).delete_many({"provider_id": provider_id})


# --- token sets -----------------------------------------------------------------------------------------------------------

JUDGED = {
    "fresh": {"$lt": ["$$NOW", "$refresh_at"]},
    "valid": {"$lt": [ahead(VALID_MARGIN_SECONDS), "$expires_at"]},
    "in_grace": {"$lt": ["$$NOW", {"$ifNull": ["$previous_until", 0]}]},
    "just_refreshed": {"$gt": ["$refreshed_at", ahead(-JUST_SECONDS)]},
}


async def find_token_set(reader: Reader, id: str) -> TokenSet | None:
    return await _token_set(reader, {"_id": id})


async def find_token_set_of(reader: Reader, provider_id: str) -> TokenSet | None:
    return await _token_set(reader, {"provider_id": provider_id})


async def _token_set(reader: Reader, where: Document) -> TokenSet | None:
    found = await reader.collection(TOKEN_SETS).aggregate([{"$match": where}, {"$set": JUDGED}])
    return TokenSet.model_validate(found[0]) if found else None


async def list_uses(reader: Reader, ids: Sequence[str]) -> dict[str, TokensUse]:
    """When the tokens of these logins were used and refreshed last, of those that have any."""
    times = {"used_at": 1, "refreshed_at": 1}
    found = await reader.collection(TOKEN_SETS).find({"_id": {"$in": list(ids)}}, projection=times)
    return {document["_id"]: TokensUse.model_validate(document) for document in found}


def new_tokens(generation: int, lifetime: int, sealed: Document, scope: str = "") -> Document:
    """The fields every new generation sets. `sealed` holds access and refresh; lifetime is the access token's, in seconds.

    An empty scope leaves the one known in place: a refresh need not repeat it (RFC 6749, 6).
    """
    return {
        **literal({"generation": generation, **sealed} | ({"scope": scope} if scope else {})),
        "refreshed_at": "$$NOW",
        "refresh_at": ahead(lifetime * REFRESH_AT),
        "expires_at": ahead(lifetime),
    }


async def save_consent(tx: Tx, id: str, provider_id: str, owner: str, consent: int, tokens: Document) -> None:
    """The tokens of a new sign-in. They take the place of what was there, a dead set and a running refresh included."""
    known = literal({"provider_id": provider_id, "owner": owner, "state": "live", "consent": consent})
    times = {"used_at": "$$NOW", "check_at": ahead(CHECK_SECONDS)}
    update = [{"$set": {**known, **tokens, **times}}, {"$unset": ["previous", "previous_until", "lease", "lease_until"]}]
    await tx.collection(TOKEN_SETS).update_one({"_id": id}, update, upsert=True)


async def take_lease(reader: Reader, token_set: TokenSet, seconds: float) -> str | None:
    """The fence of the one process that may refresh this generation now; None when another does or the tokens are newer.

    Brings the next look near: a refresh that never reports back may have spent the refresh token, which Xero takes again for half
    an hour only.
    """
    free = {"$lt": [{"$ifNull": ["$lease_until", 0]}, "$$NOW"]}
    where = {"_id": token_set.id, "state": "live", "generation": token_set.generation, "$expr": free}
    fence = new_id("lse")
    soon = {"$min": ["$check_at", ahead(seconds)]}
    update = [{"$set": {"lease": fence, "lease_until": ahead(seconds), "check_at": soon}}]
    taken = await reader.collection(TOKEN_SETS).update_one(where, update)
    return fence if taken.matched else None


async def release_lease(reader: Reader, token_set: TokenSet, fence: str) -> None:
    await reader.collection(TOKEN_SETS).update_one({"_id": token_set.id, "lease": fence}, {"$unset": {"lease": 1, "lease_until": 1}})


async def save_refreshed(reader: Reader, token_set: TokenSet, fence: str, tokens: Document, previous: Document) -> bool:
    """Stores the next generation, with the refresh token before it kept for its grace; False when the lease was lost."""
    kept = {**literal({"previous": previous}), "previous_until": ahead(GRACE_SECONDS)}
    where = {"_id": token_set.id, "lease": fence, "generation": token_set.generation}
    update = [{"$set": {**tokens, **kept, "check_at": ahead(CHECK_SECONDS)}}, {"$unset": ["lease", "lease_until"]}]
    saved = await reader.collection(TOKEN_SETS).update_one(where, update)
    return bool(saved.matched)


async def mark_dead(tx: Tx, token_set: TokenSet, fence: str) -> bool:
    """Ends a token set whose grant Xero refused; False when its tokens changed meanwhile. The tokens stay, sealed."""
    where = {"_id": token_set.id, "lease": fence, "generation": token_set.generation}
    update = [{"$set": {"state": "dead"}}, {"$unset": ["lease", "lease_until"]}]
    return (await tx.collection(TOKEN_SETS).update_one(where, update)).matched == 1


async def note_use(reader: Reader, id: str) -> None:
    """Brings the next look at a token set near, now that it serves somebody; written every few minutes at most."""
    where = {"_id": id, "$expr": {"$lt": ["$used_at", ahead(-USE_NOTED_SECONDS)]}}
    update = [{"$set": {"used_at": "$$NOW", "check_at": {"$min": ["$check_at", ahead(CHECK_SECONDS)]}}}]
    await reader.collection(TOKEN_SETS).update_one(where, update)


async def claim_check(reader: Reader) -> str | None:
    """The id of a live token set that is due to be looked at; it comes again soon unless `schedule_check` says later."""
    where = {"state": "live", "$expr": {"$lte": ["$check_at", "$$NOW"]}}
    update = [{"$set": {"check_at": ahead(RETRY_CHECK_SECONDS)}}]
    found = await reader.collection(TOKEN_SETS).find_one_and_update(where, update, sort=[("check_at", 1)], projection={"_id": 1})
    return str(found["_id"]) if found else None


async def schedule_check(tx: Tx, token_set: TokenSet) -> bool:
    """Sets the next look: soon while it is in use, else in a week. False when the person signed in again meanwhile."""
    provider_id = token_set.provider_id
    signed_in = await tx.collection(SESSIONS).find_one({"provider_id": provider_id, "$expr": ALIVE}, {"_id": 1})
    used = {"$gt": ["$used_at", ahead(-IN_USE_SECONDS)]}
    later: Any = ahead(CHECK_SECONDS) if signed_in else {"$cond": [used, ahead(CHECK_SECONDS), ahead(IDLE_CHECK_SECONDS)]}
    where = {"_id": token_set.id, "consent": token_set.consent}
    return (await tx.collection(TOKEN_SETS).update_one(where, [{"$set": {"check_at": later}}])).matched == 1


# --- connections ----------------------------------------------------------------------------------------------------------


async def save_connection(tx: Tx, provider_id: str, organisation_id: str, token_set_id: str, xero_id: str) -> None:
    """A connection Xero lists for this login, live with the token set it just got."""
    update = {
        "$set": {"token_set_id": token_set_id, "xero_id": xero_id, "state": "live", "was_last": False},
        "$setOnInsert": {"_id": new_id("con")},
        "$unset": {"refused_at": 1, "ended_at": 1},
    }
    await tx.collection(CONNECTIONS).update_one({"provider_id": provider_id, "organisation_id": organisation_id}, update, upsert=True)


async def list_connections_of(reader: Reader, provider_id: str) -> list[Connection]:
    """A provider's connections, last used first."""
    found = await reader.collection(CONNECTIONS).find({"provider_id": provider_id}, sort=[("last_used_at", -1), ("_id", 1)])
    return [Connection.model_validate(document) for document in found]


async def list_connections_to(reader: Reader, organisation_id: str) -> list[Connection]:
    """An organisation's connections; those whose token Xero refused here come last, then the newest first."""
    found = await reader.collection(CONNECTIONS).find({"organisation_id": organisation_id}, sort=[("refused_at", 1), ("_id", -1)])
    return [Connection.model_validate(document) for document in found]


async def list_connections_with(reader: Reader, token_set_id: str) -> list[Connection]:
    """The connections of a login that have not ended."""
    where = {"token_set_id": token_set_id, "state": {"$ne": "ended"}}
    found = await reader.collection(CONNECTIONS).find(where, sort=[("organisation_id", 1)])
    return [Connection.model_validate(document) for document in found]


async def list_all_connections(reader: Reader, state: str | None, after: str, limit: int) -> list[Connection]:
    """A page of everybody's connections behind the id `after`, by id; those in one state, when it is named."""
    where: Document = {"_id": {"$gt": after}} | ({"state": state} if state else {})
    found = await reader.collection(CONNECTIONS).find(where, sort=[("_id", 1)], limit=limit)
    return [Connection.model_validate(document) for document in found]


async def find_connection(reader: Reader, organisation_id: str, token_set_id: str) -> Connection | None:
    found = await reader.collection(CONNECTIONS).find_one({"organisation_id": organisation_id, "token_set_id": token_set_id})
    return Connection.model_validate(found) if found else None


async def connection_needs_reauth(tx: Tx, id: str) -> None:
    await tx.collection(CONNECTIONS).update_one({"_id": id}, {"$set": {"state": "needs_reauth"}})


async def end_connection(tx: Tx, id: str) -> None:
    await tx.collection(CONNECTIONS).update_one({"_id": id}, {"$set": {"state": "ended"}, "$currentDate": {"ended_at": True}})


async def mark_last(tx: Tx, id: str) -> None:
    await tx.collection(CONNECTIONS).update_one({"_id": id}, {"$set": {"was_last": True}})


async def note_refusal(reader: Reader, id: str) -> None:
    await reader.collection(CONNECTIONS).update_one({"_id": id}, {"$currentDate": {"refused_at": True}})


async def note_organisation_used(reader: Reader, provider_id: str, organisation_id: str) -> None:
    where = {"provider_id": provider_id, "organisation_id": organisation_id}
    await reader.collection(CONNECTIONS).update_one(where, {"$currentDate": {"last_used_at": True}})


# --- organisations --------------------------------------------------------------------------------------------------------


async def find_organisation(reader: Reader, id: str) -> Organisation | None:
    found = await reader.collection(ORGANISATIONS).find_one({"_id": id})
    return Organisation.model_validate(found) if found else None


async def list_organisations(reader: Reader, ids: Sequence[str]) -> dict[str, Organisation]:
    found = await reader.collection(ORGANISATIONS).find({"_id": {"$in": list(ids)}})
    return {document["_id"]: Organisation.model_validate(document) for document in found}


async def list_organisation_ids(reader: Reader, after: str, limit: int) -> list[str]:
    """A page of all organisations that something was told of, by id."""
    where = {"_id": {"$gt": after}, "version": {"$gt": 0}}
    found = await reader.collection(ORGANISATIONS).find(where, sort=[("_id", 1)], limit=limit, projection={"_id": 1})
    return [document["_id"] for document in found]


async def count_connected(reader: Reader) -> int:
    """The organisations Xero counts as connected to our app: one that only needs a new sign-in still is."""
    return int(await reader.collection(ORGANISATIONS).count({"state": {"$in": ["connected", "needs_reauth"]}}))


async def count_in_state(reader: Reader, state: State) -> int:
    return int(await reader.collection(ORGANISATIONS).count({"state": state}))


async def open_organisation(tx: Tx, id: str, tenant_id: str, name: str) -> Organisation:
    """The organisation to be judged anew, made when unknown.

    Always a write, so that two transactions that each change one of its connections cannot both believe in the other's.
    """
    made = {"tenant_id": tenant_id, "name": name, "state": "disconnected", "version": 0}
    update = {"$setOnInsert": made, "$inc": {"judged": 1}}
    return Organisation.model_validate(await tx.collection(ORGANISATIONS).find_one_and_update({"_id": id}, update, upsert=True))


async def save_organisation(tx: Tx, organisation: Organisation) -> None:
    await tx.collection(ORGANISATIONS).update_one({"_id": organisation.id}, {"$set": organisation.model_dump(exclude={"id"})})
