"""A hundred mails, two mailers, and a mail server in every kind of trouble. `make prove ONLY=test_mails`"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.contracts.notifier import EmailSent
from common.crypto import KeyRing
from common.testing import Harness, HarnessFactory
from notifier.mailer import Mailer
from notifier.main import create_app
from notifier.settings import Settings
from notifier.testing import Events, Inbox, an_inbox, weather

MAILS = 100


@pytest.fixture
async def inbox(tmp_path: Path) -> AsyncIterator[Inbox]:
    async with an_inbox(tmp_path) as inbox:
        yield inbox


@pytest.fixture
async def notifier(harness: HarnessFactory, inbox: Inbox) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings, smtp_port=inbox.port, smtp_starttls="off", mail_from="mail@invoices.example") as service:
        yield service


@pytest.mark.timeout(900)
async def test_a_hundred_mails_arrive_or_are_reported_and_only_cuts_make_doubles(notifier: Harness, inbox: Inbox, keys: Path) -> None:
    settings: Settings = notifier.runtime.settings
    second = Mailer(settings, KeyRing.load(settings.keys_dir / "rings" / "event-seal.json"))
    left = await weather(notifier, inbox, Events(keys), [notifier.app.state.mailer, second], MAILS)
    both = left.mailed & left.reported  # cut off after it was kept, then refused: nobody can know better
    said = f"{len(left.mailed)} delivered, {len(left.reported)} reported as refused, {len(both)} both, {left.doubles} doubles"
    print(f"{MAILS} mails: {said}, {left.cuts} cuts", flush=True)
    assert left.mailed | left.reported == {f"client{number}@demo.example" for number in range(MAILS)}
    assert left.doubles + len(both) <= left.cuts
    assert len(await notifier.published(EmailSent)) == len(left.mailed - both)
    ids = {dict(mail.headers)["Message-ID"] for mail in inbox.mails}
    assert len(ids) == len(left.mailed)
