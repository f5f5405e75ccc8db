"""What has to be looked at again: webhooks and reconciliation mark it, one worker reads it from Xero and publishes what matters."""

from __future__ import annotations

from collections.abc import Sequence

from common import claims
from common.contracts.xero_gateway import ContactChanged, Invoice, InvoicesChanged
from common.logging import get_logger
from common.mongo import Document, Reader, Tx
from xero_gateway import kept_lists, store
from xero_gateway.models import Contact, ContactsPage, Fault, InvoicesPage, batches_by_contact, published, version_of

log = get_logger()


async def is_of_interest(reader: Reader, organisation_id: str) -> bool:
    """Whether anything of this organisation is shared now or was ever published."""
    return await store.watches_any(reader, organisation_id) or await store.published_any(reader, organisation_id)


async def apply_invoices(tx: Tx, organisation_id: str, rows: Sequence[Document], page: InvoicesPage) -> None:
    """Publishes sales invoices whose contact is watched or that were published before, as they are now; clears their marks.

    What was told before exactly as it is now is not told again. A bill is never published: it cannot become a sale. Raises
    LeaseLost, which undoes everything.
    """
    ids = [row["resource_id"] for row in rows]
    sales = [invoice for invoice in page.invoices if invoice.is_sale]
    watched = await store.watched_among(tx, organisation_id, (invoice.contact_id for invoice in sales))
    before = await store.published_among(tx, organisation_id, ids)
    of_interest = [invoice for invoice in sales if invoice.contact_id in watched or invoice.invoice_id in before]
    now = {invoice.invoice_id: published(invoice) for invoice in of_interest}
    told = [it for it in of_interest if it.invoice_id not in before or before[it.invoice_id].digest != now[it.invoice_id].digest]
    for invoices in batches_by_contact(told):
        await tx.emit(invoices[0].contact_id, _invoices_changed(organisation_id, invoices, page))
    await store.save_published(tx, organisation_id, [now[invoice.invoice_id] for invoice in told])
    await kept_lists.drop_lists(tx, organisation_id, {invoice.contact_id for invoice in page.invoices}, ids)
    unreadable = {fault.invoice_id: fault.reason for fault in page.faults}
    for row in rows:
        if row["resource_id"] in unreadable:
            await claims.finish(tx, store.MARKS, row, claims.done("parked", reason=unreadable[row["resource_id"]]))
    await store.clear_marks(tx, [row for row in rows if row["resource_id"] not in unreadable])


async def apply_contacts(tx: Tx, organisation_id: str, rows: Sequence[Document], page: ContactsPage, gained: set[str]) -> None:
    """Publishes watched contacts as they are now and clears their marks.

    A merge moves invoices without a word about any of them, so those of a merged contact, and those `gained` by its heir,
    are marked. Raises LeaseLost, which undoes everything.
    """
    watched = await store.watched_among(tx, organisation_id, (contact.id for contact in page.contacts))
    moved = set(gained)
    for contact in page.contacts:
        if contact.id in watched:
            await tx.emit(contact.id, _contact_changed(organisation_id, contact, page))
        if contact.merged_to:
            moved.update(await store.published_of_contact(tx, organisation_id, contact.id))
    await mark_invoices(tx, organisation_id, moved)
    heirs = {contact.merged_to for contact in page.contacts if contact.merged_to}
    await kept_lists.drop_lists(tx, organisation_id, {*heirs, *(row["resource_id"] for row in rows)})
    await store.clear_marks(tx, rows)


async def apply_credits(tx: Tx, organisation_id: str, rows: Sequence[Document]) -> None:
    """A credit note, prepayment or overpayment changes the invoices it is used on: asks Xero for every changed invoice now."""
    await store.ask_for_reconciliation(tx, organisation_id)
    await store.clear_marks(tx, rows)


async def drop_marks(tx: Tx, organisation_id: str, rows: Sequence[Document]) -> None:
    """For an organisation that is not known or shares nothing: only its kept lists may be out of date."""
    await kept_lists.drop_all_lists(tx, organisation_id)
    await store.clear_marks(tx, rows)


async def mark_invoices(tx: Tx, organisation_id: str, invoice_ids: set[str]) -> None:
    """These invoices have to be looked at."""
    await store.add_marks(tx, [(organisation_id, "INVOICE", invoice_id) for invoice_id in sorted(invoice_ids)])


async def report_faults(tx: Tx, organisation_id: str, faults: Sequence[Fault]) -> None:
    """Keeps invoices that cannot be read as parked marks, for an operator to see; the next change tries them again."""
    for fault in faults:
        log.error("invoice.unreadable", organisation_id=organisation_id, invoice_id=fault.invoice_id, reason=fault.reason)
    await store.park_marks(tx, organisation_id, {fault.invoice_id: fault.reason for fault in faults})


def _invoices_changed(organisation_id: str, invoices: Sequence[Invoice], page: InvoicesPage) -> InvoicesChanged:
    return InvoicesChanged(
        version=version_of(max(invoice.updated_at for invoice in invoices)),
        organisation_id=organisation_id,
        contact_id=invoices[0].contact_id,
        read_at=page.read_at,
        invoices=list(invoices),
    )


def _contact_changed(organisation_id: str, contact: Contact, page: ContactsPage) -> ContactChanged:
    return ContactChanged(
        version=version_of(contact.updated_at),
        organisation_id=organisation_id,
        contact_id=contact.id,
        name=contact.name,
        status=contact.status,
        merged_to=contact.merged_to,
        read_at=page.read_at,
    )
