"""`make up`: the whole product on this machine. Starts it in order, keeps it running, and stops it cleanly on Ctrl-C."""

import argparse
import asyncio
import fcntl
import json
import os
import secrets
import shutil
import signal
import sys
from collections.abc import Awaitable, Mapping
from pathlib import Path
from typing import TextIO

import httpx
from dotenv import dotenv_values

from client_invoices.installation import OPERATIONS, RINGS, SERVICES, SERVICES_ON_THE_BUS
from common.keys import make_keys
from local import mongod, rabbitmq, topology
from local.display import Display, shown
from local.processes import end_leftover, plain_environment, write_atomically
from local.rabbitmq import ADMIN
from local.replicas import Part
from local.supervisor import Program, Status, Supervisor
from local.system import PASSED_ON, PORTS, ROOT, PortTaken, System, choose_ports

LOG_KEPT = 10_000_000  # bytes; a longer log starts again at the next start


def main() -> int:
    """Run until Ctrl-C or SIGTERM. The exit code is 0 after a clean stop, 130 after a second Ctrl-C, 1 when it could not start."""
    options = arguments()
    settings = read_settings(ROOT / ".env")
    data = Path(options.data_dir or settings.get("DATA_DIR") or ROOT / ".local").resolve()
    data.mkdir(parents=True, exist_ok=True)
    with (data / "lock").open("a") as lock:
        if not taken(lock):
            return refuse(already_running(data))
        clear_up(data, reset=settings.get("RESET") == "1")
        try:
            ports, moved = choose_ports(settings)
        except (PortTaken, ValueError) as error:
            return refuse(str(error))
        system = System(settings, ports, data, kept_passwords(data / "secrets.json"))
        make_keys(data / "keys", (*SERVICES, OPERATIONS), RINGS)
        return asyncio.run(run(system, moved, plain=options.plain))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.up", description=__doc__)
    parser.add_argument("--data-dir", help="where everything is kept (DATA_DIR; .local in the repository)")
    parser.add_argument("--plain", action="store_true", help="one line per change instead of a live table")
    return parser.parse_args()


def read_settings(file: Path) -> dict[str, str]:
    """What people set: the shell wins over .env."""
    return {name: value for name, value in {**dotenv_values(file), **os.environ}.items() if value is not None}


def taken(lock: TextIO) -> bool:
    """Take the lock of a data folder; it is released with our process, however that ends."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def already_running(data: Path) -> str:
    """Who holds the folder, as far as it says."""
    try:
        state = json.loads((data / "up.json").read_text())
        who = f"process {state['pid']}, {state['urls']['product']}"
    except (OSError, ValueError, KeyError):
        who = "another process"
    return f"`make up` runs already with the data folder {data} ({who}). End that one first, or set DATA_DIR to another folder."


def refuse(reason: str) -> int:
    print(reason, file=sys.stderr)
    return 1


def clear_up(data: Path, *, reset: bool) -> None:
    """End what a killed run left behind; with `reset` begin with an empty folder."""
    for file in sorted((data / "run").glob("*.pid")):
        if end_leftover(file):
            print(f"Ended {file.stem}, left over from a run that was killed.")
    if reset:
        for entry in data.iterdir():
            if entry.is_dir():
                shutil.rmtree(entry)
            elif entry.name != "lock":
                entry.unlink()
    for folder in ("run", "logs"):
        (data / folder).mkdir(exist_ok=True)
    for log in (data / "logs").glob("*.log"):
        if log.stat().st_size > LOG_KEPT:
            log.unlink()


def kept_passwords(file: Path) -> dict[str, str]:
    """The broker's users with their random passwords: made once, kept with the data they protect."""
    kept: dict[str, str] = json.loads(file.read_text())["rabbitmq"] if file.exists() else {}
    passwords = {user: kept.get(user) or secrets.token_urlsafe(24) for user in (ADMIN, *SERVICES_ON_THE_BUS)}
    if passwords != kept:
        write_atomically(file, json.dumps({"rabbitmq": passwords}, indent=2), mode=0o600)
    return passwords


async def run(system: System, moved: Mapping[str, int], *, plain: bool) -> int:
    """Start all parts and wait to be told to stop; gives the exit code."""
    stop, kill = stop_signals()
    async with httpx.AsyncClient(timeout=3, verify=False, trust_env=False) as http:
        supervisor = Supervisor(programs(system, http), system.data / "run", lambda status: report(status))
        ports = {part.name: system.ports[part.port] for part in system.parts}
        notes = {part.name: note for part in system.parts if (note := moved_note(part, system, moved))}
        with shown(list(supervisor.statuses.values()), ports, notes, plain=plain) as display:
            announced: list[asyncio.Task[None]] = []

            def report(status: Status) -> None:
                display.changed(status)
                write_state(system, supervisor)
                if supervisor.all_ready and not announced:
                    announced.append(asyncio.create_task(announce(system, display)))

            supervisor.start()
            await first_of(stop.wait(), supervisor.failure())
            display.say("Stopping. Ctrl-C again ends everything at once.")
            await first_of(supervisor.stop(), kill.wait())
            supervisor.kill()
            (system.data / "up.json").unlink(missing_ok=True)
            display.say("Killed." if kill.is_set() else "Stopped; the data is kept.")
    return 130 if kill.is_set() else 0


