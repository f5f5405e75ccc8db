"""An invoice's PDF: for the holder of the right to it alone, of exactly the version that was granted."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from common.identity import PdfCapability
from common.testing import OTHER_ORGANISATION
from xero_gateway import store
from xero_gateway.testing import an_id


async def get(world: Any, right: PdfCapability) -> httpx.Response:
    answer: httpx.Response = await world.service.http.get("/internal/invoice-pdf", headers=world.service.as_pdf_holder(right))
    return answer


async def right_to(world: Any, number: str = "C-001") -> PdfCapability:
    """To an open invoice of the contact, as it is now."""
    contact = await world.contact(number)
    book = next(it for it in await world.invoices(number, status="AUTHORISED") if it["type"] == "ACCREC" and not it["payments"])
    return await as_it_is(world, PdfCapability(world.kowhai, contact["id"], book["id"], datetime.now(UTC)))


async def as_it_is(world: Any, right: PdfCapability) -> PdfCapability:
    now = (await world.get(f"invoices/{right.invoice_id}")).json()["invoice"]
    return replace(right, contact_id=now["contact_id"], updated_at=datetime.fromisoformat(now["updated_at"]))


async def test_the_holder_of_the_right_gets_xeros_pdf_and_the_next_one_costs_no_call(world: Any) -> None:
    right = await right_to(world)
    await world.forget_calls()
    first = await get(world, right)
    assert (first.status_code, first.headers["content-type"]) == (200, "application/pdf")
    assert first.content.startswith(b"%PDF-")
    assert len(await world.calls()) == 2
    await world.act("faults", offline=True)
    assert (await get(world, right)).content == first.content
    assert len(await world.calls()) == 2
    (kept,) = await world.db.collection(store.PDFS).find({})
    assert timedelta(days=6) < kept["purge_at"] - datetime.now(UTC) <= timedelta(days=7)


async def test_nobody_else_gets_it(world: Any) -> None:
    service, path = world.service, "/internal/invoice-pdf"
    assert (await service.http.get(path)).status_code == 401
    for headers in (service.as_client(), service.as_provider(world.kowhai), service.as_service("web"), service.as_service("sharing")):
        assert (await service.http.get(path, headers=headers)).status_code == 403


async def test_a_right_to_a_version_that_is_past_gets_nothing_and_has_the_invoice_looked_at(world: Any) -> None:
    right = await right_to(world)
    assert (await get(world, right)).status_code == 200
    await world.act(f"invoices/{right.invoice_id}/pay")
    changed = await as_it_is(world, right)
    assert changed.updated_at > right.updated_at
    assert (await get(world, right)).status_code == 200  # it is kept as it was granted
    stale = replace(right, updated_at=right.updated_at - timedelta(seconds=1))
    answer = await get(world, stale)
    assert (answer.status_code, answer.json()["code"]) == (503, "pdf_not_current")
    assert await world.db.collection(store.MARKS).count({"resource_id": right.invoice_id}) == 1
    assert (await get(world, changed)).status_code == 200


async def test_an_invoice_that_moved_is_never_drawn_for_the_contact_it_left(world: Any) -> None:
    right = await right_to(world)
    await world.act(f"invoices/{right.invoice_id}/move", contact_number="C-002")
    moved = await as_it_is(world, right)
    for lie in (right, replace(moved, contact_id=right.contact_id)):
        answer = await get(world, lie)
        assert (answer.status_code, answer.json()["code"]) == (503, "pdf_not_current")
    assert (await get(world, moved)).status_code == 200
    assert (await get(world, replace(moved, contact_id=right.contact_id))).status_code == 503


async def test_a_kept_pdf_is_not_found_under_another_organisation_contact_or_invoice(world: Any) -> None:
    right = await right_to(world)
    assert (await get(world, right)).status_code == 200
    assert (await get(world, replace(right, contact_id=an_id("other")))).status_code == 503
    assert (await get(world, replace(right, invoice_id=an_id("other")))).status_code == 503
    assert (await get(world, replace(right, organisation_id=OTHER_ORGANISATION))).status_code == 409


async def test_xero_away_is_said_so_that_web_can_draw_the_stored_invoice(world: Any) -> None:
    right = await right_to(world)
    for fault in ("offline", "wrong_json"):
        await world.act("faults", **{fault: True})
        answer = await get(world, right)
        assert (answer.status_code, answer.json()["code"]) == (503, "xero_unavailable")
        await world.act("faults", **{fault: False})
    assert await world.db.collection(store.PDFS).count({}) == 0


async def test_a_pdf_too_large_to_keep_is_given_all_the_same(world: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xero_gateway.pdfs.LARGEST_KEPT", 100)
    assert (await get(world, await right_to(world))).status_code == 200
    assert await world.db.collection(store.PDFS).count({}) == 0
