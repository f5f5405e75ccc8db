"""A client's timeline: everything recorded is told once, newest first, page by page, and to nobody of another organisation."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from common.clock import utc_now
from common.contracts.notifier import EmailFailed, EmailSent
from common.contracts.xero_gateway import Invoice
from common.testing import OTHER_ORGANISATION, Harness
from sharing.testing import CLIENT, CONTACT, LONG_AGO, OTHER_CONTACT, Desk, a_payment, an_invoice, changed

LATE = datetime(2030, 1, 1, tzinfo=UTC)
"""After everything the database's clock has written here."""


def at(minutes: int, number: str = "INV-1", **changes: Any) -> Invoice:
    return an_invoice(number, updated_at=LATE + timedelta(minutes=minutes), **changes)


async def show(sharing: Harness, desk: Desk, contact: str = CONTACT, **asked: Any) -> dict[str, Any]:
    path = f"{desk.path}/contacts/{contact}/timeline"
    answer = await sharing.http.get(path, params=asked, headers=sharing.as_provider(desk.organisation))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def pages(sharing: Harness, desk: Desk, limit: int, **asked: Any) -> list[dict[str, Any]]:
    """Every entry, page after page, and no page longer than it may be."""
    told: list[dict[str, Any]] = []
    before: str | None = ""
    while before is not None:
        page = await show(sharing, desk, limit=limit, **asked, **({"before": before} if before else {}))
        assert len(page["entries"]) <= limit
        told += page["entries"]
        before = page["next"]
    return told


def short(entries: Sequence[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["kind"], one["access"] or one["mail"] or one["doing"] or one["happening"]["kind"]) for one in entries]


async def a_history(sharing: Harness, desk: Desk) -> None:
    """One access with its mails and openings, and three invoices each changed, paid and changed again in one instant."""
    share = await desk.share([an_invoice(), an_invoice("INV-2"), an_invoice("INV-3")])
    await sharing.deliver(EmailFailed(version=1, share_id=share["id"], at=utc_now(), reason="mailbox full", returned=False))
    for _again in range(2):
        await sharing.deliver(EmailSent(version=1, share_id=share["id"], at=utc_now()))
    await desk.opens(an_invoice())
    await desk.opens(an_invoice())
    paid: dict[str, Any] = {"payments": [a_payment(1500)], "amount_paid": 1500, "amount_due": 10000}
    for number in ("INV-1", "INV-2", "INV-3"):
        await sharing.deliver(changed(at(1, number, reference="first", **paid), read_at=LATE))
        await sharing.deliver(changed(at(1, number, reference="again", **paid), read_at=LATE + timedelta(seconds=1)))
    await sharing.deliver(changed(at(2, "INV-4")))
    await desk.end(share["id"])


async def test_a_timeline_tells_each_thing_once_with_the_newest_first(sharing: Harness, desk: Desk) -> None:
    await a_history(sharing, desk)
    told = (await show(sharing, desk))["entries"]
    assert [one["at"] for one in told] == sorted((one["at"] for one in told), reverse=True)
    in_xero = short(told)[:10]
    assert in_xero[0] == ("changes", "issued")
    assert sorted(in_xero[1:]) == [("changes", "changed")] * 6 + [("payments", "settled")] * 3
    here = short(told)[10:]
    assert here[0] == ("shares", "ended")
    assert sorted(here[1:]) == [
        ("mails", "failed"),
        ("mails", "queued"),
        ("mails", "sent"),
        ("openings", "opened"),
        ("openings", "opened"),
        ("openings", "signed_in"),
        ("shares", "shared"),
    ]
    payment = next(one for one in told if one["kind"] == "payments")
    assert (payment["happening"]["amount"], payment["happening"]["left"], payment["currency"]) == (1500, 10000, "NZD")
    opening = next(one for one in told if one["doing"] == "opened")
    assert (opening["email"], opening["number"]) == (CLIENT, "INV-1")
    assert next(one for one in told if one["mail"] == "failed")["mail_reason"] == "mailbox full"
    assert told[10]["by"]["name"] == "Mere Hart"


async def test_pages_of_every_size_join_without_a_gap_or_a_double(sharing: Harness, desk: Desk) -> None:
    """Three invoices are paid and changed in one instant, and a moment here may be shared as well."""
    await a_history(sharing, desk)
    whole = (await show(sharing, desk))["entries"]
    assert len(whole) == 18
    for limit in (1, 2, 3, 17, 18):
        assert await pages(sharing, desk, limit) == whole, limit
    kinds = [await pages(sharing, desk, 2, kind=kind) for kind in ("shares", "mails", "openings", "payments", "changes")]
    assert kinds == [[one for one in whole if one["kind"] == kind] for kind in ("shares", "mails", "openings", "payments", "changes")]


async def test_openings_within_one_instant_are_told_one_by_one_also_after_the_oldest_were_dropped(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    await desk.opens(an_invoice())
    moments = [{"at": LATE, "kind": "opened"}] * 50
    await sharing.db.collection("viewings").update_many({}, {"$set": {"moments": moments, "opened": 73, "last_at": LATE}})
    assert short(await pages(sharing, desk, 7, kind="openings")) == [("openings", "opened")] * 50 + [("openings", "signed_in")]


async def test_what_a_first_load_brought_is_no_news(sharing: Harness, desk: Desk) -> None:
    paid: dict[str, Any] = {"status": "PAID", "payments": [a_payment(11500)], "amount_paid": 11500, "amount_due": 0}
    await desk.share([an_invoice(), an_invoice("INV-2", **paid)])
    assert (await show(sharing, desk, kind="payments"))["entries"] == (await show(sharing, desk, kind="changes"))["entries"] == []
    await sharing.deliver(changed(an_invoice(updated_at=LONG_AGO + timedelta(days=1), **paid)))
    assert short((await show(sharing, desk, kind="payments"))["entries"]) == [("payments", "settled")]


async def test_a_timeline_is_its_organisations_and_its_contacts_alone(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    await a_history(sharing, desk)
    nothing: dict[str, Any] = {"contact_name": None, "as_of": None, "entries": [], "next": None}
    assert await show(sharing, other_desk) == await show(sharing, desk, OTHER_CONTACT) == nothing
    await other_desk.share([an_invoice("THEIRS")])
    assert {one["share_id"] for one in (await show(sharing, other_desk))["entries"]}.isdisjoint(
        {one["share_id"] for one in (await show(sharing, desk))["entries"]} - {None}
    )
    assert "INV-" not in str(await show(sharing, other_desk))
    path = f"{desk.path}/contacts/{CONTACT}/timeline"
    assert (await sharing.http.get(path, headers=sharing.as_provider(OTHER_ORGANISATION))).status_code == 404


async def test_a_place_that_was_not_ours_to_name_is_refused(sharing: Harness, desk: Desk) -> None:
    for place in ("x", "2026-01-01", "yesterday~share:1", "2026-01-01T00:00:00.000~version:x", "2026-01-01T00:00:00.000~version:x~y~z"):
        path = f"{desk.path}/contacts/{CONTACT}/timeline"
        assert (await sharing.http.get(path, params={"before": place}, headers=sharing.as_provider())).status_code == 422, place
