"""Random histories of shares, terms, loads, changes and endings show what a small model says; `make prove ONLY=sharing` plays more."""

from common.testing import Harness
from tests.sharing_model import play


async def test_histories_of_shares_snapshots_and_endings_show_what_the_model_says(sharing: Harness) -> None:
    await play(sharing, examples=8, steps=30)
