"""What is read of Xero: contacts, invoices, links and PDFs of one organisation, as the rest of the service knows them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from common.contracts.xero_gateway import SHAREABLE
from common.errors import NotFound
from common.mongo import Database
from xero_gateway import wire
from xero_gateway.call_limits import BACKGROUND, PEOPLE, Patience
from xero_gateway.errors import XeroTooLarge, XeroUnavailable
from xero_gateway.models import Contact, ContactsPage, HeadsPage, InvoiceNow, InvoicesPage, SummariesPage
from xero_gateway.xero_calls import Asked, Document, XeroCalls

LARGEST_PAGE = 1000
LONGEST_SEARCH = 100
PDF = "application/pdf"


class Xero:
    """Reads one organisation's contacts and invoices.

    Every method raises NotFound, XeroNeedsReauth, XeroUnavailable or XeroBusy, and DatabaseUnavailable.
    """

    def __init__(self, calls: XeroCalls) -> None:
        self._calls = calls

    async def find_contacts(self, db: Database, organisation: str, search: str, page: int, page_size: int) -> ContactsPage:
        """Active contacts by name; `search` finds name, person, e-mail and number."""
        params = {"page": page, "pageSize": page_size, "order": "Name ASC"}
        if search:
            params["searchTerm"] = search[:LONGEST_SEARCH]
        return _contacts(await self._get(db, organisation, "Contacts", params, PEOPLE))

    async def contact(self, db: Database, organisation: str, contact: str, patience: Patience = PEOPLE) -> Contact:
        """One contact, archived or not. Raises NotFound when the organisation has none of this id."""
        answer = await self._get(db, organisation, f"Contacts/{_uuid(contact)}", {}, patience)
        found = _contacts(answer).contacts
        if not found:
            raise NotFound
        return found[0]

    async def contacts_by_ids(self, db: Database, organisation: str, contacts: Iterable[str]) -> ContactsPage:
        """Contacts, archived ones too; ids that are unknown are left out."""
        ids = ",".join(_uuid(contact) for contact in contacts)
        params = {"IDs": ids, "includeArchived": "true", "page": 1, "pageSize": 100}
        return _contacts(await self._get(db, organisation, "Contacts", params, BACKGROUND))

    async def contacts_changed(self, db: Database, organisation: str, since: datetime, page: int) -> ContactsPage:
        """Contacts changed since then, archived ones too."""
        params = {"includeArchived": "true", "page": page, "pageSize": LARGEST_PAGE, "order": "ContactID ASC"}
        return _contacts(await self._get(db, organisation, "Contacts", params, BACKGROUND, since))

    async def summaries(self, db: Database, organisation: str, contact: str, page: int, page_size: int) -> SummariesPage:
        """A page of all of a contact's invoices and bills, in the order of their ids, without lines."""
        params = {"ContactIDs": _uuid(contact), "page": page, "pageSize": page_size, "order": "InvoiceID ASC", "unitdp": 4}
        answer = await self._get(db, organisation, "Invoices", params, PEOPLE)
        invoices, faults = wire.read_each(answer.items("Invoices"), wire.read_summary)
        return SummariesPage(
            invoices=invoices,
            faults=faults,
            total=answer.pagination("itemCount"),
            pages=answer.pagination("pageCount"),
            read_at=answer.read_at,
        )

    async def invoice(self, db: Database, organisation: str, invoice: str) -> InvoiceNow:
        """One invoice or bill in full. Raises NotFound when the organisation has none of this id."""
        answer = await self._get(db, organisation, f"Invoices/{_uuid(invoice)}", {"unitdp": 4}, PEOPLE)
        found, faults = wire.read_each(answer.items("Invoices"), wire.read_invoice)
        if faults:
            raise XeroUnavailable("Xero sent an amount that cannot be read exactly, so the invoice is not shown.")
        if not found:
            raise NotFound
        return InvoiceNow(invoice=found[0], read_at=answer.read_at)

    async def online_invoice(self, db: Database, organisation: str, invoice: str) -> str:
        """The public address of an invoice, which ending access cannot close. Raises NotFound for one that has none, such as a draft."""
        answer = await self._get(db, organisation, f"Invoices/{_uuid(invoice)}/OnlineInvoice", {}, PEOPLE)
        for found in answer.items("OnlineInvoices"):
            url = str(found.get("OnlineInvoiceUrl") or "")
            if urlsplit(url).scheme in ("https", "http"):
                return url
        raise NotFound

    async def try_reading(self, db: Database, organisation: str) -> None:
        """Reads the head of one invoice and forgets it."""
        params = {"summaryOnly": "true", "page": 1, "pageSize": 1, "order": "InvoiceID ASC"}
        _heads(await self._get(db, organisation, "Invoices", params, PEOPLE))

    async def pdf(self, db: Database, organisation: str, invoice: str, patience: Patience = PEOPLE) -> bytes:
        """Xero's own PDF of an invoice."""
        answer = await self._calls.get(db, Asked(organisation, f"Invoices/{_uuid(invoice)}", {}, accept=PDF), patience)
        if not answer.body.startswith(b"%PDF-"):
            raise XeroUnavailable("Xero's answer is no PDF.")
        return answer.body

    async def shareable_invoices(self, db: Database, organisation: str, contact: str, page: int, page_size: int) -> InvoicesPage:
        """A page of a contact's sales invoices that may be shared, in the order of their ids."""
        params = {"ContactIDs": _uuid(contact), "Statuses": ",".join(sorted(SHAREABLE)), "where": 'Type=="ACCREC"', "page": page}
        params |= {"pageSize": page_size, "order": "InvoiceID ASC", "unitdp": 4}
        return _invoices(await self._get(db, organisation, "Invoices", params, BACKGROUND))

    async def invoices_changed(
        self, db: Database, organisation: str, contact: str, since: datetime, page: int, page_size: int
    ) -> InvoicesPage:
        """A page of a contact's invoices of any kind that changed since then, in the order of their ids."""
        params = {"ContactIDs": _uuid(contact), "page": page, "pageSize": page_size, "order": "InvoiceID ASC", "unitdp": 4}
        return _invoices(await self._get(db, organisation, "Invoices", params, BACKGROUND, since))

    async def invoices_by_ids(self, db: Database, organisation: str, invoices: Iterable[str]) -> InvoicesPage:
        """Invoices of any kind; ids that are unknown are left out. At most 40 ids: Xero answers 404 when a query grows too long.

        When they are too large for one answer, each half of them is asked for.
        """
        ids = [_uuid(invoice) for invoice in invoices]
        params = {"IDs": ",".join(ids), "page": 1, "pageSize": 100, "unitdp": 4}
        try:
            return _invoices(await self._get(db, organisation, "Invoices", params, BACKGROUND))
        except XeroTooLarge:
            if len(ids) < 2:
                raise
        middle = len(ids) // 2
        return _together([await self.invoices_by_ids(db, organisation, half) for half in (ids[:middle], ids[middle:])])

    async def heads_changed(self, db: Database, organisation: str, since: datetime, page: int) -> HeadsPage:
        """Heads of all invoices of the organisation that changed since then.

        By id, not by time: an invoice that changes between two pages must not move others over the edge of a page.
        """
        params = {"summaryOnly": "true", "page": page, "pageSize": LARGEST_PAGE, "order": "InvoiceID ASC"}
        return _heads(await self._get(db, organisation, "Invoices", params, BACKGROUND, since))

    async def heads_of_contact(self, db: Database, organisation: str, contact: str, page: int) -> HeadsPage:
        """Heads of all invoices of a contact, in the order of their ids."""
        params = {"ContactIDs": _uuid(contact), "summaryOnly": "true", "page": page, "pageSize": LARGEST_PAGE, "order": "InvoiceID ASC"}
        return _heads(await self._get(db, organisation, "Invoices", params, BACKGROUND))

    async def aclose(self) -> None:
        await self._calls.aclose()

    async def _get(
        self, db: Database, organisation: str, path: str, params: Mapping[str, Any], patience: Patience, since: datetime | None = None
    ) -> Document:
        return await self._calls.document(db, Asked(organisation, path, params, since), patience)


