"""The writing side of the accounting API: elements of a body one by one, errors told as Xero tells them."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from fastapi import Response
from pydantic import ValidationError

from xero_simulator import door, ledger, wire
from xero_simulator.books import Refused
from xero_simulator.documents import Organisation
from xero_simulator.shapes import Json
from xero_simulator.simulator import Simulator


@dataclass(frozen=True)
class Write:
    """One writing call. `creates_only` is PUT; `places` are the decimals unit prices are read and told with."""

    simulator: Simulator
    organisation: Organisation
    creates_only: bool
    places: int


Element = Callable[[Write, Json], Json]


class _Undone(Exception):
    """An element was refused, so nothing of the call is kept."""


def write_all(write: Write, name: str, body: bytes, one: Element, summarise: bool) -> Response:
    """Hands each element of the body to `one`, which answers its new form.

    With `summarise` one refused element refuses the whole call (400); without it each element says how it went (200).
    """
    try:
        elements = _elements(name, body)
    except ValueError:
        return door.api_error(400, 14, "PostDataInvalidException", "JSON for post data was invalid")
    if not elements:
        return door.api_error(400, 17, "NoDataProcessedException", "No data has been processed for this endpoint")
    results: list[Json] = []
    try:
        with write.simulator.store.transaction():
            results = [_attempt(write, element, one) for element in elements]
            if summarise and any(_refused(result) for result in results):
                raise _Undone
    except _Undone:
        refused = [result for result in results if _refused(result)]
        told = {"ErrorNumber": 10, "Type": "ValidationException", "Message": "A validation exception occurred", "Elements": refused}
        return Response(wire.dumps(told), 400, media_type=door.JSON)
    if not summarise:
        results = [{**result, "StatusAttributeString": "ERROR" if _refused(result) else "OK"} for result in results]
    return Response(wire.dumps(wire.envelope(name, results, write.simulator.clock.now())), media_type=door.JSON)


def _elements(name: str, body: bytes) -> list[Json]:
    """One object, or a list of them under the resource's name. Raises ValueError."""
    given = json.loads(body, parse_float=Decimal)
    if not isinstance(given, dict):
        raise ValueError("no object")
    elements = given.get(name, given)
    found = elements if isinstance(elements, list) else [elements]
    if not all(isinstance(element, dict) for element in found):
        raise ValueError("no objects")
    return [element for element in found if element]


def _attempt(write: Write, element: Json, one: Element) -> Json:
    try:
        with write.simulator.store.transaction():
            return one(write, element)
    except ValidationError as error:
        messages = [f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()]
    except (Refused, ledger.NotFound) as error:
        messages = [str(error)]
    return {**element, "HasErrors": True, "ValidationErrors": [{"Message": message} for message in messages]}


def _refused(result: Json) -> bool:
    return bool(result.get("ValidationErrors"))


def text_of(value: Any) -> str:
    """An amount as Xero's messages write it: 46.00."""
    return f"{value:.2f}"
