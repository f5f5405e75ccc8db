"""Xero's JSON as it stands on the wire: exact decimals as numbers, escaped slashes, Microsoft dates, the envelope."""

import uuid
from datetime import date, datetime
from decimal import Decimal
from json.encoder import encode_basestring
from typing import Any

from xero_simulator.clock import to_ms

PROVIDER = "Client Invoices"
CONSTANTS = {None: "null", True: "true", False: "false"}


def dumps(value: Any) -> str:
    """Compact JSON. Decimals keep their written digits (46.00), never passing through a float; `/` is written `\\/`."""
    parts: list[str] = []
    _write(value, parts)
    return "".join(parts)


def _write(value: Any, parts: list[str]) -> None:
    if isinstance(value, str):
        parts.append(encode_basestring(value).replace("/", "\\/"))
    elif isinstance(value, Decimal):
        parts.append(f"{value:f}")
    elif value is None or isinstance(value, bool):
        parts.append(CONSTANTS[value])
    elif isinstance(value, int):
        parts.append(str(value))
    elif isinstance(value, dict):
        _write_object(value, parts)
    elif isinstance(value, list):
        _write_list(value, parts)
    else:
        raise TypeError(f"{type(value).__name__} has no place in Xero's JSON")


def _write_object(value: dict[str, Any], parts: list[str]) -> None:
    separator = "{"
    for key, item in value.items():
        parts.append(f'{separator}"{key}":')
        _write(item, parts)
        separator = ","
    parts.append("}" if value else "{}")


def _write_list(value: list[Any], parts: list[str]) -> None:
    parts.append("[")
    for place, item in enumerate(value):
        if place:
            parts.append(",")
        _write(item, parts)
    parts.append("]")


def instant(moment: datetime) -> str:
    """`/Date(1552326816230+0000)/`; the slashes are escaped when written."""
    return f"/Date({to_ms(moment)}+0000)/"


def day(value: date) -> str:
    """A calendar day as midnight UTC."""
    return f"/Date({(value - date(1970, 1, 1)).days * 86_400_000}+0000)/"


def day_string(value: date) -> str:
    """The twin of a day, `2018-10-20T00:00:00`."""
    return f"{value.isoformat()}T00:00:00"


def instant_string(moment: datetime) -> str:
    """`2018-11-02T16:36:32Z`, to the second."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def envelope(name: str, items: list[dict[str, Any]], now: datetime, pagination: dict[str, int] | None = None) -> dict[str, Any]:
    """What every JSON answer of the accounting API is wrapped in."""
    head: dict[str, Any] = {"Id": str(uuid.uuid4()), "Status": "OK", "ProviderName": PROVIDER, "DateTimeUTC": f"/Date({to_ms(now)})/"}
    if pagination:
        head["pagination"] = pagination
    return {**head, name: items}


def money(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.01"))


def unit_price(amount: Decimal, places: int) -> Decimal:
    """Two decimals, or four when the caller asked for them with `unitdp=4`."""
    return amount.quantize(Decimal(1).scaleb(-places))


def quantity(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.0001"))


def rate(amount: Decimal) -> Decimal:
    return amount.quantize(Decimal("0.0000000001"))
