"""Spark's data types: from and to Arrow, as DDL text, and as `printSchema` draws them.

A type is a `spark.connect.DataType`; a schema is one of kind struct.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from headwater.gateway.spark_connect.failures import unsupported

_TYPE_KEY = b"headwater.type"
_LARGEST_DECIMAL = 38

_SIMPLE: dict[pa.DataType, str] = {
    pa.bool_(): "boolean",
    pa.int8(): "byte",
    pa.int16(): "short",
    pa.int32(): "integer",
    pa.int64(): "long",
    pa.float32(): "float",
    pa.float64(): "double",
    pa.string(): "string",
    pa.large_string(): "string",
    pa.string_view(): "string",
    pa.binary(): "binary",
    pa.large_binary(): "binary",
    pa.binary_view(): "binary",
    pa.date32(): "date",
    pa.null(): "null",
    pa.month_day_nano_interval(): "calendar_interval",
    pa.uint8(): "short",
    pa.uint16(): "integer",
    pa.uint32(): "long",
}
_ARROW: dict[str, pa.DataType] = {
    "boolean": pa.bool_(),
    "byte": pa.int8(),
    "short": pa.int16(),
    "integer": pa.int32(),
    "long": pa.int64(),
    "float": pa.float32(),
    "double": pa.float64(),
    "string": pa.string(),
    "char": pa.string(),
    "var_char": pa.string(),
    "binary": pa.binary(),
    "date": pa.date32(),
    "null": pa.null(),
    "timestamp_ntz": pa.timestamp("us"),
    "calendar_interval": pa.month_day_nano_interval(),
    "year_month_interval": pa.int32(),
    "day_time_interval": pa.duration("us"),
}
_NAMES = {
    "byte": "tinyint",
    "short": "smallint",
    "integer": "int",
    "long": "bigint",
    "null": "void",
    "calendar_interval": "interval",
}


def spark_schema(schema: pa.Schema, pb: Any) -> Any:
    """The Spark type of a result of the system engine."""
    fields = [
        pb.DataType.StructField(
            name=field.name, data_type=_spark_field(field, pb), nullable=field.nullable
        )
        for field in schema
    ]
    return pb.DataType(struct=pb.DataType.Struct(fields=fields))


def spark_type(kind: pa.DataType, pb: Any) -> Any:
    """The Spark type that holds an Arrow type's values."""
    made = pb.DataType()
    simple = _SIMPLE.get(kind)
    if simple is not None:
        getattr(made, simple).SetInParent()
    elif pa.types.is_decimal(kind):
        made.decimal.precision = min(kind.precision, _LARGEST_DECIMAL)
        made.decimal.scale = kind.scale
    elif pa.types.is_timestamp(kind):
        (made.timestamp_ntz if kind.tz is None else made.timestamp).SetInParent()
    elif pa.types.is_time(kind):
        made.time.precision = 6
    elif pa.types.is_duration(kind):
        made.day_time_interval.start_field, made.day_time_interval.end_field = 0, 3
    elif pa.types.is_map(kind):
        made.map.key_type.CopyFrom(spark_type(kind.key_type, pb))
        made.map.value_type.CopyFrom(spark_type(kind.item_type, pb))
        made.map.value_contains_null = True
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_list_view(kind):
        made.array.element_type.CopyFrom(spark_type(kind.value_type, pb))
        made.array.contains_null = True
    elif pa.types.is_struct(kind):
        made.struct.SetInParent()
        for field in kind:
            made.struct.fields.add(
                name=field.name, data_type=spark_type(field.type, pb), nullable=field.nullable
            )
    else:
        raise unsupported(f"Spark has no type for {kind}.")
    return made


def _spark_field(field: pa.Field[Any], pb: Any) -> Any:
    """As `spark_type`; DuckDB's HUGEINT is what sums of integers have, which Spark calls bigint."""
    told = (field.metadata or {}).get(_TYPE_KEY, b"")
    if told in (b"HUGEINT", b"UHUGEINT"):
        return pb.DataType(long=pb.DataType.Long())
    return spark_type(field.type, pb)


def arrow_schema(schema: Any, time_zone: str) -> pa.Schema:
    """The Arrow schema in which a Spark client expects values of a schema."""
    return pa.schema(
        [
            pa.field(field.name, arrow_type(field.data_type, time_zone), True)
            for field in schema.struct.fields
        ]
    )


def arrow_type(kind: Any, time_zone: str) -> pa.DataType:
    """The Arrow type of a Spark type; zoned timestamps carry the session's zone."""
    name = kind.WhichOneof("kind")
    simple = _ARROW.get(name)
    if simple is not None:
        return simple
    if name == "timestamp":
        return pa.timestamp("us", time_zone)
    if name == "decimal":
        return pa.decimal128(kind.decimal.precision, kind.decimal.scale)
    if name == "time":
        return pa.time64("ns")
    if name == "array":
        element = arrow_type(kind.array.element_type, time_zone)
        return pa.list_(pa.field("element", element, kind.array.contains_null))
    if name == "map":
        key = arrow_type(kind.map.key_type, time_zone)
        return pa.map_(key, arrow_type(kind.map.value_type, time_zone))
    if name == "struct":
        inner = arrow_schema(kind, time_zone)
        names = _told_apart(inner.names)
        return pa.struct([each.with_name(name) for each, name in zip(inner, names, strict=True)])
    raise unsupported(f"results cannot hold values of the type {simple_string(kind)}.")


