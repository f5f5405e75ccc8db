"""Runs the auth service: `python -m auth`. With arguments: an operator's command (operate.py)."""

import sys

from auth import operate
from auth.main import create_app
from common.logging import configure
from common.service import main

if __name__ == "__main__":
    if len(sys.argv) > 1:
        configure("auth", "warning")
        sys.exit(operate.main(sys.argv[1:]))
    main(create_app)
