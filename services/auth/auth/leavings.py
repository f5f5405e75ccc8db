"""Leaving, as far as it is ours: what is chosen, what ends with it here, and what goes when Xero was told."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from auth import audit, leaving_store, store, vault
from auth.connections import settle
from auth.models import Leaving, LeavingKind, Organisation, Provider
from common.contracts.auth import ProviderDeleted
from common.erasure import ask_for_erasure
from common.ids import new_id
from common.mongo import Database, Document, Reader, Tx

LEFT = "left"
"""Cause: its provider disconnected it here."""


@dataclass(frozen=True)
class Affected:
    """An organisation of somebody who leaves. `colleagues`: logins beside theirs that work; `others`: that could be renewed too."""

    organisation: Organisation
    colleagues: int
    others: int


async def affected_by(reader: Reader, provider_id: str, organisations: Iterable[Organisation]) -> list[Affected]:
    """Who else has connected the organisations of a provider."""
    theirs = list(organisations)
    connections = await leaving_store.list_connections_among(reader, [organisation.id for organisation in theirs])
    foreign = [connection for connection in connections if connection.provider_id != provider_id]
    live = [connection.organisation_id for connection in foreign if connection.state == "live"]
    known = [connection.organisation_id for connection in foreign]
    return [Affected(it, colleagues=live.count(it.id), others=known.count(it.id)) for it in theirs]


def leaving_of(
    kind: LeavingKind, provider: Provider, opened: str, held: tuple[str | None, str | None], affected: list[Affected], chosen: Iterable[str]
) -> Leaving:
    """What is to be done. `held` are the ids of their connection to the organisation `opened` and of their token set, as far as there
    are. `chosen` are organisations to end although a colleague works in them; where nobody else does, deleting ends all in any case."""
    deleting = kind == "delete"
    ending = [it for it in affected if kind != "disconnect" and (not deleting or not it.colleagues or it.organisation.id in set(chosen))]
    return Leaving(
        id=new_id("lea"),
        kind=kind,
        step="here" if kind == "disconnect" else "access",
        provider_id=provider.id,
        name=provider.name,
        email=provider.email,
        organisation_id=opened,
        connection_id=None if deleting else held[0],
        token_set_id=held[1],
        organisations=tuple(it.organisation.id for it in affected),
        ending=tuple(it.organisation.id for it in ending),
        erasing=tuple(it.organisation.id for it in ending if deleting and not it.others),
    )


async def leave_here(tx: Tx, row: Document, now: datetime) -> None:
    """The connection, or the whole account, ends with us. Raises LeaseLost."""
    leaving = Leaving.model_validate(row)
    if leaving.kind == "delete":
        await _delete_account(tx, leaving, now)
        await leaving_store.take_step(tx, row, "xero", name="", email="")
    else:
        await _end_connection(tx, leaving, now)
        await leaving_store.take_step(tx, row, "xero")


async def finish(tx: Tx, row: Document, generation: int | None) -> bool:
    """Destroys the tokens (of this generation) unless somebody needs them; False when there are newer ones. Raises LeaseLost."""
    leaving = Leaving.model_validate(row)
    token_set = leaving.token_set_id
    needed = token_set is None or await _needs_tokens(tx, leaving, token_set)
    if token_set and generation and not needed and not await destroy_tokens(tx, token_set, generation):
        return False
    await leaving_store.finish_leaving(tx, row)
    return True


async def nothing_more(_db: Database, _id: str, _asked_at: datetime) -> None:
    """What auth keeps of a provider went in one transaction; only events about them are left to erase."""


async def destroy_tokens(tx: Tx, token_set_id: str, generation: int) -> bool:
    """The one place where a token set goes, with a last link in its chain of the audit; False when there are newer tokens in it."""
    if not await leaving_store.delete_token_set(tx, token_set_id, generation):
        return False
    await audit.close(tx, token_set_id, vault.LEAVE)
    return True


async def _needs_tokens(tx: Tx, leaving: Leaving, token_set_id: str) -> bool:
    """Another who leaves with these tokens has yet to tell Xero; a connection that lives reads with them, until the account goes."""
    if await leaving_store.others_leave_with(tx, token_set_id, leaving.id):
        return True
    return leaving.kind != "delete" and bool(await store.list_connections_with(tx, token_set_id))


async def _end_connection(tx: Tx, leaving: Leaving, now: datetime) -> None:
    found = await leaving_store.find_own_connection(tx, leaving.provider_id, leaving.organisation_id)
    if found is None or found[0].state == "ended":
        return
    organisation = await store.open_organisation(tx, leaving.organisation_id, "", "")
    await store.end_connection(tx, found[0].id)
    if await settle(tx, organisation, organisation.name, LEFT, now) == "disconnected":
        await store.mark_last(tx, found[0].id)


async def _delete_account(tx: Tx, leaving: Leaving, now: datetime) -> None:
    """An organisation nobody else has connected loses its name; what stays of it is its version."""
    connected = {connection.organisation_id for connection in await store.list_connections_of(tx, leaving.provider_id)}
    await leaving_store.delete_provider(tx, leaving.provider_id)
    others = {connection.organisation_id for connection in await leaving_store.list_connections_among(tx, leaving.erasing)}
    gone = sorted(set(leaving.erasing) - others)
    for organisation_id in sorted(connected):
        organisation = await store.open_organisation(tx, organisation_id, "", "")
        name = "" if organisation_id in gone else organisation.name
        await settle(tx, organisation.model_copy(update={} if name else {"time_zone": None}), name, LEFT, now)
    for id in (leaving.provider_id, *gone):
        await ask_for_erasure(tx, id)
    await tx.emit(leaving.provider_id, ProviderDeleted(version=1, provider_id=leaving.provider_id, organisation_ids=gone))
