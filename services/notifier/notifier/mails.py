"""What can be done with mails: queue them, drop them, and record what became of them."""

from __future__ import annotations

from datetime import datetime

from prometheus_client import Counter

from common.contracts.auth import OrganisationNeedsReauth
from common.contracts.notifier import EmailFailed, EmailSent
from common.contracts.portal import SignInLinkRequested
from common.contracts.sharing import ClientInvited
from common.mongo import Database, Document, Tx
from common.telemetry import from_zero
from notifier import mail_server, store
from notifier.models import About, Mail

ENDED = from_zero(
    Counter("mails_total", "Mails by what became of them; one that was sent may be returned later", ["outcome"]),
    ("sent", "failed", "expired", "returned"),
)

INVITATION_SECONDS = 24 * 3600
RECONNECT_SECONDS = 24 * 3600
TOO_LATE = "the mail server did not take it for a day"
NOT_AGAIN = "not sent again after data was restored from a backup"


async def queue_invitation(tx: Tx, event_id: str, invited: ClientInvited) -> None:
    """Queues an invitation in the place of older ones still waiting; not when the share ended or a newer one is known."""
    if not await store.note_invitation(tx, invited.share_id, invited.invitation_number):
        return
    about = About(
        organisation_id=invited.organisation_id,
        organisation_name=invited.organisation_name,
        contact_name=invited.contact_name,
        person_name=invited.shared_by.name,
        person_email=invited.shared_by.email,
    )
    mail = Mail(
        id=f"{invited.share_id}.{invited.invitation_number}",
        kind="invitation",
        email=invited.email,
        event_id=event_id,
        about=about,
        concerns=tuple(invited.about),
        sealed=invited.sealed,
        seal=(ClientInvited.type, invited.share_id),
        share_id=invited.share_id,
        number=invited.invitation_number,
    )
    await store.drop_mails(tx, invited.share_id, below=invited.invitation_number)
    await store.add_mail(tx, mail, lasts=INVITATION_SECONDS)


async def queue_sign_in(tx: Tx, event_id: str, asked: SignInLinkRequested) -> None:
    """Queues a sign-in mail, which is worthless once its link is; not when the share it was asked from ended."""
    if asked.share_id and await store.is_ended(tx, asked.share_id):
        return
    mail = Mail(
        id=asked.link_id,
        kind="sign_in_from_invitation" if asked.organisation_name else "sign_in",
        email=asked.email,
        event_id=event_id,
        about=About(organisation_name=asked.organisation_name, invited_at=asked.invited_at, agent=asked.agent),
        concerns=tuple(asked.about),
        sealed=asked.sealed,
        seal=(SignInLinkRequested.type, asked.link_id),
        share_id=asked.share_id,
    )
    await store.add_mail(tx, mail, expires_at=asked.expires_at)


async def queue_reconnect(tx: Tx, event_id: str, lost: OrganisationNeedsReauth) -> None:
    """Queues one mail to each person who can bring the organisation back, once for each time it was lost."""
    if not await store.note_connection(tx, lost.organisation_id, lost.version):
        return
    about = About(organisation_id=lost.organisation_id, organisation_name=lost.name, cause=lost.cause, since=lost.since)
    people = {person.email: tuple(id for id in (lost.organisation_id, person.id) if id) for person in lost.people}
    for place, (email, concerns) in enumerate(people.items()):
        id = f"{lost.organisation_id}.{lost.version}.{place}"
        mail = Mail(id=id, kind="reconnect", email=email, event_id=f"{event_id}.{place}", about=about, concerns=concerns)
        await store.add_mail(tx, mail, lasts=RECONNECT_SECONDS)


async def drop_reconnect(tx: Tx, organisation_id: str, version: int) -> None:
    """The connection is well again: nobody needs to be asked any more, unless it was lost anew meanwhile."""
    if await store.note_connection(tx, organisation_id, version):
        await store.drop_reconnect_mails(tx, organisation_id)


async def drop_mails_of_share(tx: Tx, share_id: str) -> None:
    """Nothing of an ended share leaves any more, nor what arrives about it later."""
    await store.note_ended_share(tx, share_id)
    await store.drop_mails(tx, share_id)


async def forget(db: Database, id: str, asked_at: datetime) -> None:
    """A provider's name in invitations and the mails to them, or every mail about an organisation from before `asked_at`.

    Invitations of an organisation that lives on without its provider are sent all the same, in the organisation's name.
    """
    if id.startswith("prv_"):
        await store.forget_sender(db, id)
        await store.delete_mails(db, {"concerns": id, "kind": "reconnect"})
    else:
        await store.delete_mails(db, {"concerns": id, "state": {"$ne": "pending"}, "queued_at": {"$lt": asked_at}})


async def settle_restored(db: Database) -> None:
    """Mails that waited when a backup was taken may have left since: none of them is sent. What the mail server does is to be seen anew."""
    await store.expire_waiting(db)
    await store.forget_server(db)


async def mark_sent(tx: Tx, row: Document, mail: Mail, now: datetime) -> None:
    """The mail server took it. Raises LeaseLost."""
    await store.finish_mail(tx, row, "sent")
    await mail_server.note_success(tx)
    if mail.share_id and mail.number:
        await tx.emit(mail.share_id, EmailSent(version=mail.number, share_id=mail.share_id, at=now))


async def mark_failed(tx: Tx, row: Document, mail: Mail, reason: str, now: datetime) -> None:
    """No later try can work. Raises LeaseLost."""
    await store.finish_mail(tx, row, "failed", reason=reason)
    await _tell_failure(tx, mail, reason, now)


async def mark_expired(tx: Tx, row: Document, mail: Mail, now: datetime) -> None:
    """Its time is over before the mail server took it. Raises LeaseLost."""
    await store.finish_mail(tx, row, "expired")
    await _tell_failure(tx, mail, NOT_AGAIN if row.get("before_restore") else TOO_LATE, now)


async def mark_returned(tx: Tx, return_token: str, reason: str, now: datetime) -> Mail | None:
    """The mail server took it, and another one sent it back. None for a token of no mail, or of one that is settled already."""
    row = await store.find_returnable(tx, return_token)
    if row is None:
        return None
    mail = Mail.model_validate(row)
    await store.return_mail(tx, row, reason)
    await _tell_failure(tx, mail, reason, now, returned=True)
    return mail


async def _tell_failure(tx: Tx, mail: Mail, reason: str, now: datetime, *, returned: bool = False) -> None:
    if mail.share_id and mail.number:
        failed = EmailFailed(version=mail.number, share_id=mail.share_id, at=now, reason=reason, returned=returned)
        await tx.emit(mail.share_id, failed)
