"""`make up REPLICAS=2`: every service that often, split as in Kubernetes; each process has a loopback address of its own, like a pod."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

FIRST, FIRST_WORKER, INSIDE = 1, 101, "127.0.1.1"
"""Replica n listens on 127.0.0.n, its workers on 127.0.0.(100 + n); a Caddy at INSIDE stands where a Kubernetes Service would."""

DRAIN_SECONDS = "4"
WITHOUT_WORKERS, WITHOUT_API = {"RUN_WORKERS": "false"}, {"RUN_API": "false"}
SPLIT = ("sharing", "xero-gateway")
WORKERS_ONLY = ("notifier",)


@dataclass(frozen=True)
class Part:
    """One process. `after` names what must be ready before it starts; a module is run with `python -m` in its folder's package.

    `service`: whose replica it is; `told`: what sets it apart from the others.
    """

    name: str
    port: str
    after: tuple[str, ...] = ()
    module: str = ""
    folder: str = ""
    ready_path: str = "/readyz"
    host: str = "127.0.0.1"
    service: str = ""
    told: dict[str, Any] = field(default_factory=dict)


def replicated(parts: Sequence[Part], services: Sequence[str], count: int) -> list[Part]:
    """The same parts with `count` processes of each service, and the Caddy between services."""
    made: list[Part] = []
    for part in parts:
        made += _replicas(part, count) if part.name in services else [part]
    return [*made, Part("inside", "WEB_PORT", ready_path="/", host=INSIDE)]


def addresses(port: int, count: int) -> str:
    """Where the replicas that answer calls listen, separated by spaces."""
    return " ".join(f"127.0.0.{FIRST + number}:{port}" for number in range(count))


def _replicas(part: Part, count: int) -> list[Part]:
    made = []
    for number in range(count):
        suffix = f"-{number + 1}" if number else ""
        api, worker = f"127.0.0.{FIRST + number}", f"127.0.0.{FIRST_WORKER + number}"
        drain = {"DRAIN_SECONDS": DRAIN_SECONDS}
        if part.name in WORKERS_ONLY:
            made.append(replace(part, name=part.name + suffix, host=api, service=part.name, told=WITHOUT_API))
        elif part.name in SPLIT:
            made.append(replace(part, name=part.name + suffix, host=api, service=part.name, told=WITHOUT_WORKERS | drain))
            made.append(replace(part, name=f"{part.name}-worker{suffix}", host=worker, service=part.name, told=WITHOUT_API))
        else:
            made.append(replace(part, name=part.name + suffix, host=api, service=part.name, told=drain))
    return made
