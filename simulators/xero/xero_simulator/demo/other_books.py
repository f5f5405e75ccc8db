"""The smaller books: Pike & Larkmoor LLP (130 invoices), the wholesaler with 5,200 contacts and the adviser's 39 small firms."""

from xero_simulator.demo import ordinary
from xero_simulator.demo.plan import Plan, Row

PIKE_INVOICES = 130
WHOLESALE_CONTACTS = 5200
TOWNS = [
    "Alnwick",
    "Bodmin",
    "Cromer",
    "Dorking",
    "Ely",
    "Frome",
    "Goole",
    "Hexham",
    "Ilfracombe",
    "Keswick",
    "Ludlow",
    "Malton",
    "Otley",
    "Penrith",
    "Ripon",
    "Selby",
]
SHOPS = [
    "Bakery",
    "Books",
    "Cycles",
    "Dairy",
    "Florist",
    "Garage",
    "Grocers",
    "Hardware",
    "Ironmongers",
    "Jewellers",
    "Kitchens",
    "Lighting",
    "Music",
    "Nursery",
    "Optician",
    "Pharmacy",
]


def add_pike_invoices(plan: Plan) -> None:
    vat: dict[str, list[Row]] = {
        "PL-0101": [("Advice", "1", "240.00", "20"), ("Energy survey", "1", "105.00", "5"), ("Book", "1", "30.00", "0")],
        "PL-0102": [("Children's books", "40", "6.50", "0")],
        "PL-0103": [("Boiler inspection", "1", "84.00", "5")],
    }
    for number, contact in (("PL-0101", "P-04"), ("PL-0102", "P-05"), ("PL-0103", "P-06")):
        plan.invoice(number, contact, vat[number], -20, 10, amounts="Inclusive")
    for number, due in (("PL-0104", -1), ("PL-0105", 0), ("PL-0106", 1), ("PL-0107", -31)):
        plan.invoice(number, "P-01", [("Freight advice", "2", "96.00", "20")], min(due, -1) - 14, due, amounts="Inclusive")
    plan.pay(plan.invoice("PL-0108", "P-01", [("Customs filing", "1", "180.00", "20")], -60, -30, amounts="Inclusive"), -33)
    plan.invoice("PL-0109", "P-03", [("The only invoice", "1", "72.00", "20")], -12, 18, amounts="Inclusive")
    plan.invoice("PL-0110", "P-02", [("Spreadsheet course", "1", "600.00", "20")], -40, -10, amounts="Inclusive", reference="=1+1")
    busy = [number for number in plan.contacts if number != "P-03"]
    ordinary.fill(plan, busy, PIKE_INVOICES - len(plan.invoices), "PL", ordinary.ADVICE)


def add_wholesale(plan: Plan) -> None:
    """C-00001 to C-05200; C-05000 is the one that only a search finds quickly."""
    for place in range(1, WHOLESALE_CONTACTS + 1):
        town, shop = TOWNS[place % len(TOWNS)], SHOPS[place // len(TOWNS) % len(SHOPS)]
        plan.contact(f"C-{place:05}", f"{town} {shop} {place:04}", f"shop{place:05}@{town.lower()}.example", city=town)
    for number, due in (("MW-0001", -5), ("MW-0002", 0), ("MW-0003", 25)):
        plan.invoice(number, "C-05000", [("Goods, pallet", "2", "310.00", "20")], min(due, -1) - 20, due)
    ordinary.fill(plan, [f"C-{place:05}" for place in range(1, 26)], 25, "MWO", ordinary.ADVICE)


def add_small_firm(plan: Plan) -> None:
    name = plan.organisation.key
    for place, client in enumerate(("Market Hall", "Mill Lane", "Station Yard"), 1):
        plan.contact(f"S-{place}", f"{client} Tenants", f"office@{client.split()[0].lower()}-{name}.example")
    ordinary.fill(plan, list(plan.contacts), 4, "SF", ordinary.ADVICE)
