"""Runs the service: `python -m sharing`."""

from common.service import main
from sharing.main import create_app

main(create_app)
