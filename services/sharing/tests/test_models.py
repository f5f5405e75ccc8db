"""The rules by themselves: what a share's facts mean, and what the versions of an invoice say together."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from sharing.models import Contact, Organisation, Snapshot, blank_snapshot, contact_key
from sharing.testing import CONTACT, LONG_AGO, OTHER_CONTACT, a_share, an_invoice


def at(day: int) -> datetime:
    return LONG_AGO + timedelta(days=day)


@pytest.mark.parametrize(
    ("facts", "loaded", "state"),
    [
        ({}, False, "preparing"),
        ({}, True, "waiting_invoice"),
        ({"invited_at": at(1)}, True, "invited"),
        ({"invited_at": at(1)}, False, "invited"),
        ({"invited_at": at(1), "opened_at": at(2)}, True, "opened"),
        ({"invited_at": at(1), "active_at": at(2)}, True, "active"),
        ({"invited_at": at(1), "opened_at": at(2), "active_at": at(3)}, True, "active"),
        ({"invited_at": at(1), "active_at": at(2), "ended_at": at(3)}, True, "ended"),
        ({"ended_at": at(1)}, False, "ended"),
    ],
)
def test_a_shares_state_follows_from_its_facts(facts: dict[str, Any], loaded: bool, state: str) -> None:
    assert a_share(**facts).state(loaded) == state


def test_a_later_invitation_keeps_since_when_the_share_is_open() -> None:
    again = a_share().invited(at(1)).invited(at(2))
    assert (again.invited_at, again.invitation_number, again.version) == (at(1), 2, 3)


def test_a_load_is_complete_when_every_batch_was_applied_and_not_before() -> None:
    contact = Contact(id=contact_key("org", "con"), organisation_id="org", contact_id="con", name="C", load_id="lod_1")
    known: dict[str, Any] = {"total": None, "read_at": at(1)}
    steps = [
        contact.with_batch(3, stored=250, batches=3, total=250, read_at=at(3)),
        contact.with_batch(3, stored=250, batches=3, **known).with_batch(3, stored=250, batches=3, **known),
        contact.with_batch(1, stored=100, batches=None, **known).with_batch(2, stored=200, batches=None, **known),
    ]
    assert [step.is_loaded for step in steps] == [False, False, False]
    done = steps[0].with_batch(1, stored=100, batches=None, **known).with_batch(2, stored=200, batches=None, **known)
    assert (done.is_loaded, done.stored, done.total, done.as_of) == (True, 250, 250, at(3))
    assert not done.reopened("lod_2").is_loaded


@pytest.mark.parametrize(
    ("invoice", "load_id", "visible"),
    [
        ({}, "lod_1", True),
        ({"status": "SUBMITTED"}, "lod_1", True),
        ({"status": "PAID"}, "lod_1", True),
        ({"status": "DRAFT"}, "lod_1", False),
        ({"status": "DELETED"}, "lod_1", False),
        ({"status": "VOIDED"}, "lod_1", False),
        ({"status": "SOMETHING NEW"}, "lod_1", False),
        ({"type": "ACCPAY"}, "lod_1", False),
        ({"type": "ACCPAYPREPAYMENT"}, "lod_1", False),
        ({}, None, False),
    ],
)
def test_only_finalised_sales_invoices_of_an_open_contact_are_visible(invoice: dict[str, Any], load_id: str | None, visible: bool) -> None:
    assert blank().told(an_invoice(**invoice), at(1), load_id).is_visible is visible


def test_a_voided_invoice_stays_visible_only_in_the_opening_in_which_it_was_finalised() -> None:
    finalised = blank().told(an_invoice(), at(1), "lod_1")
    voided = an_invoice(status="VOIDED", updated_at=at(2))
    assert finalised.told(voided, at(2), "lod_1").is_visible
    assert not finalised.told(voided, at(2), "lod_2").is_visible
    assert not finalised.told(voided.model_copy(update={"contact_id": OTHER_CONTACT}), at(2), "lod_2").is_visible


def test_an_older_version_changes_no_content() -> None:
    newer = blank().told(an_invoice(updated_at=at(2), reference="new"), at(2), "lod_1")
    for older in (an_invoice(updated_at=at(1)), an_invoice(updated_at=at(2))):
        told = newer.told(older, at(1), "lod_1")
        assert told.invoice is not None
        assert (told.invoice.reference, told.contact_id, told.read_at) == ("new", CONTACT, at(2))


def test_an_organisation_keeps_the_newest_of_each_fact() -> None:
    told = Organisation(id="org").told(3, name="New").told(2, name="Old", state="needs_reauth", since=at(1))
    assert (told.name, told.state, told.not_updating_since) == ("New", "needs_reauth", at(1))


def blank() -> Snapshot:
    return blank_snapshot("org", "inv")
