"""deploy/gateway/Caddyfile in a real Caddy, before three services that say what reached them."""

import http.server
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.processes import free_ports
from local.system import ROOT

CORRELATION = "cor_01JD0000000000000000000000"
UPSTREAMS = ("WEB_UPSTREAM", "AUTH_UPSTREAM", "XERO_GATEWAY_UPSTREAM")


class Echo(http.server.BaseHTTPRequestHandler):
    """Answers with the request as it arrived."""

    protocol_version = "HTTP/1.1"
    server: http.server.HTTPServer

    def do_GET(self) -> None:
        size = len(self.rfile.read(int(self.headers["content-length"] or 0)))
        seen = {
            "host": self.server.server_address[0],
            "port": self.server.server_address[1],
            "path": self.path,
            "size": size,
            "headers": {k.lower(): v for k, v in self.headers.items()},
        }
        body = json.dumps(seen).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Correlation-Id", CORRELATION)
        self.send_header("Location", "/s/canary")
        self.send_header("Set-Cookie", "session=canary")
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET

    def log_message(self, *values: object) -> None:
        """Quiet."""


class Gateway:
    """A running gateway: its address, which upstream has which port, and its log."""

    process: subprocess.Popen[bytes]

    def __init__(self, folder: Path) -> None:
        self.port, *ports = free_ports(4)
        self.ports = dict(zip(UPSTREAMS, ports, strict=True))
        self.log = folder / "caddy.log"
        self.client = httpx.Client(base_url=f"http://localhost:{self.port}", timeout=30)
        self.environment = {
            **{"SITE_ADDRESS": f"http://:{self.port}", "SITE_BIND": "127.0.0.1", "SITE_HOST": "localhost"},
            **{"PUBLIC_URL": f"http://localhost:{self.port}", "PATH": os.environ["PATH"]},
            **{name: str(folder) for name in ("HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME")},
            **{name: f"127.0.0.1:{port}" for name, port in self.ports.items()},
        }

    def reached(self, path: str, method: str = "GET", **request: Any) -> tuple[str, dict[str, str]]:
        """Which upstream got the request, and with which headers."""
        seen = self.client.request(method, path, **request).raise_for_status().json()
        names = {port: name for name, port in self.ports.items()}
        return names[seen["port"]], seen["headers"]

    def logged(self, uri: str) -> list[dict[str, Any]]:
        """Lines of the access log whose address begins so, once there is one: Caddy writes it after the answer."""
        for _ in range(200):
            lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
            found = [line for line in lines if "request" in line and line["request"]["uri"].startswith(uri)]
            if found:
                return found
            time.sleep(0.05)
        raise AssertionError(f"no line about {uri}")


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """With web and xero-gateway running and auth down."""
    with running(Gateway(tmp_path_factory.mktemp("gateway"))) as gateway:
        yield gateway


@contextmanager
def running(gateway: Gateway, **told: str) -> Iterator[Gateway]:
    """The gateway in its own process, told more through its environment."""
    command = ["caddy", "run", "--config", str(ROOT / "deploy" / "gateway" / "Caddyfile"), "--adapter", "caddyfile"]
    with echoing(gateway.ports["WEB_UPSTREAM"]), echoing(gateway.ports["XERO_GATEWAY_UPSTREAM"]), gateway.log.open("ab") as log:
        caddy = subprocess.Popen(command, env=gateway.environment | told, stdout=log, stderr=log)
        gateway.process = caddy
        while not listens(gateway.port):
            assert caddy.poll() is None, gateway.log.read_text()
            time.sleep(0.05)
        with gateway.client:
            yield gateway
        caddy.terminate()
        caddy.wait()


