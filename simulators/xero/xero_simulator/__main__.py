"""Starts the simulator: `python -m xero_simulator`."""

import uvicorn

from xero_simulator.main import create_app
from xero_simulator.settings import Settings


def main() -> None:
    settings = Settings()
    uvicorn.run(
        create_app(settings),
        host=settings.listen_host,
        port=settings.port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=2,
    )


if __name__ == "__main__":
    main()