def _uuid(text: str) -> str:
    """Raises NotFound for what cannot be an id, so that nothing else gets into an address."""
    try:
        return str(UUID(text))
    except ValueError as error:
        raise NotFound from error


def _together(pages: Sequence[InvoicesPage]) -> InvoicesPage:
    """Several answers as one, as old as the oldest."""
    return InvoicesPage(
        invoices=[invoice for page in pages for invoice in page.invoices],
        faults=[fault for page in pages for fault in page.faults],
        total=sum(page.total for page in pages),
        pages=1,
        read_at=min(page.read_at for page in pages),
    )


def _contacts(answer: Document) -> ContactsPage:
    raw = answer.items("Contacts")
    paged = "pagination" in answer.content
    try:
        return ContactsPage(
            contacts=[wire.read_contact(it) for it in raw],
            total=answer.pagination("itemCount") if paged else len(raw),
            pages=answer.pagination("pageCount") if paged else 1,
            read_at=answer.read_at,
        )
    except wire.Unreadable as error:
        raise XeroUnavailable("Xero's answer cannot be used.") from error


def _invoices(answer: Document) -> InvoicesPage:
    invoices, faults = wire.read_each(answer.items("Invoices"), wire.read_invoice)
    return InvoicesPage(
        invoices=invoices,
        faults=faults,
        total=answer.pagination("itemCount"),
        pages=answer.pagination("pageCount"),
        read_at=answer.read_at,
    )


def _heads(answer: Document) -> HeadsPage:
    try:
        heads = [wire.read_head(raw) for raw in answer.items("Invoices")]
    except wire.Unreadable as error:
        raise XeroUnavailable("Xero's answer cannot be used.") from error
    return HeadsPage(heads=heads, pages=answer.pagination("pageCount"), read_at=answer.read_at)