@contextmanager
def echoing(port: int, host: str = "127.0.0.1") -> Iterator[None]:
    with http.server.ThreadingHTTPServer((host, port), Echo) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield
        server.shutdown()
        thread.join()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_each_service_gets_its_own_paths(gateway: Gateway) -> None:
    assert gateway.reached("/")[0] == "WEB_UPSTREAM"
    assert gateway.reached("/s/token")[0] == "WEB_UPSTREAM"
    assert gateway.reached("/auth/other")[0] == "WEB_UPSTREAM"
    assert gateway.reached("/webhooks/xero", "POST", content=b"{}")[0] == "XERO_GATEWAY_UPSTREAM"


def test_nobody_outside_can_speak_in_another_name(gateway: Gateway) -> None:
    proxies = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Forwarded", "X-Real-Ip")
    ours = ("X-User-Id", "X-User-Role", "Traceparent", "Tracestate", "Authorization", "X-Correlation-Id", "X-Deadline-Ms")
    seen = gateway.reached("/", headers=dict.fromkeys(proxies + ours, "forged"))[1]
    assert "forged" not in seen.values()
    assert seen["x-forwarded-for"] == "127.0.0.1"
    assert seen["host"] == f"localhost:{gateway.port}"


def test_a_proxy_of_our_own_is_believed_about_whom_it_forwards_for(tmp_path: Path) -> None:
    with running(Gateway(tmp_path), TRUSTED_PROXIES="127.0.0.1/32 10.0.0.0/8") as gateway:
        headers = {"X-Forwarded-For": "198.51.100.7", "Authorization": "forged"}
        seen = gateway.reached("/", headers=headers)[1]
    assert seen["x-forwarded-for"] == "198.51.100.7, 127.0.0.1"
    assert "authorization" not in seen


def test_cookies_and_the_webhook_signature_pass(gateway: Gateway) -> None:
    seen = gateway.reached("/webhooks/xero", "POST", headers={"Cookie": "a=b", "x-xero-signature": "s"})[1]
    assert (seen["cookie"], seen["x-xero-signature"]) == ("a=b", "s")


@pytest.mark.parametrize(
    "path", ["/internal", "/internal/x", "/INTERNAL/x", "//internal/x", "/%69nternal/x", "/metrics", "/docs", "/readyz"]
)
def test_what_is_inside_stays_inside(gateway: Gateway, path: str) -> None:
    url = httpx.URL(f"http://localhost:{gateway.port}", raw_path=path.encode())
    assert gateway.client.get(url).status_code == 404


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost.evil.example"])
def test_another_host_name_is_not_served(gateway: Gateway, host: str) -> None:
    answer = gateway.client.get("/", headers={"Host": host})
    assert answer.status_code == 421
    assert f'href="http://localhost:{gateway.port}"' in answer.text


def test_bodies_have_limits(gateway: Gateway) -> None:
    assert gateway.client.post("/webhooks/xero", content=b"x" * 262_144).status_code == 200
    assert gateway.client.post("/webhooks/xero", content=b"x" * 262_145).status_code == 413
    assert gateway.client.post("/form", content=b"x" * 1_048_576).status_code == 200
    assert gateway.client.post("/form", content=b"x" * 1_048_577).status_code == 413


def test_headers_have_a_limit(gateway: Gateway) -> None:
    address = str(gateway.client.base_url)  # a connection for each: Go counts what it read ahead, so a used one is laxer
    assert httpx.get(address, headers={"X-Long": "x" * 15_000}).status_code == 200
    assert httpx.get(address, headers={"X-Long": "x" * 16_500}).status_code == 431


def test_a_service_that_is_down_gets_a_calm_page_of_ours(gateway: Gateway) -> None:
    answer = gateway.client.get("/auth/xero/start")
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "10"
    assert "Your invoices are safe; we cannot check your access right now, so we show none." in answer.text
    assert "server" not in answer.headers
    assert answer.headers["cache-control"] == "no-store"


