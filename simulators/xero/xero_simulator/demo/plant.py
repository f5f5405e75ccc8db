"""Writes the demo into an empty store, and again for a new day."""

from datetime import date, datetime, timedelta

from xero_simulator import ledger
from xero_simulator.demo import kowhai_contacts, kowhai_invoices, other_books, people, pike_contacts
from xero_simulator.demo.plan import Plan
from xero_simulator.demo.scale import plant_large
from xero_simulator.documents import Dated, Organisation
from xero_simulator.store import Store

LARGE = "large"
BOOKS = ("contacts", "invoices", "credits", "payments")


def plant(store: Store, seed: int, anchor: date | None, now: datetime) -> None:
    """Fills an empty store. The anchor day is kept: it is `anchor`, or today in each organisation's own zone."""
    with store.transaction():
        store.remember("seed", str(seed))
        store.remember("anchor_day", anchor.isoformat() if anchor else "")
        store.remember("anchor_moment", now.isoformat())
        for place, organisation in enumerate(people.organisations(seed)):
            ledger.save_organisation(store, organisation, place)
        _add_people(store, seed)
        _write_books(store, seed, anchor, now)


def add_large(store: Store, now: datetime, organisations: int, invoices: int) -> None:
    """Adds that many large organisations with so many invoices each, once; a second call changes their number and size."""
    with store.transaction():
        login = people.large_login(int(store.fact("seed") or 1))
        store.run("INSERT OR REPLACE INTO logins VALUES (?, ?, ?, ?)", login.id, login.key, 100, login.model_dump_json())
        store.remember(LARGE, f"{organisations} {invoices}")
        _write_large(store, now)


def _write_large(store: Store, now: datetime) -> None:
    organisations, invoices = (int(number) for number in (store.fact(LARGE) or "").split())
    for table in BOOKS:
        store.run(f"DELETE FROM {table} WHERE organisation IN (SELECT id FROM organisations WHERE key LIKE 'large-%')")
    fixed = store.fact("anchor_day")
    anchor = date.fromisoformat(fixed) if fixed else None
    plant_large(store, int(store.fact("seed") or 1), anchor, now, organisations, invoices)


def start_new_day(store: Store, now: datetime) -> None:
    """The books again, with today as anchor day; connections and logins stay. Every update time is newer than any before."""
    seed = int(store.fact("seed") or 1)
    with store.transaction():
        store.remember("anchor_day", "")
        store.remember("anchor_moment", now.isoformat())
        store.empty(*BOOKS)
        _write_books(store, seed, None, now, changed=now + timedelta(milliseconds=1))
        if store.fact(LARGE):
            _write_large(store, now)


def anchor_of(store: Store, organisation: Organisation) -> date:
    """The day that was "today" for this organisation when its books were made."""
    fixed = store.fact("anchor_day")
    return date.fromisoformat(fixed) if fixed else organisation.day_of(datetime.fromisoformat(store.fact("anchor_moment") or ""))


def _add_people(store: Store, seed: int) -> None:
    ids = {organisation.key: organisation.id for organisation in people.organisations(seed)}
    for place, login in enumerate(people.logins(seed)):
        store.run("INSERT INTO logins VALUES (?, ?, ?, ?)", login.id, login.key, place, login.model_dump_json())
        for rank, key in enumerate(people.roles()[login.key]):
            store.run("INSERT INTO roles VALUES (?, ?, ?, 1)", login.id, ids[key], rank)


def _write_books(store: Store, seed: int, anchor: date | None, now: datetime, changed: datetime | None = None) -> None:
    for organisation in people.organisations(seed):
        plan = Plan(organisation, seed, anchor or organisation.day_of(now))
        _draw(plan)
        documents: list[Dated] = [*plan.contacts.values(), *plan.invoices.values(), *plan.credits.values(), *plan.payments]
        if changed:
            for document in documents:
                document.updated = changed
        ledger.save(store, *documents)


def _draw(plan: Plan) -> None:
    match plan.organisation.key:
        case "kowhai":
            kowhai_contacts.add_contacts(plan)
            kowhai_invoices.add_invoices(plan)
        case "pike":
            pike_contacts.add_contacts(plan)
            other_books.add_pike_invoices(plan)
        case "meridian":
            other_books.add_wholesale(plan)
        case "fresh":
            pass
        case _:
            other_books.add_small_firm(plan)
