"""Contacts as the API writes them: created, changed, archived; and the contact named inside a document."""

import re
import uuid
from datetime import datetime

from xero_simulator import actions, books, ledger, shapes
from xero_simulator.books import Refused
from xero_simulator.documents import Contact, Person
from xero_simulator.inputs import GivenContact
from xero_simulator.shapes import Json
from xero_simulator.store import fold
from xero_simulator.writes import Write

ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")
PLAIN = ("first_name", "last_name", "company_number")


def write_contact(write: Write, element: Json) -> Json:
    """One element of PUT or POST /Contacts."""
    given = GivenContact.model_validate(element)
    with write.simulator.change() as now:
        return shapes.contact_full(_upsert(write, given, now))


def contact_of_document(write: Write, given: GivenContact | None, now: datetime) -> Contact:
    """The contact a document is for. Whatever is sent beside its id changes the contact; an unknown name makes a new one."""
    if given is None or not (given.contact_id or given.contact_number or given.name):
        raise Refused("A Contact must be specified for this type of transaction")
    known = _known(write, given)
    if known and not given.model_fields_set - {"contact_id"}:
        contact = known
    elif known:
        contact = _change(write, known, given, now)
    else:
        contact = _upsert(write, given, now)
    if contact.status != "ACTIVE":
        raise Refused("The contact is archived and cannot be used on documents")
    return contact


def _upsert(write: Write, given: GivenContact, now: datetime) -> Contact:
    known = _known(write, given)
    if known is not None and write.creates_only and not given.contact_id:
        raise Refused(
            f"The contact name {known.name} is already assigned to another contact. "
            "The contact name must be unique across all active contacts."
        )
    return _change(write, known, given, now) if known else _create(write, given, now)


def _known(write: Write, given: GivenContact) -> Contact | None:
    """By id, else by number, else by name among the active ones. Raises NotFound for an id nobody has."""
    if given.contact_id:
        found = ledger.contact(write.simulator.store, given.contact_id)
        if found.organisation != write.organisation.id:
            raise ledger.NotFound("The contact was not found")
        return found
    for column, value, status in (("number", given.contact_number, ""), ("name", given.name, "AND status = 'ACTIVE'")):
        if value:
            sql = f"SELECT doc FROM contacts WHERE organisation = ? AND {column} = ? {status}"
            row = write.simulator.store.row(sql, write.organisation.id, fold(value))
            if row:
                return Contact.model_validate_json(row["doc"])
    return None


def _create(write: Write, given: GivenContact, now: datetime) -> Contact:
    made = Contact(id=str(uuid.uuid4()), organisation=write.organisation.id, number=given.contact_number, name="-", updated=now)
    books.rename(made, given.name or "", actions.active_names(write.simulator, made), now)
    _fill(made, given)
    return actions.keep_contact(write.simulator, made, now, "CREATE")


def _change(write: Write, contact: Contact, given: GivenContact, now: datetime) -> Contact:
    if given.name is not None and given.name != contact.name:
        books.rename(contact, given.name, actions.active_names(write.simulator, contact), now)
    if given.contact_number is not None:
        contact.number = given.contact_number
    _fill(contact, given)
    if given.contact_status == "ARCHIVED" and contact.status == "ACTIVE":
        books.archive(contact, now)
    books.touch(contact, now)
    return actions.keep_contact(write.simulator, contact, now)


def _fill(contact: Contact, given: GivenContact) -> None:
    """Sets what was sent. A list of persons replaces the one before."""
    if given.email_address and not ADDRESS.fullmatch(given.email_address):
        raise Refused("Email address must be valid.")
    if given.email_address is not None:
        contact.email = given.email_address
    for name in PLAIN:
        if (value := getattr(given, name)) is not None:
            setattr(contact, name, value)
    if given.default_currency is not None:
        contact.currency = given.default_currency
    if given.contact_persons is not None:
        contact.persons = [
            Person(first_name=p.first_name, last_name=p.last_name, email=p.email_address, include_in_emails=p.include_in_emails)
            for p in given.contact_persons
        ]
