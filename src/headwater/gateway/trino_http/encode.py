"""Arrow record batches as the rows of Trino's JSON, column by column in Arrow's own kernels.

The types are those that leave an engine (`headwater.engines`). Each column becomes a string array
of JSON texts, the columns are joined into rows and the rows into one text: no Python object is made
for a value, except for types that Arrow cannot print. A handful of rows goes the other way round,
for calling a kernel takes longer than making a few objects.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

_NEEDS_ESCAPE = '["\\\\\\x00-\\x1f]'
_CONTROL = "[\\x00-\\x1f]"
_SHORT_ESCAPES = {"\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NANOSECONDS_A_DAY = 86_400 * 10**9
_FEW_ROWS = 32


def rows_text(batch: pa.RecordBatch, *, parametric_datetime: bool = True) -> bytes:
    """The batch's rows as JSON arrays joined by commas, UTF-8: `[1,"a"],[2,null]`.

    Without `parametric_datetime`, times are cut to milliseconds.
    """
    if batch.num_rows == 0:
        return b""
    if batch.num_rows <= _FEW_ROWS:
        columns = [
            _few_values(column, parametric_datetime=parametric_datetime) for column in batch.columns
        ]
        return orjson.dumps(list(zip(*columns, strict=True)))[1:-1]
    texts = []
    for column in batch.columns:
        if not parametric_datetime:
            column = pc.cast(column, _milliseconds(column.type), safe=False)
        texts.append(json_text(column))
    rows = pc.binary_join_element_wise(*texts, ",")
    whole = pa.ListArray.from_arrays(pa.array([0, len(rows)], pa.int32()), rows)
    joined: Any = pc.binary_join(whole, "],[")
    text: bytes = joined[0].as_buffer().to_pybytes()
    return b"[" + text + b"]"


def _few_values(array: Any, *, parametric_datetime: bool) -> list[Any]:
    """A short column's values as orjson takes them; the same JSON as `json_text` makes."""
    kind = array.type
    try:
        if pt.is_integer(kind) or pt.is_boolean(kind) or pt.is_string(kind):
            plain: list[Any] = array.to_pylist()
            return plain
        if pt.is_decimal(kind):
            return [None if value is None else f"{value:f}" for value in array.to_pylist()]
        if pt.is_date(kind):
            return [None if value is None else value.isoformat() for value in array.to_pylist()]
        if pt.is_float64(kind):
            return [_number(value) for value in array.to_pylist()]
    except (ValueError, OverflowError):
        pass  # a date that Python has not, text that is not UTF-8: Arrow prints them
    if not parametric_datetime:
        array = pc.cast(array, _milliseconds(kind), safe=False)
    return [orjson.Fragment(text) for text in json_text(array).to_pylist()]


def _number(value: float | None) -> float | str | None:
    if value is None or math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def json_text(array: Any) -> Any:
    """A string array of the same length with each value's JSON text; SQL NULL is `null`."""
    return pc.fill_null(_text(array), "null")


def _text(array: Any) -> Any:
    kind = array.type
    if pt.is_null(kind):
        return pa.nulls(len(array), pa.string())
    if pt.is_boolean(kind) or pt.is_integer(kind):
        return pc.cast(array, pa.string())
    if pt.is_floating(kind):
        return _floats(array)
    if pt.is_decimal(kind):
        return _decimals(array)
    if pt.is_string(kind):
        return _strings(array)
    if pt.is_date(kind) or pt.is_time(kind):
        return _quote(pc.cast(array, pa.string()))
    if pt.is_timestamp(kind):
        return _timestamps(array)
    if pt.is_interval(kind):
        return _each(array, _interval)
    if pt.is_struct(kind):
        return _structs(array)
    if pt.is_map(kind):
        return _maps(array)
    if pt.is_list(kind):
        items = json_text(array.flatten())
        return _restore_nulls(_wrap("[", _join_lists(array, items), "]"), array)
    return _each(array, lambda value: f'"{base64.b64encode(value).decode()}"')


def _each(array: Any, text: Callable[[Any], str]) -> Any:
    values = (None if value is None else text(value) for value in array.to_pylist())
    return pa.array(values, pa.string())


def _wrap(before: str, texts: Any, after: str) -> Any:
    return pc.binary_join_element_wise(before, texts, after, "")


def _quote(texts: Any) -> Any:
    return _wrap('"', texts, '"')


def _strings(array: Any) -> Any:
    if pc.any(pc.match_substring_regex(array, _NEEDS_ESCAPE)).as_py():
        array = _escape(array)
    return _quote(array)


