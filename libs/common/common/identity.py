"""Signed identity between services: EdDSA tokens of 60 seconds, each for one audience.

`iss` decides what a token may say: auth speaks of a provider, portal of a client, sharing grants one invoice's PDF,
and anyone speaks only of itself. Public keys are files `<service>.<kid>.pub`, two valid during rotation.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import OKPKey

from common.errors import NotSignedIn

ALGORITHM = "Ed25519"
"""The name RFC 9864 gives to EdDSA with this curve."""

LIFETIME_SECONDS = 60
LEEWAY_SECONDS = 30
Role = Literal["service", "provider", "client", "pdf"]
SPEAKS_OF: dict[str, Role] = {"auth": "provider", "portal": "client", "sharing": "pdf"}
"""Whom a service may speak of beside itself."""


class BadToken(NotSignedIn):
    code = "bad_token"


@dataclass(frozen=True)
class CallerIdentity:
    """A service that calls in its own name."""

    service: str


@dataclass(frozen=True)
class ProviderIdentity:
    """A provider, working in one organisation."""

    id: str
    name: str
    email: str
    organisation_id: str


@dataclass(frozen=True)
class ClientIdentity:
    """A client, by the canonical address they proved to own."""

    id: str
    email: str


@dataclass(frozen=True)
class PdfCapability:
    """The right to one invoice's PDF, as that invoice was at `updated_at` (Xero's UpdatedDateUTC) and while it belongs to this contact."""

    organisation_id: str
    contact_id: str
    invoice_id: str
    updated_at: datetime


Identity = CallerIdentity | ProviderIdentity | ClientIdentity | PdfCapability


class Signer:
    """Makes tokens in the name of one service."""

    def __init__(self, service: str, keys_dir: Path) -> None:
        self.service = service
        path = max(keys_dir.glob("identity.*.key"), default=None)
        if path is None:
            raise FileNotFoundError(f"{keys_dir} holds no identity key; make the keys first")
        self._kid = path.name.split(".")[1]
        self._key = OKPKey.import_key(path.read_bytes())

    def service_token(self, audience: str) -> str:
        """In the service's own name."""
        return self._sign(audience, "service", self.service)

    def provider_token(self, audience: str, *, id: str, name: str, email: str, organisation_id: str) -> str:
        """In a provider's name; others accept it from auth only."""
        return self._sign(audience, "provider", id, name=name, email=email, org=organisation_id)

    def client_token(self, audience: str, *, id: str, email: str) -> str:
        """In a client's name; others accept it from portal only."""
        return self._sign(audience, "client", id, email=email)

    def pdf_token(self, audience: str, *, organisation_id: str, contact_id: str, invoice_id: str, updated_at: datetime) -> str:
        """The right to one invoice's PDF; others accept it from sharing only. `updated_at` with its time zone."""
        return self._sign(audience, "pdf", invoice_id, org=organisation_id, contact=contact_id, updated=updated_at.isoformat())

    def _sign(self, audience: str, role: Role, subject: str, **claims: str) -> str:
        now = int(time.time())
        said = {"iss": self.service, "aud": audience, "sub": subject, "role": role, "iat": now, "exp": now + LIFETIME_SECONDS, **claims}
        return jwt.encode({"alg": ALGORITHM, "kid": self._kid}, said, self._key, algorithms=[ALGORITHM])


class Verifier:
    """Reads tokens addressed to one service."""

    def __init__(self, public_keys_dir: Path, audience: str) -> None:
        self.audience = audience
        self._folder = public_keys_dir
        self._keys: dict[str, OKPKey] = {}

    def read(self, token: str) -> Identity:
        """Who speaks. Raises BadToken when the token is not valid, not for us, too old, or says more than its issuer may."""
        try:
            said = self._verified(token)
            issuer, role, subject = said["iss"], said["role"], said["sub"]
            if role == "service" and subject == issuer:
                return CallerIdentity(issuer)
            if SPEAKS_OF.get(issuer) == role == "provider":
                return ProviderIdentity(subject, said["name"], said["email"], said["org"])
            if SPEAKS_OF.get(issuer) == role == "client":
                return ClientIdentity(subject, said["email"])
            if SPEAKS_OF.get(issuer) == role == "pdf":
                return PdfCapability(said["org"], said["contact"], subject, datetime.fromisoformat(said["updated"]))
        except (JoseError, KeyError, TypeError, ValueError, OSError) as error:
            raise BadToken from error
        raise BadToken

    def _verified(self, token: str) -> dict[str, Any]:
        header = jws.extract_compact(token.encode()).headers()
        unverified = jwt.decode(token, self._key(str(header["kid"]), token), algorithms=[ALGORITHM])
        said = unverified.claims
        now = time.time()
        if said["aud"] != self.audience or not said["iat"] - LEEWAY_SECONDS <= now < said["exp"] + LEEWAY_SECONDS:
            raise BadToken
        return said

    def _key(self, kid: str, token: str) -> OKPKey:
        """The public key of the issuer the token claims; the signature then proves the claim."""
        issuer = str(json.loads(jws.extract_compact(token.encode()).payload)["iss"])
        name = f"{issuer}.{kid}.pub"
        if name != Path(name).name or not all(part.replace("-", "").isalnum() for part in (issuer, kid)):
            raise BadToken
        if name not in self._keys:
            self._keys[name] = OKPKey.import_key((self._folder / name).read_bytes())
        return self._keys[name]
