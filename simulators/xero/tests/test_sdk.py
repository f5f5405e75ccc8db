"""The official SDK, xero-python, against the simulator as a process: what it sends is understood, what it reads has the expected form."""

import secrets
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from xero_python.accounting import (
    Account,
    AccountingApi,
    Allocation,
    Allocations,
    Contact,
    Contacts,
    CreditNote,
    CreditNotes,
    Invoice,
    Invoices,
    LineItem,
    Payment,
    PaymentDelete,
    Payments,
)
from xero_python.api_client import ApiClient
from xero_python.api_client.configuration import Configuration
from xero_python.api_client.oauth2 import OAuth2Token, TokenApi
from xero_python.exceptions import AccountingBadRequestException, HTTPStatusException, NotFoundException, RateLimitException
from xero_python.identity import IdentityApi

from local.processes import free_ports
from xero_simulator.testing import REDIRECT, SCOPES, process

CLIENT = ("simulated-client", "simulated-secret")
CheckAnswer = Callable[[str, str, int, bytes], None]


class CheckedClient(ApiClient):  # type: ignore[misc]
    """The SDK's client; every answer is held against the schema."""

    def __init__(self, check_answer: CheckAnswer, configuration: Configuration, **callbacks: Any) -> None:
        super().__init__(configuration, **callbacks)
        self.check_answer = check_answer

    def request(self, method: str, url: str, **given: Any) -> Any:
        response = super().request(method, url, **given)
        self.check_answer(method, urlsplit(url).path, response.status, response.data)
        return response


class App:
    """An app written with the SDK: one login's tokens, and the two APIs."""

    def __init__(self, url: str, check_answer: CheckAnswer) -> None:
        self.url = url
        self.tokens: dict[str, Any] = {}
        self.oauth2 = OAuth2Token(*CLIENT)
        self.client = CheckedClient(
            check_answer, Configuration(oauth2_token=self.oauth2), oauth2_token_saver=self.save, oauth2_token_getter=self.load
        )
        self.client.rest_client.pool_manager.connection_pool_kw["retries"] = False  # else urllib3 sleeps through a 429 by itself
        self.accounting = AccountingApi(self.client, base_url=f"{url}/api.xro/2.0")
        self.identity = IdentityApi(self.client, base_url=url)

    def save(self, tokens: dict[str, Any]) -> None:
        self.tokens = tokens

    def load(self) -> dict[str, Any]:
        return self.tokens

    def sign_in(self, login: str = "owner", organisation: str = "kowhai", scope: str = SCOPES) -> str:
        """From consent to tokens the SDK takes as they come; answers the tenant id."""
        with httpx.Client(base_url=self.url) as http:
            tenant = next(o["id"] for o in http.get("/control/organisations").json() if o["key"] == organisation)
            asked = {"response_type": "code", "client_id": CLIENT[0], "redirect_uri": REDIRECT, "scope": scope}
            form = {**asked, "state": secrets.token_hex(8), "login": login, "organisation": tenant, "decision": "allow"}
            back = http.post("/identity/connect/authorize", data=form).headers["location"]
            (code,) = parse_qs(urlsplit(back).query)["code"]
            exchange = {"grant_type": "authorization_code", "code": code, "redirect_uri": REDIRECT}
            self.client.set_oauth2_token(http.post("/connect/token", data=exchange, auth=CLIENT).raise_for_status().json())
        return str(tenant)

    def control(self, path: str, **body: Any) -> Any:
        response = httpx.post(f"{self.url}/control/{path}", json=body)
        assert response.is_success, response.text
        return response.json() if response.content else None


