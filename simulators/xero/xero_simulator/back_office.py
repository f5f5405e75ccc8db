"""The back office: plain pages on which a person changes the books, makes things go wrong and sees what happened."""

from collections.abc import Callable, Mapping
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from xero_simulator import actions, connections, day, ledger
from xero_simulator.books import Refused
from xero_simulator.demo import guide
from xero_simulator.demo.kowhai_contacts import FIRST_CLIENT
from xero_simulator.demo.plant import anchor_of, start_new_day
from xero_simulator.documents import Contact, Invoice
from xero_simulator.faults import Faults
from xero_simulator.pages import page
from xero_simulator.simulator import Running, Simulator
from xero_simulator.store import fold

router = APIRouter(include_in_schema=False)
Form = Mapping[str, str]
MOST_ROWS = 100
FAULTS: list[tuple[str, Any, str]] = [
    ("offline", True, "Xero offline"),
    ("slow_seconds", 8, "Slow, 8 seconds"),
    ("limit_minute", True, "429, minute limit"),
    ("limit_day", True, "429, day limit"),
    ("limit_concurrent", True, "429, too many at once"),
    ("limit_app", True, "429, the app's minute"),
    ("token_expired", True, "401, token expired"),
    ("forbidden", True, "403, no role"),
    ("not_found", True, "404, not found"),
    ("server_error", True, "500 errors"),
    ("wrong_json", True, "Wrong JSON"),
    ("webhooks_off", True, "Webhooks off"),
    ("webhooks_doubled", True, "Webhooks doubled"),
    ("webhooks_late_seconds", 30, "Webhooks late, 30 seconds"),
    ("webhooks_shuffled", True, "Webhooks shuffled"),
    ("lose_refresh_answers", 1, "Lose the next refresh answer"),
    ("no_connections", True, "No connections listed"),
    ("refuse_pkce", True, "Refuse PKCE"),
]


@router.get("/")
async def root() -> Response:
    return RedirectResponse("/back-office", 303)


@router.get("/back-office")
async def overview(request: Request, simulator: Running, q: str = "") -> Response:
    """Everything at a glance; `q` finds clients and invoices of every organisation."""
    store, now = simulator.store, simulator.clock.now()
    organisations = ledger.organisations(store)
    first = ledger.contact_by_number(store, ledger.organisation(store, "kowhai").id, FIRST_CLIENT)
    values = {
        "now": now,
        "moved": simulator.clock.moved_seconds,
        "anchor": anchor_of(store, organisations[0]),
        "organisations": organisations,
        "first": first,
        "faults": [(name, value, label, getattr(simulator.faults, name) != _default(name)) for name, value, label in FAULTS],
        "limits": simulator.limiter.told(now),
        "connections": _connections(simulator),
        "webhooks": simulator.sender.state(10),
        "calls": simulator.calls.counts(),
        "recent": list(simulator.calls.recent)[:-11:-1],
        "names": {organisation.id: organisation.name for organisation in organisations},
        "day": simulator.day,
        "q": q,
        **(_found(simulator, None, q) if q else {}),
    }
    return page(request, "overview.html", _with_message(request, values))


@router.get("/back-office/guide")
async def guide_page(request: Request, simulator: Running) -> Response:
    """What each fixed number of the demo is there for, as far as it still exists."""
    return page(request, "guide.html", {"parts": [_guide_of(simulator, key) for key in guide.CONTACTS]})


def _guide_of(simulator: Simulator, key: str) -> dict[str, Any]:
    organisation = ledger.organisation(simulator.store, key)
    rows: dict[str, Any] = {"organisation": organisation}
    for table, reasons in (("contacts", guide.CONTACTS[key]), ("invoices", guide.INVOICES.get(key, {}))):
        sql = f"SELECT id, number FROM {table} WHERE organisation = ? AND number IN ({ledger.marks(list(reasons))})"
        ids = {row["number"]: row["id"] for row in simulator.store.rows(sql, organisation.id, *(fold(number) for number in reasons))}
        rows[table] = [(number, ids.get(fold(number)), reason) for number, reason in reasons.items()]
    return rows


@router.get("/back-office/organisations/{key}")
async def organisation_page(request: Request, simulator: Running, key: str, q: str = "") -> Response:
    organisation = ledger.organisation(simulator.store, key)
    today = organisation.day_of(simulator.clock.now())
    values = {"organisation": organisation, "q": q, "today": today, **_found(simulator, organisation.id, q)}
    return page(request, "organisation.html", _with_message(request, values))


