"""What notifier forgets of providers and organisations that left."""

from typing import Any

from common.contracts.auth import Person, ProviderDeleted
from common.testing import ORGANISATION, OTHER_ORGANISATION, Harness
from notifier.letters import letter
from notifier.models import Mail, Secret
from notifier.testing import MERE, Events

LEFT = "prv_left"
WHO_LEFT = Person(id=LEFT, name=MERE.name, email=MERE.email)


async def mails(notifier: Harness) -> list[dict[str, Any]]:
    return await notifier.db.collection("mails").find({}, sort=[("_id", 1)])


async def test_who_left_stands_in_no_mail_and_no_event_and_their_invitation_still_goes_out(notifier: Harness, events: Events) -> None:
    await notifier.deliver(events.invited(shared_by=WHO_LEFT))
    await notifier.deliver(events.lost(2, WHO_LEFT))
    await notifier.deliver(ProviderDeleted(version=1, provider_id=LEFT, organisation_ids=[]))
    await notifier.erase()
    (row,) = await mails(notifier)
    assert (row["kind"], row["state"]) == ("invitation", "pending")
    kept = str([await notifier.db.collection(name).find({}) for name in notifier.runtime.indexes]).casefold()
    assert MERE.email not in kept
    assert MERE.name.casefold() not in kept
    text = letter(Mail.model_validate(row), Secret(invitation="cii_1"), "https://invoices.example", "us@invoices.example").as_string()
    assert "has shared the invoices for" in text
    assert " of Kōwhai" not in text
    assert "Reply-To" not in text


async def test_finished_mails_of_an_organisation_that_left_go_and_those_of_others_stay(notifier: Harness, events: Events) -> None:
    for number, organisation in enumerate((ORGANISATION, OTHER_ORGANISATION)):
        await notifier.deliver(events.invited(f"shr_{number}", organisation_id=organisation))
    await notifier.db.collection("mails").update_many({}, {"$set": {"state": "sent"}})
    await notifier.deliver(ProviderDeleted(version=1, provider_id=LEFT, organisation_ids=[ORGANISATION]))
    await notifier.erase()
    assert [row["about"]["organisation_id"] for row in await mails(notifier)] == [OTHER_ORGANISATION]
    bodies = [row["body"] for row in await notifier.db.collection("inbox").find({"type": "sharing.client.invited.v1"}, sort=[("_id", 1)])]
    assert [bool(body) for body in bodies] == [False, True]
