"""Documents of the books in the field names and forms of the accounting API."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from xero_simulator import wire
from xero_simulator.documents import Allocation, AppliedCredit, AppliedPayment, Contact, Credit, Invoice, Line, Organisation, Payment

Json = dict[str, Any]
PHONES = ("DDI", "DEFAULT", "FAX", "MOBILE")
LISTS_IN = {"credit_note": "CreditNotes", "overpayment": "Overpayments", "prepayment": "Prepayments"}
TYPES = {"credit_note": "ACCRECCREDIT", "overpayment": "RECEIVE-OVERPAYMENT", "prepayment": "RECEIVE-PREPAYMENT"}
IDS_IN = {"credit_note": "CreditNoteID", "overpayment": "OverpaymentID", "prepayment": "PrepaymentID"}


@dataclass(frozen=True)
class Detail:
    """How much of a document is told: lines and payments or not, the contact in full or not, decimals of unit prices."""

    lines: bool = True
    summary: bool = False
    whole_contact: bool = False
    unit_places: int = 2


def invoice(it: Invoice, contact: Contact, detail: Detail) -> Json:
    shape: Json = {"Type": it.type, "InvoiceID": it.id, "InvoiceNumber": it.number}
    if it.type == "ACCREC":
        shape["Reference"] = it.reference
    if not detail.summary:
        shape["Payments"] = [_applied_payment(payment) for payment in it.payments]
        shape.update(_applied_credits(it.credits))
    shape.update(AmountDue=wire.money(it.due_amount), AmountPaid=wire.money(it.paid_amount), AmountCredited=wire.money(it.credited_amount))
    shape.update(SentToContact=it.sent, CurrencyRate=wire.rate(it.rate), HasErrors=False, IsDiscounted=it.discount != 0)
    if not detail.summary:
        shape["HasAttachments"] = it.has_attachments
    shape["Contact"] = contact_full(contact) if detail.whole_contact else contact_summary(contact)
    shape.update(_dates(it))
    shape.update(Status=it.status, LineAmountTypes=it.amounts)
    if not detail.summary:
        shape["LineItems"] = [_line(line, detail.unit_places) for line in it.lines] if detail.lines else []
    shape.update(_totals(it))
    if it.discount and not detail.summary:
        shape["TotalDiscount"] = wire.money(it.discount)
    return shape


def _dates(it: Invoice) -> Json:
    dates: Json = {"DateString": wire.day_string(it.date), "Date": wire.day(it.date)}
    if it.due:
        dates.update(DueDateString=wire.day_string(it.due), DueDate=wire.day(it.due))
    return dates


def _totals(it: Invoice | Credit) -> Json:
    totals: Json = {"SubTotal": wire.money(it.subtotal), "TotalTax": wire.money(it.tax), "Total": wire.money(it.total)}
    totals.update(UpdatedDateUTC=wire.instant(it.updated), UpdatedDateUTCString=wire.instant_string(it.updated), CurrencyCode=it.currency)
    if it.paid_on:
        totals["FullyPaidOnDate"] = wire.day(it.paid_on)
    return totals


def _line(line: Line, places: int) -> Json:
    shape: Json = {"LineItemID": line.id, "Description": line.description, "Quantity": wire.quantity(line.quantity)}
    shape["UnitAmount"] = wire.unit_price(line.unit, places)
    if line.discount is not None:
        shape["DiscountRate"] = wire.money(line.discount)
    shape.update(TaxType=line.tax_type, TaxAmount=wire.money(line.tax), LineAmount=wire.money(line.amount), AccountCode=line.account)
    tracking = [
        {"TrackingCategoryID": t.category_id, "TrackingOptionID": t.option_id, "Name": t.name, "Option": t.option} for t in line.tracking
    ]
    return {**shape, "Tracking": tracking}


def _applied_payment(it: AppliedPayment) -> Json:
    return {
        "PaymentID": it.id,
        "Date": wire.day(it.date),
        "Amount": wire.money(it.amount),
        "Reference": it.reference,
        "CurrencyRate": wire.rate(it.rate),
        "HasAccount": False,
        "HasValidationErrors": False,
    }


def _applied_credits(credits: list[AppliedCredit]) -> dict[str, list[Json]]:
    lists: dict[str, list[Json]] = {name: [] for name in LISTS_IN.values()}
    for it in credits:
        shape: Json = {IDS_IN[it.kind]: it.credit, "ID": it.credit}
        if it.number:
            shape["CreditNoteNumber"] = it.number
        shape.update(HasErrors=False, AppliedAmount=wire.money(it.amount), DateString=wire.day_string(it.date), Date=wire.day(it.date))
        lists[LISTS_IN[it.kind]].append({**shape, "LineItems": []})
    return lists


def contact_summary(it: Contact) -> Json:
    empty: Json = {"Addresses": [], "Phones": [], "ContactGroups": [], "ContactPersons": []}
    return {"ContactID": it.id, "Name": it.name, **empty, "HasValidationErrors": False}


def contact_full(it: Contact) -> Json:
    """A contact by id or on a page; `Balances` are added by the caller, who knows the invoices."""
    shape = contact_listed(it)
    if it.merged_into:
        shape["MergedToContactID"] = it.merged_into
    shape["PaymentTerms"] = {"Sales": {"Day": 20, "Type": "DAYSAFTERBILLDATE"}}
    return shape


def contact_listed(it: Contact, summary: bool = False) -> Json:
    """A contact on an unpaged list, or with less still on a summary."""
    shape: Json = {"ContactID": it.id}
    if it.number is not None:
        shape["ContactNumber"] = it.number
    shape.update(ContactStatus=it.status, Name=it.name)
    if it.first_name or it.last_name:
        shape.update(FirstName=it.first_name, LastName=it.last_name)
    if it.company_number:
        shape["CompanyNumber"] = it.company_number
    shape.update(EmailAddress=it.email, BankAccountDetails="", Addresses=_addresses(it), Phones=_phones(it))
    shape.update(UpdatedDateUTC=wire.instant(it.updated), ContactGroups=[])
    if it.currency:
        shape["DefaultCurrency"] = it.currency
    if not summary:
        persons = [
            {"FirstName": p.first_name, "LastName": p.last_name, "EmailAddress": p.email, "IncludeInEmails": p.include_in_emails}
            for p in it.persons
        ]
        shape.update(IsSupplier=it.is_supplier, IsCustomer=it.is_customer, ContactPersons=persons)
    return {**shape, "HasAttachments": False, "HasValidationErrors": False}


def _addresses(it: Contact) -> list[Json]:
    street = {"AddressType": "STREET", "City": "", "Region": "", "PostalCode": "", "Country": "", "AttentionTo": ""}
    return [street, {**street, "AddressType": "POBOX", "City": it.city, "Country": it.country}]


def _phones(it: Contact) -> list[Json]:
    return [
        {"PhoneType": kind, "PhoneNumber": it.phone if kind == "DEFAULT" else "", "PhoneAreaCode": "", "PhoneCountryCode": ""}
        for kind in PHONES
    ]


def payment(it: Payment, of: Invoice, contact: Contact) -> Json:
    owner = {"ContactID": contact.id, "Name": contact.name, "HasValidationErrors": False}
    document = {"Type": of.type, "InvoiceID": of.id, "InvoiceNumber": of.number, "Payments": [], "CreditNotes": [], "Prepayments": []}
    tail = {"Overpayments": [], "HasErrors": False, "IsDiscounted": False, "Contact": owner, "LineItems": [], "CurrencyCode": of.currency}
    return {
        "PaymentID": it.id,
        "Date": wire.day(it.date),
        "BankAmount": wire.money(it.bank_amount),
        "Amount": wire.money(it.amount),
        "Reference": it.reference,
        "CurrencyRate": wire.rate(it.rate),
        "PaymentType": it.type,
        "Status": it.status,
        "UpdatedDateUTC": wire.instant(it.updated),
        "UpdatedDateUTCString": wire.instant_string(it.updated),
        "HasAccount": True,
        "IsReconciled": it.reconciled,
        "Account": {"Code": "090"},
        "Invoice": {**document, **tail},
        "HasValidationErrors": False,
    }


def allocation(it: Allocation) -> Json:
    invoice = {"InvoiceID": it.invoice, "InvoiceNumber": it.number}
    return {"AllocationID": it.id, "Amount": wire.money(it.amount), "Date": wire.day(it.date), "Invoice": invoice}


def credit(it: Credit, contact: Contact, detail: Detail) -> Json:
    """A credit note, an overpayment or a prepayment."""
    used = sum((a.amount for a in it.allocations), Decimal("0.00"))
    shape: Json = {IDS_IN[it.kind]: it.id, "ID": it.id, "Type": TYPES[it.kind]}
    if it.kind == "credit_note":
        shape["CreditNoteNumber"] = it.number or ""
    shape.update(Payments=[_applied_payment(payment) for payment in it.payments], Allocations=[allocation(a) for a in it.allocations])
    shape.update(RemainingCredit=wire.money(it.remaining), AppliedAmount=wire.money(used), HasAttachments=False, HasErrors=False)
    shape.update(CurrencyRate=wire.rate(it.rate), Reference=it.reference, SentToContact=False)
    shape["Contact"] = contact_full(contact) if detail.whole_contact else contact_summary(contact)
    shape.update(DateString=wire.day_string(it.date), Date=wire.day(it.date), Status=it.status, LineAmountTypes=it.amounts)
    shape["LineItems"] = [_line(line, detail.unit_places) for line in it.lines] if detail.lines else []
    return {**shape, **_totals(it)}


def organisation(it: Organisation) -> Json:
    locked: Json = {"PeriodLockDate": wire.day(it.locked_until)} if it.locked_until else {}
    return {
        **locked,
        "Name": it.name,
        "LegalName": it.name,
        "PaysTax": True,
        "Version": it.country,
        "OrganisationType": "COMPANY",
        "BaseCurrency": it.currency,
        "CountryCode": it.country,
        "IsDemoCompany": False,
        "OrganisationStatus": "ACTIVE",
        "FinancialYearEndDay": 31,
        "FinancialYearEndMonth": 3,
        "SalesTaxBasis": "INVOICE",
        "SalesTaxPeriod": "TWOMONTHS" if it.country == "NZ" else "QUARTERLY",
        "DefaultSalesTax": it.sales_tax,
        "DefaultPurchasesTax": "Tax Inclusive",
        "CreatedDateUTC": wire.instant(it.created),
        "OrganisationEntityType": "COMPANY",
        "Timezone": it.xero_zone,
        "ShortCode": it.short_code,
        "OrganisationID": it.id,
        "Edition": "BUSINESS",
        "Class": "STANDARD",
        "LineOfBusiness": "",
        "Addresses": [],
        "Phones": [],
        "ExternalLinks": [],
        "PaymentTerms": {},
    }
