"""What connects an organisation: providers' ways into it, and what is published when the best of them changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from auth import store
from auth.models import Connection, Organisation, Provider, State, TokenSet, XeroConnection, may_open, standing
from common.contracts.auth import (
    OrganisationConnected,
    OrganisationDisconnected,
    OrganisationNeedsReauth,
    OrganisationUpdated,
    Person,
)
from common.mongo import Reader, Tx

GRANT_REFUSED = "grant_refused"
"""Cause: Xero takes the tokens of no login any more; they were unused for 60 days or somebody withdrew them."""

MOST_LOGINS = 50
TOLD_SINCE = 1_000_000
"""More than the changes of one organisation that can have been told since any backup."""

CONNECTION_ENDED = "connection_ended"
"""Cause: Xero no longer lists a connection; somebody disconnected the app there."""


async def connect_organisations(tx: Tx, provider_id: str, token_set_id: str, listed: Sequence[XeroConnection], now: datetime) -> None:
    """Makes or revives a connection to every organisation Xero lists for a login that has just signed in, and ends the others."""
    for entry in listed:
        organisation = await store.open_organisation(tx, entry.organisation_id, entry.tenant_id, entry.name)
        await store.save_connection(tx, provider_id, organisation.id, token_set_id, entry.id)
        await settle(tx, organisation, entry.name, None, now)
    still = {entry.organisation_id for entry in listed}
    for connection in await store.list_connections_with(tx, token_set_id):
        if connection.organisation_id not in still:
            await _end(tx, connection, now)


async def lose_grant(tx: Tx, token_set: TokenSet, fence: str, now: datetime) -> bool:
    """Ends a token set that Xero refused for good, with all its connections; False when its tokens changed meanwhile."""
    if not await store.mark_dead(tx, token_set, fence):
        return False
    for connection in await store.list_connections_with(tx, token_set.id):
        organisation = await _known(tx, connection.organisation_id)
        await store.connection_needs_reauth(tx, connection.id)
        await settle(tx, organisation, organisation.name, GRANT_REFUSED, now)
    return True


async def follow_xero(tx: Tx, token_set: TokenSet, listed: Sequence[XeroConnection], now: datetime) -> None:
    """Ends connections Xero no longer lists for this login and takes over changed names.

    Does nothing when the person signed in again after the list was read. A connection made elsewhere waits for the next sign-in.
    """
    if not await store.schedule_check(tx, token_set):
        return
    names = {entry.organisation_id: entry.name for entry in listed}
    connections = await store.list_connections_with(tx, token_set.id)
    known = await store.list_organisations(tx, [connection.organisation_id for connection in connections])
    for connection in connections:
        name = names.get(connection.organisation_id)
        if name == known[connection.organisation_id].name:
            continue
        if name is None:
            await _end(tx, connection, now)
        else:
            await settle(tx, await _known(tx, connection.organisation_id), name, None, now)


async def list_openable(reader: Reader, provider_id: str) -> list[Organisation]:
    """The organisations a provider may work in, last used first."""
    connections = await store.list_connections_of(reader, provider_id)
    known = await store.list_organisations(reader, [connection.organisation_id for connection in connections])
    return [known[each.organisation_id] for each in connections if may_open(each, known[each.organisation_id])]


async def logins_of(reader: Reader, organisation_id: str) -> list[tuple[Connection, Provider]]:
    """Everybody with a connection Xero has not ended, as far as one page can show them."""
    found = [each for each in await store.list_connections_to(reader, organisation_id) if each.state != "ended"][:MOST_LOGINS]
    providers = {each.id: each for each in await store.list_providers(reader, [each.provider_id for each in found])}
    return [(each, providers[each.provider_id]) for each in found if each.provider_id in providers]


async def _end(tx: Tx, connection: Connection, now: datetime) -> None:
    """Xero does not list this connection (any more)."""
    organisation = await _known(tx, connection.organisation_id)
    await store.end_connection(tx, connection.id)
    if await settle(tx, organisation, organisation.name, CONNECTION_ENDED, now) == "disconnected":
        await store.mark_last(tx, connection.id)


async def settle(tx: Tx, organisation: Organisation, name: str, cause: str | None, now: datetime) -> State:
    """Judges an organisation by its connections, stores and publishes what changed, and answers its state."""
    state = standing(await store.list_connections_to(tx, organisation.id))
    if state == organisation.state and name == organisation.name:
        return state
    changes: dict[str, object] = {"name": name, "version": organisation.version + 1}
    if state != organisation.state:
        changes |= {"state": state, "since": now, "cause": cause}
    changed = organisation.model_copy(update=changes)
    await store.save_organisation(tx, changed)
    await _publish(tx, changed, renamed=state == organisation.state)
    return state


async def tell_again(tx: Tx, organisation_id: str) -> None:
    """Publishes an organisation as it stands, above every version others may have heard. Nobody is mailed for it."""
    known = await _known(tx, organisation_id)
    told = known.model_copy(update={"version": known.version + TOLD_SINCE})
    await store.save_organisation(tx, told)
    await _publish(tx, told, renamed=False, mailed=False)


async def people_of(tx: Tx, organisation_id: str) -> list[Person]:
    """Those who can bring an organisation back: everybody whose connection Xero has not ended."""
    connections = await store.list_connections_to(tx, organisation_id)
    providers = await store.list_providers(tx, [connection.provider_id for connection in connections if connection.state != "ended"])
    return [Person(id=provider.id, name=provider.name, email=provider.email) for provider in providers]


async def _known(tx: Tx, organisation_id: str) -> Organisation:
    """An organisation that some connection names, so it is there."""
    return await store.open_organisation(tx, organisation_id, "", "")


async def _publish(tx: Tx, organisation: Organisation, *, renamed: bool, mailed: bool = True) -> None:
    """`mailed`: who can bring back one that is lost is written to."""
    about = {"version": organisation.version, "organisation_id": organisation.id, "name": organisation.name}
    zone = {"time_zone": organisation.time_zone}
    ended = {"since": organisation.since}
    match organisation.state:
        case "connected" if renamed:
            await tx.emit(organisation.id, OrganisationUpdated.model_validate(about | zone))
        case "connected":
            connected = about | zone | {"tenant_id": organisation.tenant_id}
            await tx.emit(organisation.id, OrganisationConnected.model_validate(connected))
        case "needs_reauth":
            lost = about | ended | {"cause": organisation.cause, "people": await people_of(tx, organisation.id) if mailed else []}
            await tx.emit(organisation.id, OrganisationNeedsReauth.model_validate(lost))
        case _:
            await tx.emit(organisation.id, OrganisationDisconnected.model_validate(about | ended))
