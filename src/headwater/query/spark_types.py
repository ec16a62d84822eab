"""What Spark reads of Arrow: the columns of a staged file, and the same as Spark's DDL."""

from __future__ import annotations

import pyarrow as pa

from headwater.errors import ErrorCode, error
from headwater.query.linking import quoted

_PLAIN: dict[pa.DataType, str] = {
    pa.bool_(): "BOOLEAN",
    pa.int8(): "TINYINT",
    pa.int16(): "SMALLINT",
    pa.int32(): "INT",
    pa.int64(): "BIGINT",
    pa.float32(): "FLOAT",
    pa.float64(): "DOUBLE",
    pa.string(): "STRING",
    pa.binary(): "BINARY",
    pa.date32(): "DATE",
    pa.null(): "STRING",
}


def spark_schema(schema: pa.Schema, names: tuple[str, ...]) -> tuple[pa.Schema, str]:
    """The schema to write and its Spark DDL, columns called `names`.

    Times of day, intervals and what else Spark cannot read become text; nanoseconds become
    microseconds. Raises DUPLICATE_COLUMN_NAME: files cannot hold two columns of one name.
    """
    seen = {name.casefold() for name in names}
    if len(seen) != len(names):
        raise error(
            ErrorCode.DUPLICATE_COLUMN_NAME,
            "two columns of a table or view have one name, by Spark's rules",
        )
    kinds = [_readable(field.type) for field in schema]
    fields = [pa.field(name, kind) for name, (kind, _) in zip(names, kinds, strict=True)]
    ddl = ", ".join(f"{quoted(name)} {text}" for name, (_, text) in zip(names, kinds, strict=True))
    return pa.schema(fields), ddl


def _readable(kind: pa.DataType) -> tuple[pa.DataType, str]:
    if kind in _PLAIN:
        return (pa.string() if kind == pa.null() else kind), _PLAIN[kind]
    if pa.types.is_timestamp(kind):
        if kind.tz is None:
            return pa.timestamp("us"), "TIMESTAMP_NTZ"
        return pa.timestamp("us", tz="UTC"), "TIMESTAMP_LTZ"
    if pa.types.is_decimal(kind):
        return kind, f"DECIMAL({kind.precision},{kind.scale})"
    if pa.types.is_map(kind):
        key, key_text = _readable(kind.key_type)
        value, value_text = _readable(kind.item_type)
        return pa.map_(key, value), f"MAP<{key_text}, {value_text}>"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        value, text = _readable(kind.value_type)
        return pa.list_(value), f"ARRAY<{text}>"
    if pa.types.is_struct(kind):
        parts = [(field.name, *_readable(field.type)) for field in kind]
        fields = [pa.field(name, inner) for name, inner, _ in parts]
        return pa.struct(fields), "STRUCT<" + ", ".join(
            f"{quoted(name)}: {text}" for name, _, text in parts
        ) + ">"
    return pa.string(), "STRING"
