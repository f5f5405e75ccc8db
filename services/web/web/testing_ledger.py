"""For tests: organisations, contacts, invoices and accesses as the services behind the pages tell of them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

KOWHAI = "org_0ABCDEFGHJKMNPQRSTVWXYZ123"
PIKE = "org_0ZYXWVTSRQPNMKJHGFEDCBA321"
RATA = "6b7c1d2e-0000-4000-8000-000000000001"
DRAFTS_ONLY = "6b7c1d2e-0000-4000-8000-000000000002"
NO_EMAIL = "6b7c1d2e-0000-4000-8000-000000000003"
NOW = datetime.now(UTC).replace(microsecond=0)
TODAY = NOW.date()
LONG_NAME = "Te Whānau o Ngā Kaihanga Whare o Te Tai Tokerau " * 5


def an_organisation(org: str = KOWHAI, name: str = "Kōwhai & Hart Studio Ltd", state: str = "connected") -> dict[str, Any]:
    """As auth lists it."""
    since = in_utc(NOW - timedelta(days=40))
    return {"id": org, "name": name, "state": state, "since": since, "cause": None, "time_zone": "Pacific/Auckland"}


def a_device(id: str, agent: str = "Mozilla/5.0 (X11; Linux) Firefox/140.0", hours: int = 1, *, current: bool = False) -> dict[str, Any]:
    """A browser a provider is signed in on, as auth lists it."""
    now = datetime.now(UTC)
    times = {"signed_in_at": in_utc(now - timedelta(hours=hours)), "last_seen_at": in_utc(now - timedelta(minutes=hours, seconds=5))}
    return {"id": id, "agent": agent, "current": current, **times}


def a_share(number: int = 1, **changes: Any) -> dict[str, Any]:
    """One access to Rātā Joinery's invoices, active unless changed."""
    share = {
        "id": f"shr_{number:026d}",
        "organisation_id": KOWHAI,
        "contact_id": RATA,
        "contact_name": "Rātā Joinery Ltd",
        "email": f"accounts{number}@rata.example",
        "state": "active",
        "shared_by": {"name": "Hana Kōwhai", "email": "hana@kowhai.example"},
        "shared_at": in_utc(NOW - timedelta(days=number)),
        "from_date": None,
        "picked": None,
        "ends_on": None,
        "resend_at": None,
        "opened_at": None,
        "last_seen_at": in_utc(NOW - timedelta(minutes=14)),
        "views": 3,
        "ended_at": None,
        "ended_by": None,
        "ended_reason": None,
        "carried_to": None,
        "merged_to": None,
        "load_id": None,
        "load": None,
        "mail": "sent",
        "mail_reason": None,
    }
    return share | changes


def an_invoice(
    serial: int, standing: str = "open", due_in: int = 12, total: int = 124_750, paid: tuple[int, ...] = (), **changes: Any
) -> dict[str, Any]:
    """A sales invoice as xero-gateway lists it; `paid` are its payments in hundredths."""
    parts = [
        {"id": f"p{n}", "kind": "payment", "date": str(TODAY - timedelta(days=9 - n)), "amount": part, "reference": f"Bank {n + 1}"}
        for n, part in enumerate(paid)
    ]
    gone = standing in ("voided", "deleted", "credited")
    row = {
        "invoice_id": f"9a000000-0000-4000-8000-{serial:012d}",
        "number": f"INV-{serial:04d}",
        "reference": "",
        "type": "ACCREC",
        "status": {"paid": "PAID", "voided": "VOIDED", "awaiting": "SUBMITTED"}.get(standing, "AUTHORISED"),
        "standing": standing,
        "date": str(TODAY + timedelta(days=due_in - 20)),
        "due_date": str(TODAY + timedelta(days=due_in)),
        "currency": "NZD",
        "total": total,
        "amount_due": 0 if gone else total - sum(paid),
        "amount_paid": sum(paid),
        "amount_credited": total if standing == "credited" else 0,
        "payments": parts,
        "contact_name": "Rātā Joinery Ltd",
        "link": f"https://go.xero.example/app/invoicing/view/{serial}",
        "updated_at": in_utc(NOW),
    }
    return row | changes


