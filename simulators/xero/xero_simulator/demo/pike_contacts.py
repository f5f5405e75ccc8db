"""The 22 contacts of Pike & Larkmoor LLP."""

from xero_simulator.demo.kowhai_contacts import SHARED_BY_BOTH
from xero_simulator.demo.plan import Plan

ORDINARY = [
    "Aldgate Tailors Ltd",
    "Barley Mow Inns",
    "Cotswold Kitchens",
    "Durham Glassworks",
    "Exmoor Ponies Trust",
    "Fenland Drainage Ltd",
    "Gower Surf School",
    "Humber Metals plc",
    "Ilkley Bookshop",
    "Jurassic Coast Tours",
    "Kentish Hops Ltd",
    "Lakeland Outdoor Co",
    "Mendip Cheese Makers",
    "Norfolk Boatyard",
    "Orkney Weavers",
]


def add_contacts(plan: Plan) -> None:
    plan.contact("P-01", "Tui Trading (Europe)", SHARED_BY_BOTH, country="United Kingdom")
    plan.contact("P-02", "=1+1 Formula Holdings", "sums@formula.example")
    plan.contact("P-03", "Single Invoice Society", "treasurer@single.example")
    plan.contact("P-04", "Two Rates Catering", "office@two-rates.example")
    plan.contact("P-05", "Zero Rated Publishing", "accounts@zero-rated.example")
    plan.contact("P-06", "Larkmoor Estate", "estate@larkmoor.example")
    plan.contact("P-07", "Pike Family Trust")
    for place, name in enumerate(ORDINARY, 8):
        domain = name.lower().split()[0]
        plan.contact(f"P-{place:02}", name, f"accounts@{domain}.example", country="United Kingdom")