@router.get("/back-office/contacts/{contact_id}")
async def contact_page(request: Request, simulator: Running, contact_id: str) -> Response:
    contact = ledger.contact(simulator.store, contact_id)
    invoices = sorted(ledger.invoices_of(simulator.store, contact.id), key=lambda i: (i.date, i.number), reverse=True)
    merged_into = ledger.contact(simulator.store, contact.merged_into) if contact.merged_into else None
    values = {"contact": contact, "invoices": invoices[:MOST_ROWS], "count": len(invoices), "merged_into": merged_into}
    values |= {"organisation": ledger.organisation(simulator.store, contact.organisation)}
    values |= {"others": _others(simulator, contact.organisation, contact.id)}
    return page(request, "contact.html", _with_message(request, values))


@router.get("/back-office/invoices/{invoice_id}")
async def invoice_page(request: Request, simulator: Running, invoice_id: str) -> Response:
    return show_invoice(request, simulator, invoice_id)


def show_invoice(request: Request, simulator: Simulator, invoice_id: str) -> Response:
    """Also what the deep links of Xero's own pages lead to."""
    invoice = ledger.invoice(simulator.store, invoice_id.lower())
    values = {
        "invoice": invoice,
        "contact": ledger.contact(simulator.store, invoice.contact),
        "organisation": ledger.organisation(simulator.store, invoice.organisation),
        "others": _others(simulator, invoice.organisation, invoice.contact),
        "editable": invoice.status in ("DRAFT", "SUBMITTED", "AUTHORISED") and not invoice.payments and not invoice.credits,
    }
    return page(request, "invoice.html", _with_message(request, values))


INVOICE_DEEDS: dict[str, tuple[str, Callable[[Simulator, str, Form], object]]] = {
    "pay": ("Paid in full", lambda s, i, f: actions.pay(s, i, reference="back office")),
    "part-pay": (
        "Paid in part",
        lambda s, i, f: actions.pay(s, i, _money(f), "back office") if f.get("amount") else actions.part_pay(s, i),
    ),
    "delete-payment": ("Payment deleted", lambda s, i, f: actions.delete_payment(s, i, f.get("payment") or None)),
    "submit": ("Submitted for approval", lambda s, i, f: actions.set_status(s, i, "SUBMITTED")),
    "approve": ("Approved", lambda s, i, f: actions.set_status(s, i, "AUTHORISED")),
    "void": ("Voided", lambda s, i, f: actions.set_status(s, i, "VOIDED")),
    "delete": ("Deleted", lambda s, i, f: actions.set_status(s, i, "DELETED")),
    "edit": ("Edited", lambda s, i, f: actions.edit(s, i, **_edit_fields(f))),
    "edit-twice": ("Edited twice", lambda s, i, f: actions.edit_twice(s, i)),
    "credit": ("Credited", lambda s, i, f: actions.credit(s, i, _money(f) if f.get("amount") else None)),
    "move": ("Moved", lambda s, i, f: actions.move(s, i, _contact_numbered(s, ledger.invoice(s.store, i).organisation, f))),
}
CONTACT_DEEDS: dict[str, tuple[str, Callable[[Simulator, str, Form], object]]] = {
    "rename": ("Renamed", lambda s, c, f: actions.rename(s, c, f.get("name", ""))),
    "set-email": ("E-mail changed", lambda s, c, f: actions.set_email(s, c, f.get("email", ""))),
    "archive": ("Archived", lambda s, c, f: actions.archive(s, c)),
    "restore": ("Restored", lambda s, c, f: actions.restore(s, c)),
    "merge": ("Merged", lambda s, c, f: actions.merge(s, c, _contact_numbered(s, ledger.contact(s.store, c).organisation, f))),
    "create-invoice": (
        "Invoice created",
        lambda s, c, f: actions.create(s, c, _money(f, "unit"), f.get("description") or "Work", f.get("status", "AUTHORISED")),
    ),
}


@router.post("/back-office/invoices/{invoice_id}/{deed}")
async def do_to_invoice(request: Request, simulator: Running, invoice_id: str, deed: str) -> Response:
    return await _do(request, f"/back-office/invoices/{invoice_id}", INVOICE_DEEDS, deed, simulator, invoice_id)