def stop_signals() -> tuple[asyncio.Event, asyncio.Event]:
    """Two events: the first SIGINT or SIGTERM, and the second."""
    stop, kill = asyncio.Event(), asyncio.Event()

    def told() -> None:
        (kill if stop.is_set() else stop).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told)
    return stop, kill


async def first_of(*waits: Awaitable[object]) -> None:
    """Wait for whichever ends first, drop the others, and raise what it raised."""
    tasks = [asyncio.ensure_future(wait) for wait in waits]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    for task in done:
        task.result()


def moved_note(part: Part, system: System, moved: Mapping[str, int]) -> str:
    """Which of a part's ports were taken and where they went."""
    prefix = part.port.removesuffix("PORT")
    mine = [name for name in moved if name.startswith(prefix)]
    return ", ".join(f"port {moved[name]} is taken, so {name} is {system.ports[name]}" for name in mine)


async def announce(system: System, display: Display) -> None:
    """Say what to open; with DEMO=shared fill the product first, so that every state of every page is there to look at."""
    if system.settings.get("DEMO") == "shared":
        display.say("Making the ready-made shares (logs/demo.log)")
        code = await make_demo_shares(system)
        display.say("The ready-made shares are there." if code == 0 else f"The ready-made shares failed with {code}; see logs/demo.log.")
    for name, url in system.urls.items():
        display.say(f"{name.replace('_', ' '):>12}  {url}")


async def make_demo_shares(system: System) -> int:
    """Run `client-invoices seed`, which finds everything it needs in up.json; gives its exit code."""
    command = (sys.executable, "-m", "client_invoices", "--data-dir", str(system.data), "seed")
    with (system.data / "logs" / "demo.log").open("ab") as log:
        demo = await asyncio.create_subprocess_exec(*command, cwd=ROOT, stdout=log, stderr=log)
    return await demo.wait()


def write_state(system: System, supervisor: Supervisor) -> None:
    """Renew up.json, from which tests learn when all is ready, where it listens and which process to kill."""
    state = {
        "pid": os.getpid(),
        "ready": supervisor.all_ready,
        "urls": system.urls,
        "ports": system.ports,
        "pids": {name: status.pid for name, status in supervisor.statuses.items() if status.pid},
        "states": {name: str(status.state) for name, status in supervisor.statuses.items()},
        "logs": {name: str(program.log) for name, program in supervisor.programs.items()},
    }
    write_atomically(system.data / "up.json", json.dumps(state, indent=2))


def programs(system: System, http: httpx.AsyncClient) -> list[Program]:
    """Every part of the system as a program to supervise."""
    special = {"mongod": mongod_program, "rabbitmq": rabbitmq_program}
    return [special[part.name](part, system) if part.name in special else program(part, system, http) for part in system.parts]


def program(part: Part, system: System, http: httpx.AsyncClient) -> Program:
    """A service, a simulator or the gateway: started with its own settings, ready when it answers 200."""
    caddyfile = str(ROOT / "local" / "inside.Caddyfile" if part.name == "inside" else ROOT / "deploy" / "gateway" / "Caddyfile")
    command = [sys.executable, "-m", part.module] if part.module else ["caddy", "run", "--config", caddyfile, "--adapter", "caddyfile"]
    url, headers = system.ready_url(part), {"Host": system.public_host}

    async def is_ready() -> bool:
        try:
            return (await http.get(url, headers=headers)).status_code == 200
        except httpx.TransportError:
            return False

    environment = inherited(os.environ) | system.environment(part)
    return Program(part.name, command, environment, log_of(part, system), is_ready, part.after)


def mongod_program(part: Part, system: System) -> Program:
    port = system.ports[part.port]

    async def is_ready() -> bool:
        return await asyncio.to_thread(mongod.is_primary, port)

    command = mongod.command(system.data / "mongod", port)
    return Program(part.name, command, plain_environment(os.environ), log_of(part, system), is_ready, (), signal.SIGTERM)


def rabbitmq_program(part: Part, system: System) -> Program:
    """RabbitMQ is ready when it listens and holds the topology: a service that publishes before that loses events."""
    broker = system.broker
    definitions = asyncio.ensure_future(asyncio.to_thread(topology.definitions, system.passwords))  # while the broker starts
    declared = False

    async def is_ready() -> bool:
        nonlocal declared
        if not await asyncio.to_thread(rabbitmq.is_listening, broker):
            return False
        if not declared:
            await asyncio.to_thread(rabbitmq.declare, broker, await definitions)
            declared = True
        return True

    environment = rabbitmq.environment(system.data / "rabbitmq", broker, system.ports["RABBITMQ_DIST_PORT"])
    return Program(part.name, rabbitmq.command(), environment, log_of(part, system), is_ready, (), signal.SIGTERM)


def log_of(part: Part, system: System) -> Path:
    return system.data / "logs" / f"{part.name}.log"


def inherited(source: Mapping[str, str]) -> dict[str, str]:
    """Our environment without what belongs to one part alone: a secret in the shell reaches only the service it is for."""
    ours = {
        "RESET",
        "DEMO",
        "REPLICAS",
        "DATA_DIR",
        *PORTS,
        *("PORTS", "MONGO_URL", "RABBITMQ_URL"),
        *(name for names in PASSED_ON.values() for name in names),
    }
    return {name: value for name, value in source.items() if name not in ours}


if __name__ == "__main__":
    sys.exit(main())
