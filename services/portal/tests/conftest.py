"""Portal on its real database, with sharing answering over HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from common.testing import Harness, HarnessFactory
from portal.main import create_app
from portal.settings import Settings
from portal.testing import KNOWN, Mail, Mailed, Sharing, answer_requests, ask, mails, served


@pytest.fixture(scope="session")
async def sharing_served(keys: Path) -> AsyncIterator[tuple[Sharing, str]]:
    sharing = Sharing(keys / "public")
    async with served(sharing.app) as url:
        yield sharing, url


@pytest.fixture
def sharing(sharing_served: tuple[Sharing, str]) -> Sharing:
    sharing_served[0].reset()
    return sharing_served[0]


@pytest.fixture
async def portal(harness: HarnessFactory, sharing: Sharing, sharing_served: tuple[Sharing, str]) -> AsyncIterator[Harness]:
    async with harness(create_app, Settings, sharing_url=sharing_served[1]) as service:
        yield service


@pytest.fixture
def mailed(portal: Harness, keys: Path) -> Mailed:
    """Asks for a sign-in mail and gives what arrived."""

    async def ask_and_read(**asked: str) -> Mail:
        by = asked if {"email", "invitation", "link"} & set(asked) else {"email": KNOWN, **asked}
        answer = await ask(portal, **by)
        assert answer.status_code == 202, answer.text
        await answer_requests(portal)
        return (await mails(portal, keys))[-1]

    return ask_and_read
