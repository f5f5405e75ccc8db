"""An address that holds no access and no session any more is forgotten after 30 days."""

from typing import Any

import pytest

from common.crypto import digest
from common.errors import Unavailable
from common.testing import Harness
from portal import store
from portal.client_eraser import ClientEraser
from portal.testing import BROWSER, KNOWN, Mailed, Sharing, call

DAY = 24 * 3600


@pytest.fixture
def eraser(portal: Harness) -> ClientEraser:
    return ClientEraser(portal.app.state.sharing)


async def look(portal: Harness, eraser: ClientEraser, days: int = 0) -> None:
    """After so many days, in which nobody looked."""
    for field in ("look_at", "idle_since"):
        past = {"$dateSubtract": {"startDate": f"${field}", "unit": "day", "amount": days + (field == "look_at")}}
        await portal.db.collection(store.CLIENTS).update_many({field: {"$ne": None}}, [{"$set": {field: past}}])
    await eraser.look(portal.db)


async def known(portal: Harness) -> tuple[list[Any], int]:
    clients = await portal.db.collection(store.CLIENTS).find({})
    return [client["email"] for client in clients], await portal.db.collection(store.BROWSERS).count({})


async def sign_in(portal: Harness, mailed: Mailed) -> str:
    mail = await mailed(browser=BROWSER)
    return str((await call(portal, "links/redeem", token=mail.token, browser=BROWSER)).json()["session"])


async def test_thirty_days_without_access_and_session_leave_no_trace(
    portal: Harness, mailed: Mailed, sharing: Sharing, eraser: ClientEraser
) -> None:
    session = await sign_in(portal, mailed)
    sharing.live = {KNOWN: 0}
    await look(portal, eraser, 40)
    await look(portal, eraser, 40)
    assert await known(portal) == ([KNOWN], 1), "somebody is signed in"
    await portal.db.collection(store.SESSIONS).delete_one({"_id": digest(session)})
    await look(portal, eraser)
    await look(portal, eraser, 29)
    assert await known(portal) == ([KNOWN], 1)
    await look(portal, eraser, 1)
    assert await known(portal) == ([], 0)


async def test_access_or_a_sign_in_meanwhile_begins_the_time_anew(
    portal: Harness, mailed: Mailed, sharing: Sharing, eraser: ClientEraser
) -> None:
    session = await sign_in(portal, mailed)
    await portal.db.collection(store.SESSIONS).delete_one({"_id": digest(session)})
    for live in (0, 1, 0):
        sharing.live = {KNOWN: live}
        await look(portal, eraser, 29)
    await look(portal, eraser, 29)
    assert await known(portal) == ([KNOWN], 1)


async def test_without_sharings_answer_nobody_is_forgotten(portal: Harness, mailed: Mailed, sharing: Sharing, eraser: ClientEraser) -> None:
    session = await sign_in(portal, mailed)
    await portal.db.collection(store.SESSIONS).delete_one({"_id": digest(session)})
    sharing.live = {KNOWN: 0}
    await look(portal, eraser)
    sharing.down = True
    with pytest.raises(Unavailable):
        await look(portal, eraser, 40)
    assert await known(portal) == ([KNOWN], 1)
