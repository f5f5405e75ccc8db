"""Events in: organisations from auth, shares from sharing."""

from __future__ import annotations

from common.contracts.auth import (
    OrganisationConnected,
    OrganisationDisconnected,
    OrganisationNeedsReauth,
    OrganisationUpdated,
    ProviderDeleted,
)
from common.contracts.sharing import PdfsWanted, ShareCreated, ShareEnded
from common.erasure import ask_for_erasure
from common.events import Event, Handlers
from common.mongo import Tx
from xero_gateway import organisations, pdf_store, watches


async def read_organisation(tx: Tx, event: Event[OrganisationConnected]) -> None:
    it = event.data
    await organisations.learn_name(tx, it.organisation_id, it.name, it.time_zone, it.version)
    await organisations.learn_state(tx, it.organisation_id, "connected", it.version)


async def rename_organisation(tx: Tx, event: Event[OrganisationUpdated]) -> None:
    it = event.data
    await organisations.learn_name(tx, it.organisation_id, it.name, it.time_zone, it.version)


async def wait_for_sign_in(tx: Tx, event: Event[OrganisationNeedsReauth]) -> None:
    await organisations.learn_state(tx, event.data.organisation_id, "needs_reauth", event.data.version)


async def leave_organisation(tx: Tx, event: Event[OrganisationDisconnected]) -> None:
    await organisations.learn_state(tx, event.data.organisation_id, "disconnected", event.data.version)


async def watch_contact(tx: Tx, event: Event[ShareCreated]) -> None:
    it = event.data
    await watches.begin_watching(tx, it.organisation_id, it.contact_id, it.share_id, it.load_id)


async def unwatch_contact(tx: Tx, event: Event[ShareEnded]) -> None:
    it = event.data
    await watches.end_watching(tx, it.organisation_id, it.contact_id, it.share_id)


async def fetch_pdfs(tx: Tx, event: Event[PdfsWanted]) -> None:
    await pdf_store.add_batch(tx, event.data.organisation_id, event.data.download_id, event.data.wanted)


async def forget_provider(tx: Tx, event: Event[ProviderDeleted]) -> None:
    for id in (event.data.provider_id, *event.data.organisation_ids):
        await ask_for_erasure(tx, id)


HANDLERS: Handlers = {
    OrganisationConnected: read_organisation,
    OrganisationUpdated: rename_organisation,
    OrganisationNeedsReauth: wait_for_sign_in,
    OrganisationDisconnected: leave_organisation,
    ShareCreated: watch_contact,
    ShareEnded: unwatch_contact,
    PdfsWanted: fetch_pdfs,
    ProviderDeleted: forget_provider,
}