@pytest.fixture(scope="module")
def url(made_books: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("sdk") / "data"
    shutil.copytree(made_books, folder)
    with process(folder, free_ports(1)[0]) as (_, client):
        yield str(client.base_url)


@pytest.fixture
def app(url: str, check_answer: CheckAnswer, monkeypatch: pytest.MonkeyPatch) -> App:
    """The minute's calls are fresh for each test: the clock was moved on."""
    monkeypatch.setattr(TokenApi, "refresh_token_url", f"{url}/connect/token")
    monkeypatch.setattr(TokenApi, "revoke_token_url", f"{url}/connect/revocation")
    it = App(url, check_answer)
    it.control("clock", advance_seconds=60)
    return it


def test_the_sdk_lists_and_ends_connections(app: App) -> None:
    app.sign_in("adviser", "firm-07")
    tenant = app.sign_in("adviser", "firm-08")
    connections = {one.tenant_id: one for one in app.identity.get_connections()}
    assert (len(connections), connections[tenant].tenant_type) == (2, "ORGANISATION")
    assert connections[tenant].created_date_utc.tzinfo is not None
    app.identity.delete_connection(connections[tenant].id)
    assert tenant not in {one.tenant_id for one in app.identity.get_connections()}
    with pytest.raises(HTTPStatusException) as refused:
        app.accounting.get_contacts(tenant)
    assert refused.value.status == 403


def test_the_sdk_refreshes_and_revokes(app: App) -> None:
    tenant = app.sign_in("colleague")
    before = app.tokens["access_token"]
    app.control("clock", advance_seconds=1801)
    with pytest.raises(HTTPStatusException) as expired:
        app.accounting.get_organisations(tenant)
    assert (expired.value.status, b"TokenExpired" in expired.value.body) == (401, True)
    app.client.refresh_oauth2_token()
    assert app.tokens["access_token"] != before
    assert app.accounting.get_organisations(tenant).organisations[0].organisation_id == tenant
    app.client.revoke_oauth2_token()
    assert app.tokens["refresh_token"] is None


def test_the_sdk_reads_contacts_by_page_and_search(app: App) -> None:
    tenant = app.sign_in("adviser", "meridian")
    page = app.accounting.get_contacts(tenant, page=52, page_size=100)
    assert (len(page.contacts), page.pagination.page_count, page.pagination.item_count) == (100, 52, 5200)
    (found,) = app.accounting.get_contacts(tenant, search_term="C-05000").contacts
    assert (found.contact_number, found.is_customer, len(found.phones)) == ("C-05000", True, 4)
    assert app.accounting.get_contact(tenant, found.contact_id).contacts[0].balances.accounts_receivable.outstanding > 0


def test_the_sdk_reads_invoices_with_exact_amounts_and_dates(app: App) -> None:
    tenant = app.sign_in()
    page = app.accounting.get_invoices(tenant, page=1, page_size=200, statuses=["AUTHORISED", "PAID"], order="InvoiceID ASC")
    assert len(page.invoices) == 200
    assert all(one.total == sum(line.line_amount for line in one.line_items) + (one.total_tax or 0) for one in page.invoices[:50])
    (paid,) = app.accounting.get_invoices(tenant, invoice_numbers=["INV-0102"], page=1).invoices
    assert (paid.total, paid.amount_due, [p.amount for p in paid.payments]) == (
        Decimal("655.50"),
        0,
        [Decimal("300.00"), Decimal("355.50")],
    )
    assert (paid.date, paid.due_date, paid.updated_date_utc.tzinfo is not None) == (date(2025, 11, 20), date(2025, 12, 10), True)
    clicks = app.accounting.get_invoice(tenant, "INV-0225", unitdp=4).invoices[0]
    assert clicks.line_items[0].unit_amount == Decimal("0.0375")
    newer = app.accounting.get_invoices(tenant, if_modified_since=paid.updated_date_utc, i_ds=[paid.invoice_id])
    assert [one.invoice_id for one in newer.invoices] == [paid.invoice_id]


def test_the_sdk_reads_payments_and_credit_of_every_kind(app: App) -> None:
    tenant = app.sign_in()
    payments = app.accounting.get_payments(tenant, page=1, page_size=50).payments
    assert {one.payment_type for one in payments} <= {"ACCRECPAYMENT", "ACCPAYPAYMENT"}
    assert all(one.amount > 0 and one.invoice.invoice_id for one in payments)
    notes = {one.credit_note_number: one for one in app.accounting.get_credit_notes(tenant, page=1).credit_notes}
    assert (notes["CN-0236"].remaining_credit, notes["CN-0112"].allocations[0].amount) == (Decimal("92.00"), Decimal("132.25"))
    over, prepaid = (app.accounting.get_invoice(tenant, number).invoices[0] for number in ("INV-0232", "INV-0233"))
    assert (over.overpayments[0].applied_amount, prepaid.prepayments[0].applied_amount) == (200, 60)


def test_the_sdk_writes_a_contact_an_invoice_a_payment_and_credit(app: App) -> None:
    tenant = app.sign_in(scope="openid offline_access accounting.contacts accounting.invoices accounting.payments")
    api, today = app.accounting, date(2026, 6, 18)
    (contact,) = api.create_contacts(
        tenant, Contacts(contacts=[Contact(name="Written by the SDK", email_address="sdk@written.example")])
    ).contacts
    line = LineItem(description="Work", quantity=3, unit_amount=33.34, account_code="200")
    sale = Invoice(type="ACCREC", contact=Contact(contact_id=contact.contact_id), date=today, due_date=today, line_items=[line])
    sale.status = "AUTHORISED"
    (made,) = api.create_invoices(tenant, Invoices(invoices=[sale]), unitdp=2, idempotency_key="sdk-1").invoices
    (again,) = api.create_invoices(tenant, Invoices(invoices=[sale]), unitdp=2, idempotency_key="sdk-1").invoices
    assert (made.total, again.invoice_id) == (Decimal("115.02"), made.invoice_id)
    (renamed,) = api.update_invoice(tenant, made.invoice_id, Invoices(invoices=[Invoice(reference="PO 3")])).invoices
    assert renamed.reference == "PO 3"
    paid = Payment(invoice=Invoice(invoice_id=made.invoice_id), account=Account(code="090"), date=today, amount=100)
    (payment,) = api.create_payments(tenant, Payments(payments=[paid])).payments
    note = CreditNote(type="ACCRECCREDIT", contact=Contact(contact_id=contact.contact_id), date=today, status="AUTHORISED")
    note.line_items = [LineItem(description="Taken back", quantity=1, unit_amount=20, tax_type="NONE", account_code="200")]
    (credit,) = api.create_credit_notes(tenant, CreditNotes(credit_notes=[note])).credit_notes
    allocation = Allocation(invoice=Invoice(invoice_id=made.invoice_id), amount=15.02, date=today)
    api.create_credit_note_allocation(tenant, credit.credit_note_id, Allocations(allocations=[allocation]))
    assert api.get_invoice(tenant, made.invoice_id).invoices[0].status == "PAID"
    api.delete_payment(tenant, payment.payment_id, PaymentDelete(status="DELETED"))
    assert api.get_invoice(tenant, made.invoice_id).invoices[0].amount_due == 100
    with pytest.raises(AccountingBadRequestException) as refused:
        api.update_invoice(tenant, made.invoice_id, Invoices(invoices=[Invoice(status="PAID")]))
    assert refused.value.error_data["Type"] == "ValidationException"


def test_the_sdk_gets_the_same_pdf_each_time(app: App) -> None:
    tenant = app.sign_in()
    first, second = (Path(app.accounting.get_invoice_as_pdf(tenant, demo_invoice(app, "INV-0103"))) for _ in range(2))
    assert first.read_bytes().startswith(b"%PDF-1.4")
    assert first.read_bytes() == second.read_bytes()


def test_the_sdk_knows_each_error_for_what_it_is(app: App) -> None:
    tenant = app.sign_in()
    with pytest.raises(NotFoundException):
        app.accounting.get_invoice(tenant, "2f7b2b1e-0000-4000-8000-000000000000")
    with pytest.raises(AccountingBadRequestException) as parse:
        app.accounting.get_invoices(tenant, where="Nonsense==1")
    assert parse.value.error_data["Type"] == "QueryParseException"
    app.control("faults", limit_minute=True)
    with pytest.raises(RateLimitException) as limited:
        app.accounting.get_contacts(tenant)
    app.control("faults", limit_minute=False)
    assert limited.value.rate_limit == "minute"


def demo_invoice(app: App, number: str) -> str:
    (found,) = httpx.get(f"{app.url}/control/invoices", params={"tenant": "kowhai", "number": number}).json()
    return str(found["id"])
