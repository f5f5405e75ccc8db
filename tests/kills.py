"""The main job while parts of the system are killed with -9: what must hold whichever part dies before whichever step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from local.running import Running
from tests.story import STEPS, Story

KILLED = ("auth", "xero-gateway", "sharing", "portal", "notifier", "web", "gateway", "mongod", "rabbitmq")
INTERRUPTED = STEPS[1:]
"""Before signing in there is nothing to lose."""


def one_kill_each(parts: Sequence[str]) -> dict[str, list[str]]:
    """Step -> parts killed before it, every part once, spread over the steps where it has most to lose."""
    worst = {
        "auth": "share",
        "xero-gateway": "receive_the_invitation",
        "sharing": "end_access",
        "portal": "sign_in",
        "notifier": "ask_for_a_sign_in_mail",
        "web": "read_an_invoice",
        "gateway": "be_refused",
        "mongod": "see_a_payment",
        "rabbitmq": "receive_the_invitation",
    }
    plan: dict[str, list[str]] = {step: [] for step in INTERRUPTED}
    for part in parts:
        plan[worst[part]].append(part)
    return plan


async def killed_before(system: Running, plan: Mapping[str, Sequence[str]], *, number: int = 0) -> None:
    """Runs the story once with these kills, does not wait for the parts to return, and checks what is left in the end."""
    killed: list[tuple[str, int]] = []

    async def kill(step: str) -> None:
        for part in plan.get(step, ()):
            killed.append((part, system.kill(part)))

    tenant = (await system.xero.ask("/organisations"))[0]["id"]
    address = f"killed-{number}@demo.example"
    contact = await system.xero.do("/contacts", tenant=tenant, name=f"Killed {number} Ltd", email=address, number=f"K-{number}")
    for amount in ("100.00", "250.50"):
        await system.xero.do("/invoices", tenant=tenant, contact=contact["id"], unit=amount)
    story = Story(system, contact, address)
    await story.run(kill)
    for part, pid in killed:
        await system.restarted(part, pid)
    invitations = await system.inbox.mails(address, "has shared invoices with you")
    assert len(invitations) == 1, "one invitation, mailed once"
