"""One read-only call that says whether an organisation can be read, and what is wrong if it cannot."""

from __future__ import annotations

from typing import Literal

from common.mongo import Database
from xero_gateway.errors import XeroBusy, XeroNeedsReauth, XeroRefused, XeroUnavailable
from xero_gateway.xero import Xero

Outcome = Literal["ok", "credential", "scope", "organisation", "limit", "network"]


async def try_connection(db: Database, xero: Xero, organisation_id: str) -> Outcome:
    """credential: somebody has to sign in again. organisation: the login is good, but not let in there. network: no usable answer."""
    try:
        await xero.try_reading(db, organisation_id)
    except XeroNeedsReauth:
        return "credential"
    except XeroRefused as refused:
        return "scope" if refused.scope else "organisation" if refused.refused_with == 403 else "credential"
    except XeroBusy:
        return "limit"
    except XeroUnavailable:
        return "network"
    return "ok"
