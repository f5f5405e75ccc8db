"""Histories of many viewers and one ending, with the database's primary stepping down in between, judged by what each call answered."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from dataclasses import dataclass, field

import httpx
from pymongo.errors import PyMongoError

from common.testing import Harness
from sharing.testing import Desk, an_invoice

VIEWERS = 3
MOST_VIEWS = 40
CALM_SECONDS = 0.05


@dataclass
class History:
    """What happened: when the ending was acknowledged, and for each view when it began and what it got."""

    ended_at: float = float("inf")
    took: float = 0.0
    views: list[tuple[float, int]] = field(default_factory=list)

    @property
    def seen_after_the_end(self) -> int:
        """Views that began after the ending was acknowledged and were let in: none may be."""
        return sum(began > self.ended_at and status == 200 for began, status in self.views)

    @property
    def seen(self) -> int:
        return sum(status == 200 for _, status in self.views)

    @property
    def refused(self) -> int:
        return sum(began > self.ended_at and status == 404 for began, status in self.views)


async def play(service: Harness, desk: Desk, dice: random.Random, *, stepdown: bool) -> History:
    """One share, three viewers, one ending at a random moment, and on demand a primary that steps down around it."""
    email = f"viewer-{dice.randrange(10**9)}@demo.example"
    share = await desk.share([an_invoice()], email)
    history = History()
    viewers = [asyncio.create_task(_view(service, desk, email, history, random.Random(dice.random()))) for _ in range(VIEWERS)]
    await asyncio.sleep(dice.random() * CALM_SECONDS)
    disturbing = asyncio.create_task(_step_down(service, dice.random() * CALM_SECONDS)) if stepdown else None
    began = time.monotonic()
    while not await _ended(service, desk, share["id"]):
        pass  # an unknown outcome; the database is back in a moment
    history.ended_at = time.monotonic()
    history.took = history.ended_at - began
    await asyncio.gather(*viewers)
    if disturbing:
        await disturbing
    return history


async def _view(service: Harness, desk: Desk, email: str, history: History, dice: random.Random) -> None:
    """The list, an invoice or its PDF, again and again, until it was refused after the end."""
    base, headers = f"/internal/client/senders/{desk.organisation}", service.as_client(email)
    one = f"{base}/invoices/{an_invoice().invoice_id}"
    for _ in range(MOST_VIEWS):
        method, path = dice.choice((("GET", base), ("GET", one), ("POST", f"{one}/pdf")))
        began = time.monotonic()
        status = (await service.http.request(method, path, headers=headers)).status_code
        history.views.append((began, status))
        if status == 404 and began > history.ended_at:
            return
        await asyncio.sleep(dice.random() * 0.02)


async def _ended(service: Harness, desk: Desk, share_id: str) -> bool:
    """Whether the ending was acknowledged; an unknown outcome is asked for again, as a provider would press again."""
    answer: httpx.Response = await service.http.post(f"{desk.path}/shares/{share_id}/end", headers=service.as_provider(desk.organisation))
    return answer.is_success


async def _step_down(service: Harness, wait: float) -> None:
    await asyncio.sleep(wait)
    with contextlib.suppress(PyMongoError):  # the connection goes with the primary
        await service.db.client.admin.command("replSetStepDown", 1, force=True)
