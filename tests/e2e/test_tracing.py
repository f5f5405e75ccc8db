"""One reference and one trace lead from a press to the mail it causes, and nothing written on the way tells whom it was about."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from common.mongo import INBOX, OUTBOX, Database
from local import mongod
from local.people import eventually
from local.running import Running
from tests.canaries import cookies
from tests.collector import Collector
from tests.story import STEPS, Story

EMAIL = "traced@demo.example"
OF_OTHERS = ("xero", "inbox", "mongod", "rabbitmq")
LINK_REQUESTED = "portal.sign_in_link.requested.v1"
FROM_PRESS_TO_MAIL = {
    ("web", "POST /i/{invitation:path}"),
    ("web", "POST portal"),
    ("portal", "answer sign-in request"),
    ("portal", "POST sharing"),
    ("portal", f"publish {LINK_REQUESTED}"),
    ("notifier", f"handle {LINK_REQUESTED}"),
    ("notifier", "send sign_in_from_invitation mail"),
}
FROM_SHARE_TO_MAIL = {
    ("web", "POST /o/{org}/clients/{contact}/share"),
    ("sharing", "publish sharing.share.created.v1"),
    ("xero-gateway", "handle sharing.share.created.v1"),
    ("xero-gateway", "work on loads"),
    ("sharing", "handle xero-gateway.invoices.fetched.v1"),
    ("sharing", "publish sharing.client.invited.v1"),
    ("notifier", "send invitation mail"),
}
"""Over the first load, which xero-gateway makes from a row of its own."""


@pytest.mark.timeout(300)
async def test_one_reference_and_one_trace_lead_from_a_press_to_its_mail(system: Running, collector: Collector) -> None:
    tenant = (await system.xero.ask("/organisations"))[0]["id"]
    contact = await system.xero.do("/contacts", tenant=tenant, name="Traced Ltd", email=EMAIL, number="TRACED-1")
    await system.xero.do("/invoices", tenant=tenant, contact=contact["id"], unit="100.00")
    story = Story(system, contact, EMAIL)
    try:
        for step in STEPS[:6]:
            await getattr(story, step)()
        invited, asked = await told_of_mail(system, "invitation"), await told_of_mail(system, "sign_in_from_invitation")
        await one_trace(collector, invited["trace_id"], FROM_SHARE_TO_MAIL)
        await one_trace(collector, asked["trace_id"], FROM_PRESS_TO_MAIL)
        for service, collection in (("portal", OUTBOX), ("notifier", INBOX)):
            (event,) = [each for each in await events(system, service, collection) if each["correlationid"] == asked["correlation_id"]]
            assert event["traceparent"].split("-")[1] == asked["trace_id"]
        (press,) = [line for line in lines(system, "gateway") if reference(line) == asked["correlation_id"]]
        assert (press["request"]["method"], press["request"]["uri"]) == ("POST", "/i/[hidden]")
        secrets = [EMAIL, *cookies(story.client), *cookies(story.provider), *await links(system)]
        assert len(secrets) > 4
        written = {part: read(system, part) for part in system.state["logs"] if part not in OF_OTHERS} | {"spans": str(collector.spans)}
        assert [(part, secret) for part, text in written.items() for secret in secrets if secret in text] == []
    finally:
        await story.provider.close()
        await story.client.close()


async def told_of_mail(system: Running, kind: str) -> dict[str, Any]:
    """The line in which notifier tells that it handed over this mail to the client."""
    db = Database(mongod.url(system.state["ports"]["MONGO_PORT"]), "notifier")
    (mail,) = await db.collection("mails").find({"email": EMAIL, "kind": kind})
    db.close()

    async def look() -> dict[str, Any] | None:
        sent = [line for line in lines(system, "notifier") if line["event"] == "mail.sent" and line["mail_id"] == mail["_id"]]
        return sent[0] if sent else None

    found: dict[str, Any] = await eventually(look, f"notifier's line about the {kind}")
    return found


async def one_trace(collector: Collector, trace: str, parts: set[tuple[str, str]]) -> None:
    """All these spans are there, under one press, each below another that is there too."""

    async def look() -> bool:
        found = collector.trace(trace)
        ids = {span.id for span in found}
        return parts <= {(span.service, span.name) for span in found} and all(span.above in ids for span in found if span.above)

    try:
        await eventually(look, f"all spans of {trace}")
    except AssertionError as error:
        raise AssertionError(sorted((span.service, span.name, span.id, span.above) for span in collector.trace(trace))) from error
    assert [(span.service, span.name) for span in collector.trace(trace) if not span.above] == [
        part for part in parts if part[0] == "web" and "/" in part[1]
    ]


async def events(system: Running, service: str, collection: str) -> list[dict[str, Any]]:
    db = Database(mongod.url(system.state["ports"]["MONGO_PORT"]), service)
    rows = await db.collection(collection).find({"type": LINK_REQUESTED})
    db.close()
    return [json.loads(row["body"]) for row in rows if row["body"]]


async def links(system: Running) -> list[str]:
    return [link.rpartition("/")[2] for mail in await system.inbox.mails(EMAIL) for link in mail["links"] if re.search("/[si]/", link)]


def reference(line: dict[str, Any]) -> str | None:
    """What the gateway's line gives as the reference people are shown."""
    return next(iter(line.get("resp_headers", {}).get("X-Correlation-Id", [])), None)


def lines(system: Running, part: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in read(system, part).splitlines() if line.startswith("{")]


def read(system: Running, part: str) -> str:
    return (system.data / "logs" / f"{part}.log").read_text()
