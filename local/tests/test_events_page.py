"""The generated page of events, and that every event has both ends."""

import re
from pathlib import Path

from local import events_page
from local.system import ROOT


def test_the_page_of_events_is_up_to_date() -> None:
    assert events_page.FILE.read_text() == events_page.text(), "run `make docs`"


def test_every_event_is_consumed_by_somebody() -> None:
    consumed = {kind for table in events_page.all_handlers().values() for kind in table}
    assert [kind.type for kind in events_page.published() if kind not in consumed] == []


def test_every_event_is_emitted_by_its_publisher() -> None:
    for kind in events_page.published():
        package = kind.type.partition(".")[0].replace("-", "_")
        sources = "".join(path.read_text() for path in sorted(package_of(package).glob("*.py")))
        named = re.findall(rf"\b{kind.__name__}\b", sources)
        assert len(named) > 1, f"{package} imports {kind.__name__} at most, and never makes one"


def package_of(name: str) -> Path:
    return ROOT / "services" / name.replace("_", "-") / name
