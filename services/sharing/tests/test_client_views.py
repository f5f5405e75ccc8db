"""What clients see, and everything they must not see."""

from datetime import date, datetime, timedelta
from typing import Any

import pytest

from common.clock import local_date, utc_now
from common.contracts.auth import OrganisationDisconnected, OrganisationNeedsReauth
from common.contracts.xero_gateway import OrganisationChecked
from common.testing import OTHER_ORGANISATION, Harness
from sharing import store
from sharing.testing import (
    CLIENT,
    CONTACT,
    LONG_AGO,
    OTHER_CONTACT,
    Desk,
    a_line,
    a_payment,
    an_invoice,
    changed,
    connected,
    fetched,
    uuid_of,
)

STRANGER = "stranger@demo.example"


def today() -> date:
    return local_date(utc_now(), "Pacific/Auckland")


async def get(sharing: Harness, path: str, email: str = CLIENT, **params: Any) -> Any:
    return await sharing.http.get(f"/internal/client/{path}", params=params, headers=sharing.as_client(email))


async def test_a_shared_invoice_opens_in_full(sharing: Harness, desk: Desk) -> None:
    lines = [a_line(quantity="0.0375", unit_amount="12480.0000"), a_line(description="Line\nbreak", discount_rate="100.00")]
    invoice = an_invoice(lines=lines, amount_due=6500, amount_paid=5000, payments=[a_payment(5000)], due_date=None, reference="PO 7")
    await desk.share([invoice])
    answer = (await get(sharing, f"senders/{desk.organisation}/invoices/{invoice.invoice_id}")).json()
    assert answer["invoice"] == invoice.model_dump(mode="json")
    assert (answer["standing"], answer["today"]) == ("open", today().isoformat())
    assert answer["sender"]["name"] == "Kōwhai & Hart"
    assert answer["sender"]["contacts"] == [{"contact_id": CONTACT, "name": "Harbour Books"}]
    assert answer["as_of"] == answer["sender"]["as_of"] is not None


async def test_invoices_are_as_of_the_last_time_xero_had_nothing_new(sharing: Harness, desk: Desk) -> None:
    """Not only of the last time one of them changed; a check that is told late takes nothing back."""
    await desk.share([an_invoice()])
    checks = [utc_now() + timedelta(minutes=minutes) for minutes in (1, 2)]
    for checked_at in (checks[1], checks[0]):
        version = round(checked_at.timestamp() * 1000)
        await sharing.deliver(OrganisationChecked(version=version, organisation_id=desk.organisation, checked_at=checked_at))
    told = datetime.fromisoformat((await get(sharing, f"senders/{desk.organisation}")).json()["as_of"])
    assert abs(told - checks[1]) < timedelta(milliseconds=1)
    path = f"{desk.path}/contacts/{CONTACT}/invoices"
    assert datetime.fromisoformat((await sharing.http.get(path, headers=sharing.as_provider())).json()["as_of"]) == told
    clients = (await sharing.http.get(f"{desk.path}/clients", headers=sharing.as_provider())).json()["clients"]
    assert datetime.fromisoformat(clients[0]["as_of"]) == told


async def test_every_view_counts_and_the_first_makes_the_share_active(sharing: Harness, desk: Desk) -> None:
    invoice = an_invoice()
    share = await desk.share([invoice])
    assert (share["state"], share["views"], share["last_seen_at"]) == ("invited", 0, None)
    await desk.numbers_seen()
    await desk.opens(invoice)
    seen = await desk.look(share["id"])
    assert (seen["state"], seen["views"]) == ("active", 2)
    assert seen["last_seen_at"] > seen["shared_at"]


