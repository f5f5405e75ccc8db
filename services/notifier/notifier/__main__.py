"""Runs the notifier service: `python -m notifier`."""

from common.service import main
from notifier.main import create_app

if __name__ == "__main__":
    main(create_app)
