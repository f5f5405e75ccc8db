"""Xero's accounting API, read-only: only GET can leave this client.

Addresses are built from XERO_API_URL and checked ids alone; an address found in data is never called.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from common.contracts.xero_gateway import SHAREABLE
from common.deadlines import remaining
from common.errors import NotFound
from common.ids import tenant_id
from common.logging import get_logger
from common.money import read_json
from common.mongo import Database
from xero_gateway import store, wire
from xero_gateway.clients import AccessToken, AccessTokens
from xero_gateway.errors import XeroBusy, XeroUnavailable
from xero_gateway.models import Contact, ContactsPage, HeadsPage, InvoicesPage, SummariesPage

LARGEST_PAGE = 1000
LARGEST_ANSWER = 32 * 1024 * 1024
LONGEST_SEARCH = 100
IN_FLIGHT = 5
"""Xero's own limit of calls at the same time for one organisation."""

UNKNOWN_LIMIT_SECONDS = 5.0
"""Xero says how long to wait for its minute and day limits only."""

log = get_logger()


@dataclass(frozen=True)
class Patience:
    """Seconds a call may take, and how long it may wait for its turn."""

    seconds: float
    turn: float


PEOPLE = Patience(seconds=6.0, turn=3.0)
BACKGROUND = Patience(seconds=30.0, turn=30.0)


@dataclass(frozen=True)
class _Answer:
    """The JSON of one answer; `read_at` is the database's time when its request began."""

    document: Mapping[str, Any]
    read_at: datetime

    def items(self, name: str) -> list[Any]:
        found = self.document.get(name)
        if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
            raise XeroUnavailable("Xero's answer cannot be used.")
        return found

    def pagination(self, name: str) -> int:
        found = self.document.get("pagination")
        number = found.get(name) if isinstance(found, dict) else None
        if not isinstance(number, int):
            raise XeroUnavailable("Xero's answer cannot be used.")
        return number


class WriteRefused(Exception):
    """Something tried to send Xero another method than GET."""


class _GetOnly(httpx.AsyncHTTPTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.method != "GET":
            raise WriteRefused(request.method)
        return await super().handle_async_request(request)


class Xero:
    """Reads one organisation's contacts and invoices.

    Every method raises NotFound, XeroNeedsReauth, XeroUnavailable or XeroBusy, and DatabaseUnavailable.
    """

    def __init__(self, base_url: str, tokens: AccessTokens) -> None:
        self._tokens = tokens
        self._turns: dict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(IN_FLIGHT))
        self._client = httpx.AsyncClient(
            base_url=f"{base_url.rstrip('/')}/",
            transport=_GetOnly(retries=1, limits=httpx.Limits(max_connections=200, max_keepalive_connections=50)),
            timeout=httpx.Timeout(None, connect=3.0),
            headers={"accept": "application/json", "user-agent": "client-invoices"},
            follow_redirects=False,
            trust_env=False,
        )

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

    async def summaries(self, db: Database, organisation: str, contact: str, page: int) -> SummariesPage:
        """A page of 1,000 of all of a contact's invoices and bills, in the order of their ids, without lines."""
        params = {"ContactIDs": _uuid(contact), "page": page, "pageSize": LARGEST_PAGE, "order": "InvoiceID ASC", "unitdp": 4}
        answer = await self._get(db, organisation, "Invoices", params, PEOPLE)
        invoices, faults = wire.read_each(answer.items("Invoices"), wire.read_summary)
        return SummariesPage(
            invoices=invoices,
            faults=faults,
            total=answer.pagination("itemCount"),
            pages=answer.pagination("pageCount"),
            read_at=answer.read_at,
        )

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
        """Invoices of any kind; ids that are unknown are left out. At most 40 ids: Xero answers 404 when a query grows too long."""
        ids = ",".join(_uuid(invoice) for invoice in invoices)
        params = {"IDs": ids, "page": 1, "pageSize": 100, "unitdp": 4}
        return _invoices(await self._get(db, organisation, "Invoices", params, BACKGROUND))

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
        await self._client.aclose()
        await self._tokens.aclose()

    async def _get(
        self, db: Database, organisation: str, path: str, params: Mapping[str, Any], patience: Patience, since: datetime | None = None
    ) -> _Answer:
        """One GET, in turn and within the time; a refused token is reported and replaced once."""
        try:
            async with asyncio.timeout(remaining(patience.seconds)), _Turn(self._turns[organisation], patience.turn):
                if (seconds := await store.find_pause(db, organisation)) is not None:
                    raise XeroBusy(retry_after=seconds)
                read_at = await db.now()
                for _ in range(2):
                    token = await self._tokens.get(organisation)
                    status, headers, body = await self._send(organisation, token, path, params, since)
                    if status not in (401, 403):
                        return _Answer(await _usable(db, organisation, status, headers, body, path), read_at)
                    log.warning("xero.refused", organisation_id=organisation, status=status)
                    await self._tokens.refused(organisation, token, status)
        except (TimeoutError, httpx.HTTPError) as error:
            log.warning("xero.no_answer", organisation_id=organisation, reason=type(error).__name__)
            raise XeroUnavailable from error
        raise XeroUnavailable("Xero refuses a connection that is said to be in order.")

    async def _send(
        self, organisation: str, token: AccessToken, path: str, params: Mapping[str, Any], since: datetime | None
    ) -> tuple[int, httpx.Headers, bytes]:
        headers = {"authorization": f"Bearer {token.access_token.get_secret_value()}", "xero-tenant-id": tenant_id(organisation)}
        if since:
            headers["if-modified-since"] = since.strftime("%Y-%m-%dT%H:%M:%S")
        async with self._client.stream("GET", path, params=dict(params), headers=headers) as answer:
            body = bytearray()
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > LARGEST_ANSWER:
                    log.error("xero.answer_too_large", path=path.partition("/")[0])
                    raise XeroUnavailable("Xero's answer is larger than can be taken.")
            return answer.status_code, answer.headers, bytes(body)