async def test_home_makes_active_and_counts_no_view(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    await get(sharing, "home")
    seen = await desk.look(share["id"])
    assert (seen["state"], seen["views"]) == ("active", 0)


async def test_home_adds_up_per_sender_and_currency(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    late = today() - timedelta(days=1)
    invoices = [an_invoice(f"INV-{number}", amount_due=number, due_date=today() + timedelta(days=number)) for number in range(1, 7)]
    invoices += [
        an_invoice("INV-LATE", amount_due=100, due_date=late),
        an_invoice("INV-TODAY", amount_due=1000, due_date=today()),
        an_invoice("INV-NEVER", amount_due=10000, due_date=None),
        an_invoice("INV-USD", amount_due=70000, currency="USD", due_date=late),
        an_invoice("INV-PAID", status="PAID", amount_due=0, amount_paid=11500),
        an_invoice("INV-WAIT", status="SUBMITTED", due_date=late),
    ]
    await desk.share(invoices)
    await other_desk.share([an_invoice("GB-1", amount_due=5, currency="USD")])
    home = (await get(sharing, "home")).json()
    kowhai, pike = home["senders"]
    assert (kowhai["name"], pike["name"]) == ("Kōwhai & Hart", "Pike & Larkmoor LLP")
    assert kowhai["totals"] == [
        {"currency": "NZD", "overdue": 100, "to_pay": 100 + 1000 + 10000 + 21},
        {"currency": "USD", "overdue": 70000, "to_pay": 70000},
    ]
    assert {row["number"] for row in kowhai["unpaid"][:2]} == {"INV-LATE", "INV-USD"}
    assert [row["number"] for row in kowhai["unpaid"][2:]] == ["INV-TODAY", "INV-1", "INV-2"]
    assert (kowhai["count"], pike["count"]) == (12, 1)
    assert home["totals"] == [
        {"currency": "NZD", "overdue": 100, "to_pay": 11121},
        {"currency": "USD", "overdue": 70000, "to_pay": 70005},
    ]


async def test_home_and_the_senders_own_page_say_the_same(sharing: Harness, desk: Desk) -> None:
    statuses = ["AUTHORISED", "PAID", "SUBMITTED", "VOIDED"]
    invoices = [
        an_invoice(
            f"INV-{number}",
            status=statuses[number % 4],
            amount_due=number * 7 % 3 * 100,
            due_date=day,
            currency=["NZD", "USD"][number % 2],
        )
        for number, day in enumerate([today() + timedelta(days=offset) for offset in range(-10, 10)] + [None] * 4)
    ]
    await desk.share(invoices)
    (sender,) = (await get(sharing, "home")).json()["senders"]
    page = (await get(sharing, f"senders/{desk.organisation}")).json()
    assert sender["count"] == page["counts"]["all"]
    assert sender["totals"] == [
        {"currency": total["currency"], "overdue": total["overdue"], "to_pay": total["unpaid"]}
        for total in page["totals"]
        if total["unpaid"]
    ]
    assert sender["unpaid"] == page["invoices"][:5]


async def test_each_senders_own_date_decides_what_is_overdue(sharing: Harness, desk: Desk) -> None:
    """Kiritimati and Pago Pago are 25 hours apart: what is due today in one is never due today in the other."""
    east, west = local_date(utc_now(), "Pacific/Kiritimati"), local_date(utc_now(), "Pacific/Pago_Pago")
    await sharing.deliver(connected(version=2, zone="Pacific/Kiritimati"))
    invoice = an_invoice(due_date=west)
    await desk.share([invoice])
    page = (await get(sharing, f"senders/{desk.organisation}")).json()
    assert (page["today"], page["invoices"][0]["standing"]) == (east.isoformat(), "overdue")
    assert (await get(sharing, "home")).json()["totals"] == [{"currency": "NZD", "overdue": 11500, "to_pay": 11500}]
    await sharing.deliver(connected(version=3, zone="Pacific/Pago_Pago"))
    assert (await get(sharing, "home")).json()["totals"] == [{"currency": "NZD", "overdue": 0, "to_pay": 11500}]


async def test_two_contacts_of_one_sender_stand_together_and_can_be_told_apart(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice("INV-1")])
    await desk.share([an_invoice("INV-2", contact_id=OTHER_CONTACT)], contact=OTHER_CONTACT)
    assert await desk.numbers_seen() == {"INV-1", "INV-2"}
    only = (await get(sharing, f"senders/{desk.organisation}", contact=OTHER_CONTACT)).json()
    assert ([row["number"] for row in only["invoices"]], len(only["sender"]["contacts"])) == (["INV-2"], 2)
    assert (await get(sharing, f"senders/{desk.organisation}", contact=uuid_of("nobody"))).status_code == 404
    assert len((await get(sharing, "home")).json()["senders"]) == 1


async def test_a_senders_page_searches_pages_and_filters(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice(f"INV-{number:03}", date=date(2026, 1, 1) + timedelta(days=number)) for number in range(60)])
    path = f"senders/{desk.organisation}"
    second = (await get(sharing, path, page=2)).json()
    assert (second["total"], len(second["invoices"]), second["view"]) == (60, 10, "to_pay")
    assert (await get(sharing, path, search="inv-007")).json()["total"] == 1
    assert (await get(sharing, path, date_from="2026-01-10", date_to="2026-01-12")).json()["total"] == 3
    assert (await get(sharing, path, view="paid")).json()["total"] == 0


@pytest.mark.parametrize("tell", [OrganisationNeedsReauth, OrganisationDisconnected])
async def test_everything_stays_readable_without_xero_and_says_since_when(sharing: Harness, desk: Desk, tell: Any) -> None:
    await desk.share([an_invoice()])
    lost = {"organisation_id": desk.organisation, "name": "Kōwhai & Hart", "since": LONG_AGO, "cause": "revoked", "people": []}
    await sharing.deliver(tell.model_validate({"version": 2, **lost}))
    (sender,) = (await get(sharing, "home")).json()["senders"]
    assert (sender["not_updating_since"], sender["count"]) == ("2026-01-02T03:04:05Z", 1)
    await sharing.deliver(connected(version=3))
    assert (await get(sharing, "home")).json()["senders"][0]["not_updating_since"] is None


