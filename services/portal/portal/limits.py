"""How often a sign-in mail may be asked for and how often a code may be wrong, counted alike for every address, known or not.

Keys are HMACs, so no address and no network stands in the counters.
"""

from __future__ import annotations

import math
from ipaddress import IPv6Address, ip_address, ip_network

from common.crypto import KeyRing
from common.mongo import Database, Reader
from portal import store
from portal.errors import TooSoon

MINUTE, HOUR, DAY = 60, 3600, 24 * 3600
PER_ADDRESS = ((MINUTE, 1), (HOUR, 5), (DAY, 20))
PER_NETWORK = ((MINUTE, 10), (HOUR, 100))
IN_TOTAL = ((MINUTE, 600),)
WRONG_CODES = (DAY, 10)


async def admit_request(db: Database, ring: KeyRing, *, network: str, allowance: str) -> int:
    """Counts a request; the seconds until the same `allowance` may be used again. Raises TooSoon with the honest wait.

    The network first: one that is used up must not use up the allowances of other people. Each counter is one update outside
    a transaction, so that a refused request stays counted where it was.
    """
    wait = 0.0
    for what, subject, windows in (
        ("network", group(network), PER_NETWORK),
        ("allowance", allowance, PER_ADDRESS),
        ("total", "", IN_TOTAL),
    ):
        counted, wait_here = await store.count_use(db, key(ring, what, subject), windows)
        if not counted:
            raise TooSoon("A sign-in mail was asked for a moment ago.", retry_after=math.ceil(wait_here))
        wait = wait_here if what == "allowance" else wait
    return math.ceil(wait)


async def count_wrong_code(reader: Reader, ring: KeyRing, subject: str) -> None:
    """Counts a wrong code typed for a subject (see `SignInRequest.subject`)."""
    await store.count_use(reader, key(ring, "wrong-codes", subject), [WRONG_CODES])


async def may_mail_code(reader: Reader, ring: KeyRing, subject: str) -> bool:
    """False for the rest of the day after too many wrong codes: then a mail carries the link only."""
    return not await store.is_used_up(reader, key(ring, "wrong-codes", subject), WRONG_CODES)


def key(ring: KeyRing, what: str, subject: str) -> str:
    """The counter of one subject; `what` keeps the purposes apart."""
    return ring.hmac(f"limit:{what}:{subject}".encode())


def group(network: str) -> str:
    """An address as its neighbours share it: IPv4 alone, IPv6 by its /64, which is what one customer is given."""
    try:
        address = ip_address(network)
    except ValueError:
        return network
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or ip_network((address, 64), strict=False))
    return str(address)
