"""Events in: what is asked for becomes a mail in the queue, what has ended leaves it."""

from __future__ import annotations

from common.contracts.auth import OrganisationConnected, OrganisationNeedsReauth, ProviderDeleted
from common.contracts.portal import SignInLinkRequested
from common.contracts.sharing import ClientInvited, ShareEnded
from common.erasure import ask_for_erasure
from common.events import Event, Handlers
from common.mongo import Tx
from notifier import mails


async def queue_invitation_email(tx: Tx, event: Event[ClientInvited]) -> None:
    await mails.queue_invitation(tx, event.id, event.data)


async def queue_sign_in_email(tx: Tx, event: Event[SignInLinkRequested]) -> None:
    await mails.queue_sign_in(tx, event.id, event.data)


async def queue_reconnect_email(tx: Tx, event: Event[OrganisationNeedsReauth]) -> None:
    await mails.queue_reconnect(tx, event.id, event.data)


async def drop_reconnect_email(tx: Tx, event: Event[OrganisationConnected]) -> None:
    await mails.drop_reconnect(tx, event.data.organisation_id, event.data.version)


async def drop_mails_of_ended_share(tx: Tx, event: Event[ShareEnded]) -> None:
    await mails.drop_mails_of_share(tx, event.data.share_id)


async def forget_provider(tx: Tx, event: Event[ProviderDeleted]) -> None:
    for id in (event.data.provider_id, *event.data.organisation_ids):
        await ask_for_erasure(tx, id)


HANDLERS: Handlers = {
    ClientInvited: queue_invitation_email,
    SignInLinkRequested: queue_sign_in_email,
    OrganisationNeedsReauth: queue_reconnect_email,
    OrganisationConnected: drop_reconnect_email,
    ShareEnded: drop_mails_of_ended_share,
    ProviderDeleted: forget_provider,
}
