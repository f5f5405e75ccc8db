"""Several processes share Xero's limits: the small form of tests/prove/test_limits.py."""

from pathlib import Path

from common.testing import HarnessFactory
from tests.limits import gateways, work_off_dirty_invoices


async def test_two_processes_stay_within_xeros_limits_together(harness: HarnessFactory, keys: Path) -> None:
    async with gateways(harness, keys) as found:
        report = await work_off_dirty_invoices(found, organisations=3, dirty=200, processes=2, seconds=60)
    assert report["refused"] == {}
    assert report["most_in_flight"] <= 5
    assert report["most_in_a_minute"] <= 60
    assert all(5 <= len(calls) <= 20 for calls in report["calls"].values())
