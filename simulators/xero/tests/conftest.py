"""A fresh simulator for each test, on copies of books that are made once; every JSON answer it gives is held against Xero's schema."""

import json
import re
import shutil
from collections.abc import AsyncIterator, Callable
from datetime import date
from functools import cache, partial
from pathlib import Path

import httpx
import jsonschema_rs
import pytest

from xero_simulator.main import create_app
from xero_simulator.settings import Settings
from xero_simulator.simulator import Simulator
from xero_simulator.testing import Connected, sign_in

ANCHOR = date(2026, 6, 18)
SCHEMAS = json.loads((Path(__file__).parent / "schemas" / "xero.json").read_text())
# What answers where: method, path and status, the first that fits.
ANSWERS = [
    (r"\w+ /api\.xro/.+ 200", "Answer"),
    (r"\w+ /api\.xro/.+ 40[13]", "Problem"),
    (r"\w+ /api\.xro/.+ (400|500|501)", "ApiError"),
    (r"GET /connections 200", "Connections"),
    (r"\w+ /connections\S* 40[13]", "Problem"),
    (r"POST /connect/token 200", "Tokens"),
    (r"POST /connect/\w+ 400", "TokenError"),
    (r"GET /\.well-known/openid-configuration 200", "Discovery"),
    (r"GET /\.well-known/openid-configuration/jwks 200", "Keys"),
]
BROKEN_ON_PURPOSE = '"Type":"ACC'
CheckAnswer = Callable[[str, str, int, bytes], None]


@cache
def schema(name: str) -> jsonschema_rs.Validator:
    return jsonschema_rs.validator_for({**SCHEMAS, "$ref": f"#/$defs/{name}"})


@pytest.fixture(scope="session")
def check_answer() -> CheckAnswer:
    """`check_answer(method, path, status, body)` fails for JSON that is not in the form of Xero's; what is no JSON has none."""

    def check(method: str, path: str, status: int, body: bytes) -> None:
        if not body.startswith((b"{", b"[")) or body.decode().endswith(BROKEN_ON_PURPOSE):
            return
        called = f"{method} {path.lower()} {status}"
        name = next((name for pattern, name in ANSWERS if re.fullmatch(pattern, called)), None)
        assert name is not None, f"no schema for {called}"
        wanted = "Allocation" if method == "DELETE" and status == 200 else name
        schema(wanted).validate(json.loads(body))

    return check


@pytest.fixture(scope="session")
def check_webhook() -> Callable[[bytes], None]:
    return lambda body: schema("Webhook").validate(json.loads(body))


@pytest.fixture(scope="session")
def made_books(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("books")
    create_app(Settings(data_dir=folder, anchor_day=ANCHOR)).state.simulator.store.close()
    return folder


@pytest.fixture
def settings(made_books: Path, tmp_path: Path) -> Settings:
    shutil.copytree(made_books, tmp_path / "data")
    return Settings(data_dir=tmp_path / "data", anchor_day=ANCHOR)


@pytest.fixture
async def http(settings: Settings, check_answer: CheckAnswer) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(settings)

    async def check(response: httpx.Response) -> None:
        request = response.request
        if not request.url.path.startswith("/control"):
            check_answer(request.method, request.url.path, response.status_code, await response.aread())

    hooks = {"response": [check]}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=settings.public_url, event_hooks=hooks) as client:
        client.simulator = app.state.simulator  # type: ignore[attr-defined]
        yield client
    app.state.simulator.store.close()


@pytest.fixture
def simulator(http: httpx.AsyncClient) -> Simulator:
    running: Simulator = http.simulator  # type: ignore[attr-defined]
    return running


@pytest.fixture
def connected(http: httpx.AsyncClient) -> Connected:
    """`await connected("owner", "kowhai")`"""
    return partial(sign_in, http)
