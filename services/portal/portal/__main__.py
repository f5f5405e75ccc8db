"""Runs the portal service: `python -m portal`."""

from common.service import main
from portal.main import create_app

if __name__ == "__main__":
    main(create_app)
