"""Runs the mail server and its pages in one process until SIGTERM or SIGINT."""

import asyncio

import uvicorn

from inbox_simulator.main import create_app
from inbox_simulator.settings import Settings
from inbox_simulator.smtp import listening


async def main() -> None:
    settings = Settings()
    app = create_app(settings)
    server = uvicorn.Server(
        uvicorn.Config(app, host=settings.listen_host, port=settings.port, access_log=False, log_level="warning", server_header=False)
    )
    async with listening(settings.listen_host, settings.smtp_port, app.state.store, app.state.faults):
        await server.serve()


if __name__ == "__main__":
    asyncio.run(main())
