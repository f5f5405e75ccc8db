"""Xero's `where` and `order` parameters, read by a small grammar and turned into SQL over the columns that exist."""

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from xero_simulator.clock import to_ms
from xero_simulator.store import fold

TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*")|(?P<number>-?\d+(?:\.\d+)?)|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*)"""
    r"""|(?P<sign>==|!=|<=|>=|<>|&&|\|\||[=<>(),]))"""
)
CHANGE_OF_CASE = re.compile(r"""(?P<string>"(?:[^"\\]|\\.)*")|(?P<field>[A-Za-z_][\w.]*?)\.To(?:Lower|Upper)\(\)""", re.IGNORECASE)
COMPARISONS = {"==": "=", "=": "=", "!=": "<>", "<>": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
TEXT_METHODS = {"contains": "%{}%", "startswith": "{}%", "endswith": "%{}"}


class QueryParseError(Exception):
    """Answered by Xero as 400 QueryParseException."""


class MethodOnNull(Exception):
    """A text method on a field that may be null, not guarded by a null check: Xero answers 500."""


@dataclass(frozen=True)
class Field:
    """A field one may ask about: its SQL, and its kind (text, code, guid, money, day, instant or flag)."""

    sql: str
    kind: str
    nullable: bool = False


Fields = Mapping[str, Field]


def where_sql(text: str, type_name: str, fields: Fields) -> tuple[str, list[Any]]:
    """The condition and its values. Raises QueryParseError or MethodOnNull."""
    reader = _Reader(text, type_name, fields)
    sql = reader.any_of()
    if reader.peek() is not None:
        raise QueryParseError(f"Syntax error near '{reader.peek()}'")
    if unguarded := reader.methods_on - reader.null_checked:
        raise MethodOnNull(", ".join(sorted(unguarded)))
    return sql, reader.values


def order_sql(text: str, type_name: str, fields: Fields) -> str:
    """`Date DESC, InvoiceID` as SQL. Raises QueryParseError."""
    parts = []
    for part in text.split(","):
        words = part.split()
        if not 1 <= len(words) <= 2 or (len(words) == 2 and words[1].upper() not in ("ASC", "DESC")):
            raise QueryParseError(f"Syntax error in order '{part.strip()}'")
        parts.append(f"{_field(words[0], type_name, fields).sql} {words[1].upper() if len(words) == 2 else 'ASC'}")
    return ", ".join(parts)


def _field(name: str, type_name: str, fields: Fields) -> Field:
    found = fields.get(name.lower())
    if found is None:
        raise QueryParseError(f"No property or field '{name}' exists in type '{type_name}'")
    return found


def _tokens(text: str) -> list[str]:
    tokens, position = [], 0
    text = text.strip()
    while position < len(text):
        match = TOKEN.match(text, position)
        if match is None:
            raise QueryParseError(f"Syntax error '{text[position]}'")
        tokens.append(match.group().strip())
        position = match.end()
    return tokens


class _Reader:
    """Recursive descent: any_of is OR, all_of is AND, a condition is a bracket, a comparison or a text method."""

    def __init__(self, text: str, type_name: str, fields: Fields) -> None:
        self.fields = fields
        self.methods_on: set[str] = set()
        self.tokens = _tokens(CHANGE_OF_CASE.sub(self._without_change_of_case, text))
        self.place = 0
        self.type_name = type_name
        self.values: list[Any] = []
        self.null_checked: set[str] = set()

    def _without_change_of_case(self, match: re.Match[str]) -> str:
        """Comparing disregards case anyway, so ToLower() only matters for the null check."""
        if match["string"]:
            return match["string"]
        field = self.fields.get(match["field"].lower())
        if field and field.nullable:
            self.methods_on.add(match["field"].lower())
        return match["field"]

    def peek(self) -> str | None:
        return self.tokens[self.place] if self.place < len(self.tokens) else None

    def take(self, expected: str | None = None) -> str:
        token = self.peek()
        if token is None or (expected is not None and token != expected):
            raise QueryParseError(f"'{expected or 'Expression'}' expected")
        self.place += 1
        return token

    def any_of(self) -> str:
        parts = [self.all_of()]
        while (self.peek() or "").upper() in ("||", "OR"):
            self.take()
            parts.append(self.all_of())
        return f"({' OR '.join(parts)})"

    def all_of(self) -> str:
        parts = [self.condition()]
        while (self.peek() or "").upper() in ("&&", "AND"):
            self.take()
            parts.append(self.condition())
        return f"({' AND '.join(parts)})"

    def condition(self) -> str:
        if self.peek() == "(":
            self.take()
            inner = self.any_of()
            self.take(")")
            return inner
        name = self.take()
        if self.peek() != "(":
            return self._comparison(name, _field(name, self.type_name, self.fields))
        name, _, method = name.rpartition(".")
        if method.lower() not in TEXT_METHODS:
            raise QueryParseError(f"No applicable method '{method}' exists in type 'String'")
        return self._text_method(name, _field(name, self.type_name, self.fields), TEXT_METHODS[method.lower()])

    def _text_method(self, name: str, field: Field, pattern: str) -> str:
        self.take("(")
        text = self._literal(self.take(), field)
        self.take(")")
        if not isinstance(text, str) or field.kind not in ("text", "code"):
            raise QueryParseError(f"No applicable method exists for '{name}'")
        if field.nullable:
            self.methods_on.add(name.lower())
        escaped = text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
        self.values.append(pattern.format(escaped))
        return f"{field.sql} LIKE ? ESCAPE '!'"

    def _comparison(self, name: str, field: Field) -> str:
        sign = self.take()
        if sign not in COMPARISONS:
            raise QueryParseError(f"Syntax error near '{sign}'")
        token = self.take()
        if token.lower() == "null":
            self.null_checked |= {name.lower()} if COMPARISONS[sign] == "<>" else set()
            return f"{field.sql} IS {'NOT ' if COMPARISONS[sign] == '<>' else ''}NULL"
        self.values.append(self._literal(token, field))
        return f"{field.sql} {COMPARISONS[sign]} ?"

    def _literal(self, token: str, field: Field) -> Any:
        if token.lower() in ("guid", "datetime") and self.peek() == "(":
            return self._called(token.lower(), field)
        if token.startswith('"'):
            text = re.sub(r"\\(.)", r"\1", token[1:-1])
            if field.kind == "guid":
                raise QueryParseError("Operator '==' incompatible with operand types 'Guid' and 'String'")
            return fold(text) if field.kind == "text" else text.upper()
        if token.lower() in ("true", "false") and field.kind == "flag":
            return int(token.lower() == "true")
        if re.fullmatch(r"-?\d+(\.\d+)?", token) and field.kind == "money":
            return round(float(token) * 100)
        raise QueryParseError(f"The value '{token}' does not fit the field")

    def _called(self, function: str, field: Field) -> Any:
        self.take("(")
        arguments = []
        while self.peek() != ")":
            token = self.take()
            arguments += [] if token == "," else [token.strip('"')]
        self.take(")")
        try:
            if function == "guid" and field.kind == "guid":
                return str(uuid.UUID(arguments[0]))
            moment = datetime(*(int(number) for number in arguments), tzinfo=UTC)  # type: ignore[misc, arg-type]
        except (ValueError, IndexError, TypeError):
            raise QueryParseError(f"'{function}' cannot be read") from None
        if function != "datetime" or field.kind not in ("day", "instant"):
            raise QueryParseError(f"Operator incompatible with '{function}'")
        return moment.date().isoformat() if field.kind == "day" else to_ms(moment)
