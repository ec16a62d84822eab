"""What a manifest says of a Parquet file, read from the file's footer.

Bounds are in Iceberg's binary form (table spec, "Binary single-value serialization"). Parquet keeps
most types in the same little-endian form; the others are translated, and where that is not exact,
or a bound is NaN, the bound is left out: bounds only prune.
"""

from __future__ import annotations

import io as memory
import math
import struct
from collections.abc import Iterable, Mapping
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from headwater.catalog.schema import Json, walk
from headwater.errors import ErrorCode, error
from headwater.storage.fileio import FileIO

_TAIL_BYTES = 64 * 1024
_BOUND_LENGTH = 16
_INTEGERS = {"int": "<i", "date": "<i", "long": "<q", "time": "<q"}
_INTEGERS |= dict.fromkeys(("timestamp", "timestamptz", "timestamp_ns", "timestamptz_ns"), "<q")
_FLOATS = {"float": "<f", "double": "<d"}

_Value = bool | int | float | bytes


class _Column:
    """What the chunks of one leaf column add up to."""

    def __init__(self, field_id: int, kind: str, comparable: bool) -> None:
        self.field_id = field_id
        self.kind = kind
        self.comparable = comparable
        self.size = 0
        self.values = 0
        self.nulls: int | None = 0
        self.low: _Value | None = None
        self.high: _Value | None = None

    def add(self, chunk: Any) -> None:
        """Adds a column chunk's sizes, counts and bounds."""
        self.size += chunk.total_compressed_size
        self.values += chunk.num_values
        statistics = chunk.statistics if chunk.is_stats_set else None
        nulls = statistics.null_count if statistics and statistics.has_null_count else None
        self.nulls = None if nulls is None or self.nulls is None else self.nulls + nulls
        if nulls == chunk.num_values:
            return
        if statistics is None or not statistics.has_min_max:
            self.comparable = False
            return
        low = _value(statistics.min_raw, self.kind)
        high = _value(statistics.max_raw, self.kind)
        if low is None or high is None:
            self.comparable = False
            return
        self.low = low if self.low is None else min(self.low, low)
        self.high = high if self.high is None else max(self.high, high)

    def bound(self, *, upper: bool) -> bytes | None:
        """The column's bound in Iceberg's form, None when there is none."""
        value = self.high if upper else self.low
        return None if value is None or not self.comparable else _encode(value, self.kind, upper)


def describe_file(io: FileIO, uri: str, schema: Mapping[str, Any]) -> Json:
    """The `data_file` record (without partition) of a Parquet data file of that table schema.

    Columns are matched by name path, so the file must have been written with the schema's current
    names. Raises INVALID_FILE when it is not a Parquet file.
    """
    footer, size = _footer(io, uri)
    columns = {
        path.name: _Column(path.id, path.type, not path.in_collection)
        for path in walk(schema)
        if isinstance(path.type, str)
    }
    seen: dict[int, _Column] = {}
    for group in range(footer.num_row_groups):
        rows = footer.row_group(group)
        for index in range(rows.num_columns):
            chunk = rows.column(index)
            column = columns.get(_name(chunk.path_in_schema))
            if column is not None:
                seen[column.field_id] = column
                column.add(chunk)
    found = [seen[field_id] for field_id in sorted(seen)]
    return {
        "content": 0,
        "file_path": uri,
        "file_format": "PARQUET",
        "record_count": footer.num_rows,
        "file_size_in_bytes": size,
        "column_sizes": _listed((c.field_id, c.size) for c in found),
        "value_counts": _listed((c.field_id, c.values) for c in found),
        "null_value_counts": _listed((c.field_id, c.nulls) for c in found if c.comparable),
        "lower_bounds": _listed((c.field_id, c.bound(upper=False)) for c in found),
        "upper_bounds": _listed((c.field_id, c.bound(upper=True)) for c in found),
    }


def _footer(io: FileIO, uri: str) -> tuple[pq.FileMetaData, int]:
    tail, size = io.read_end(uri, _TAIL_BYTES)
    if len(tail) >= 8 and tail[-4:] == b"PAR1":
        needed = int.from_bytes(tail[-8:-4], "little") + 8
        if needed > len(tail):
            tail, size = io.read_end(uri, needed)
        try:
            return pq.read_metadata(memory.BytesIO(tail)), size
        except pa.ArrowException as exc:
            raise error(ErrorCode.INVALID_FILE, f"{uri!r} is damaged: {exc}") from exc
    raise error(ErrorCode.INVALID_FILE, f"{uri!r} is not a Parquet file")


def _name(path: str) -> str:
    """A Parquet column path as `schema.walk` names it: list and map layers have names of theirs."""
    return path.replace(".list.element", ".element").replace(".key_value.", ".")


def _value(raw: Any, kind: str) -> _Value | None:
    """A statistic as a comparable value; None for NaN and for types without bounds of ours."""
    if kind.startswith("decimal"):
        return int.from_bytes(raw, "big", signed=True) if isinstance(raw, bytes) else int(raw)
    if kind in _FLOATS:
        return None if math.isnan(raw) else float(raw)
    if kind in _INTEGERS or kind == "boolean":
        return raw if isinstance(raw, int) else None
    if kind in ("string", "binary"):
        return raw if isinstance(raw, bytes) else str(raw).encode()
    return None


def _encode(value: _Value, kind: str, upper: bool) -> bytes | None:
    if isinstance(value, bytes):
        return _shortened(value, text=kind == "string", upper=upper)
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, float):
        # Zero has two signs and both are equal; the bound must not exclude either.
        signed = math.copysign(0.0, 1 if upper else -1) if value == 0 else value
        return struct.pack(_FLOATS[kind], signed)
    if kind in _INTEGERS:
        return struct.pack(_INTEGERS[kind], value)
    length = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return value.to_bytes(length, "big", signed=True)


def _shortened(value: bytes, *, text: bool, upper: bool) -> bytes | None:
    """At most 16 characters or bytes of a bound; an upper one is raised so that it still holds."""
    if not text:
        if len(value) <= _BOUND_LENGTH or not upper:
            return value[:_BOUND_LENGTH]
        short = value[:_BOUND_LENGTH].rstrip(b"\xff")
        return short[:-1] + bytes([short[-1] + 1]) if short else None
    try:
        characters = value.decode()
    except UnicodeDecodeError:
        return None
    if len(characters) <= _BOUND_LENGTH or not upper:
        return characters[:_BOUND_LENGTH].encode()
    for end in range(_BOUND_LENGTH, 0, -1):
        following = ord(characters[end - 1]) + 1
        if following < 0xD800 or 0xE000 <= following <= 0x10FFFF:
            return (characters[: end - 1] + chr(following)).encode()
    return None


def _listed(items: Iterable[tuple[int, Any]]) -> list[Json]:
    return [{"key": key, "value": value} for key, value in items if value is not None]
