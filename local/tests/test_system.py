"""The table of what runs: order, ports, and who is told what."""

import json
import socket
from pathlib import Path

import pytest

from client_invoices.installation import CALLS, SERVICES, SERVICES_ON_THE_BUS
from local.rabbitmq import ADMIN
from local.system import PARTS, PORTS, PortTaken, System, choose_ports

PASSWORDS = {user: f"password of {user}" for user in (ADMIN, *SERVICES_ON_THE_BUS)}
REAL_XERO = {"XERO_CLIENT_ID": "ours", "XERO_CLIENT_SECRET": "real secret", "XERO_WEBHOOK_KEY": "real key"}


def system(**settings: str) -> System:
    return System(settings, PORTS, Path("/data"), PASSWORDS)


def told(name: str, **settings: str) -> dict[str, str]:
    (part,) = (part for part in PARTS if part.name == name)
    return system(**settings).environment(part)


def test_each_part_waits_only_for_parts_above_it() -> None:
    seen: set[str] = set()
    for part in PARTS:
        assert set(part.after) <= seen, part.name
        seen.add(part.name)


def test_calls_between_services_form_no_circle() -> None:
    def reached(service: str, path: tuple[str, ...] = ()) -> None:
        assert service not in path, path
        for other in CALLS.get(service, ()):
            reached(other, (*path, service))

    for service in SERVICES:
        reached(service)


def test_a_service_is_told_only_the_addresses_of_those_it_calls() -> None:
    for service in SERVICES:
        addresses = {name for name in told(service) if name in {f"{other.upper().replace('-', '_')}_URL" for other in SERVICES}}
        assert addresses == {f"{other.upper().replace('-', '_')}_URL" for other in CALLS.get(service, ())}, service


def test_web_has_neither_database_nor_broker() -> None:
    assert not {"MONGO_URL", "RABBITMQ_URL"} & told("web").keys()


def test_each_service_enters_the_broker_as_itself() -> None:
    assert told("xero-gateway")["RABBITMQ_URL"] == "amqp://xero-gateway:password%20of%20xero-gateway@127.0.0.1:5673/"


def test_secrets_of_the_real_xero_reach_only_the_service_they_are_for() -> None:
    assert told("auth", **REAL_XERO)["XERO_CLIENT_SECRET"] == "real secret"
    assert told("xero-gateway", **REAL_XERO)["XERO_WEBHOOK_KEY"] == "real key"
    for part in ("web", "sharing", "portal", "notifier", "inbox", "gateway"):
        assert not {"real secret", "real key"} & set(told(part, **REAL_XERO).values()), part


def test_with_the_real_xero_there_is_no_simulator_and_no_demo_strip() -> None:
    real = system(**REAL_XERO)
    assert "xero" not in [part.name for part in real.parts]
    assert "back_office" not in real.urls
    assert "DEMO_LINKS" not in told("web", **REAL_XERO)
    assert "XERO_TOKEN_URL" not in told("auth", **REAL_XERO)


def test_with_the_simulators_the_strip_leads_to_them() -> None:
    links = json.loads(told("web")["DEMO_LINKS"])
    assert links == {"inbox": "http://127.0.0.1:8182", "back_office": "http://127.0.0.1:8181/back-office"}


def test_a_mail_server_of_ones_own_replaces_the_inbox() -> None:
    own = {"SMTP_HOST": "mail.example", "SMTP_PORT": "587"}
    assert "inbox" not in [part.name for part in system(**own).parts]
    assert told("notifier", **own)["SMTP_HOST"] == "mail.example"
    assert "SMTP_STARTTLS" not in told("notifier", **own)
    assert told("notifier")["SMTP_PORT"] == "8125"


def test_the_gateway_serves_the_host_of_the_public_address() -> None:
    assert told("gateway")["SITE_HOST"] == "localhost"
    assert told("gateway", PUBLIC_URL="https://invoices.example/")["SITE_HOST"] == "invoices.example"
    assert told("web", PUBLIC_URL="https://invoices.example/")["PUBLIC_URL"] == "https://invoices.example"


def test_a_taken_port_moves_to_a_free_one_and_is_reported() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        port = stranger.getsockname()[1]
        ports, moved = choose_ports({**on_free_ports(), "WEB_PORT": str(port)})
    assert moved == {"WEB_PORT": port}
    assert ports["WEB_PORT"] != port
    assert len(set(ports.values())) == len(PORTS)


def test_the_gateway_port_registered_with_the_real_xero_never_moves() -> None:
    with socket.socket() as stranger:
        stranger.bind(("127.0.0.1", 0))
        stranger.listen()
        settings = {**REAL_XERO, "GATEWAY_PORT": str(stranger.getsockname()[1])}
        with pytest.raises(PortTaken, match="is taken, and Xero sends people back to it"):
            choose_ports(settings)


def test_tests_may_have_every_port_free() -> None:
    ports, moved = choose_ports({"PORTS": "free"})
    assert ports.keys() == PORTS.keys()
    assert not set(ports.values()) & set(PORTS.values())
    assert moved == {}


def on_free_ports() -> dict[str, str]:
    """Settings under which nothing has to move, whatever else runs on this machine."""
    return {name: str(port) for name, port in choose_ports({"PORTS": "free"})[0].items()}
