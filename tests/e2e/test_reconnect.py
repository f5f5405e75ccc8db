"""An organisation is disconnected inside Xero and connected again: clients go on reading, and what changed meanwhile arrives."""

from __future__ import annotations

from local.people import eventually, patiently
from local.running import Running
from tests.story import Story


async def test_what_changed_while_disconnected_arrives_after_signing_in_again(system: Running) -> None:
    pike = next(it["id"] for it in await system.xero.ask("/organisations") if it["key"] == "pike")
    email = "reconnected@demo.example"
    contact = await system.xero.do("/contacts", tenant=pike, name="Reconnected Ltd", email=email, number="R-1")
    invoice = await system.xero.do("/invoices", tenant=pike, contact=contact["id"], unit="100.00")
    story = Story(system, contact, email)
    story.invoice = invoice
    provider, client = story.provider, story.client
    await provider.sign_in(organisation=pike)
    await patiently(lambda: provider.share(contact["id"], email), "sharing")
    await client.accept_invitation()
    assert "Due" in (await client.open(story.invoice_path)).words

    await system.xero.do("/disconnect", tenant=pike)
    await system.xero.do(f"/invoices/{invoice['id']}/pay")
    assert "Reconnect Xero" in (await provider.open(f"/o/{provider.organisation}/clients?search=anybody")).words
    assert "is disconnected from Xero." in (await provider.open(f"/o/{provider.organisation}/settings")).words
    page = await provider.press("Test connection")
    assert "It was disconnected there, or the login lost its role." in page.words
    assert "Due" in (await client.open(story.invoice_path)).words

    await provider.sign_in(organisation=pike)
    page = await provider.open(f"/o/{provider.organisation}/settings")
    assert "is disconnected from Xero." not in page.words
    assert "is in order." in (await provider.press("Test connection")).words

    async def paid() -> bool:
        return "Paid" in (await client.open(story.invoice_path)).words

    await eventually(paid, "the payment made meanwhile reaches the client")
    assert email in (await provider.open(f"/o/{provider.organisation}/shares")).words
    await provider.close()
    await client.close()
