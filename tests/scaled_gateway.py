"""xero-gateway in a world whose minute lasts longer: `python -m tests.scaled_gateway SECONDS`.

Twenty organisations may be asked 20 times a second; where a machine is too busy for that, the same proof runs with longer minutes.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import timedelta

from xero_gateway import call_limits


def main(seconds: float) -> None:
    call_limits.MINUTE = timedelta(seconds=seconds)
    call_limits.BACKGROUND = replace(call_limits.BACKGROUND, turn=seconds + 5)
    from common.service import main
    from xero_gateway.main import create_app  # only now: its modules take those values when they are imported

    main(create_app)


if __name__ == "__main__":
    main(float(sys.argv[1]))
