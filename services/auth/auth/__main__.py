"""Runs the auth service: `python -m auth`."""

from auth.main import create_app
from common.service import main

if __name__ == "__main__":
    main(create_app)
