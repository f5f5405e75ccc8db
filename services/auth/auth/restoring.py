"""What has to be put right in auth's data when a backup of it comes back: others have heard newer things than it knows."""

from __future__ import annotations

from auth import connections, store, vault
from common.crypto import KeyRing, Unreadable, rewrap
from common.errors import Conflict
from common.mongo import Database, Document

LOOKED_AT = 20
PAGE = 500


async def settle(ring: KeyRing, db: Database) -> None:
    """Every organisation is told anew, as it stands here, with a version above all that were told since the backup.

    Raises Conflict when none of the newest tokens can be opened with our ring: then it is another installation's backup.
    """
    rows = await db.collection(store.TOKEN_SETS).find({}, sort=[("_id", -1)], limit=LOOKED_AT)
    if rows and not any(_opens(ring, row) for row in rows):
        raise Conflict("The Xero tokens were sealed with keys that are not here: put those keys back first.", code="other_keys")
    after = ""
    while ids := await store.list_organisation_ids(db, after, PAGE):
        for organisation_id in ids:
            await db.transact(connections.tell_again, organisation_id)
        after = ids[-1]


def _opens(ring: KeyRing, row: Document) -> bool:
    """Whether a key of the ring unwraps the refresh token's data key; the token itself stays closed, so the audit has nothing to tell."""
    try:
        place = vault.context(row["_id"], row["owner"], "refresh", row["generation"])
        return bool(rewrap(ring, row["refresh"], place))
    except Unreadable:
        return False
