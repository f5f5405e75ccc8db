"""How fast the Xero simulator answers with 100,000 invoices, and how much memory it takes: `python -m tests.benchmarks.simulator`."""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path

import httpx

from local.processes import free_ports
from xero_simulator.testing import Connection, process, sign_in

INVOICES, CALLS, AT_ONCE = 100_000, 100, 5
READS: dict[str, tuple[str, dict[str, str]]] = {
    "one invoice": ("Invoices/V-000777", {}),
    "100 invoices of a contact, by page": (
        "Invoices",
        {"ContactIDs": "{contact}", "Statuses": "AUTHORISED,PAID", "order": "InvoiceID", "page": "9"},
    ),
    "1,000 invoices of a contact": ("Invoices", {"ContactIDs": "{contact}", "page": "2", "pageSize": "1000", "order": "InvoiceID"}),
    "40 invoices by their ids": ("Invoices", {"IDs": "{ids}", "page": "1"}),
    "search of 100,000 invoices": ("Invoices", {"searchTerm": "V-09999", "page": "1"}),
    "100 contacts by page": ("Contacts", {"page": "1"}),
}


async def main() -> None:
    (port,) = free_ports(1)
    with tempfile.TemporaryDirectory(prefix="simulator-bench-") as folder:
        began = time.monotonic()
        with process(Path(folder), port, LARGE_INVOICES=str(INVOICES)):
            say("first start", f"{time.monotonic() - began:.1f} s, {INVOICES:,} invoices made")
        began = time.monotonic()
        with process(Path(folder), port, LARGE_INVOICES=str(INVOICES)) as (started, client):
            say("later start", f"{time.monotonic() - began:.1f} s")
            async with httpx.AsyncClient(base_url=client.base_url, timeout=60) as http:
                await answers_per_second(await sign_in(http, "large", "large-01"), started.pid)
            say("memory at most", f"{_peak_memory(started.pid)} MiB; {_size(Path(folder))} MiB on disk")


async def answers_per_second(connection: Connection, pid: int) -> None:
    """Each kind of call, five at a time as Xero allows, the minute begun anew whenever it is used up."""
    (contact,) = (await connection.read("Contacts/V-001")).json()["Contacts"]
    some = (await connection.read("Invoices", page="1", pageSize="40")).json()["Invoices"]
    values = {"contact": contact["ContactID"], "ids": ",".join(invoice["InvoiceID"] for invoice in some)}
    for name, (path, query) in READS.items():
        asked = {key: value.format(**values) for key, value in query.items()}
        count = CALLS // 10 if "1,000" in name else CALLS
        began, busy = time.monotonic(), _processor_seconds(pid)
        for _ in range(count // 50 or 1):
            await connection.http.post("/control/limits", json={"clear": True})
            await _read_fifty(connection, path, asked, min(count, 50))
        took, busy = time.monotonic() - began, _processor_seconds(pid) - busy
        say(name, f"{count / took:.0f} answers a second, {busy / count * 1000:.1f} ms of processor each ({count} calls)")


async def _read_fifty(connection: Connection, path: str, query: dict[str, str], count: int) -> None:
    waiting = list(range(count))

    async def one_of_five() -> None:
        while waiting:
            waiting.pop()
            (await connection.read(path, None, **query)).raise_for_status()

    async with asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(one_of_five())


def _processor_seconds(pid: int) -> float:
    """utime and stime of proc(5): true also on a machine that is busy with other things."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _peak_memory(pid: int) -> int:
    """MiB of VmHWM, proc(5)."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) // 1024


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir()) // 2**20


def say(what: str, figure: str) -> None:
    print(f"{what:<40} {figure}", flush=True)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
