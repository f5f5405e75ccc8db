"""What runs: the one table of processes with their ports, their order and the environment each of them gets."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from client_invoices.installation import CALLS, SERVICES, SERVICES_ON_THE_BUS
from local import mongod
from local.processes import free_ports, is_free
from local.rabbitmq import Broker
from local.replicas import INSIDE, Part, addresses, replicated

ROOT = Path(__file__).resolve().parent.parent


STORES = ("mongod", "rabbitmq")
PARTS = (
    Part("mongod", "MONGO_PORT"),
    Part("rabbitmq", "RABBITMQ_PORT"),
    Part("xero", "XERO_SIMULATOR_PORT", (), "xero_simulator", "simulators/xero", "/.well-known/openid-configuration"),
    Part("inbox", "INBOX_PORT", (), "inbox_simulator", "simulators/inbox", "/api/health"),
    Part("auth", "AUTH_PORT", STORES, "auth", "services/auth"),
    Part("xero-gateway", "XERO_GATEWAY_PORT", STORES, "xero_gateway", "services/xero-gateway"),
    Part("sharing", "SHARING_PORT", STORES, "sharing", "services/sharing"),
    Part("portal", "PORTAL_PORT", STORES, "portal", "services/portal"),
    Part("notifier", "NOTIFIER_PORT", STORES, "notifier", "services/notifier"),
    Part("web", "WEB_PORT", (), "web", "services/web"),
    Part("gateway", "GATEWAY_PORT", ("web",), ready_path="/"),
)

PORTS = {
    "GATEWAY_PORT": 8080,
    **{"WEB_PORT": 8100, "AUTH_PORT": 8101, "XERO_GATEWAY_PORT": 8102, "SHARING_PORT": 8103, "PORTAL_PORT": 8104, "NOTIFIER_PORT": 8105},
    **{"WEB_HEALTH_PORT": 9100, "AUTH_HEALTH_PORT": 9101, "XERO_GATEWAY_HEALTH_PORT": 9102},
    **{"SHARING_HEALTH_PORT": 9103, "PORTAL_HEALTH_PORT": 9104, "NOTIFIER_HEALTH_PORT": 9105},
    **{"XERO_SIMULATOR_PORT": 8181, "INBOX_PORT": 8182, "INBOX_SMTP_PORT": 8125},
    **{"MONGO_PORT": 27117, "RABBITMQ_PORT": 5673, "RABBITMQ_MANAGEMENT_PORT": 15673, "RABBITMQ_DIST_PORT": 25673},
}

# What people may set in .env or the shell, and the only services that are told.
PASSED_ON_TO_ALL = ("DEFAULT_TIME_ZONE", "OTEL_EXPORTER_OTLP_ENDPOINT")
PASSED_ON = {
    "auth": (
        *("XERO_CLIENT_ID", "XERO_CLIENT_SECRET", "XERO_SCOPES", "XERO_ISSUER", "XERO_AUTHORIZE_URL", "XERO_TOKEN_URL"),
        *("XERO_DISCOVERY_URL", "XERO_CONNECTIONS_URL", "XERO_REVOCATION_URL", "XERO_CONNECTIONS_CAP", "XERO_PKCE"),
    ),
    "xero-gateway": (
        *("XERO_API_URL", "XERO_WEBHOOK_KEY", "XERO_WEBHOOK_KEY_PREVIOUS", "XERO_DEEP_LINK", "XERO_CALLS_A_DAY"),
        "RECONCILE_SECONDS",
    ),
    "web": ("XERO_SCOPES", "XERO_CONTACTS_URL", "TRUSTED_HOPS"),
    "notifier": (
        *("SMTP_HOST", "SMTP_PORT", "SMTP_STARTTLS", "SMTP_USERNAME", "SMTP_PASSWORD"),
        *("MAIL_FROM", "RETURN_DOMAIN", "RETURN_PORT"),
    ),
}
SIMULATED_CLIENT = {"XERO_CLIENT_ID": "simulated-client", "XERO_CLIENT_SECRET": "simulated-secret"}
SIMULATED_WEBHOOK_KEY = "simulated-webhook-key"


class PortTaken(Exception):
    """A port that must not move is in use."""


@dataclass(frozen=True)
class System:
    """One run: the settings people gave, the ports chosen for it, the folder of its data and the broker's passwords."""

    settings: Mapping[str, str] = field(repr=False)
    ports: Mapping[str, int]
    data: Path
    passwords: Mapping[str, str] = field(repr=False)

    @property
    def real_xero(self) -> bool:
        """Is this run connected to Xero itself?"""
        return uses_real_xero(self.settings)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts this run starts: no simulator takes the place of something real."""
        left_out = {"xero"} if self.real_xero else set()
        left_out |= {"inbox"} if self.settings.get("SMTP_HOST") else set()
        parts = [part for part in PARTS if part.name not in left_out]
        return tuple(replicated(parts, SERVICES, self.replicas) if self.replicas > 1 else parts)

    @property
    def replicas(self) -> int:
        """How often every service runs."""
        return int(self.settings.get("REPLICAS") or 1)

    @property
    def public_url(self) -> str:
        """The address people open, and the only one links are built from."""
        return (self.settings.get("PUBLIC_URL") or f"http://localhost:{self.ports['GATEWAY_PORT']}").rstrip("/")

    @property
    def public_host(self) -> str:
        """The only host name the gateway serves, without a port."""
        return urlsplit(self.public_url).hostname or "localhost"

    @property
    def broker(self) -> Broker:
        return Broker(self.ports["RABBITMQ_PORT"], self.ports["RABBITMQ_MANAGEMENT_PORT"], self.passwords)

    @property
    def urls(self) -> dict[str, str]:
        """What there is to open in a browser."""
        started = {part.name for part in self.parts}
        found = {"product": self.public_url}
        if "inbox" in started:
            found["inbox"] = self.local_url("INBOX_PORT")
        if "xero" in started:
            found["back_office"] = f"{self.local_url('XERO_SIMULATOR_PORT')}/back-office"
        return found | {"rabbitmq": self.broker.management_url}

    def local_url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"

    def service_url(self, service: str) -> str:
        """Where a service answers calls of others."""
        host = INSIDE if self.replicas > 1 else "127.0.0.1"
        return f"http://{host}:{self.ports[f'{setting_name(service)}_PORT']}"

    def ready_url(self, part: Part) -> str:
        """Where a part says that it is ready: services on their second port."""
        port = part.port.replace("_PORT", "_HEALTH_PORT") if self.service_of(part) else part.port
        return f"http://{part.host}:{self.ports[port]}{part.ready_path}"

    def service_of(self, part: Part) -> str | None:
        """Which service a part is a process of, if any."""
        return part.service or (part.name if part.name in SERVICES else None)

    def environment(self, part: Part) -> dict[str, str]:
        """What a part is told beyond what every process inherits."""
        if service := self.service_of(part):
            return self.service_environment(part, service)
        special = {"xero": self.simulator_environment, "inbox": self.inbox_environment}
        special |= {"gateway": self.gateway_environment, "inside": self.inside_environment}
        return special[part.name](part)

    def service_environment(self, part: Part, service: str) -> dict[str, str]:
        """The settings all services share, then its own."""
        told = {
            "ENVIRONMENT": "development",
            "PUBLIC_URL": self.public_url,
            "LISTEN_HOST": part.host,
            "PORT": str(self.ports[part.port]),
            "HEALTH_PORT": str(self.ports[part.port.replace("_PORT", "_HEALTH_PORT")]),
            "KEYS_DIR": str(self.data / "keys" / service),
            "PUBLIC_KEYS_DIR": str(self.data / "keys" / "public"),
            "LOG_LEVEL": self.settings.get("LOG_LEVEL") or "info",
        }
        if service in SERVICES_ON_THE_BUS:
            told |= {"MONGO_URL": mongod.url(self.ports["MONGO_PORT"]), "RABBITMQ_URL": self.broker.amqp_url(service)}
        told |= {f"{setting_name(other)}_URL": self.service_url(other) for other in CALLS.get(service, ())}
        names = (*PASSED_ON_TO_ALL, *PASSED_ON.get(service, ()))
        chosen = {name: self.settings[name] for name in names if self.settings.get(name)}
        return told | self.simulated(service) | chosen | part.told

    def simulated(self, service: str) -> dict[str, str]:
        """How a service finds the simulators; nothing where the real thing is used, whose addresses are the service's own defaults."""
        started = {part.name for part in self.parts}
        if service == "notifier" and "inbox" in started:
            return {"SMTP_HOST": "127.0.0.1", "SMTP_PORT": str(self.ports["INBOX_SMTP_PORT"]), "SMTP_STARTTLS": "off"}
        if "xero" not in started:
            return {}
        base = self.local_url("XERO_SIMULATOR_PORT")
        if service == "auth":
            return SIMULATED_CLIENT | {
                "XERO_ISSUER": base,
                "XERO_AUTHORIZE_URL": f"{base}/identity/connect/authorize",
                "XERO_TOKEN_URL": f"{base}/connect/token",
                "XERO_DISCOVERY_URL": f"{base}/.well-known/openid-configuration",
                "XERO_CONNECTIONS_URL": f"{base}/connections",
                "XERO_REVOCATION_URL": f"{base}/connect/revocation",
            }
        if service == "xero-gateway":
            deep_link = f"{base}/AccountsReceivable/View.aspx?InvoiceID={{invoice_id}}"
            return {"XERO_API_URL": f"{base}/api.xro/2.0", "XERO_WEBHOOK_KEY": SIMULATED_WEBHOOK_KEY, "XERO_DEEP_LINK": deep_link}
        if service == "web":
            return {"XERO_CONTACTS_URL": self.urls["back_office"]} | self.demo_links()
        return {}

    def demo_links(self) -> dict[str, str]:
        """Where the strip of first steps leads; it shows only where every step is a simulator's."""
        places = {name: url for name, url in self.urls.items() if name in ("inbox", "back_office")}
        return {"DEMO_LINKS": json.dumps(places)} if len(places) == 2 else {}

    def simulator_environment(self, part: Part) -> dict[str, str]:
        return {
            "LISTEN_HOST": "127.0.0.1",
            "PORT": str(self.ports[part.port]),
            "PUBLIC_URL": self.local_url(part.port),
            "DATA_DIR": str(self.data / part.name),
            "CLIENT_ID": SIMULATED_CLIENT["XERO_CLIENT_ID"],
            "CLIENT_SECRET": SIMULATED_CLIENT["XERO_CLIENT_SECRET"],
            "REDIRECT_URIS": f"{self.public_url}/auth/xero/callback",
            "WEBHOOK_URL": f"{self.public_url}/webhooks/xero",
            "WEBHOOK_KEY": SIMULATED_WEBHOOK_KEY,
            "PRODUCT_URL": self.public_url,
            "INBOX_URL": self.local_url("INBOX_PORT"),
        }

    def inbox_environment(self, part: Part) -> dict[str, str]:
        return {
            "LISTEN_HOST": "127.0.0.1",
            "PORT": str(self.ports[part.port]),
            "SMTP_PORT": str(self.ports["INBOX_SMTP_PORT"]),
            "DATA_DIR": str(self.data / part.name),
            "PRODUCT_URL": self.public_url,
        }

    def gateway_environment(self, part: Part) -> dict[str, str]:
        """For deploy/gateway/Caddyfile; HOME and XDG_* keep Caddy's own files inside the data folder."""
        home = self.data / part.name
        return {
            "SITE_ADDRESS": f"http://:{self.ports[part.port]}",
            "SITE_BIND": "127.0.0.1",
            "SITE_HOST": self.public_host,
            "PUBLIC_URL": self.public_url,
            **{f"{setting_name(service)}_UPSTREAM": self.replicas_of(service) for service in ("auth", "xero-gateway", "web")},
            **(self.checked_by_gateway() if self.replicas > 1 else {}),
            **{name: self.settings[name] for name in ("TRUSTED_PROXIES",) if self.settings.get(name)},
            **{"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)},
        }

    def checked_by_gateway(self) -> dict[str, str]:
        """Has the gateway ask each replica whether it is ready."""
        return {"UPSTREAM_CHECKS": "replicas", **{name: str(port) for name, port in self.ports.items() if name.endswith("_HEALTH_PORT")}}

    def inside_environment(self, part: Part) -> dict[str, str]:
        """For local/inside.Caddyfile."""
        home = self.data / part.name
        called = {other for all_called in CALLS.values() for other in all_called}
        return {
            "INSIDE": part.host,
            **{name: str(port) for name, port in self.ports.items()},
            **{f"{setting_name(service)}_REPLICAS": self.replicas_of(service) for service in called},
            **{"HOME": str(home), "XDG_DATA_HOME": str(home), "XDG_CONFIG_HOME": str(home)},
        }

    def replicas_of(self, service: str) -> str:
        return addresses(self.ports[f"{setting_name(service)}_PORT"], self.replicas)


def uses_real_xero(settings: Mapping[str, str]) -> bool:
    """A client id of Xero's developer site in .env is what switches from the simulator to Xero."""
    return bool(settings.get("XERO_CLIENT_ID"))


def setting_name(service: str) -> str:
    """xero-gateway -> XERO_GATEWAY."""
    return service.upper().replace("-", "_")


def choose_ports(settings: Mapping[str, str]) -> tuple[dict[str, int], dict[str, int]]:
    """The port of each name in PORTS, and those that had to move with the port that was taken.

    PORTS=free gives every name a free port. Raises PortTaken when the gateway's port is taken and the real Xero is used, because the
    redirect address registered at Xero names it; ValueError when a setting is no number.
    """
    wanted = {name: int(settings.get(name) or usual) for name, usual in PORTS.items()}
    moved = {name: port for name, port in wanted.items() if settings.get("PORTS") == "free" or not is_free(port)}
    if "GATEWAY_PORT" in moved and uses_real_xero(settings):
        raise PortTaken(f"Port {wanted['GATEWAY_PORT']} is taken, and Xero sends people back to it. End what uses it, or set GATEWAY_PORT.")
    chosen = wanted | dict(zip(moved, free_ports(len(moved)), strict=True))
    return chosen, {} if settings.get("PORTS") == "free" else moved
