"""The 300 invoices of Kōwhai & Hart Studio Ltd (and the 1,200 of one client): special cases by number, the rest ordinary work."""

from datetime import date, timedelta
from decimal import Decimal

from xero_simulator import books
from xero_simulator.demo import ordinary
from xero_simulator.demo.plan import Plan, Row

WANTED = 300
MANY = 1200
BUSY = [f"C-{place:03}" for place in (*range(3, 35), 44) if place not in (33, 34)] + ["0042", "42"]
SLASHES = "INV/2026 0242 / job 17 / site B ".ljust(251, "x") + " END"
LONG_TEXT = "\n".join(f"{place}. Site visit, measured drawing and a short note on what was found there." for place in range(1, 60))[:4000]


def _work(price: str, tax: str = "15", description: str = "Design work") -> list[Row]:
    return [(description, "1", price, tax)]


def add_invoices(plan: Plan) -> None:
    _add_first_client(plan)
    _add_due_dates(plan)
    _add_amounts(plan)
    _add_currencies(plan)
    _add_settlements(plan)
    _add_shapes(plan)
    _add_changing(plan)
    _add_states(plan)
    ordinary.fill(plan, BUSY, WANTED - len(plan.invoices), "INV", ordinary.STUDIO)
    ordinary.fill(plan, ["C-002"], MANY, "HAR", ordinary.STUDIO)


def _add_first_client(plan: Plan) -> None:
    """Acorn Street Bakery, the client of the first minutes: a dozen invoices in every mood."""
    c = "C-001"
    plan.pay(
        plan.invoice("INV-0101", c, _work("480.00", description="Shop sign, design"), -300, -280, reference="Sign"),
        -284,
        reference="INV-0101",
    )
    two = plan.invoice("INV-0102", c, [("Bread bag artwork", "3", "120.00", "15"), ("Print run", "500", "0.42", "15")], -210, -190)
    plan.pay(two, -195, "300.00", "first half")
    plan.pay(two, -182, reference="rest")
    plan.invoice("INV-0103", c, _work("260.00", description="Menu boards"), -51, -31, reference="Order A-88")
    plan.invoice("INV-0104", c, _work("95.50", description="Price tickets"), -15, -1)
    plan.invoice(
        "INV-0105", c, [("Window lettering", "1", "640.00", "15"), ("Fitting, hours", "2.5", "85.00", "15")], -14, 0, reference="Order A-91"
    )
    plan.invoice("INV-0106", c, _work("150.00", description="Photographs of cakes"), -13, 1)
    part = plan.invoice("INV-0107", c, _work("1840.00", description="Website, first stage"), -20, 14, reference="Website")
    plan.pay(part, -6, "1000.00", "deposit")
    plan.invoice("INV-0108", c, [("Website, second stage", "1", "1840.00", "15"), ("Hosting, a year", "12", "18.00", "15")], -4, 30)
    plan.invoice("INV-0109", c, _work("720.00", description="Delivery van lettering"), -2, 28, "DRAFT")
    plan.invoice("INV-0110", c, _work("60.00", description="Gift vouchers"), -1, 19, "SUBMITTED")
    plan.invoice("INV-0111", c, _work("333.00", description="Posters, cancelled"), -80, -60, "VOIDED")
    note = plan.credit("CN-0112", c, _work("115.00", description="Misprinted labels taken back"), -40)
    plan.allocate(plan.invoice("INV-0112", c, _work("115.00", description="Labels"), -45, -25), note, -39)


