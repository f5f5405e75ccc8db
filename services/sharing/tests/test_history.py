"""Every version is kept and told as what happened; who opened and downloaded what; a provider's own look counts nowhere."""

from __future__ import annotations

import random
from datetime import date, timedelta
from typing import Any

import pytest

from common.contracts.timelines import timeline
from common.contracts.xero_gateway import Invoice, Settlement
from common.identity import PdfCapability, Verifier
from common.testing import OTHER_ORGANISATION, Harness
from sharing.models import Version
from sharing.testing import CLIENT, CONTACT, LONG_AGO, OTHER_CONTACT, Desk, a_line, a_payment, an_invoice, changed

STRANGER = "stranger@demo.example"


def later(minutes: int, **changes: Any) -> Invoice:
    return an_invoice(updated_at=LONG_AGO + timedelta(minutes=minutes), **changes)


def told(*invoices: Invoice) -> list[tuple[str, int | None, int | None]]:
    """(kind, amount, left) of what these versions say together."""
    versions = [
        Version(
            id=str(number),
            organisation_id="org",
            invoice_id=it.invoice_id,
            contact_id=it.contact_id,
            load_id="lod",
            updated_at=it.updated_at,
            read_at=it.updated_at,
            invoice=it,
        )
        for number, it in enumerate(invoices)
    ]
    return [(one.kind, one.amount, one.left) for one in timeline([version.invoice for version in versions])]


PART, REST = a_payment(1500), a_payment(10000)
PART_PAID = {"payments": [PART], "amount_paid": 1500, "amount_due": 10000}
PAID = {"status": "PAID", "payments": [PART, REST], "amount_paid": 11500, "amount_due": 0}
CREDIT = Settlement(id="cn", kind="credit_note", date=date(2026, 2, 3), amount=11500)


@pytest.mark.parametrize(
    ("versions", "expected"),
    [
        ([], []),
        ([later(0)], [("issued", None, None)]),
        ([later(0), later(1)], [("issued", None, None)]),
        ([later(0, **PAID)], [("issued", None, None), ("settled", 1500, None), ("settled", 10000, 0)]),
        (
            [later(0, status="SUBMITTED"), later(1), later(2, **PART_PAID), later(3, **PAID)],
            [("awaiting", None, None), ("approved", None, None), ("settled", 1500, 10000), ("settled", 10000, 0)],
        ),
        (
            [later(0), later(1, **PART_PAID), later(2), later(3, status="VOIDED", amount_due=0)],
            [("issued", None, None), ("settled", 1500, 10000), ("unsettled", 1500, 11500), ("voided", None, None)],
        ),
        ([later(0), later(1, payments=[CREDIT], amount_due=0)], [("issued", None, None), ("settled", 11500, 0)]),
        ([later(0), later(1, total=12000)], [("issued", None, None), ("changed", None, None)]),
        ([later(0, status="VOIDED")], [("issued", None, None), ("voided", None, None)]),
    ],
)
def test_versions_are_told_as_what_happened(versions: list[Invoice], expected: list[Any]) -> None:
    assert told(*versions) == expected


async def show(sharing: Harness, desk: Desk, invoice: Invoice, email: str = CLIENT) -> Any:
    path = f"/internal/client/senders/{desk.organisation}/invoices/{invoice.invoice_id}"
    return (await sharing.http.get(path, headers=sharing.as_client(email))).json()


async def test_a_client_reads_what_changed_whatever_order_it_arrives_in(sharing: Harness, desk: Desk) -> None:
    await desk.share([later(0)])
    new_lines = [a_line(), a_line(line_item_id="two", description="Ribbon")]
    versions = [
        later(1, due_date=date(2030, 2, 1)),
        later(2, due_date=date(2030, 2, 1), total=12000, amount_due=12000, lines=new_lines),
        later(3, status="VOIDED", due_date=date(2030, 2, 1), total=12000, amount_due=0, lines=new_lines),
    ]
    random.Random(7).shuffle(versions)
    for version in [*versions, *versions]:
        await sharing.deliver(changed(version))
    seen = (await show(sharing, desk, later(0)))["timeline"]
    assert [one["kind"] for one in seen] == ["issued", "changed", "changed", "voided"]
    assert seen[1]["changes"] == [{"field": "due_date", "before": "2030-01-01", "after": "2030-02-01"}]
    assert [(one["field"], one["before"], one["after"]) for one in seen[2]["changes"]] == [("total", "11500", "12000"), ("lines", "1", "2")]
    assert await sharing.db.collection("versions").count({}) == 4


async def test_two_changes_within_one_second_are_two_versions(sharing: Harness, desk: Desk) -> None:
    await desk.share([later(0)])
    await sharing.deliver(changed(later(1, reference="a")))
    await sharing.deliver(changed(later(1, reference="b")))
    seen = (await show(sharing, desk, later(0)))["timeline"]
    assert [one["changes"][0]["after"] for one in seen if one["changes"]] == ["a", "b"]


async def test_the_history_under_another_contact_or_an_earlier_opening_is_nobodys_business(sharing: Harness, desk: Desk) -> None:
    mine, theirs = await desk.share([later(0, reference="for the first")]), await desk.share([], STRANGER, OTHER_CONTACT)
    await sharing.deliver(changed(later(1, contact_id=OTHER_CONTACT, reference="for the second")))
    seen = await show(sharing, desk, later(0), STRANGER)
    assert [one["kind"] for one in seen["timeline"]] == ["issued"]
    assert "for the first" not in str(seen)
    assert (await show(sharing, desk, later(0)))["status"] == 404
    await desk.end(theirs["id"])
    await desk.end(mine["id"])
    await desk.share([later(2, reference="anew")])
    assert [one["kind"] for one in (await show(sharing, desk, later(0)))["timeline"]] == ["issued"]


