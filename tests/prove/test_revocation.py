"""A share is ended while 200 people look at it. `make prove ONLY=revocation`"""

from __future__ import annotations

import asyncio
import time

import pytest

from local.running import Running
from tests.story import Story


@pytest.mark.timeout(900)
async def test_ending_a_share_under_200_concurrent_views_refuses_every_later_view(system: Running) -> None:
    for round_ in range(5):
        tenant = (await system.xero.ask("/organisations"))[0]["id"]
        address = f"viewed-{round_}@demo.example"
        contact = await system.xero.do("/contacts", tenant=tenant, name=f"Viewed {round_} Ltd", email=address, number=f"V-{round_}")
        await system.xero.do("/invoices", tenant=tenant, contact=contact["id"], unit="100.00")
        story = Story(system, contact, address)
        for step in ("sign_in_with_xero", "share", "receive_the_invitation", "ask_for_a_sign_in_mail", "sign_in", "read_an_invoice"):
            await getattr(story, step)()
        took, late = await _end_under_load(story)
        print(
            f"round {round_}: ended in {took * 1000:.0f} ms under 200 viewers; {late} views begun after the answer, all refused", flush=True
        )
        await story.provider.close()
        await story.client.close()


async def _end_under_load(story: Story) -> tuple[float, int]:
    """Seconds the ending took, and how many views began after it was answered; each of those must be a 404."""
    ended_at: list[float] = []
    late: list[int] = []

    async def view() -> None:
        for _ in range(10):
            began = time.monotonic()
            answer = await story.client.http.get(story.client.product + story.invoice_path)
            if ended_at and began > ended_at[0]:
                late.append(answer.status_code)

    await story.provider.open(f"/o/{story.provider.organisation}/clients/{story.contact['id']}/shares/{story.share_id}/end")
    viewers = [asyncio.create_task(view()) for _ in range(200)]
    await asyncio.sleep(0.5)
    began = time.monotonic()
    page = await story.provider.press_and_stay("End access")
    ended_at.append(time.monotonic())
    assert page.status == 303
    await asyncio.gather(*viewers)
    await view()
    assert set(late) == {404}
    return ended_at[0] - began, len(late)
