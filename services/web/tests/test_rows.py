"""Every situation a person meets has a browser test that bears its name: `@pytest.mark.row("…")`, here or in tests/e2e."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
MARK = re.compile(r'^@pytest\.mark\.row\("((?:[^"\\]|\\.)+)"\)$', re.MULTILINE)

WHAT_OPENS_A_LINK = {
    "the browser that asked, link alive",
    "any other browser or device, alive",
    "this browser already has a live session of that address (used, expired or alive)",
    "this browser is signed in as someone else, alive",
    "used",
    "expired",
    "replaced by a newer one",
    "unknown, purged, ended with its access, mangled by a mail program",
}
SITUATIONS = {
    "Invitation opened, signed in as the invited address",
    "Invitation opened, signed in as another address",
    "Mail app's built-in browser",
    "Cookies refused",
    "Revoked person signs in",
    "Revoked while a page is open",
    "Same person is provider and client",
    "Client presses “Sign in with Xero” by mistake",
    "Consent declined, or no organisation in that login",
    "Provider shares with their own address",
    "Two colleagues, one organisation",
    "Same address, several clients of one sender",
    "Organisation without contacts",
    "Contact without e-mail, or with an unusable one",
    "Address domain differs from the contact's; free mail; address already used for another client",
    "Nothing to share yet",
    "An invitation leaves only when there is something to open",
    "Xero down before the preview",
    "Xero down after Send",
    "Xero's minute or day limit",
    "Xero down on Clients",
    "Connection needs signing in again",
    "No webhook reaches this installation",
    "Mail refused",
    "Invoice moved to another contact, contact merged or archived in Xero",
    "Online invoice link of Xero",
    "Ending access",
    "Partial grants",
    "Many PDFs at once",
    "Provider session ends in mid-task",
    "What the sender sees",
    "New invoices later",
}


def test_every_situation_has_its_browser_test() -> None:
    tests = [*(ROOT / "services/web/tests").glob("test_*.py"), *(ROOT / "tests/e2e").glob("test_*.py")]
    marked = {row for file in tests for row in MARK.findall(file.read_text())}

    assert marked == WHAT_OPENS_A_LINK | SITUATIONS