def _escape(array: Any) -> Any:
    array = pc.replace_substring(array, "\\", "\\\\")
    array = pc.replace_substring(array, '"', '\\"')
    if pc.any(pc.match_substring_regex(array, _CONTROL)).as_py():
        for code in range(0x20):
            character = chr(code)
            escape = _SHORT_ESCAPES.get(character, f"\\u{code:04x}")
            array = pc.replace_substring(array, character, escape)
    return array


def _floats(array: Any) -> Any:
    """Doubles keep a point or an exponent, as drivers tell them from integers by it."""
    texts = pc.cast(array, pa.string())
    whole = pc.invert(pc.match_substring_regex(texts, "[.en]"))
    if pc.any(whole).as_py():
        texts = pc.if_else(whole, _wrap("", texts, ".0"), texts)
    finite = pc.is_finite(array)
    if not pc.all(finite).as_py():
        names = pc.if_else(
            pc.is_nan(array),
            '"NaN"',
            pc.if_else(pc.greater(array, pa.scalar(0, array.type)), '"Infinity"', '"-Infinity"'),
        )
        texts = pc.if_else(finite, texts, names)
    return texts


def _decimals(array: Any) -> Any:
    """Decimals are strings in plain notation; Arrow prints small ones with an exponent."""
    texts = pc.cast(array, pa.string())
    if pc.any(pc.match_substring(texts, "E")).as_py():
        return _each(texts, lambda text: f'"{Decimal(text):f}"')
    return _quote(texts)


def _timestamps(array: Any) -> Any:
    """Instants are printed in UTC: no zone's clock runs back, so the text is never ambiguous."""
    zone = array.type.tz
    texts = pc.cast(pc.cast(array, pa.timestamp(array.type.unit)), pa.string())
    return _quote(texts) if zone is None else _wrap('"', texts, ' UTC"')


def _interval(value: Any) -> str:
    """Calendar intervals as days and seconds, a month as 30 days: the result's type is one."""
    days = value.months * 30 + value.days
    return _day_to_second(days * _NANOSECONDS_A_DAY + value.nanoseconds)


def _day_to_second(nanoseconds: int) -> str:
    milliseconds = abs(nanoseconds) // 10**6
    seconds, fraction = divmod(milliseconds, 1000)
    minutes, second = divmod(seconds, 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    sign = "-" if nanoseconds < 0 and milliseconds else ""
    return f'"{sign}{days} {hour:02}:{minute:02}:{second:02}.{fraction:03}"'


def _structs(array: Any) -> Any:
    fields = [json_text(column) for column in array.flatten()]
    return _restore_nulls(_wrap("[", pc.binary_join_element_wise(*fields, ","), "]"), array)


def _maps(array: Any) -> Any:
    """Maps are JSON objects, so that every key is quoted, whatever its type."""
    kind = array.type
    entries = pc.cast(
        array, pa.list_(pa.struct([kind.key_field.with_name("k"), kind.item_field.with_name("v")]))
    )
    keys, values = entries.flatten().flatten()
    names = json_text(keys)
    bare = pc.invert(pc.starts_with(names, '"'))
    names = pc.if_else(bare, _quote(_escape(names)), names)
    members = pc.binary_join_element_wise(names, json_text(values), ":")
    return _restore_nulls(_wrap("{", _join_lists(entries, members), "}"), array)


def _join_lists(array: Any, items: Any) -> Any:
    """The items of each list joined by commas; `items` are the flattened array's texts."""
    counts: Any = pc.list_value_length(array)
    lengths: Any = pc.cast(pc.fill_null(counts, pa.scalar(0, counts.type)), pa.int32())
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths)])
    return pc.binary_join(pa.ListArray.from_arrays(offsets, items), ",")


def _restore_nulls(texts: Any, array: Any) -> Any:
    if array.null_count == 0:
        return texts
    return pc.if_else(array.is_valid(), texts, pa.scalar(None, pa.string()))


def _milliseconds(kind: Any) -> Any:
    """The Arrow type with every time and timestamp cut to milliseconds."""
    if pt.is_timestamp(kind):
        return pa.timestamp("ms", kind.tz)
    if pt.is_time(kind):
        return pa.time32("ms")
    if pt.is_map(kind):
        return pa.map_(_milliseconds(kind.key_type), _milliseconds(kind.item_type))
    if pt.is_list(kind):
        return pa.list_(_milliseconds(kind.value_type))
    if pt.is_struct(kind):
        fields = [kind.field(index) for index in range(kind.num_fields)]
        return pa.struct([field.with_type(_milliseconds(field.type)) for field in fields])
    return kind
