"""The back office as JSON, for tests: the same actions, faults, clock, logs and states. No login."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field

from xero_simulator import actions, connections, day, ledger
from xero_simulator.demo.plant import add_large, anchor_of, plant, start_new_day
from xero_simulator.faults import Faults
from xero_simulator.limits import Tier
from xero_simulator.simulator import Running, Simulator

router = APIRouter(prefix="/control", tags=["control"])


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Disconnected(Body):
    tenant: str
    login: str | None = Field(None, description="Key or id; all logins when absent")


class Role(Body):
    tenant: str
    login: str


class Played(Body):
    at_once: bool = False


class Locked(Body):
    tenant: str
    until: date | None = Field(None, description="The lock is taken away when absent")


class Large(Body):
    organisations: int = Field(1, ge=1, le=99)
    invoices: int = Field(description="In each of them", ge=1, le=1_000_000)


class Limits(Body):
    tier: Tier | None = Field(None, description="As it is when absent")
    clear: bool = Field(False, description="Begin every minute and day anew")


class Moved(Body):
    advance_seconds: float = Field(description="Negative takes back an earlier move")


health = APIRouter(tags=["health"])


@health.get("/healthz")
@health.get("/readyz")
async def ready() -> dict[str, str]:
    return {"status": "ready"}


@router.get("/organisations")
async def list_organisations(simulator: Running) -> list[dict[str, Any]]:
    """`key`, `id`, name and the rest of each, with its anchor day. `tenant` everywhere takes an id, a short code or a key."""
    found = ledger.organisations(simulator.store)
    return [{**it.model_dump(mode="json"), "anchor_day": anchor_of(simulator.store, it).isoformat()} for it in found]


@router.post("/lock")
async def lock(simulator: Running, body: Locked) -> dict[str, Any]:
    """The period lock date: nothing dated on it or before can be changed."""
    organisation = ledger.organisation(simulator.store, body.tenant)
    return actions.lock(simulator, organisation.id, body.until).model_dump(mode="json")


@router.get("/logins")
async def list_logins(simulator: Running) -> list[dict[str, Any]]:
    store = simulator.store
    return [{**it.model_dump(), "organisations": [o.key for o in ledger.organisations_of(store, it.id)]} for it in ledger.logins(store)]


@router.get("/state")
async def state(simulator: Running) -> dict[str, Any]:
    """Everything at a glance."""
    return {
        "clock": await get_clock(simulator),
        "seed": int(simulator.store.fact("seed") or 0),
        "faults_on": simulator.faults.on(),
        "connections": await list_connections(simulator),
        "calls": simulator.calls.counts(),
        "webhooks": simulator.sender.state(5),
        "day": await day_played(simulator),
    }


@router.get("/connections")
async def list_connections(simulator: Running) -> list[dict[str, Any]]:
    sql = """SELECT c.id, l.key AS login, o.key AS tenant, c.live FROM connections c
        JOIN logins l ON l.id = c.login JOIN organisations o ON o.id = c.organisation ORDER BY c.created"""
    return [{**dict(row), "live": bool(row["live"])} for row in simulator.store.rows(sql)]


@router.post("/disconnect")
async def disconnect(simulator: Running, body: Disconnected) -> dict[str, int]:
    """What "Connected apps, disconnect" does inside Xero; no webhook tells the app."""
    organisation = ledger.organisation(simulator.store, body.tenant)
    login = ledger.login(simulator.store, body.login).id if body.login else None
    with simulator.change() as now:
        return {"ended": connections.disconnect(simulator, organisation.id, login, now)}


@router.post("/roles/revoke")
async def revoke_role(simulator: Running, body: Role) -> dict[str, bool]:
    return _set_role(simulator, body, False)


@router.post("/roles/restore")
async def restore_role(simulator: Running, body: Role) -> dict[str, bool]:
    return _set_role(simulator, body, True)


def _set_role(simulator: Simulator, body: Role, live: bool) -> dict[str, bool]:
    organisation, login = ledger.organisation(simulator.store, body.tenant), ledger.login(simulator.store, body.login)
    sql = "UPDATE roles SET live = ? WHERE login = ? AND organisation = ?"
    if not simulator.store.run(sql, live, login.id, organisation.id):
        raise HTTPException(404, "That login never had a role there")
    return {"live": live}


@router.get("/faults")
async def get_faults(simulator: Running) -> Faults:
    return simulator.faults


@router.post("/faults")
async def set_faults(simulator: Running, body: dict[str, Any]) -> Faults:
    """Changes the named faults and leaves the others as they are."""
    try:
        wanted = Faults.model_validate({**simulator.faults.model_dump(), **body})
    except ValueError as error:
        raise HTTPException(422, str(error)) from None
    for name in Faults.model_fields:
        setattr(simulator.faults, name, getattr(wanted, name))
    simulator.sender.wake()
    return simulator.faults


@router.delete("/faults")
async def clear_faults(simulator: Running) -> Faults:
    return await set_faults(simulator, Faults().model_dump())


@router.get("/clock")
async def get_clock(simulator: Running) -> dict[str, Any]:
    return {"now": simulator.clock.now().isoformat(), "moved_seconds": simulator.clock.moved_seconds}


@router.post("/clock")
async def move_clock(simulator: Running, body: Moved) -> dict[str, Any]:
    simulator.clock.advance(body.advance_seconds)
    simulator.sender.wake()
    return await get_clock(simulator)


@router.get("/limits")
async def get_limits(simulator: Running) -> dict[str, Any]:
    """The app's tier; what is left to the app and to each organisation in its minute and day, and its calls in progress."""
    return simulator.limiter.told(simulator.clock.now())


