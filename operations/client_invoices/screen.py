"""Where commands print: as wide as the terminal, and wide enough for every table where there is none, so that nothing is cut off."""

from __future__ import annotations

import sys

from rich.console import Console

WITHOUT_TERMINAL = 200
console = Console(width=None if sys.stdout.isatty() else WITHOUT_TERMINAL)