def test_a_page_that_one_replica_refuses_comes_from_another(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    dead = gateway.ports["AUTH_UPSTREAM"]
    with running(gateway, WEB_UPSTREAM=f"127.0.0.1:{dead} 127.0.0.1:{gateway.ports['WEB_UPSTREAM']}"):
        assert [gateway.reached("/")[0] for _ in range(8)] == ["WEB_UPSTREAM"] * 8


def test_a_replica_that_is_not_ready_gets_no_requests(tmp_path: Path) -> None:
    """Both listen; the port of health answers at one of the two addresses alone."""
    gateway = Gateway(tmp_path)
    web, health = gateway.ports["WEB_UPSTREAM"], gateway.ports["AUTH_UPSTREAM"]
    told = {"UPSTREAM_CHECKS": "replicas", "WEB_UPSTREAM": f"127.0.0.1:{web} 127.0.0.2:{web}", "WEB_HEALTH_PORT": str(health)}
    with echoing(health), echoing(web, "127.0.0.2"), running(gateway, **told):
        for _ in range(200):
            hosts = {gateway.client.get("/").json()["host"] for _ in range(8)}
            if hosts == {"127.0.0.1"}:
                break
            time.sleep(0.05)
        assert hosts == {"127.0.0.1"}


def test_the_caddy_between_replicas_reads_its_file() -> None:
    names = ("WEB_PORT", "AUTH_PORT", "XERO_GATEWAY_PORT", "SHARING_PORT", "PORTAL_PORT")
    ports = {name: str(8000 + place) for place, name in enumerate(names)}
    ports |= {name.replace("_PORT", "_HEALTH_PORT"): "1" for name in ports}
    replicas = {f"{name}_REPLICAS": "127.0.0.1:1 127.0.0.2:1" for name in ("AUTH", "XERO_GATEWAY", "SHARING", "PORTAL")}
    command = ["caddy", "adapt", "--config", str(ROOT / "local" / "inside.Caddyfile"), "--adapter", "caddyfile"]
    read = subprocess.run(command, env={"PATH": os.environ["PATH"], "INSIDE": "127.0.1.1", **ports, **replicas}, capture_output=True)
    assert read.returncode == 0, read.stderr


def test_no_secret_of_an_address_or_header_is_logged(gateway: Gateway) -> None:
    secret = (
        "/s/canary-link",
        "/i/canary-invitation",
        "//S/canary",
        "/%73/canary",
        "/auth/xero/callback?code=canary-code",
        "/s/canary?canary",
    )
    for path in secret:
        url = httpx.URL(f"http://localhost:{gateway.port}", raw_path=path.encode())
        gateway.client.get(url, headers={"Cookie": "session=canary-cookie", "Referer": "http://localhost/s/canary"})
    assert gateway.logged("/s/[hidden][hidden]"), "the last of them, so that the others were written"
    assert "canary" not in gateway.log.read_text()


def test_a_request_is_one_line_with_the_reference_people_are_shown(gateway: Gateway) -> None:
    gateway.client.get("/one/line?hidden", headers={"Cookie": "hidden"})
    (line,) = gateway.logged("/one/line")
    assert line["request"] == {
        **{"method": "GET", "host": f"localhost:{gateway.port}", "proto": "HTTP/1.1"},
        **{"uri": "/one/line[hidden]", "remote_ip": "127.0.0.0"},
    }
    assert line["status"] == 200
    assert line["resp_headers"]["X-Correlation-Id"] == [CORRELATION]
    assert {name.lower() for name in line["resp_headers"]} & {"set-cookie", "location"} == set()


def test_a_gateway_that_is_told_to_end_serves_on_and_asks_for_connections_to_be_closed(tmp_path: Path) -> None:
    with running(Gateway(tmp_path), DRAIN="600s") as gateway:
        assert "connection" not in gateway.client.get("/invoices").raise_for_status().headers
        gateway.process.terminate()
        while gateway.client.get("/invoices").raise_for_status().headers.get("connection") != "close":
            time.sleep(0.05)
        assert gateway.reached("/webhooks/xero", "POST")[0] == "XERO_GATEWAY_UPSTREAM"
        gateway.process.kill()
