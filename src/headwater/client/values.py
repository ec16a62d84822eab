"""Values of query results as text and as JSON, the same for the command line and the HTTP API."""

from __future__ import annotations

import datetime
import math
from decimal import Decimal
from typing import Any

import pyarrow as pa

NULL = "NULL"


def python_values(column: pa.ChunkedArray[Any] | pa.Array[Any]) -> list[Any]:
    """A column as Python values; what Python cannot hold (nanoseconds, year 10000) as text."""
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        return column.cast(pa.string()).to_pylist()
    try:
        return column.to_pylist()
    except (ValueError, OverflowError):
        return column.cast(pa.string()).to_pylist()


def text_of(value: Any) -> str | None:
    """A value as people and CSV files write it; None for NULL."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _float_text(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, datetime.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {_nested(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            pairs = (f"{_nested(key)} → {_nested(item)}" for key, item in value)
            return "{" + ", ".join(pairs) + "}"
        return "[" + ", ".join(_nested(item) for item in value) + "]"
    return str(value)


def json_value(value: Any) -> Any:
    """A value as JSON has it: decimals, times, NaN and infinities as text, bytes as hex digits."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else text_of(value)
    if isinstance(value, dict):
        return {str(name): json_value(item) for name, item in value.items()}
    if isinstance(value, list):
        if value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
            return {text_of(key) or "": json_value(item) for key, item in value}
        return [json_value(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    return text_of(value)


def _nested(value: Any) -> str:
    text = text_of(value)
    return NULL if text is None else text


def _float_text(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(value)