def _add_due_dates(plan: Plan) -> None:
    for number, due in (("INV-0201", -1), ("INV-0202", 0), ("INV-0203", 1), ("INV-0204", -31), ("INV-0205", -61), ("INV-0206", -91)):
        plan.invoice(number, "C-012", _work("210.00", description="Waiting-room artwork"), min(due, -1) - 20, due)
    plan.invoice("INV-0207", "C-013", _work("5400.00", description="Care plan"), -9, date(plan.anchor.year + 1, 6, 15))
    plan.invoice("INV-0208", "C-013", _work("88.00"), -30, -10, "SUBMITTED")
    plan.invoice("INV-0209", "C-013", _work("77.00"), -30, -10, "DELETED")
    plan.invoice("INV-0210", "C-013", _work("310.00", description="Ready to be approved"), -3, 17, "DRAFT")
    plan.invoice("INV-0211", "C-013", _work("199.00"), -50, -30, "VOIDED")
    plan.invoice("INV-0212", "C-016", _work("250.00"), -40, _last_of_february(plan.anchor))
    plan.invoice("INV-0213", "C-016", _work("251.00"), -40, _next_31st(plan.anchor))
    plan.invoice("INV-0214", "C-016", _work("252.00", description="No due date"), -40, None)


def _last_of_february(anchor: date) -> date:
    year = anchor.year + (anchor.month > 2)
    return date(year, 3, 1) - timedelta(days=1)


def _next_31st(anchor: date) -> date:
    return next(day for day in (anchor + timedelta(days=n) for n in range(1, 63)) if day.day == 31)


def _add_amounts(plan: Plan) -> None:
    c = "C-021"
    plan.invoice("INV-0218", c, _work("115.00", description="Price includes GST"), -30, 5, amounts="Inclusive")
    plan.invoice("INV-0219", c, _work("400.00", "none", "No GST at all"), -30, 5, amounts="NoTax")
    plan.invoice("INV-0220", c, [("Workshop", "1", "300.00", "15"), ("Export drawing", "1", "200.00", "0")], -30, 5)
    rounding: list[Row] = [("Part one", "1", "25.06", "15"), ("Part two", "1", "25.61", "15"), ("Part three", "1", "25.63", "15")]
    plan.invoice("INV-0221", c, rounding, -30, 5, reference="Tax of 11.44")
    plan.invoice("INV-0222", c, _work("0.00", description="Goodwill"), -30, 5)
    plan.invoice("INV-0223", c, [("Catalogue", "1", "900.00", "15"), ("Less deposit", "1", "-250.00", "15")], -30, 5)
    free = plan.invoice("INV-0224", c, [("Sample book", "2", "45.00", "15"), ("Postage", "1", "9.00", "15")], -30, 5, "DRAFT")
    free.lines[0].discount = Decimal(100)
    free.status = "AUTHORISED"
    books.price(free)
    plan.invoice("INV-0225", c, [("Clicks", "12480", "0.0375", "15")], -30, 5)
    plan.invoice("INV-0226", c, [("Advice, hours", "0.25", "180.00", "15")], -30, 5)
    plan.invoice("INV-0227", c, _work("12345678.90", "none", "Whole building, design and build"), -30, 5, amounts="NoTax")


def _add_currencies(plan: Plan) -> None:
    c = "C-044"
    plan.invoice("INV-0215", c, _work("750.00", "0"), -35, 10, currency="GBP", rate=Decimal("0.4812"))
    plan.invoice("INV-0216", c, _work("1200.00", "0"), -34, -4, currency="USD", rate=Decimal("0.5934"))
    plan.invoice("INV-0217", c, _work("180000", "0"), -33, 12, currency="JPY", rate=Decimal("88.41"))
    foreign = plan.invoice("INV-0237", c, _work("640.00", "0"), -90, -60, currency="USD", rate=Decimal("0.6011"))
    plan.pay(foreign, -58, reference="wire")
    half = plan.invoice("INV-0236", c, _work("90000", "0"), -60, -30, currency="JPY", rate=Decimal("87.10"))
    plan.pay(half, -20, "40000")