@router.post("/back-office/contacts/{contact_id}/{deed}")
async def do_to_contact(request: Request, simulator: Running, contact_id: str, deed: str) -> Response:
    return await _do(request, f"/back-office/contacts/{contact_id}", CONTACT_DEEDS, deed, simulator, contact_id)


async def _do(
    request: Request, back: str, deeds: Mapping[str, tuple[str, Callable[..., object]]], deed: str, simulator: Simulator, key: str
) -> Response:
    if deed not in deeds:
        raise ledger.NotFound(f"Nothing is called {deed}")
    said, function = deeds[deed]
    form = await _form(request)
    return _attempt(back, said, lambda: function(simulator, key, form))


def _attempt(back: str, said: str, deed: Callable[[], object]) -> Response:
    """Does it and goes back to the page with a line on what happened, or on why the books refused."""
    try:
        deed()
    except (Refused, ledger.NotFound) as error:
        return RedirectResponse(f"{back}?{urlencode({'refused': str(error)})}", 303)
    return RedirectResponse(f"{back}?{urlencode({'said': said})}", 303)


@router.post("/back-office/organisations/{key}/contacts")
async def add_contact(request: Request, simulator: Running, key: str) -> Response:
    organisation, form = ledger.organisation(simulator.store, key), await _form(request)
    given = (form.get("name", ""), form.get("email", ""), form.get("number") or None)
    back = f"/back-office/organisations/{quote(key)}"
    return _attempt(back, "Client created", lambda: actions.add_contact(simulator, organisation.id, *given))


@router.post("/back-office/organisations/{key}/lock")
async def lock(request: Request, simulator: Running, key: str) -> Response:
    """Sets the period lock date; an empty one takes it away."""
    organisation, form = ledger.organisation(simulator.store, key), await _form(request)
    return _attempt(
        f"/back-office/organisations/{quote(key)}",
        "The lock date was set" if form.get("until") else "The books are unlocked",
        lambda: actions.lock(simulator, organisation.id, _day(form, "until")),
    )


@router.post("/back-office/faults")
async def set_fault(request: Request, simulator: Running) -> Response:
    """Switches one fault on or off; without a name, all off."""
    form = await _form(request)
    wanted = {name: (value, label) for name, value, label in FAULTS}
    name = form.get("fault", "")
    if name in wanted and getattr(simulator.faults, name) == _default(name):
        setattr(simulator.faults, name, wanted[name][0])
    else:
        for one in [name] if name in wanted else list(Faults.model_fields):
            setattr(simulator.faults, one, _default(one))
    simulator.sender.wake()
    return RedirectResponse("/back-office#faults", 303)


@router.post("/back-office/limits")
async def change_limits(request: Request, simulator: Running) -> Response:
    """Moves the app to the other tier, or begins every minute and day anew."""
    form = await _form(request)
    if form.get("clear"):
        simulator.limiter.clear()
        return RedirectResponse(f"/back-office?{urlencode({'said': 'Every minute and day begins anew'})}", 303)
    simulator.limiter.move_to("core" if simulator.limiter.tier == "starter" else "starter")
    return RedirectResponse(f"/back-office?{urlencode({'said': f'The app is on the {simulator.limiter.tier} tier'})}", 303)


@router.post("/back-office/clock")
async def move_clock(request: Request, simulator: Running) -> Response:
    """Moves it on by `hours`, or back to real time when none are given."""
    form = await _form(request)
    if form.get("hours"):
        back = _attempt("/back-office", "The clock was moved on", lambda: simulator.clock.advance(float(_money(form, "hours")) * 3600))
    else:
        back = _attempt("/back-office", "The clock shows real time", simulator.clock.restore)
    simulator.sender.wake()
    return back


@router.post("/back-office/play")
async def play(request: Request, simulator: Running) -> Response:
    at_once = (await _form(request)).get("pace") == "at-once"
    start = day.play_at_once if at_once else day.play_slowly
    return _attempt("/back-office", "A day was played" if at_once else "A day is being played", lambda: start(simulator, simulator.day))


@router.post("/back-office/new-day")
async def new_day(simulator: Running) -> Response:
    return _attempt(
        "/back-office", "The books start again with today as their day", lambda: start_new_day(simulator.store, simulator.clock.now())
    )


@router.post("/back-office/intent-to-receive")
async def intent_to_receive(simulator: Running) -> Response:
    passed = (await simulator.sender.intent_to_receive())["passed"]
    text = {"said": "The receiver passed the probe"} if passed else {"refused": "The receiver failed the probe"}
    return RedirectResponse(f"/back-office?{urlencode(text)}", 303)


