"""The colours of the stylesheet, computed again: every pair that is used together is readable in both themes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import web.rendering

STATIC = Path(web.rendering.__file__).parent / "static"
CSS = (STATIC / "app.css").read_text()
ROLES = {name: (light, dark) for name, light, dark in re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", CSS)}
GROUNDS = ("page", "surface", "sunken")

# (text or mark, ground, least contrast)
PAIRS = [
    *((role, ground, 4.5) for role in ("ink", "muted", "accent", "paid", "late", "warn") for ground in GROUNDS),
    *((role, f"{role}-tint", 4.5) for role in ("paid", "late", "warn")),
    ("on-accent", "accent", 4.5),
    ("page", "ink", 4.5),
    ("page", "paid", 3.0),
    ("band-text", "band", 7.0),
    ("band-muted", "band", 4.5),
    *(("edge", ground, 3.0) for ground in GROUNDS),
    *(("accent", ground, 3.0) for ground in GROUNDS),
]
DESIGNED = {
    "ink": (13.2, 13.5),
    "muted": (5.6, 7.5),
    "accent": (6.8, 8.9),
    "paid": (6.1, 8.8),
    "late": (6.1, 8.4),
    "warn": (6.4, 9.2),
    "edge": (3.6, 4.1),
}


def luminance(colour: str) -> float:
    channels = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_pair_of_colours_is_readable(theme: int) -> None:
    for text, ground, least in PAIRS:
        assert contrast(ROLES[text][theme], ROLES[ground][theme]) >= least, (text, ground)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_the_lowest_contrast_of_each_role_is_the_one_designed(theme: int) -> None:
    for role, designed in DESIGNED.items():
        lowest = min(contrast(ROLES[role][theme], ROLES[ground][theme]) for ground in GROUNDS)
        assert lowest == pytest.approx(designed[theme], abs=0.1), role


def test_the_letters_of_a_tile_are_readable_on_all_eight_tints() -> None:
    letters = re.findall(r"--on-tile: (#\w{6})", CSS)[0]
    tints = re.findall(r"\.tint-\d \{ background: (#\w{6})", CSS)
    assert len(tints) == 8
    assert min(contrast(letters, tint) for tint in tints) >= 8.05


def test_colours_are_named_once_and_used_by_their_role() -> None:
    after_roles = CSS.split("/* ── ground */", 1)[1].split("@media print", 1)[0]
    loose = [line for line in after_roles.splitlines() if re.search(r"#[0-9a-f]{6}\b", line) and "tile" not in line and "tint" not in line]
    assert [line for line in loose if "b3c2ce" not in line] == []


def test_the_licences_of_what_is_not_ours_lie_beside_it() -> None:
    assert "SIL Open Font License" in (STATIC / "fonts" / "OFL.txt").read_text()
    assert "BSD" in (STATIC / "htmx.LICENSE.txt").read_text()
    assert 'version:"2.0.' in (STATIC / "htmx.min.js").read_text()
