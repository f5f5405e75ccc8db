"""The vault: Xero's tokens, readable only with the ring and only in the one place they were sealed for.

What is bound: database, collection, token set, owner, field and generation. A roll-back of a whole document is not noticed.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import SecretStr

from auth.models import TokenSet
from common.crypto import KeyRing, seal, unseal

RING = "xero-token"
Field = Literal["access", "refresh", "previous"]


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
