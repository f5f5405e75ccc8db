"""Runs the service: `python -m xero_gateway`."""

from common.service import main
from xero_gateway.main import create_app

if __name__ == "__main__":
    main(create_app)