def _add_settlements(plan: Plan) -> None:
    c = "C-020"
    for number, parts in (
        ("INV-0228", ["100.00"]),
        ("INV-0229", ["100.00", "150.50"]),
        ("INV-0230", ["10.00", "20.00", "30.00", "40.00", "50.00"]),
    ):
        invoice = plan.invoice(number, c, _work("500.00"), -60, 20)
        for place, amount in enumerate(parts):
            plan.pay(invoice, -50 + 5 * place, amount, f"part {place + 1}")
    again = plan.invoice("INV-0231", c, _work("130.00", description="Paid, then the bank took it back"), -60, -30)
    books.take_back(again, plan.pay(again, -40), plan.moment(-35, "taken back"))
    for number, kind, extra in (("INV-0232", "overpayment", "250.00"), ("INV-0233", "prepayment", "60.00")):
        invoice = plan.invoice(number, c, _work("200.00", "none"), -60, -30, amounts="NoTax")
        money = plan.credit(number, c, [("Received", "1", extra, "none")], -45, kind=kind, amounts="NoTax")
        plan.allocate(invoice, money, -44)
    for number, amount in (("INV-0234", "40.00"), ("INV-0235", "200.00")):
        note = plan.credit(f"CN{number[3:]}", c, [("Taken back", "1", amount, "none")], -42, amounts="NoTax")
        plan.allocate(plan.invoice(number, c, _work("200.00", "none"), -60, -30, amounts="NoTax"), note, -41)
    plan.credit("CN-0236", c, _work("80.00", description="Not used yet"), -12)


def _add_shapes(plan: Plan) -> None:
    c = "C-014"
    plan.invoice("INV-0238", c, [(f"Season programme, page {n}", "1", f"{20 + n}.00", "15") for n in range(1, 13)], -25, 15)
    plan.invoice("INV-0239", c, [(f"Label {n:03}", str(n % 7 + 1), "1.35", "15") for n in range(1, 301)], -25, 15)
    plan.invoice("INV-0240", c, _work("990.00", description=LONG_TEXT), -25, 15)
    plan.invoice("INV-0241", c, _work("31.00"), -25, 15, reference="")
    plan.invoice(SLASHES, c, _work("32.00"), -25, 15, key="INV-0242", reference="Number of 255 characters")
    plan.invoice("INV-7", c, _work("70.00"), -25, 15)
    plan.invoice("INV-007", c, _work("7.00"), -25, 15)
    plan.invoice("INV-0243", c, _work("33.00"), -25, 15, has_attachments=True)
    tracked = plan.invoice("INV-0244", c, [("North shop", "1", "50.00", "15"), ("South shop", "1", "60.00", "15")], -25, 15)
    plan.track(tracked, "Region", ["North", "South"])


def _add_changing(plan: Plan) -> None:
    """Ordinary open invoices that tests and the back office change after sharing."""
    for number, what in (
        ("INV-0245", "amount"),
        ("INV-0246", "due date"),
        ("INV-0247", "number"),
        ("INV-0248", "moved to another contact"),
        ("INV-0249", "twice within one second"),
        ("INV-0250", "voided after sharing"),
    ):
        plan.invoice(number, "C-031", _work("410.00", description="Freight brochure"), -18, 12, reference=f"To change: {what}")


def _add_states(plan: Plan) -> None:
    plan.pay(plan.invoice("INV-0251", "C-035", _work("520.00"), -100, -80), -82)
    plan.invoice("KP-8841", "C-035", _work("230.00", description="Paper stock"), -30, 4, key="bill KP-8841", type="ACCPAY", sent=False)
    plan.pay(plan.invoice("W-100", "C-036", _work("46.00"), -70, -50, key="bill W-100", type="ACCPAY", sent=False), -52)
    for place in range(3):
        plan.invoice(f"INV-026{place}", "C-037", _work(f"{100 + place}.00"), -9 + place, 20, "DRAFT")
        plan.invoice(
            f"TK-{place}",
            "C-038",
            _work("900.00", description="Office rent"),
            -70 + 30 * place,
            -50 + 30 * place,
            key=f"bill TK-{place}",
            type="ACCPAY",
        )
        plan.pay(plan.invoice(f"INV-027{place}", "C-040", _work(f"{150 + place}.00"), -200 + place, -180), -185 + place)
    for place in range(2):
        plan.invoice(f"INV-028{place}", "C-039", _work("61.00"), -90, -70, "VOIDED")
        plan.pay(plan.invoice(f"INV-029{place}", "C-042", _work("340.00"), -500 + place, -480), -470)
