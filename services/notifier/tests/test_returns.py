"""Mails that come back: reports as mail servers write them, at the return address of one mail and nowhere else."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiosmtplib import SMTP, SMTPRecipientsRefused, SMTPSenderRefused

from common.contracts.notifier import EmailFailed, EmailSent
from common.testing import Harness, HarnessFactory
from inbox_simulator.faults import Mode
from notifier import mails
from notifier.delivery_reports import reason_of
from notifier.main import create_app
from notifier.returns import Returns
from notifier.settings import Settings
from notifier.testing import Events

DOMAIN = "returns.invoices.example"


def a_report(status: str = "5.1.1", action: str = "failed", kind: str = "delivery-status") -> bytes:
    """As Postfix writes one."""
    return f"""\
From: MAILER-DAEMON@mx.rata.example (Mail Delivery System)
To: <somebody@{DOMAIN}>
Subject: Undelivered Mail Returned to Sender
Auto-Submitted: auto-replied
MIME-Version: 1.0
Content-Type: multipart/report; report-type={kind};
 boundary="4C1F/mx.rata.example"

--4C1F/mx.rata.example
Content-Description: Notification
Content-Type: text/plain; charset=us-ascii

<you@demo.example>: host mx says: 550 5.1.1 go to https://evil.example

--4C1F/mx.rata.example
Content-Description: Delivery report
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.rata.example
X-Postfix-Queue-ID: 4C1F
Arrival-Date: Sat, 21 Nov 2026 09:30:00 +0000 (UTC)

Final-Recipient: rfc822; you@demo.example
Original-Recipient: rfc822;you@demo.example
Action: {action}
Status: {status}
Remote-MTA: dns; mx
Diagnostic-Code: smtp; 550 5.1.1 go to https://evil.example

--4C1F/mx.rata.example
Content-Description: Undelivered Message Headers
Content-Type: text/rfc822-headers

Subject: Somebody has shared invoices with you

--4C1F/mx.rata.example--
""".replace("\n", "\r\n").encode()


@pytest.fixture
async def notifier(harness: HarnessFactory, settings: dict[str, Any]) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings, **settings, return_domain=DOMAIN) as service:
        yield service


@pytest.fixture
async def post(notifier: Harness) -> AsyncIterator[SMTP]:
    """A connection of the mail server that forwards what comes back."""
    server = await Returns(notifier.runtime.settings).listen(notifier.db)
    async with SMTP(hostname="127.0.0.1", port=server.sockets[0].getsockname()[1], start_tls=False) as connection:
        yield connection
    server.close()


async def comes_back(post: SMTP, to: str, report: bytes) -> None:
    await post.sendmail("", [to], report)


async def state(notifier: Harness) -> str:
    (row,) = await notifier.db.collection("mails").find({})
    return str(row["state"])


async def test_a_mail_that_comes_back_is_told_with_its_reason_once(
    notifier: Harness, events: Events, inbox: Any, send: Any, post: SMTP
) -> None:
    await notifier.deliver(events.invited(number=4))
    await send()
    to = inbox.mails[0].mail_from
    assert to.endswith(f"@{DOMAIN}")
    assert dict(inbox.mails[0].headers)["From"] == "Client Invoices <mail@invoices.example>"
    returned = mails.ENDED.labels("returned")
    before = returned._value.get()
    for _ in range(2):
        await comes_back(post, to.upper(), a_report())
    assert returned._value.get() == before + 1
    (told,) = await notifier.published(EmailFailed)
    assert (told.share_id, told.version, told.reason, told.returned) == ("shr_1", 4, "mailbox unknown", True)
    assert len(await notifier.published(EmailSent)) == 1
    assert await state(notifier) == "returned"


async def test_a_mail_that_came_back_after_a_cut_is_not_sent_again(
    notifier: Harness, events: Events, inbox: Any, send: Any, post: SMTP
) -> None:
    await notifier.deliver(events.invited())
    inbox.fails(Mode.CUT_AFTER_DATA, 1)
    await send()
    await comes_back(post, inbox.mails[0].mail_from, a_report())
    await notifier.db.collection("mails").update_many({}, [{"$set": {"due_at": "$$NOW"}}])
    await send()
    assert len(inbox.mails) == 1
    assert await state(notifier) == "returned"


async def test_a_sign_in_mail_that_comes_back_is_told_to_nobody(
    notifier: Harness, events: Events, inbox: Any, send: Any, post: SMTP
) -> None:
    await notifier.deliver(events.sign_in())
    await send()
    await comes_back(post, inbox.mails[0].mail_from, a_report())
    assert await notifier.published(EmailFailed) == []
    assert await state(notifier) == "returned"


@pytest.mark.parametrize("report", [a_report(action="delayed"), a_report(action="delivered"), b"Subject: On holiday\r\n\r\nBack on Monday"])
async def test_what_is_not_final_changes_nothing(
    notifier: Harness, events: Events, inbox: Any, send: Any, post: SMTP, report: bytes
) -> None:
    await notifier.deliver(events.invited())
    await send()
    await comes_back(post, inbox.mails[0].mail_from, report)
    assert await state(notifier) == "sent"


async def test_only_return_addresses_take_mail_and_only_mail_without_a_sender(
    notifier: Harness, events: Events, inbox: Any, send: Any, post: SMTP
) -> None:
    await notifier.deliver(events.invited())
    await send()
    for address in (f"you@{DOMAIN}", inbox.mails[0].mail_from.replace(DOMAIN, "else.example"), f"postmaster@{DOMAIN}"):
        with pytest.raises(SMTPRecipientsRefused):
            await comes_back(post, address, a_report())
    with pytest.raises(SMTPSenderRefused):
        await post.sendmail("someone@else.example", [inbox.mails[0].mail_from], a_report())
    await comes_back(post, f"{'0' * 32}@{DOMAIN}", a_report())
    assert await state(notifier) == "sent"


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        ("5.1.1", "mailbox unknown"),
        ("5.2.2 (full)", "mailbox full"),
        ("5.4.4", "mail domain unknown"),
        ("4.4.7", "sent back by the mail server of that address"),
        ("", "sent back by the mail server of that address"),
        ("<script>", "sent back by the mail server of that address"),
    ],
)
def test_a_report_is_told_without_the_servers_own_words(status: str, reason: str) -> None:
    assert reason_of(a_report(status)) == reason


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff" * 100,
        b"Content-Type: multipart/report; report-type=delivery-status\r\n\r\n",
        a_report(kind="disposition-notification"),
    ],
)
def test_what_is_no_report_says_nothing(content: bytes) -> None:
    assert reason_of(content) is None