@router.post("/limits")
async def set_limits(simulator: Running, body: Limits) -> dict[str, Any]:
    if body.tier:
        simulator.limiter.move_to(body.tier)
    if body.clear:
        simulator.limiter.clear()
    return await get_limits(simulator)


@router.get("/calls")
async def list_calls(simulator: Running, last: Annotated[int, Query(ge=0, le=20_000)] = 1000) -> dict[str, Any]:
    """Counts since the start or the last DELETE, and the last calls, the oldest of them first."""
    calls = list(simulator.calls.recent)
    return {**simulator.calls.counts(), "calls": calls[len(calls) - min(last, len(calls)) :]}


@router.delete("/calls", status_code=204)
async def clear_calls(simulator: Running) -> None:
    simulator.calls.clear()


@router.get("/webhooks")
async def webhooks_state(simulator: Running, last: Annotated[int, Query(ge=1, le=1000)] = 50) -> dict[str, Any]:
    return simulator.sender.state(last)


@router.post("/webhooks/intent-to-receive")
async def intent_to_receive(simulator: Running) -> dict[str, Any]:
    """Sends the four probes, three mis-signed, and says whether each was answered as Xero wants it."""
    return await simulator.sender.intent_to_receive()


@router.post("/play")
async def play(simulator: Running, body: Played) -> dict[str, Any]:
    """Forty changes to the books of the connected organisations, over ten minutes or at once."""
    start = day.play_at_once if body.at_once else day.play_slowly
    start(simulator, simulator.day)
    return {"total": simulator.day.total, "done": simulator.day.done, "told": simulator.day.told}


@router.get("/play")
async def day_played(simulator: Running) -> dict[str, Any]:
    return {"running": simulator.day.running, "total": simulator.day.total, "done": simulator.day.done, "told": simulator.day.told}


@router.post("/large", status_code=204)
async def large(simulator: Running, body: Large) -> None:
    """Organisations `large-01` and on, that the login `large` may choose: V-001 to V-050, V-001 with a fifth of the invoices."""
    add_large(simulator.store, simulator.clock.now(), body.organisations, body.invoices)


@router.post("/new-day", status_code=204)
async def new_day(simulator: Running) -> None:
    """The demo books again with today as anchor day; connections stay."""
    start_new_day(simulator.store, simulator.clock.now())


@router.post("/reset", status_code=204)
async def reset(simulator: Running) -> None:
    """As if DATA_DIR had been deleted: books, logins, tokens, connections, clock, faults and logs; the signing key stays."""
    kept = {name: simulator.store.fact(name) or "" for name in ("signing_key", "signing_kid")}
    with simulator.store.transaction():
        simulator.store.empty()
        simulator.clock.restore()
        for name, value in kept.items():
            simulator.store.remember(name, value)
        plant(simulator.store, simulator.settings.seed, simulator.settings.anchor_day, simulator.clock.now())
    simulator.limiter.clear()
    simulator.limiter.move_to(simulator.settings.app_tier)
    simulator.calls.clear()
    await clear_faults(simulator)
