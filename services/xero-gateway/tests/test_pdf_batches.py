"""Many PDFs asked for at once: read in the background and kept, told as they come, exactly what was wanted or not at all."""

from datetime import datetime
from typing import Any

from common.contracts.sharing import PdfsWanted, WantedPdf
from common.contracts.xero_gateway import PdfsFetched
from common.identity import PdfCapability
from xero_gateway import store


async def some_of(world: Any, count: int, number: str = "C-001") -> list[WantedPdf]:
    """Invoices of a contact as they are now."""
    contact = await world.contact(number)
    rows = (await world.get(f"contacts/{contact['id']}/invoices", view="all")).json()["invoices"][:count]
    return [
        WantedPdf(invoice_id=it["invoice_id"], contact_id=contact["id"], updated_at=datetime.fromisoformat(it["updated_at"])) for it in rows
    ]


async def ask(world: Any, wanted: list[WantedPdf], download: str = "dl_1") -> None:
    await world.service.deliver(PdfsWanted(version=1, download_id=download, organisation_id=world.kowhai, wanted=wanted), download)


async def told(world: Any, download: str = "dl_1") -> list[PdfsFetched]:
    """In the order in which they were told."""
    found = [event for event in await world.service.published(PdfsFetched) if event.download_id == download]
    return sorted(found, key=lambda event: int(event.version))


async def complete(world: Any, eventually: Any, download: str = "dl_1") -> PdfsFetched:
    async def over() -> PdfsFetched | None:
        return next((event for event in await told(world, download) if event.kept + event.missed == event.total), None)

    found: PdfsFetched = await eventually(over)
    return found


def right_to(world: Any, wanted: WantedPdf) -> PdfCapability:
    return PdfCapability(world.kowhai, wanted.contact_id, wanted.invoice_id, wanted.updated_at)


async def kept(world: Any, wanted: WantedPdf) -> tuple[int, bytes]:
    headers = world.service.as_pdf_holder(right_to(world, wanted))
    answer = await world.service.http.get("/internal/invoice-pdf", params={"kept": True}, headers=headers)
    return answer.status_code, answer.content


async def test_a_batch_costs_little_more_than_a_call_for_each_and_is_had_without_another(working: Any, eventually: Any) -> None:
    wanted = await some_of(working, 12, "C-002")
    await working.forget_calls()
    await ask(working, wanted)
    end = await complete(working, eventually)
    assert (end.kept, end.missed, end.total, end.reason) == (12, 0, 12, None)
    assert [event.kept for event in await told(working)] == [10, 12]
    assert len(await working.calls()) == 12 + 2
    answers = [await kept(working, one) for one in wanted]
    assert {(status, content[:5]) for status, content in answers} == {(200, b"%PDF-")}
    assert len(await working.calls()) == 12 + 2


async def test_what_is_kept_already_costs_nothing_and_a_batch_asked_for_twice_is_one(working: Any, eventually: Any) -> None:
    wanted = await some_of(working, 3)
    await ask(working, wanted)
    await complete(working, eventually)
    await working.forget_calls()
    await ask(working, wanted)
    await ask(working, wanted, "dl_2")
    assert (await complete(working, eventually, "dl_2")).kept == 3
    assert await working.calls() == []
    assert len(await told(working)) == 1


async def test_another_version_than_the_one_wanted_is_missed_and_never_kept_for_it(working: Any, eventually: Any) -> None:
    contact = await working.contact("C-001")
    (first, *_) = await working.untouched("C-001")
    wanted = [one for one in await some_of(working, 50) if one.invoice_id == first]
    await working.act(f"invoices/{first}/pay")
    unknown = WantedPdf(invoice_id="00000000-0000-4000-8000-000000000000", contact_id=contact["id"], updated_at=wanted[0].updated_at)
    await ask(working, [*wanted, unknown])
    end = await complete(working, eventually)
    assert (end.kept, end.missed) == (0, 2)
    assert (await kept(working, wanted[0]))[0] == 503
    assert await working.db.collection(store.PDFS).count({}) == 0


async def test_xero_away_is_told_once_and_the_rest_follows_by_itself(working: Any, eventually: Any) -> None:
    wanted = await some_of(working, 2)
    await working.act("faults", offline=True)
    await ask(working, wanted)

    async def waits() -> PdfsFetched | None:
        return next((event for event in await told(working) if event.reason), None)

    assert (await eventually(waits)).reason == "xero_unavailable"
    await working.hurry()
    await working.act("faults", offline=False)

    async def hurried() -> PdfsFetched | None:
        await working.hurry()
        return next((event for event in await told(working) if event.kept == event.total), None)

    await eventually(hurried)
    events = await told(working)
    assert [event.reason for event in events].count("xero_unavailable") == 1
    assert events[-1].reason is None


async def test_nothing_is_read_of_an_organisation_that_left(working: Any, eventually: Any) -> None:
    unknown = PdfsWanted(version=1, download_id="dl_9", organisation_id="org_unknown", wanted=await some_of(working, 1))
    await working.service.deliver(unknown, "dl_9")

    async def waits() -> PdfsFetched | None:
        return next((event for event in await told(working, "dl_9") if event.reason), None)

    assert (await eventually(waits)).reason == "xero_needs_reauth"


async def test_kept_only_asks_xero_for_nothing(world: Any) -> None:
    (wanted,) = await some_of(world, 1)
    await world.forget_calls()
    status, content = await kept(world, wanted)
    assert status == 503
    assert b"pdf_not_kept" in content
    assert await world.calls() == []