async def test_versions_from_before_the_day_of_the_policy_are_left_out(sharing: Harness, desk: Desk) -> None:
    await desk.share([later(0, date=date(2025, 12, 1), reference="old")], from_date="2026-01-01")
    await sharing.deliver(changed(later(1, date=date(2026, 1, 5), reference="new")))
    seen = await show(sharing, desk, later(0))
    assert [one["kind"] for one in seen["timeline"]] == ["issued"]
    assert "old" not in str(seen["timeline"])


async def test_nothing_of_a_bill_a_draft_or_an_unshared_contact_is_kept_as_a_version(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice("BILL", type="ACCPAY"), an_invoice("DRAFT", status="DRAFT")])
    await sharing.deliver(changed(an_invoice("ELSEWHERE", contact_id=OTHER_CONTACT)))
    assert await sharing.db.collection("versions").count({}) == 0


# ── who saw what


async def test_the_provider_reads_who_opened_and_downloaded_an_invoice(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    invoice = later(0)
    share = await desk.share([invoice])
    await desk.invite(STRANGER)
    await desk.opens(invoice)
    await desk.opens(invoice, STRANGER)
    granted = await sharing.http.post(
        f"/internal/client/senders/{desk.organisation}/invoices/{invoice.invoice_id}/pdf", headers=sharing.as_client()
    )
    assert granted.status_code == 200
    path = f"{desk.path}/contacts/{CONTACT}/invoices/{invoice.invoice_id}"
    found = (await sharing.http.get(path, headers=sharing.as_provider())).json()
    assert found["invoice"]["number"] == "INV-1"
    assert [(one["email"], one["opened"], one["downloaded"]) for one in found["viewings"]] == [(CLIENT, 1, 1), (STRANGER, 1, 0)]
    assert [moment["kind"] for moment in found["viewings"][0]["moments"]] == ["opened", "downloaded"]
    through = (await sharing.http.get(f"{desk.path}/shares/{share['id']}/viewings", headers=sharing.as_provider())).json()
    assert [(one["number"], one["opened"]) for one in through["viewings"]] == [("INV-1", 1)]
    for foreign in (path.replace(desk.organisation, OTHER_ORGANISATION), f"{other_desk.path}/shares/{share['id']}/viewings"):
        assert (await sharing.http.get(foreign, headers=sharing.as_provider(OTHER_ORGANISATION))).status_code == 404
    elsewhere = await sharing.http.get(path.replace(CONTACT, OTHER_CONTACT), headers=sharing.as_provider())
    assert elsewhere.status_code == 404


async def test_a_preview_shows_the_clients_pages_is_written_down_and_counts_nowhere(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    share = await desk.share([later(0), an_invoice("OLD", date=date(2020, 1, 1))], from_date="2026-01-01")
    before = await desk.look(share["id"])
    path, headers = f"{desk.path}/shares/{share['id']}/preview", sharing.as_provider()
    seen = (await sharing.http.get(f"{path}?view=all", headers=headers)).json()
    mine = (await sharing.http.get(f"{path}/{later(0).invoice_id}", headers=headers)).json()
    hidden = await sharing.http.get(f"{path}/{an_invoice('OLD').invoice_id}", headers=headers)
    assert await desk.look(share["id"]) == before
    assert await sharing.db.collection("viewings").count({}) == 0
    looked = await sharing.db.collection("previews").find({}, sort=[("_id", 1)])
    assert [(row["by"]["id"], row["invoice_id"]) for row in looked[:2]] == [("prv_1", None), ("prv_1", later(0).invoice_id)]
    client = (await sharing.http.get(f"/internal/client/senders/{desk.organisation}?view=all", headers=sharing.as_client())).json()
    assert seen == client
    assert mine == await show(sharing, desk, later(0))
    assert hidden.status_code == 404
    foreign = f"{other_desk.path}/shares/{share['id']}/preview"
    assert (await sharing.http.get(foreign, headers=sharing.as_provider(OTHER_ORGANISATION))).status_code == 404
    await desk.end(share["id"])
    assert (await sharing.http.get(path, headers=headers)).status_code == 404


async def test_the_right_to_a_pdf_names_the_version_shown_and_is_good_for_xero_gateway_alone(sharing: Harness, desk: Desk) -> None:
    invoice = later(5)
    share = await desk.share([invoice])
    path = f"/internal/client/senders/{desk.organisation}/invoices/{invoice.invoice_id}/pdf"
    answer = (await sharing.http.post(path, headers=sharing.as_client())).json()
    keys = sharing.app.state.settings.public_keys_dir
    assert Verifier(keys, "xero-gateway").read(answer["token"]) == PdfCapability(
        desk.organisation, CONTACT, invoice.invoice_id, invoice.updated_at
    )
    assert answer["shown"]["invoice"]["number"] == "INV-1"
    assert (await sharing.http.post(path, headers=sharing.as_client(STRANGER))).status_code == 404
    await desk.end(share["id"])
    assert (await sharing.http.post(path, headers=sharing.as_client())).status_code == 404