def a_ledger() -> list[dict[str, Any]]:
    """One invoice of every standing, in three currencies."""
    return [
        an_invoice(1042, due_in=12, reference="Kitchen, Tāmaki Drive"),
        an_invoice(1041, "due_today", 0, 86_250),
        an_invoice(1040, "awaiting", 9, 45_000),
        an_invoice(1039, due_in=4, total=1_234_567_890, paid=(300_000_000, 200_000_000), reference="Stage 2 of 5"),
        an_invoice(1038, due_in=30, total=120_000_00, currency="JPY", reference="Export"),
        an_invoice(1037, "overdue", -10, 230_000),
        an_invoice(1036, "overdue", -61, 500_000, paid=(125_000,), currency="USD"),
        an_invoice(1035, "overdue", -1, -4_600, due_date=str(TODAY - timedelta(days=1))),
        an_invoice(1034, "paid", -20, 99_900, paid=(99_900,)),
        an_invoice(1033, "paid", -44, 300_000, paid=(100_000, 100_000, 100_000)),
        an_invoice(1032, "credited", -50, 12_500),
        an_invoice(1031, "voided", -70, 75_000),
        an_invoice(1030, due_in=400, due_date=None, number="INV/2026 0007-a-rather-long-number-of-somebody-else-s-system", total=0),
    ]


def a_viewing(access: int = 1, **changes: Any) -> dict[str, Any]:
    """What the address of that access did with the first invoice."""
    at = in_utc(NOW - timedelta(hours=3))
    viewing = {"share_id": f"shr_{access:026d}", "email": f"accounts{access}@rata.example", "invoice_id": FIRST, "number": "INV-1042",
               "opened": 2, "downloaded": 1, "first_at": in_utc(NOW - timedelta(days=2)), "last_at": at,
               "moments": [{"at": at, "kind": "opened"}, {"at": at, "kind": "downloaded"}]}  # fmt: skip
    return viewing | changes


FIRST = "9a000000-0000-4000-8000-000000001042"
A_MOMENT = f"{TODAY}T00:00:00Z"
A_SENDER = {
    "organisation_id": KOWHAI,
    "name": "Kōwhai & Hart Studio Ltd",
    "contacts": [{"contact_id": RATA, "name": "Rātā Joinery Ltd"}],
    "as_of": A_MOMENT,
    "not_updating_since": None,
}
A_TIMELINE = [
    {"kind": "issued", "on": "2026-05-01"},
    {"kind": "changed", "at": A_MOMENT, "changes": [{"field": "reference", "before": "a", "after": "b"}]},
    {"kind": "settled", "on": "2026-05-09", "at": A_MOMENT, "settlement": "payment", "amount": 5000, "left": 41000},
]


def a_history() -> list[dict[str, Any]]:
    """A client's timeline with an entry of every kind, the newest first, as sharing answers it."""
    share = {"share_id": f"shr_{1:026d}", "email": "accounts1@rata.example"}
    hana = {"name": "Hana Kōwhai", "email": "hana@kowhai.example"}
    invoice = {"invoice_id": FIRST, "number": "INV-1042", "currency": "NZD"}
    entries: list[dict[str, Any]] = [
        {"kind": "shares", **share, "access": "ended", "by": hana, "ended_reason": "revoked"},
        {"kind": "shares", **share, "access": "ended", "ended_reason": "carried", "carried_to": {"contact_id": NO_EMAIL, "name": None}},
        {"kind": "payments", **invoice, "happening": A_TIMELINE[2]},
        {"kind": "changes", **invoice, "happening": A_TIMELINE[1]},
        {"kind": "changes", **invoice, "number": "=1+1", "happening": {"kind": "issued", "on": "2026-05-01"}},
        {"kind": "openings", **share, **invoice, "doing": "opened"},
        {"kind": "openings", **share, "invoice_id": "statement", "doing": "downloaded"},
        {"kind": "openings", **share, "doing": "signed_in"},
        {"kind": "openings", **share, "doing": "pressed"},
        {"kind": "mails", **share, "mail": "returned", "mail_reason": "mailbox full"},
        {"kind": "mails", **share, "mail": "sent"},
        {"kind": "mails", **share, "mail": "queued"},
        {"kind": "shares", **share, "access": "shared", "by": hana},
    ]
    absent = dict.fromkeys(
        ("share_id", "email", "access", "by", "ended_reason", "carried_to", "mail", "mail_reason", "doing", "invoice_id", "number",
         "currency", "happening")
    )  # fmt: skip
    last = datetime(2026, 5, 20, 10, tzinfo=UTC)
    return [{**absent, "at": in_utc(last - timedelta(hours=hour)), **one} for hour, one in enumerate(entries)]


