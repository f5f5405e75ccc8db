"""Money as int64 hundredths beside a currency code; Decimal in between, float never.

Hundredths whatever the currency, because that is Xero's own precision for totals: JPY 1,200 is 120000 hundredths.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

LARGEST = 2**63 - 1


class NotMoney(ValueError):
    """An amount finer than a hundredth, not finite, or larger than 64 bits hold."""


def hundredths(amount: Decimal | int | str) -> int:
    """An amount as a whole number of hundredths. Raises NotMoney when that would lose anything."""
    try:
        value = Decimal(amount)
        scaled = value.scaleb(2)
        if not value.is_finite() or scaled != scaled.to_integral_value() or abs(scaled) > LARGEST:
            raise NotMoney(f"{amount} is not an amount in hundredths")
    except ArithmeticError as error:
        raise NotMoney(f"{amount} is not an amount") from error
    return int(scaled)


def as_decimal(amount: int) -> Decimal:
    """Hundredths as a Decimal with two places: 4600 is 46.00."""
    return Decimal(amount).scaleb(-2)


def read_json(raw: bytes | str) -> Any:
    """JSON with every number that has a fraction as Decimal. Pydantic's own parser passes through float and loses digits."""
    return json.loads(raw, parse_float=Decimal)
