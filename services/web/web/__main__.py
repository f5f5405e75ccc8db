"""Runs the web service: `python -m web`."""

from common.service import main
from web.main import create_app

if __name__ == "__main__":
    main(create_app)