def _told_apart(names: list[str]) -> list[str]:
    """Names of fields, a number behind those that are there more than once: clients expect it."""
    numbers = {name: itertools.count() for name in names if names.count(name) > 1}
    return [f"{name}_{next(numbers[name])}" if name in numbers else name for name in names]


def simple_string(kind: Any) -> str:
    """The type as `DataType.simpleString` writes it, which is also DDL."""
    name: str = kind.WhichOneof("kind")
    if name == "decimal":
        return f"decimal({kind.decimal.precision},{kind.decimal.scale})"
    if name == "array":
        return f"array<{simple_string(kind.array.element_type)}>"
    if name == "map":
        return f"map<{simple_string(kind.map.key_type)},{simple_string(kind.map.value_type)}>"
    if name == "struct":
        fields = (f"{f.name}:{simple_string(f.data_type)}" for f in kind.struct.fields)
        return f"struct<{','.join(fields)}>"
    if name == "char":
        return f"char({kind.char.length})"
    if name == "var_char":
        return f"varchar({kind.var_char.length})"
    if name == "time":
        return f"time({kind.time.precision})"
    if name == "day_time_interval":
        return "interval day to second"
    if name == "year_month_interval":
        return "interval year to month"
    return _NAMES.get(name, name)


_PLAIN = frozenset(
    {
        *("boolean", "byte", "short", "integer", "long", "float", "double", "decimal"),
        *("string", "binary", "date", "timestamp", "timestamp_ntz"),
    }
)
_STORED = {"byte": "int", "short": "int"}
"""Iceberg has no shorter integers."""


def typed_query(sql: str, schema: Any) -> tuple[str, list[str]] | None:
    """A query whose columns have exactly these Spark types, for a table; and their names.

    None for columns that have one name, or a type that is made of others.
    """
    names: list[str] = [field.name for field in schema.struct.fields]
    kinds = [field.data_type.WhichOneof("kind") for field in schema.struct.fields]
    if len({name.casefold() for name in names}) < len(names) or not _PLAIN.issuperset(kinds):
        return None
    columns = []
    for field, kind in zip(schema.struct.fields, kinds, strict=True):
        name = "`" + field.name.replace("`", "``") + "`"
        columns.append(
            f"CAST({name} AS {_STORED.get(kind) or simple_string(field.data_type)}) AS {name}"
        )
    return f"SELECT {', '.join(columns)} FROM (\n{sql.strip().rstrip(';').rstrip()}\n)", names


def tree_string(schema: Any, level: int | None = None) -> str:
    """The schema as `printSchema` draws it, `level` deep."""
    deepest = level if level and level > 0 else 10_000
    return "\n".join(["root", *_fields(schema, " |", deepest)]) + "\n"


def _fields(schema: Any, prefix: str, depth: int) -> Iterator[str]:
    if depth <= 0:
        return
    for field in schema.struct.fields:
        told = f"{field.name}: {_type_name(field.data_type)} (nullable = {_bool(field.nullable)})"
        yield f"{prefix}-- {told}"
        yield from _inner(field.data_type, f"{prefix}    |", depth - 1)


def _inner(kind: Any, prefix: str, depth: int) -> Iterator[str]:
    if depth <= 0:
        return
    name = kind.WhichOneof("kind")
    if name == "struct":
        yield from _fields(kind, prefix, depth)
    elif name == "array":
        element = kind.array.element_type
        nullable = _bool(kind.array.contains_null)
        yield f"{prefix}-- element: {_type_name(element)} (containsNull = {nullable})"
        yield from _inner(element, f"{prefix}    |", depth - 1)
    elif name == "map":
        key, value = kind.map.key_type, kind.map.value_type
        yield f"{prefix}-- key: {_type_name(key)}"
        yield from _inner(key, f"{prefix}    |", depth - 1)
        nullable = _bool(kind.map.value_contains_null)
        yield f"{prefix}-- value: {_type_name(value)} (valueContainsNull = {nullable})"
        yield from _inner(value, f"{prefix}    |", depth - 1)


def _type_name(kind: Any) -> str:
    """The name that `printSchema` prints: `long` where DDL says `bigint`."""
    name: str = kind.WhichOneof("kind")
    if name in ("array", "map", "struct", "byte", "short", "integer", "long"):
        return name
    return simple_string(kind)


def _bool(value: bool) -> str:
    return "true" if value else "false"
