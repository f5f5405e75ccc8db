"""The vault: Xero's tokens, readable only with the ring and only in the one place they were sealed for, every access in the audit.

What is bound: database, collection, token set, owner, field and generation. A whole document that was put back to an older state
still opens; verifying the audit finds it, because the chain of that token set knows of a later generation.
"""

from __future__ import annotations

from typing import Any

from pydantic import SecretStr

from auth import audit
from auth.audit_models import Use, an_access
from auth.models import TokenSet
from auth.store import Field as Field
from common.crypto import KeyRing, seal, unseal
from common.mongo import Database, Tx

RING = "xero-token"
SIGN_IN, REFRESH = Use(service="auth", purpose="sign-in"), Use(service="auth", purpose="refresh")
FOLLOW, LEAVE = Use(service="auth", purpose="read-connections"), Use(service="auth", purpose="leave")


class Vault:
    """The vault of one process: opens tokens, each time with a link in the audit first."""

    def __init__(self, ring: KeyRing) -> None:
        self.ring = ring
        self._journal = audit.Journal()

    async def open(self, db: Database, token_set: TokenSet, field: Field, use: Use) -> SecretStr:
        """Raises as `open_token`, ChainClosed when the token set was destroyed, DatabaseUnavailable when the audit cannot be written."""
        await self._journal.record(db, token_set.id, an_access("open", (field,), token_set.generation, use))
        return open_token(self.ring, token_set, field)


async def record_seal(tx: Tx, token_set_id: str, fields: tuple[Field, ...], generation: int, use: Use) -> None:
    """The link that tells of newly sealed tokens, in the transaction that stores them: both or neither."""
    await audit.append(tx, token_set_id, [an_access("seal", fields, generation, use)])


def context(token_set_id: str, owner: str, field: Field, generation: int) -> tuple[str, ...]:
    """The place of one token. `owner` is issuer|subject of the login it belongs to."""
    return ("auth", "token_sets", token_set_id, owner, field, str(generation))


def seal_token(ring: KeyRing, token: SecretStr, token_set_id: str, owner: str, field: Field, generation: int) -> dict[str, Any]:
    return seal(ring, token.get_secret_value().encode(), context(token_set_id, owner, field, generation))


def open_token(ring: KeyRing, token_set: TokenSet, field: Field) -> SecretStr:
    """Raises Unreadable when the value was changed, moved, or its key is gone; LookupError when there is none."""
    sealed = getattr(token_set, field)
    if sealed is None:
        raise LookupError(field)
    opened = unseal(ring, sealed, context(token_set.id, token_set.owner, field, token_set.generation))
    return SecretStr(opened.decode())
