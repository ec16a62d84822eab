"""Literals of the protocol to Python values, as parameters of a statement take them."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

_EPOCH = datetime.date(1970, 1, 1)
_PLAIN = ("boolean", "byte", "short", "integer", "long", "double", "string", "binary")


class NotPlainError(Exception):
    """The expression is no literal that the system engine takes as a parameter."""


def python_value(literal: Any, time_zone: str) -> Any:
    """The value of an `Expression.Literal`; raises NotPlainError for kinds that it has none for."""
    kind = literal.WhichOneof("literal_type")
    if kind == "null":
        return None
    if kind in _PLAIN:
        return getattr(literal, kind)
    if kind == "decimal":
        return Decimal(literal.decimal.value)
    if kind == "date":
        return _EPOCH + datetime.timedelta(days=literal.date)
    if kind in ("timestamp", "timestamp_ntz"):
        zone = datetime.UTC if kind == "timestamp" else None
        start = datetime.datetime(1970, 1, 1, tzinfo=zone)
        return start + datetime.timedelta(microseconds=getattr(literal, kind))
    if kind == "array":
        return [python_value(element, time_zone) for element in literal.array.elements]
    raise NotPlainError(str(kind))


def parameter(expression: Any, time_zone: str) -> Any:
    """The value of a literal expression."""
    if expression.WhichOneof("expr_type") != "literal":
        raise NotPlainError("an expression")
    return python_value(expression.literal, time_zone)