@router.post("/back-office/disconnect")
async def disconnect(request: Request, simulator: Running) -> Response:
    organisation = (await _form(request)).get("organisation", "")
    with simulator.change() as now:
        connections.disconnect(simulator, organisation, None, now)
    return RedirectResponse(f"/back-office?{urlencode({'said': 'The app was disconnected; nothing tells it'})}", 303)


@router.post("/back-office/role")
async def change_role(request: Request, simulator: Running) -> Response:
    form = await _form(request)
    sql = "UPDATE roles SET live = 1 - live WHERE login = ? AND organisation = ?"
    simulator.store.run(sql, form.get("login", ""), form.get("organisation", ""))
    return RedirectResponse(f"/back-office?{urlencode({'said': 'The role was changed'})}", 303)


def _connections(simulator: Simulator) -> list[dict[str, Any]]:
    sql = """SELECT c.login, c.organisation, c.live, r.live AS role, l.doc AS person FROM connections c
        JOIN roles r ON r.login = c.login AND r.organisation = c.organisation JOIN logins l ON l.id = c.login ORDER BY c.created"""
    rows = simulator.store.rows(sql)
    return [{**dict(row), "login_name": ledger.login(simulator.store, row["login"]).given_name} for row in rows]


def _found(simulator: Simulator, organisation: str | None, q: str) -> dict[str, Any]:
    """Clients by name, and invoices by number or reference when something is asked for."""
    sql = "SELECT doc FROM {} WHERE (?1 IS NULL OR organisation = ?1) AND instr(search, ?2) ORDER BY {}, id LIMIT ?3"
    text = fold(q.strip()) or ""
    rows = simulator.store.rows(sql.format("contacts", "name"), organisation, text, MOST_ROWS)
    found: dict[str, Any] = {"contacts": [Contact.model_validate_json(row["doc"]) for row in rows]}
    invoices = simulator.store.rows(sql.format("invoices", "date DESC"), organisation, text, MOST_ROWS) if text else []
    return {**found, "invoices": [Invoice.model_validate_json(row["doc"]) for row in invoices]}


def _default(fault: str) -> Any:
    return Faults.model_fields[fault].default


def _with_message(request: Request, values: Mapping[str, Any]) -> dict[str, Any]:
    return {**values, "said": request.query_params.get("said", ""), "refused": request.query_params.get("refused", "")}


async def _form(request: Request) -> dict[str, str]:
    return {name: str(value).strip() for name, value in (await request.form()).items()}


def _money(form: Form, name: str = "amount") -> Decimal:
    try:
        amount = Decimal(form.get(name, "").replace(",", ""))
    except InvalidOperation:
        raise Refused("A number looks like 12.50") from None
    if not amount.is_finite() or abs(amount) > 10**12:
        raise Refused("A number looks like 12.50")
    return amount


def _edit_fields(form: Form) -> dict[str, Any]:
    fields: dict[str, Any] = {name: form.get(name) or None for name in ("number", "reference", "description")}
    fields["due"] = _day(form, "due")
    fields["unit"] = _money(form, "unit") if form.get("unit") else None
    return fields


def _day(form: Form, name: str) -> date | None:
    try:
        return date.fromisoformat(form[name]) if form.get(name) else None
    except ValueError:
        raise Refused("A date looks like 2026-11-30") from None


def _contact_numbered(simulator: Simulator, organisation: str, form: Form) -> str:
    """The contact whose number, or else whose whole name, was typed. Raises NotFound."""
    sql = "SELECT id FROM contacts WHERE organisation = ?1 AND status = 'ACTIVE' AND ?2 IN (number, name) ORDER BY number = ?2 DESC"
    row = simulator.store.row(sql, organisation, fold(form.get("contact_number", "")))
    if row is None:
        raise ledger.NotFound("No active client has that number or name")
    return str(row["id"])


def _others(simulator: Simulator, organisation: str, but: str) -> list[tuple[str, str]]:
    """Number and name of the first active clients by name, to choose from."""
    sql = """SELECT json_extract(doc, '$.number') AS number, json_extract(doc, '$.name') AS name FROM contacts
        WHERE organisation = ? AND status = 'ACTIVE' AND id <> ? ORDER BY contacts.name LIMIT ?"""
    return [(row["number"] or row["name"], row["name"]) for row in simulator.store.rows(sql, organisation, but, MOST_ROWS)]