# ── leaks


async def test_another_address_sees_nothing(sharing: Harness, desk: Desk) -> None:
    invoice = an_invoice()
    await desk.share([invoice])
    assert await desk.numbers_seen(STRANGER) is None
    assert await desk.opens(invoice, STRANGER) == 404
    assert (await get(sharing, "home", STRANGER)).json()["senders"] == []


async def test_an_access_to_one_contact_opens_no_other(sharing: Harness, desk: Desk) -> None:
    mine, theirs = an_invoice("INV-1"), an_invoice("INV-2", contact_id=OTHER_CONTACT)
    await desk.share([mine])
    await desk.share([theirs], STRANGER, OTHER_CONTACT)
    assert (await desk.numbers_seen(), await desk.numbers_seen(STRANGER)) == ({"INV-1"}, {"INV-2"})
    assert (await desk.opens(theirs), await desk.opens(mine, STRANGER)) == (404, 404)


async def test_the_same_contact_and_invoice_ids_in_another_organisation_stay_apart(sharing: Harness, desk: Desk, other_desk: Desk) -> None:
    """Xero's demo companies hold copies of each other, ids included."""
    invoice = an_invoice("INV-1")
    await desk.share([invoice])
    await other_desk.share([invoice, an_invoice("INV-2")], STRANGER)
    assert (await desk.numbers_seen(), await other_desk.numbers_seen()) == ({"INV-1"}, None)
    assert (await desk.opens(invoice), await other_desk.opens(invoice)) == (200, 404)
    assert desk.organisation != OTHER_ORGANISATION


async def test_an_ended_share_shows_nothing_from_the_next_request_on(sharing: Harness, desk: Desk) -> None:
    invoice = an_invoice()
    share = await desk.share([invoice])
    assert await desk.opens(invoice) == 200
    await desk.end(share["id"])
    assert (await desk.opens(invoice), await desk.numbers_seen()) == (404, None)
    assert (await get(sharing, "home")).json()["senders"] == []
    assert (await desk.look(share["id"]))["views"] == 1


async def test_the_grant_check_itself_refuses_what_ended_since_it_was_found(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    found = await store.list_open_shares(sharing.db, CLIENT)
    assert await store.count_view(sharing.db, STRANGER, share["id"]) is None
    assert await store.count_view(sharing.db, CLIENT, share["id"]) is not None
    await desk.end(share["id"])
    assert [await store.count_view(sharing.db, CLIENT, known.id) for known in found] == [None]
    assert (await desk.look(share["id"]))["views"] == 1


async def test_ending_one_address_leaves_the_other(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice()])
    other = await desk.invite(STRANGER)
    await desk.end(other["id"])
    assert (await desk.numbers_seen(), await desk.numbers_seen(STRANGER)) == ({"INV-1"}, None)


async def test_nothing_shows_before_everything_is_loaded(sharing: Harness, desk: Desk) -> None:
    share = await desk.invite()
    await sharing.deliver(fetched(share["load_id"], [an_invoice()], batches=None))
    assert await desk.numbers_seen() is None
    assert await desk.opens(an_invoice()) == 404
    assert (await get(sharing, "home")).json()["senders"] == []


async def test_a_bill_is_refused_whatever_way_it_comes(sharing: Harness, desk: Desk) -> None:
    bill = an_invoice("BILL-1", type="ACCPAY")
    await desk.share([an_invoice(), bill])
    await sharing.deliver(changed(bill))
    assert await desk.numbers_seen() == {"INV-1"}
    assert await sharing.db.collection("snapshots").count({}) == 1


async def test_a_bill_in_the_database_is_refused_at_reading_too(sharing: Harness, desk: Desk) -> None:
    invoice = an_invoice()
    await desk.share([invoice, an_invoice("INV-2")])
    await sharing.db.collection("snapshots").update_one({"invoice_id": invoice.invoice_id}, {"$set": {"type": "ACCPAY"}})
    assert (await desk.numbers_seen(), await desk.opens(invoice)) == ({"INV-2"}, 404)
    assert (await get(sharing, "home")).json()["senders"][0]["count"] == 1


@pytest.mark.parametrize("status", ["DRAFT", "DELETED"])
async def test_an_invoice_set_back_to_draft_or_deleted_disappears_with_its_content(sharing: Harness, desk: Desk, status: str) -> None:
    invoice = an_invoice()
    await desk.share([invoice, an_invoice("INV-2")])
    await sharing.deliver(changed(an_invoice(status=status, updated_at=utc_now())))
    assert (await desk.numbers_seen(), await desk.opens(invoice)) == ({"INV-2"}, 404)
    row = await sharing.db.collection("snapshots").find_one({"invoice_id": invoice.invoice_id})
    assert row is not None
    assert "summary" not in row


