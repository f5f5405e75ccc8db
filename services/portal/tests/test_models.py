"""What a link is worth in a browser, as a table: the rows of the link page."""

from datetime import UTC, datetime
from typing import Any

import pytest

from common.errors import ServiceError
from portal.errors import LinkExpired, LinkReplaced, LinkUnknown, LinkUsed
from portal.models import Goal, Link, link_view

MADE, ENDS, ENDED = (datetime(2026, 11, 21, 9, minute, tzinfo=UTC) for minute in (0, 15, 7))
HERE, ELSEWHERE, ME, OTHER = "hash-here", "hash-elsewhere", "aroha@rimu.example", "hemi@totara.example"


def a_link(**changes: Any) -> Link:
    made: dict[str, Any] = {
        "id": "digest", "link_id": "lnk_1", "request_id": "sir_1", "email": ME, "browser": HERE, "code": None,
        "made_at": MADE, "expires_at": ENDS, "goal": Goal(kind="sender", organisation_id="org_1"),
    }  # fmt: skip
    return Link(**made | changes)


USED, REPLACED = {"state": "used", "ended_at": ENDED}, {"state": "replaced", "ended_at": ENDED}
EXPIRED, DEAD = {"expired": True}, {"state": "dead"}


@pytest.mark.parametrize(
    ("changes", "browser", "signed_in_as", "shown"),
    [
        ({}, HERE, None, {"state": "ready_here", "masked_email": "a•••@rimu.example"}),
        ({}, ELSEWHERE, None, {"state": "ready_elsewhere", "tries_left": 5}),
        ({"address_tries": 3}, ELSEWHERE, None, {"state": "ready_elsewhere", "tries_left": 2}),
        *(({**end}, ELSEWHERE, ME, {"state": "signed_in", "signed_in_as": ME}) for end in ({}, USED, EXPIRED, REPLACED, DEAD)),
        ({}, HERE, OTHER, {"state": "signed_in_as_other", "signed_in_as": OTHER, "masked_email": "a•••@rimu.example"}),
        ({}, ELSEWHERE, OTHER, {"state": "signed_in_as_other", "signed_in_as": OTHER, "tries_left": 5}),
        *((end, where, who, {"state": name, "at": at})
          for end, name, at in ((USED, "used", ENDED), (EXPIRED, "expired", ENDS), (REPLACED, "replaced", ENDED))
          for where in (HERE, ELSEWHERE) for who in (None, OTHER)),
        (USED | EXPIRED, HERE, None, {"state": "used", "at": ENDED}),
        (DEAD, HERE, None, {"state": "unknown", "asked_here": False}),
        (DEAD, ELSEWHERE, OTHER, {"state": "unknown"}),
    ],
)  # fmt: skip
def test_a_link_shows_what_it_is_worth(changes: dict[str, Any], browser: str, signed_in_as: str | None, shown: dict[str, Any]) -> None:
    view = link_view(a_link(**changes), browser, signed_in_as).model_dump(exclude_none=True)
    goal = view.pop("goal", None)
    assert view == {"asked_here": browser == HERE} | shown
    assert (goal is not None) == (shown["state"] == "signed_in")


def test_an_unknown_link_shows_nothing_to_anybody() -> None:
    for browser, signed_in_as in ((HERE, None), (ELSEWHERE, OTHER)):
        assert link_view(None, browser, signed_in_as).model_dump(exclude_none=True) == {"state": "unknown", "asked_here": False}


@pytest.mark.parametrize(("changes", "error"), [(USED, LinkUsed), (EXPIRED, LinkExpired), (REPLACED, LinkReplaced), (DEAD, LinkUnknown)])
def test_only_a_living_link_can_be_spent(changes: dict[str, Any], error: type[ServiceError]) -> None:
    with pytest.raises(error):
        a_link(**changes).refuse_unless_alive()
    a_link().refuse_unless_alive()
