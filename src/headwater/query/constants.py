"""Parameters as clients send them (Python values) as constant trees."""

from __future__ import annotations

import datetime
import math
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlglot import exp

from headwater.errors import ErrorCode, error


def constant(value: Any) -> exp.Expr:
    """The constant tree of a Python value; INVALID_ARGUMENT for a value that SQL cannot hold."""
    match value:
        case None:
            return exp.Null()
        case bool():
            return exp.Boolean(this=value)
        case int():
            return _number(str(value))
        case Decimal():
            if not value.is_finite():
                raise _unfit(value)
            return _cast(format(value, "f"), f"DECIMAL(38, {max(0, -_exponent(value))})")
        case float():
            if not math.isfinite(value):
                return _cast(str(value), "DOUBLE")
            return exp.Cast(this=_number(repr(value)), to=exp.DataType.build("DOUBLE"))
        case str():
            return exp.Literal.string(value)
        case bytes():
            return exp.Unhex(this=exp.Literal.string(value.hex()))
        case datetime.datetime():
            kind = "TIMESTAMP" if value.tzinfo is None else "TIMESTAMPTZ"
            return _cast(value.isoformat(" "), kind)
        case datetime.date():
            return _cast(value.isoformat(), "DATE")
        case datetime.time():
            return _cast(value.isoformat(), "TIME")
        case uuid.UUID():
            return _cast(str(value), "UUID")
        case list() | tuple():
            return exp.Array(expressions=[constant(item) for item in value])
        case Mapping():
            return exp.Map(
                keys=exp.Array(expressions=[constant(key) for key in value]),
                values=exp.Array(expressions=[constant(item) for item in value.values()]),
            )
    raise _unfit(value)


def _exponent(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return exponent if isinstance(exponent, int) else 0


def _number(text: str) -> exp.Expr:
    if text.startswith("-"):
        return exp.Neg(this=exp.Literal.number(text[1:]))
    return exp.Literal.number(text)


def _cast(text: str, kind: str) -> exp.Expr:
    return exp.Cast(this=exp.Literal.string(text), to=exp.DataType.build(kind, dialect="duckdb"))


def _unfit(value: Any) -> Exception:
    return error(
        ErrorCode.INVALID_ARGUMENT,
        f"a parameter cannot be of type {type(value).__name__}",
        hint="use NULL, booleans, numbers, text, bytes, dates, times, lists or maps",
    )
