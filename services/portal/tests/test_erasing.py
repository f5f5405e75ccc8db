"""What portal forgets of an organisation nobody has connected any more."""

from common.contracts.auth import ProviderDeleted
from common.testing import ORGANISATION, Harness
from portal import store
from portal.testing import Mailed, call

ORGANISATION_LEFT = ProviderDeleted(version=1, provider_id="prv_left", organisation_ids=[ORGANISATION])


async def test_a_link_that_led_to_an_organisation_that_left_leads_home(portal: Harness, mailed: Mailed) -> None:
    mail = await mailed(invitation="cii_good")
    (link,) = await portal.db.collection(store.LINKS).find({})
    organisation = link["goal"]["organisation_id"]
    assert organisation
    await portal.deliver(ORGANISATION_LEFT.model_copy(update={"organisation_ids": [organisation]}))
    await portal.erase()
    answer = await call(portal, "links/redeem", token=mail.token, browser="cib_any", email=mail.event.email)
    assert answer.json()["goal"] == {"kind": "home", "organisation_id": None, "invoice_id": None}
    assert await portal.db.collection("outbox").count({}) == 0, "the event that names the organisation is gone"


async def test_links_to_others_stay_as_they_are(portal: Harness, mailed: Mailed) -> None:
    await mailed(invitation="cii_good")
    await portal.deliver(ORGANISATION_LEFT.model_copy(update={"organisation_ids": ["org_other"]}))
    await portal.erase()
    (link,) = await portal.db.collection(store.LINKS).find({})
    assert link["goal"]["organisation_id"]
    assert await portal.db.collection("outbox").count({}) == 1