class _Turn:
    """One of the calls an organisation may have in flight. Raises XeroBusy when none is free in time."""

    def __init__(self, turns: asyncio.Semaphore, seconds: float) -> None:
        self._turns = turns
        self._seconds = seconds

    async def __aenter__(self) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                await self._turns.acquire()
        except TimeoutError:
            raise XeroBusy("Too many requests are waiting for Xero.", retry_after=self._seconds) from None

    async def __aexit__(self, *_: object) -> None:
        self._turns.release()


async def _usable(db: Database, organisation: str, status: int, headers: httpx.Headers, body: bytes, path: str) -> Mapping[str, Any]:
    """The document of a good answer; raises what any other means."""
    if status == 404 and "/" in path:
        raise NotFound
    if status == 429:
        seconds = _retry_after(headers)
        log.warning("xero.limit", organisation_id=organisation, problem=headers.get("x-rate-limit-problem"), seconds=seconds)
        await store.pause(db, organisation, seconds)
        raise XeroBusy(retry_after=seconds)
    if status != 200:
        log.warning("xero.failed", organisation_id=organisation, status=status, path=path.partition("/")[0])
        raise XeroUnavailable
    try:
        document = read_json(body)
    except (ValueError, RecursionError) as error:
        log.warning("xero.no_json", organisation_id=organisation, path=path.partition("/")[0])
        raise XeroUnavailable("Xero's answer cannot be used.") from error
    if not isinstance(document, dict):
        raise XeroUnavailable("Xero's answer cannot be used.")
    return document


def _retry_after(headers: httpx.Headers) -> float:
    text = headers.get("retry-after", "")
    return max(1.0, float(text)) if text.isdigit() else UNKNOWN_LIMIT_SECONDS


def _uuid(text: str) -> str:
    """Raises NotFound for what cannot be an id, so that nothing else gets into an address."""
    try:
        return str(UUID(text))
    except ValueError as error:
        raise NotFound from error


def _contacts(answer: _Answer) -> ContactsPage:
    raw = answer.items("Contacts")
    paged = "pagination" in answer.document
    try:
        return ContactsPage(
            contacts=[wire.read_contact(it) for it in raw],
            total=answer.pagination("itemCount") if paged else len(raw),
            pages=answer.pagination("pageCount") if paged else 1,
            read_at=answer.read_at,
        )
    except wire.Unreadable as error:
        raise XeroUnavailable("Xero's answer cannot be used.") from error


def _invoices(answer: _Answer) -> InvoicesPage:
    invoices, faults = wire.read_each(answer.items("Invoices"), wire.read_invoice)
    return InvoicesPage(
        invoices=invoices,
        faults=faults,
        total=answer.pagination("itemCount"),
        pages=answer.pagination("pageCount"),
        read_at=answer.read_at,
    )


def _heads(answer: _Answer) -> HeadsPage:
    try:
        heads = [wire.read_head(raw) for raw in answer.items("Invoices")]
    except wire.Unreadable as error:
        raise XeroUnavailable("Xero's answer cannot be used.") from error
    return HeadsPage(heads=heads, pages=answer.pagination("pageCount"), read_at=answer.read_at)