async def test_an_invoice_voided_after_sharing_stays_and_says_so(sharing: Harness, desk: Desk) -> None:
    invoice = an_invoice()
    await desk.share([invoice])
    await sharing.deliver(changed(an_invoice(status="VOIDED", amount_due=0, updated_at=utc_now())))
    page = (await get(sharing, f"senders/{desk.organisation}", view="all")).json()
    assert [row["standing"] for row in page["invoices"]] == ["voided"]
    assert page["totals"][0]["unpaid"] == 0


async def test_an_invoice_voided_before_it_was_shared_never_shows(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice("INV-2")])
    await sharing.deliver(changed(an_invoice(status="VOIDED")))
    assert await desk.numbers_seen() == {"INV-2"}


async def test_who_was_invited_after_an_invoice_was_voided_does_not_see_it(sharing: Harness, desk: Desk) -> None:
    invoice = an_invoice()
    await desk.share([invoice, an_invoice("INV-2")])
    await sharing.deliver(changed(an_invoice(status="VOIDED", updated_at=utc_now())))
    await desk.invite(STRANGER)
    assert (await desk.numbers_seen(), await desk.numbers_seen(STRANGER)) == ({"INV-1", "INV-2"}, {"INV-2"})
    assert (await desk.opens(invoice), await desk.opens(invoice, STRANGER)) == (200, 404)


async def test_an_invoice_moved_to_another_contact_leaves_the_first_client_and_joins_the_other(sharing: Harness, desk: Desk) -> None:
    invoice = an_invoice()
    await desk.share([invoice, an_invoice("INV-2")])
    await desk.share([an_invoice("INV-3", contact_id=OTHER_CONTACT)], STRANGER, OTHER_CONTACT)
    moved = an_invoice(contact_id=OTHER_CONTACT, updated_at=utc_now())
    await sharing.deliver(changed(moved))
    assert (await desk.numbers_seen(), await desk.numbers_seen(STRANGER)) == ({"INV-2"}, {"INV-1", "INV-3"})
    assert (await desk.opens(moved), await desk.opens(moved, STRANGER)) == (404, 200)


async def test_an_invoice_moved_to_a_contact_nobody_sees_is_gone(sharing: Harness, desk: Desk) -> None:
    await desk.share([an_invoice(), an_invoice("INV-2")])
    moved = an_invoice(contact_id=OTHER_CONTACT, updated_at=utc_now())
    await sharing.deliver(changed(moved))
    assert (await desk.numbers_seen(), await desk.opens(moved)) == ({"INV-2"}, 404)
    row = await sharing.db.collection("snapshots").find_one({"invoice_id": moved.invoice_id})
    assert row is not None
    assert "summary" not in row


async def test_what_was_stored_in_an_earlier_opening_does_not_come_back(sharing: Harness, desk: Desk) -> None:
    """While nobody had access no changes came, so INV-1 may be anything by now: only the new load knows."""
    gone = an_invoice("INV-1")
    first = await desk.share([gone, an_invoice("INV-2")])
    await desk.end(first["id"])
    await desk.share([an_invoice("INV-2")])
    assert (await desk.numbers_seen(), await desk.opens(gone)) == ({"INV-2"}, 404)


async def test_a_change_after_the_last_share_ended_leaves_no_content(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice()])
    await desk.end(share["id"])
    await sharing.deliver(changed(an_invoice(updated_at=utc_now(), reference="secret")))
    assert "secret" not in repr(await sharing.db.collection("snapshots").find({}))
    await desk.share([an_invoice(updated_at=utc_now())])
    assert await desk.numbers_seen() == {"INV-1"}


# ── for the provider, while Xero is away


async def test_the_provider_reads_what_is_stored(sharing: Harness, desk: Desk) -> None:
    share = await desk.share([an_invoice("INV-1", amount_due=0, status="PAID"), an_invoice("INV-2")])
    await sharing.deliver(changed(an_invoice("INV-3", status="VOIDED")))
    path = f"{desk.path}/contacts/{CONTACT}/invoices"
    page = (await sharing.http.get(path, headers=sharing.as_provider())).json()
    assert [(row["number"], row["link"]) for row in page["invoices"]] == [("INV-2", None)]
    assert (page["view"], page["counts"]["all"], page["shareable"]["count"]) == ("unpaid", 2, 2)
    assert page["as_of"] is not None
    assert (await desk.look(share["id"]))["views"] == 0
    await desk.end(share["id"])
    assert (await sharing.http.get(path, headers=sharing.as_provider())).status_code == 404
