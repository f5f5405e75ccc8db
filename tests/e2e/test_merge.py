"""Two clients are merged inside Xero: the address loses sight of the invoices, the provider is asked, and access goes on where they are."""

from __future__ import annotations

from local.people import eventually, patiently
from local.running import Running
from tests.story import Story


async def test_after_a_merge_in_xero_access_is_carried_over_by_a_press(system: Running) -> None:
    pike = next(it["id"] for it in await system.xero.ask("/organisations") if it["key"] == "pike")
    email = "merged@demo.example"
    contact = await system.xero.do("/contacts", tenant=pike, name="Merged Ltd", email=email, number="M-1")
    heir = await system.xero.do("/contacts", tenant=pike, name="Heir Ltd", email="heir@demo.example", number="M-2")
    invoice = await system.xero.do("/invoices", tenant=pike, contact=contact["id"], unit="100.00")
    story = Story(system, contact, email)
    story.invoice = invoice
    provider, client = story.provider, story.client
    await provider.sign_in(organisation=pike)
    looked_at = f"/o/{provider.organisation}/clients/{contact['id']}/share/as-client"
    assert invoice["number"] in (await provider.open(looked_at)).words, "before sharing, from Xero"
    assert "Due" in (await provider.open(f"{looked_at}/{invoice['id']}")).words
    await patiently(lambda: provider.share(contact["id"], email), "sharing")
    await client.accept_invitation()
    assert "Due" in (await client.open(story.invoice_path)).words

    await system.xero.do(f"/contacts/{contact['id']}/merge", contact_number="M-2")

    async def asked() -> bool:
        page = await provider.client_page(contact["id"])
        return "Merged Ltd was merged into Heir Ltd in Xero. Carry access over?" in page.words

    async def refused() -> bool:
        return (await client.open(story.invoice_path)).status == 404

    await eventually(asked, "the provider is asked")
    await eventually(refused, "the invoice leaves with its client")
    await provider.client_page(contact["id"])
    page = await provider.press("Carry access over")
    assert f"/clients/{heir['id']}" in page.url
    assert f"Access of {email} was carried over." in page.words

    async def opened() -> bool:
        return "Due" in (await client.open(story.invoice_path)).words

    await eventually(opened, "the invoice opens again")
    await provider.close()
    await client.close()