def a_day(offset: int = 0) -> date:
    """A date so many days from the ledger's today."""
    return TODAY + timedelta(days=offset)


def in_utc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def a_contact(contact: str, name: str, email: str | None, number: str | None) -> dict[str, Any]:
    """As xero-gateway lists it; Rātā Joinery alone has persons."""
    persons = [{"name": "Ana Kemp", "email": "ana@rata.example"}, {"name": "Tom Reid", "email": "tom.reid@otherfirm.example"}]
    return {"id": contact, "name": name, "email": email, "number": number, "is_customer": True, "is_supplier": False, "status": "ACTIVE",
            "persons": persons if contact == RATA else []}  # fmt: skip


VIEWS = {
    "unpaid": {"open", "due_today", "overdue"},
    "overdue": {"overdue"},
    "open": {"open", "due_today"},
    "paid": {"paid", "credited"},
}


def an_invoice_list(
    rows: list[dict[str, Any]],
    left_out: dict[str, int],
    view: str,
    search: str,
    page: int,
    picked: list[str] | None = None,
    hides_awaiting: bool = False,
) -> dict[str, Any]:
    """One page of these invoices with counts and totals of all, as xero-gateway and sharing answer it."""
    views = {name: [row for row in rows if row["standing"] in standings] for name, standings in VIEWS.items()} | {"all": rows}
    offered = [row for row in rows if row["status"] in ("AUTHORISED", "PAID", *(() if hides_awaiting else ("SUBMITTED",)))]
    views["shareable"] = offered
    found = [row for row in views[view] if search.casefold() in row["number"].casefold()]
    shareable = [row for row in offered if picked is None or row["invoice_id"] in picked]
    return {
        "invoices": found[(page - 1) * 50 : page * 50],
        "page": page,
        "page_size": 50,
        "total": len(found),
        "view": view,
        "counts": {name: len(held) for name, held in views.items()},
        "totals": [_totals(currency, rows, views) for currency in sorted({row["currency"] for row in rows})],
        "shareable": {
            "count": len(shareable),
            "totals": [_shareable(currency, shareable) for currency in sorted({row["currency"] for row in shareable})],
        },
        "left_out": {"draft": 0, "bill": 0, "voided": 0, "deleted": 0, "awaiting": _awaiting(rows) - _awaiting(offered)} | left_out,
        "today": str(TODAY),
        "as_of": in_utc(datetime.now(UTC) - timedelta(minutes=4, seconds=5)),
    }


def _awaiting(rows: list[dict[str, Any]]) -> int:
    return sum(row["status"] == "SUBMITTED" for row in rows)


def _totals(currency: str, rows: list[dict[str, Any]], views: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    due = {name: sum(row["amount_due"] for row in held if row["currency"] == currency) for name, held in views.items()}
    return due | {"currency": currency, "paid": sum(row["amount_paid"] for row in rows if row["currency"] == currency)}


def _shareable(currency: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    of = [row for row in rows if row["currency"] == currency]
    return {"currency": currency, "total": sum(row["total"] for row in of), "to_pay": sum(row["amount_due"] for row in of)}
