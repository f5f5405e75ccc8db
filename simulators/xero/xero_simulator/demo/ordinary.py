"""Ordinary business: invoices without a story, spread over 26 months and mostly paid."""

import random

from xero_simulator.demo.plan import Plan, Row

DAYS = 790
STUDIO = [
    ("Design work, hours", "120.00"),
    ("Brand guidelines", "1450.00"),
    ("Photography, half day", "480.00"),
    ("Copy writing", "95.00"),
    ("Layout of annual report", "2300.00"),
    ("Business cards, box", "64.50"),
    ("Signage drawing", "310.00"),
    ("Site visit", "75.00"),
]
ADVICE = [
    ("Bookkeeping, month", "240.00"),
    ("Payroll run", "66.00"),
    ("Year-end accounts", "1800.00"),
    ("Tax return", "420.00"),
    ("Advice, hours", "150.00"),
    ("Company filing", "54.00"),
]


def fill(plan: Plan, contacts: list[str], count: int, prefix: str, catalogue: list[tuple[str, str]]) -> None:
    """Adds `count` invoices numbered by date; the tax is the organisation's usual one."""
    chance = random.Random(f"{plan.seed}/{plan.organisation.key}/{prefix}")
    usual = "15" if plan.organisation.country == "NZ" else "20"
    first = 1 if prefix not in ("INV", "PL") else 1001
    days = sorted(-DAYS + int(chance.random() * (DAYS - 1)) for _ in range(count))
    for place, issued in enumerate(days):
        contact = contacts[place] if place < len(contacts) else chance.choice(contacts)
        rows = [_row(chance, catalogue, usual) for _ in range(chance.choice((1, 1, 2, 2, 3, 4)))]
        _add(plan, chance, f"{prefix}-{first + place:04}", contact, rows, issued)


def _row(chance: random.Random, catalogue: list[tuple[str, str]], usual: str) -> Row:
    description, price = chance.choice(catalogue)
    return description, chance.choice(("1", "1", "2", "3", "0.5", "1.75")), price, usual


def _add(plan: Plan, chance: random.Random, number: str, contact: str, rows: list[Row], issued: int) -> None:
    due = issued + chance.choice((7, 14, 20, 20, 30))
    amounts = "Inclusive" if plan.organisation.country == "GB" else "Exclusive"
    reference = chance.choice(("", "", f"PO {chance.randrange(100, 999)}", f"Job {chance.randrange(10, 99)}"))
    status = _status(chance, due)
    invoice = plan.invoice(number, contact, rows, issued, due, status, amounts=amounts, reference=reference)
    likely = 0.97 if due < -60 else 0.8 if due < 0 else 0.3
    if status == "AUTHORISED" and issued < -3 and chance.random() < likely:
        paid_on = chance.randint(issued + 1, max(issued + 1, min(due + 12, -1)))
        part = chance.random() < 0.1
        plan.pay(invoice, paid_on, f"{invoice.total / 2:.2f}" if part else None, number)


def _status(chance: random.Random, due: int) -> str:
    roll = chance.random()
    if roll < 0.02:
        return "VOIDED"
    return "DRAFT" if due > 5 and roll < 0.1 else "AUTHORISED"
