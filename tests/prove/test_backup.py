"""A running system is copied, lost, and put back into an empty one with the same keys: `make prove ONLY=backup`"""

from __future__ import annotations

import difflib
import json
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from local.people import eventually
from local.running import Running, running
from tests.backup import Household, address, client_pages, empty_in_place_of, operate, provider_pages

ACTIVE = 6
NOT_AGAIN = "Not delivered: not sent again after data was restored from a backup"


@pytest.mark.timeout(1500)
async def test_a_restored_backup_serves_the_same_pages_and_nothing_twice(tmp_path: Path) -> None:
    first, second, copy = tmp_path / "first", tmp_path / "second", tmp_path / "copy"
    first.mkdir()
    second.mkdir()
    async with running(first) as system:
        home = Household(system)
        await home.make(ACTIVE)
        began = time.monotonic()
        code, said = await operate(first, "backup", str(copy))
        assert code == 0, said
        print(f"backup: {said.splitlines()[-1]} ({time.monotonic() - began:.1f} s)", flush=True)
        manifest = json.loads((copy / "manifest.json").read_text())
        held = b"".join(path.read_bytes() for path in copy.rglob("*.bson"))
        assert {oct(path.stat().st_mode & 0o777) for path in copy.rglob("*") if path.is_file()} == {"0o600"}
        await system.a_new_minute()
        contacts = [contact["id"] for name, contact in home.contacts.items() if name != "waiting"]
        before = await provider_pages(home.provider, contacts)
        seen = {name: await client_pages(home.readers[name]) for name in home.readers}
        mails = {name: len(await system.inbox.mails(address(name))) for name in home.contacts}
        cookies = {name: browser.http.cookies for name, browser in home.readers.items()}
        ports = system.state["ports"]
        await home.close()
    print(f"{sum(map(len, seen.values()))} client pages, {len(before)} provider pages", flush=True)

    async with empty_in_place_of(first, second, ports) as system:
        await system.inbox.faults("ok")
        began = time.monotonic()
        code, said = await operate(second, "restore", str(copy))
        assert code == 0, said
        print(f"restore: {time.monotonic() - began:.1f} s", flush=True)
        code, said = await operate(second, "restore", str(copy))
        assert (code, "is in use" in said) == (1, True), said
        await no_old_session_or_link_lives(system, home, cookies)

        provider = system.provider()
        elsewhere = system.provider()
        for person, organisation in zip((provider, elsewhere), await system.xero.ask("/organisations"), strict=False):
            await person.sign_in(organisation=organisation["id"])

        async def told() -> bool:
            return NOT_AGAIN in (await elsewhere.client_page(home.contacts["waiting"]["id"])).words

        await eventually(told, "the mail that waited is told as not sent")
        await system.a_new_minute()
        assert await provider_pages(provider, contacts) == Same(before)
        for name in (each for each in home.readers if each != "ended"):
            client = system.client(address(name))
            await client.sign_in()
            mails[name] += 1
            assert await client_pages(client) == Same(seen[name])
            await client.close()
        ended = system.client(address("ended"))
        await ended.sign_in()
        mails["ended"] += 1
        assert "Nothing is shared with" in (await ended.open("/invoices")).words
        assert {name: len(await system.inbox.mails(address(name))) for name in home.contacts} == mails
        code, said = await operate(second, "status")
        assert code == 0, said
        for browser in (provider, elsewhere, ended):
            await browser.close()
    assert set(manifest["services"]) == {"auth", "xero-gateway", "sharing", "portal", "notifier"}
    for secret in (home.used_link, home.unused_link):
        assert secret.rpartition("/")[2].encode() not in held


async def no_old_session_or_link_lives(system: Running, home: Household, cookies: Mapping[str, object]) -> None:
    for name, jar in cookies.items():
        client = system.client(address(name))
        client.http.cookies = jar  # type: ignore[assignment]
        assert "/sign-in" in (await client.open("/invoices")).url
        await client.close()
    for name, link in (("active0", home.used_link), ("asked", home.unused_link)):
        client = system.client(address(name))
        page = await client.open(link)
        assert [button for form in page.forms for button in form.buttons if "Open" in button] == [], page.words
        await client.close()


class Same:
    """Pages that another look has to equal; says where they differ."""

    def __init__(self, pages: dict[str, str]) -> None:
        self.pages = pages

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, dict)
        assert set(other) == set(self.pages)
        for path, page in self.pages.items():
            differs = list(difflib.unified_diff(page.splitlines(), other[path].splitlines(), lineterm="", n=0))
            assert differs == [], f"{path}: {differs[:20]}"
        return True
