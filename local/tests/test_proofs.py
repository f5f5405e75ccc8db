"""`make prove` is rarely run; these keep it able to run."""

import subprocess
import sys

from local.system import ROOT


def test_every_proof_finds_the_fixtures_it_asks_for() -> None:
    planned = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--setup-plan", "tests/prove"],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=100,
    )  # fmt: skip
    assert planned.returncode in (0, 5), planned.stdout[-3_000:]  # 5: planning runs no test
    assert "ERROR" not in planned.stdout
