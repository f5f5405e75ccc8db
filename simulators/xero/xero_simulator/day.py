"""Playing a day: forty ordinary changes to the books, over ten minutes or at once."""

import asyncio
import random
from collections.abc import Callable
from decimal import Decimal

from xero_simulator import actions, ledger
from xero_simulator.books import Refused
from xero_simulator.demo.kowhai_contacts import FIRST_CLIENT
from xero_simulator.documents import Invoice
from xero_simulator.simulator import Day, Simulator

STEPS, SECONDS = 40, 600.0
OPEN = "type = 'ACCREC' AND status = 'AUTHORISED' AND due_amount > 0"
UNTOUCHED = f"{OPEN} AND paid_amount = 0 AND credited_amount = 0"
Deed = tuple[str, int, str, Callable[[Simulator, Invoice], object]]


DEEDS: list[Deed] = [
    ("{} was paid", 9, OPEN, lambda s, i: actions.pay(s, i.id, reference="bank transfer")),
    ("{} was paid in part", 6, OPEN, lambda s, i: actions.part_pay(s, i.id)),
    ("a payment on {} was deleted", 3, "type = 'ACCREC' AND paid_amount > 0", lambda s, i: actions.delete_payment(s, i.id)),
    ("{} was edited", 5, UNTOUCHED, lambda s, i: actions.edit(s, i.id, unit=i.lines[0].unit + 5)),
    ("{} was edited twice", 2, UNTOUCHED, lambda s, i: actions.edit_twice(s, i.id)),
    ("{} was approved", 5, "status IN ('DRAFT', 'SUBMITTED')", lambda s, i: actions.set_status(s, i.id, "AUTHORISED")),
    ("{} was voided", 2, UNTOUCHED, lambda s, i: actions.set_status(s, i.id, "VOIDED")),
    ("{} was credited in part", 3, OPEN, lambda s, i: actions.credit(s, i.id, i.due_amount / 2)),
    ("{} was moved to another client", 1, UNTOUCHED, lambda s, i: actions.move(s, i.id, _another_contact(s, i))),
    ("the client of {} was renamed", 1, OPEN, lambda s, i: _rename_contact(s, i)),
    ("the client of {} got another invoice", 8, OPEN, lambda s, i: actions.create(s, i.contact, Decimal("64.50"), "Later work")),
]


def play_at_once(simulator: Simulator, day: Day) -> None:
    """All steps now. Raises Refused while a day is being played."""
    chance = _begin(simulator, day)
    while day.done < day.total:
        _step(simulator, day, chance)


def play_slowly(simulator: Simulator, day: Day) -> None:
    """All steps over ten minutes, in the background; a restart ends it. Raises Refused while a day is being played."""
    chance = _begin(simulator, day)

    async def run() -> None:
        while day.done < day.total:
            _step(simulator, day, chance)
            await asyncio.sleep(SECONDS / STEPS)

    day.task = asyncio.create_task(run())


def _begin(simulator: Simulator, day: Day) -> random.Random:
    if day.running:
        raise Refused("A day is being played already")
    played = int(simulator.store.fact("days_played") or 0) + 1
    simulator.store.remember("days_played", str(played))
    day.total, day.done, day.told = STEPS, 0, []
    return random.Random(f"{simulator.store.fact('seed')}/day {played}")


def _step(simulator: Simulator, day: Day, chance: random.Random) -> None:
    """One deed on a fitting document; a deed that finds none or is refused is drawn again."""
    for _ in range(50):
        (text, _weight, condition, deed) = chance.choices(DEEDS, [weight for _, weight, _, _ in DEEDS])[0]
        invoice = _pick(simulator, chance, condition)
        if invoice is None:
            continue
        try:
            deed(simulator, invoice)
        except Refused:
            continue
        day.told.insert(0, text.format(invoice.number[:60]))
        break
    day.done += 1


def _pick(simulator: Simulator, chance: random.Random, condition: str) -> Invoice | None:
    """Any fitting document of the connected organisations (of the studio when none is); often one of the first client."""
    store = simulator.store
    connected = [row["organisation"] for row in store.rows("SELECT DISTINCT organisation FROM connections WHERE live ORDER BY 1")]
    organisation = chance.choice(connected or [ledger.organisation(store, "kowhai").id])
    often = chance.random() < 0.4
    sql = f"""SELECT id FROM invoices WHERE organisation = ? AND {condition} AND contact IN
        (SELECT id FROM contacts WHERE status = 'ACTIVE' AND (? OR number = ?)) ORDER BY id"""
    rows = store.rows(sql, organisation, not often, FIRST_CLIENT.lower())
    return ledger.invoice(store, chance.choice(rows)["id"]) if rows else None


def _another_contact(simulator: Simulator, invoice: Invoice) -> str:
    sql = "SELECT id FROM contacts WHERE organisation = ? AND status = 'ACTIVE' AND is_customer AND id <> ? ORDER BY id LIMIT 1"
    row = simulator.store.row(sql, invoice.organisation, invoice.contact)
    if row is None:
        raise Refused("There is no other client")
    return str(row["id"])


def _rename_contact(simulator: Simulator, invoice: Invoice) -> None:
    contact = ledger.contact(simulator.store, invoice.contact)
    ending = " (new name)"
    name = contact.name.removesuffix(ending) if contact.name.endswith(ending) else f"{contact.name[:240]}{ending}"
    actions.rename(simulator, contact.id, name)
