"""How the command reaches the services: their health ports, in the name of operations, one problem sentence for whatever goes wrong."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from client_invoices.installation import OPERATIONS, SERVICES
from common.identity import Signer

HOW: Any = {"timeout": 10.0, "trust_env": False, "verify": False}
"""verify: it is plain http inside, and loading certificates for nothing costs 20 ms a call."""


LONG_SECONDS = 4 * 3600.0
"""For what takes as long as a database is large."""

SILENCE_SECONDS = 60.0
"""How long a stream may say nothing."""


class Refused(Exception):
    """A service does not answer, or refuses; the text says which and why."""


@dataclass(frozen=True)
class Installation:
    """Where the services' health ports are, the folder with the command's own key, and what `make up` has to open, if that runs it."""

    addresses: Mapping[str, str]
    keys: Path
    urls: Mapping[str, str] | None = None

    @classmethod
    def of_containers(cls, keys: Path) -> Installation:
        """Compose and Kubernetes: every service answers under its own name."""
        return cls({service: f"http://{service}:9000" for service in SERVICES}, keys)

    @classmethod
    def of_make_up(cls, data: Path) -> Installation:
        """What `make up` runs with this data folder. Raises Refused when it does not run."""
        try:
            state = json.loads((data / "up.json").read_text())
            ports, urls = state["ports"], state["urls"]
        except (OSError, ValueError, KeyError) as error:
            raise Refused(f"`make up` does not run with the data folder {data}.") from error
        names = {service: f"{service.upper().replace('-', '_')}_HEALTH_PORT" for service in SERVICES}
        return cls({service: f"http://127.0.0.1:{ports[name]}" for service, name in names.items()}, data / "keys" / OPERATIONS, urls)

    def get(self, service: str, path: str, **params: Any) -> Any:
        """A service's answer to GET /internal/admin`path`. Raises Refused."""
        return self._call("GET", service, path, params=params)

    def post(self, service: str, path: str, body: Any = None, *, long: bool = False) -> Any:
        """A service's answer to POST /internal/admin`path`; None when it has nothing to say. Raises Refused."""
        return self._call("POST", service, path, json=body, **({"timeout": LONG_SECONDS} if long else {}))

    def upload(self, service: str, path: str, pieces: Iterable[bytes]) -> Any:
        """The answer to a POST with a body of any length. Raises Refused."""
        return self._call("POST", service, path, content=pieces, timeout=LONG_SECONDS)

    @contextmanager
    def stream(self, method: str, service: str, path: str, **content: Any) -> Iterator[Iterator[bytes]]:
        """The pieces of an answer of any length. Raises Refused, also when it breaks off."""
        url, headers = self._asked(service, path)
        try:
            with httpx.stream(method, url, headers=headers, **{**HOW, "timeout": SILENCE_SECONDS}, **content) as answer:
                if not answer.is_success:
                    answer.read()
                    raise Refused(f"{service} refused with {answer.status_code}: {_reason(answer)}")
                yield answer.iter_bytes()
        except httpx.HTTPError as error:
            raise Refused(f"{service} broke off in the middle of {path}; its log says why.") from error

    def faults(self, service: str) -> list[str]:
        """Why a service is not ready; empty when it is."""
        try:
            answer = httpx.get(f"{self._address(service)}/readyz", **HOW)
            return [str(fault) for fault in answer.json()["faults"]]
        except (httpx.HTTPError, ValueError, KeyError):
            return ["does not answer"]

    def _call(self, method: str, service: str, path: str, **content: Any) -> Any:
        url, headers = self._asked(service, path)
        try:
            answer = httpx.request(method, url, headers=headers, **{**HOW, **content})
        except httpx.HTTPError as error:
            raise Refused(f"{service} does not answer at {self._address(service)}.") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        raise Refused(f"{service} refused with {answer.status_code}: {_reason(answer)}")

    def _asked(self, service: str, path: str) -> tuple[str, dict[str, str]]:
        """The address and the headers of a call."""
        headers = {"authorization": f"Bearer {self._signer().service_token(service)}"}
        return f"{self._address(service)}/internal/admin{path}", headers

    def _address(self, service: str) -> str:
        if service not in self.addresses:
            raise Refused(f"There is no service {service}; the services are {', '.join(self.addresses)}.")
        return self.addresses[service]

    def _signer(self) -> Signer:
        try:
            return Signer(OPERATIONS, self.keys)
        except FileNotFoundError as error:
            raise Refused(f"{self.keys} holds no key of this command; `client-invoices keys init` makes it.") from error


def _reason(answer: httpx.Response) -> str:
    try:
        problem = answer.json()
        return str(problem.get("detail") or problem["code"])
    except (ValueError, KeyError, AttributeError):
        return "no reason given"
