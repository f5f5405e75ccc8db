"""The demo's organisations and the people who sign in to them."""

from datetime import UTC, datetime
from typing import Any

from xero_simulator.demo.plan import demo_id
from xero_simulator.documents import Login, Organisation

PLACES: dict[str, dict[str, Any]] = {
    "NZ": {"currency": "NZD", "zone": "Pacific/Auckland", "xero_zone": "NEWZEALANDSTANDARDTIME", "sales_tax": "Tax Exclusive"},
    "GB": {"currency": "GBP", "zone": "Europe/London", "xero_zone": "GMTSTANDARDTIME", "sales_tax": "Tax Inclusive"},
}
NAMED = [
    ("kowhai", "Kōwhai & Hart Studio Ltd", "NZ", "!kH4rt", ["NZD", "GBP", "USD", "JPY"]),
    ("pike", "Pike & Larkmoor LLP", "GB", "!pLrk1", ["GBP", "USD"]),
    ("fresh", "Fresh Start Workshop Ltd", "NZ", "!fR3sh", ["NZD"]),
    ("meridian", "Meridian Wholesale Ltd", "GB", "!mRdn5", ["GBP"]),
]
SMALL_FIRMS = [
    "Ashdown",
    "Alderley",
    "Birchfield",
    "Brookvale",
    "Carrick",
    "Copperhill",
    "Dalesford",
    "Eastmere",
    "Elmswood",
    "Fernbrook",
    "Foxley",
    "Glenholm",
    "Granton",
    "Harrowby",
    "Hazelmere",
    "Inverlea",
    "Juniper",
    "Kestrel",
    "Larchwood",
    "Linden",
    "Maplecroft",
    "Marlow",
    "Netherby",
    "Northgate",
    "Oakhurst",
    "Orchard",
    "Penrose",
    "Quarry",
    "Redwell",
    "Rowan",
    "Sandford",
    "Saltmarsh",
    "Thornbury",
    "Tolworth",
    "Underhill",
    "Valley",
    "Westbrook",
    "Willow",
    "Yarrow",
]
SMALL_TRADES = ["Dental", "Joinery", "Farms", "Motors", "Interiors", "Legal", "Bakery"]


def organisations(seed: int) -> list[Organisation]:
    """All of them in a fixed order; the adviser's small firms have the keys `firm-01` to `firm-39`."""
    rows = [*NAMED]
    for place, name in enumerate(SMALL_FIRMS, 1):
        trade = SMALL_TRADES[place % len(SMALL_TRADES)]
        rows.append((f"firm-{place:02}", f"{name} {trade} Ltd", "GB", f"!f{place:02}rm", ["GBP"]))
    return [_organisation(seed, *row) for row in rows]


def _organisation(seed: int, key: str, name: str, country: str, short_code: str, currencies: list[str]) -> Organisation:
    made = datetime(2023, 4, 3, 9, 30, tzinfo=UTC)
    kept = {"country": country, "short_code": short_code, "created": made, "currencies": currencies, **PLACES[country]}
    return Organisation(id=demo_id(seed, "organisation", key), key=key, name=name, **kept)


LOGINS = [
    ("owner", "Hana", "Hart", "hana.hart@kowhai-hart.example", "Owner of both businesses"),
    ("colleague", "Tom", "Ruru", "tom.ruru@kowhai-hart.example", "Works in the studio only"),
    ("newcomer", "Ines", "Vale", "ines.vale@fresh-start.example", "A new business without a single contact"),
    ("nobody", "Sam", "Lowe", "sam.lowe@nowhere.example", "No organisation yet"),
    ("adviser", "Grace", "Okoro", "grace.okoro@okoro-advisers.example", "Adviser to 40 organisations"),
]
LARGE_LOGIN = "large"


def logins(seed: int) -> list[Login]:
    return [_login(seed, *row) for row in LOGINS]


def _login(seed: int, key: str, given: str, family: str, email: str, about: str) -> Login:
    return Login(id=demo_id(seed, "login", key), key=key, given_name=given, family_name=family, email=email, about=about)


def large_login(seed: int) -> Login:
    """Who may choose the large organisations, when there are any."""
    return _login(seed, LARGE_LOGIN, "Vera", "Lang", "vera.lang@volume.example", "Many invoices, to measure with")


def large_organisation(seed: int, place: int) -> Organisation:
    return _organisation(seed, f"large-{place:02}", f"Volume Trading {place:02} Ltd", "GB", f"!v{place:02}lm", ["GBP"])


def roles() -> dict[str, list[str]]:
    """Which organisations (keys) each login (key) may choose, the likeliest first."""
    firms = [f"firm-{place:02}" for place in range(1, len(SMALL_FIRMS) + 1)]
    return {"owner": ["kowhai", "pike"], "colleague": ["kowhai"], "newcomer": ["fresh"], "nobody": [], "adviser": ["meridian", *firms]}
