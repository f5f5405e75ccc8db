"""A client takes the PDFs of several invoices away as one file, through the whole product; ending access takes the file along."""

from __future__ import annotations

import io
import zipfile

from local.people import eventually, patiently
from local.running import Running
from tests.story import Story


async def test_the_pdfs_of_a_senders_list_are_one_file_until_access_ends(system: Running) -> None:
    pike = next(it["id"] for it in await system.xero.ask("/organisations") if it["key"] == "pike")
    email = "papers@demo.example"
    contact = await system.xero.do("/contacts", tenant=pike, name="Paper Ltd", email=email, number="P-1")
    invoices = [await system.xero.do("/invoices", tenant=pike, contact=contact["id"], unit=unit) for unit in ("100.00", "20.50", "3.33")]
    story = Story(system, contact, email)
    provider, client = story.provider, story.client
    await provider.sign_in(organisation=pike)
    share = await patiently(lambda: provider.share(contact["id"], email), "sharing")
    await client.accept_invitation()
    await client.open(f"/invoices/{provider.organisation}")
    page = await client.press("PDFs")
    assert page.url.endswith("/downloads")

    async def ready() -> bool:
        return "Ready." in (await client.open("/downloads")).words

    await eventually(ready, "Xero's PDFs are all here")
    (link,) = [link for link in client.page.links.values() if link.endswith("/zip")]
    answer = await client.http.get(client.product + link)
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
        assert file.testzip() is None
        assert sorted(file.namelist()) == sorted(f"{invoice['number']}.pdf" for invoice in invoices)
        assert all(file.read(name).startswith(b"%PDF") for name in file.namelist())

    assert (await provider.end(contact["id"], share)).status == 200
    assert (await client.http.get(client.product + link)).status_code == 404
    assert "Paper" not in (await client.open("/downloads")).words
    await provider.close()
    await client.close()
