"""The Arrow types that leave a worker, and how DuckDB's are brought to them.

What the server sees: bool, int8 to int64, float, double, decimal128, utf8, binary, date32,
time64[us], timestamp[us|ns] with or without zone, month_day_nano_interval, list, struct, map, null.
Every field of a result carries DuckDB's own type text in its metadata under `headwater.type`
(`HUGEINT`, `UUID`, `STRUCT(a INTEGER, b TIME WITH TIME ZONE)`), so that a gateway can print it.

| DuckDB                             | Arrow                                               |
|------------------------------------|-----------------------------------------------------|
| UTINYINT, USMALLINT, UINTEGER      | int16, int32, int64                                 |
| UBIGINT                            | decimal128(20, 0)                                   |
| HUGEINT, UHUGEINT                  | decimal128(38, 0); beyond 38 digits an error        |
| UUID, ENUM, JSON                   | utf8                                                |
| BIT, BIGNUM, TIME WITH TIME ZONE   | utf8, as DuckDB prints them                         |
| TIME_NS                            | time64[us], truncated                               |
| TIMESTAMP_S, TIMESTAMP_MS          | timestamp[us]                                       |
| TIMESTAMP WITH TIME ZONE           | timestamp[us, UTC]                                  |
| T[n]                               | list                                                |
| UNION, VARIANT, GEOMETRY           | utf8, as DuckDB prints them                         |
| STRUCT(INTEGER, VARCHAR)           | struct with the fields field0, field1               |
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import duckdb
import pyarrow as pa

TYPE_KEY = b"headwater.type"
"""Metadata key of a result's field: DuckDB's text of the column's type."""

_TEXT_ONLY = frozenset(
    ("bit", "bignum", "time with time zone", "union", "variant", "geometry", "varint")
)
_WIDER: dict[pa.DataType, pa.DataType] = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.decimal128(20, 0),
    pa.float16(): pa.float32(),
    pa.large_string(): pa.string(),
    pa.string_view(): pa.string(),
    pa.large_binary(): pa.binary(),
    pa.binary_view(): pa.binary(),
    pa.time64("ns"): pa.time64("us"),
    pa.time32("s"): pa.time64("us"),
    pa.time32("ms"): pa.time64("us"),
    pa.date64(): pa.date32(),
}


class OutOfRange(Exception):
    """A value that DuckDB holds has no place in the Arrow type of its column."""


class Normalizer:
    """Brings the batches of one result to the types above.

    `types` are DuckDB's, from the cursor's description, in the order of `schema`'s fields.
    """

    def __init__(self, schema: pa.Schema, types: Sequence[duckdb.sqltypes.DuckDBPyType]) -> None:
        self._wide = [
            index for index, kind in enumerate(types) if kind.id in ("hugeint", "uhugeint")
        ]
        self._unsigned = [index for index, kind in enumerate(types) if kind.id == "uhugeint"]
        fields = [
            pa.field(field.name, normal_type(field.type), True, {TYPE_KEY: str(kind).encode()})
            for field, kind in zip(schema, types, strict=True)
        ]
        self.schema = pa.schema(fields)
        self._casts = [
            index for index, field in enumerate(fields) if field.type != schema.field(index).type
        ]

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """The batch with the columns that need it cast; raises OutOfRange."""
        columns = list(batch.columns)
        for index in self._wide:
            _check_digits(columns[index], negative=index not in self._unsigned)
        for index in self._casts:
            columns[index] = columns[index].cast(self.schema.field(index).type, safe=False)
        if not columns:
            return batch
        return pa.RecordBatch.from_arrays(columns, schema=self.schema)


def normal_type(kind: Any) -> pa.DataType:
    """The Arrow type that leaves the worker for one that DuckDB produced."""
    wider: pa.DataType | None = _WIDER.get(kind)
    if wider is not None:
        return wider
    if isinstance(kind, pa.BaseExtensionType):
        return normal_type(kind.storage_type)
    if pa.types.is_dictionary(kind):
        return normal_type(kind.value_type)
    if pa.types.is_decimal(kind):
        return pa.decimal128(kind.precision, kind.scale)
    if pa.types.is_timestamp(kind):
        zone = None if kind.tz is None else "UTC"
        return pa.timestamp("ns", zone) if kind.unit == "ns" else pa.timestamp("us", zone)
    if pa.types.is_map(kind):
        return pa.map_(normal_type(kind.key_type), normal_type(kind.item_type))
    if pa.types.is_struct(kind):
        return pa.struct([child.with_type(normal_type(child.type)) for child in kind])
    if (
        pa.types.is_list(kind)
        or pa.types.is_large_list(kind)
        or pa.types.is_fixed_size_list(kind)
        or pa.types.is_list_view(kind)
    ):
        return pa.list_(kind.value_field.with_type(normal_type(kind.value_type)))
    result: pa.DataType = kind
    return result


def text_casts(types: Sequence[duckdb.sqltypes.DuckDBPyType]) -> list[str | None] | None:
    """For each column the type to cast it to before it can become Arrow, None where it can as is.

    None for the whole when no column needs it, as for nearly every result.
    """
    casts = [_arrow_able(kind) for kind in types]
    return casts if any(casts) else None


def _arrow_able(kind: duckdb.sqltypes.DuckDBPyType) -> str | None:
    """The type text to cast to when the type holds something that Arrow cannot; else None."""
    if kind.id in _TEXT_ONLY:
        return "VARCHAR"
    if kind.id not in ("list", "array", "map", "struct"):
        return None
    children = {
        name: child
        for name, child in kind.children
        if isinstance(child, duckdb.sqltypes.DuckDBPyType)  # an array's size is a number
    }
    if kind.id == "struct" and "" in children:
        parts = [
            child for _, child in kind.children if isinstance(child, duckdb.sqltypes.DuckDBPyType)
        ]
        listed = (
            f'"field{place}" {_arrow_able(child) or child}' for place, child in enumerate(parts)
        )
        return f"STRUCT({', '.join(listed)})"
    casts = {name: _arrow_able(child) for name, child in children.items()}
    if not any(casts.values()):
        return None
    if kind.id == "struct":
        listed = (
            f'"{name.replace(chr(34), chr(34) * 2)}" {cast or children[name]}'
            for name, cast in casts.items()
        )
        return f"STRUCT({', '.join(listed)})"
    if kind.id == "map":
        key, value = (casts[name] or str(children[name]) for name in ("key", "value"))
        return f"MAP({key}, {value})"
    return f"{casts['child'] or children['child']}[]"


def _check_digits(column: pa.Array[Any], *, negative: bool) -> None:
    """HUGEINT and UHUGEINT arrive as decimal128(38, 0) without a check of their range."""
    try:
        column.validate(full=True)
    except pa.ArrowInvalid as failure:
        raise OutOfRange("the number has more than 38 digits") from failure
    if not negative and len(column) > column.null_count:
        import pyarrow.compute as compute

        if compute.min(column).as_py() < 0:  # wrapped around 2^127
            raise OutOfRange("the number has more than 38 digits")
