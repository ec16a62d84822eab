"""Column types: Iceberg schema JSON, and how DuckDB, Trino and Spark write them.

An Iceberg type is a string (`"long"`, `"decimal(10, 2)"`) or a dict for struct, list and map
(Iceberg specification, appendix C). Types made from SQL carry no field ids; the catalog assigns
them.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

import pyarrow as pa
from sqlglot import exp

from headwater.errors import ErrorCode, Position, error
from headwater.model.statement import Dialect
from headwater.sql.spark_types import widest
from headwater.sql.trees import DEFAULT_DECIMAL

_SIZED = re.compile(r"^(decimal|fixed)\s*[(\[]\s*(\d+)\s*(?:,\s*(\d+)\s*)?[)\]]$")

# Iceberg name: (DuckDB, Trino, Spark)
_NAMES: dict[str, tuple[str, str, str]] = {
    "boolean": ("BOOLEAN", "boolean", "boolean"),
    "int": ("INTEGER", "integer", "int"),
    "long": ("BIGINT", "bigint", "bigint"),
    "float": ("FLOAT", "real", "float"),
    "double": ("DOUBLE", "double", "double"),
    "date": ("DATE", "date", "date"),
    "time": ("TIME", "time(6)", "string"),
    "timestamp": ("TIMESTAMP", "timestamp(6)", "timestamp_ntz"),
    "timestamptz": ("TIMESTAMP WITH TIME ZONE", "timestamp(6) with time zone", "timestamp"),
    "timestamp_ns": ("TIMESTAMP_NS", "timestamp(9)", "timestamp_ntz"),
    "timestamptz_ns": (
        "TIMESTAMP WITH TIME ZONE",
        "timestamp(9) with time zone",
        "timestamp",
    ),
    "string": ("VARCHAR", "varchar", "string"),
    "uuid": ("UUID", "uuid", "string"),
    "binary": ("BLOB", "varbinary", "binary"),
    "variant": ("VARIANT", "variant", "variant"),
    "unknown": ("VARCHAR", "unknown", "void"),
}
_COLUMN = {Dialect.DUCKDB: 0, Dialect.TRINO: 1, Dialect.SPARK: 2}

T = exp.DType
_PRIMITIVES: dict[exp.DType, str] = {
    T.BOOLEAN: "boolean",
    T.TINYINT: "int",
    T.SMALLINT: "int",
    T.UTINYINT: "int",
    T.USMALLINT: "int",
    T.MEDIUMINT: "int",
    T.INT: "int",
    T.UINT: "long",
    T.BIGINT: "long",
    T.FLOAT: "float",
    T.DOUBLE: "double",
    T.DATE: "date",
    T.TIME: "time",
    T.TIMESTAMPTZ: "timestamptz",
    T.TIMESTAMPLTZ: "timestamptz",
    T.TIMESTAMP_S: "timestamp",
    T.TIMESTAMP_MS: "timestamp",
    T.TIMESTAMP_NS: "timestamp_ns",
    T.TIMESTAMPNTZ: "timestamp",
    T.DATETIME: "timestamp",
    T.VARCHAR: "string",
    T.TEXT: "string",
    T.CHAR: "string",
    T.NCHAR: "string",
    T.NVARCHAR: "string",
    T.JSON: "string",
    T.UUID: "uuid",
    T.VARBINARY: "binary",
    T.BINARY: "binary",
    T.BLOB: "binary",
    T.VARIANT: "variant",
}


def duckdb_type(iceberg: Any) -> str:
    """DuckDB's type text for an Iceberg type: `STRUCT("a" BIGINT, "b" VARCHAR[])`."""
    return type_text(iceberg, Dialect.DUCKDB)


def trino_type(iceberg: Any) -> str:
    """Trino's type text for an Iceberg type: `row(a bigint, b array(varchar))`."""
    return type_text(iceberg, Dialect.TRINO)


def spark_type(iceberg: Any) -> str:
    """Spark's type text for an Iceberg type: `struct<a: bigint, b: array<string>>`."""
    return type_text(iceberg, Dialect.SPARK)


def type_text(iceberg: Any, dialect: Dialect) -> str:
    """The text of an Iceberg type in a dialect; NOT_SUPPORTED where DuckDB cannot hold it."""
    if isinstance(iceberg, dict):
        return _nested_text(iceberg, dialect)
    sized = _SIZED.match(iceberg)
    if sized and sized[1] == "decimal":
        # Trino and Spark show the type without a space, and clients compare the text.
        text = f"decimal({int(sized[2])},{int(sized[3] or 0)})"
        return text.upper() if dialect is Dialect.DUCKDB else text
    name = "binary" if sized else iceberg
    if name not in _NAMES:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"columns of type {iceberg} cannot be read by this engine",
            hint="select other columns",
        )
    return _NAMES[name][_COLUMN[dialect]]


def _nested_text(iceberg: dict[str, Any], dialect: Dialect) -> str:
    kind = iceberg["type"]
    if kind == "list":
        element = type_text(iceberg["element"], dialect)
        match dialect:
            case Dialect.DUCKDB:
                return f"{element}[]"
            case Dialect.TRINO:
                return f"array({element})"
            case _:
                return f"array<{element}>"
    if kind == "map":
        key, value = (type_text(iceberg[part], dialect) for part in ("key", "value"))
        match dialect:
            case Dialect.DUCKDB:
                return f"MAP({key}, {value})"
            case Dialect.TRINO:
                return f"map({key}, {value})"
            case _:
                return f"map<{key}, {value}>"
    fields = [(f["name"], type_text(f["type"], dialect)) for f in iceberg["fields"]]
    match dialect:
        case Dialect.DUCKDB:
            return f"STRUCT({', '.join(f'{quote(n)} {t}' for n, t in fields)})"
        case Dialect.TRINO:
            return f"row({', '.join(f'{quote_if_needed(n)} {t}' for n, t in fields)})"
        case _:
            return f"struct<{', '.join(f'{n}: {t}' for n, t in fields)}>"


def quote(name: str) -> str:
    """A name in double quotes."""
    return '"' + name.replace('"', '""') + '"'


def quote_if_needed(name: str) -> str:
    """A name, quoted unless it is a plain lower-case word."""
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else quote(name)


def data_type(iceberg: Any) -> exp.DataType:
    """sqlglot's type for an Iceberg type, as DuckDB holds it; shared, so never change it."""
    if isinstance(iceberg, str):
        return _primitive(iceberg)
    return exp.DataType.build(duckdb_type(iceberg), dialect="duckdb")


@lru_cache(maxsize=4096)
def _primitive(iceberg: str) -> exp.DataType:
    if iceberg in ("geometry", "geography"):
        return T.UNKNOWN.into_expr()
    return exp.DataType.build(duckdb_type(iceberg), dialect="duckdb")


def iceberg_type(kind: exp.DataType, dialect: Dialect, position: Position | None = None) -> Any:
    """The Iceberg type of an SQL type read in a dialect; NOT_SUPPORTED where there is none.

    Spark's TIMESTAMP is an instant (`timestamptz`), Trino's and DuckDB's is not; a precision above
    6 is `timestamp_ns`. Integers narrower than 32 bits widen to `int`.
    """
    this = kind.this
    if this in (T.ARRAY, T.LIST):
        (element,) = kind.expressions or (None,)
        if isinstance(element, exp.DataType):
            return {
                "type": "list",
                "element": iceberg_type(element, dialect, position),
                "element-required": False,
            }
    elif this is T.MAP and len(kind.expressions) == 2:
        key, value = kind.expressions
        return {
            "type": "map",
            "key": iceberg_type(key, dialect, position),
            "value": iceberg_type(value, dialect, position),
            "value-required": False,
        }
    elif this in (T.STRUCT, T.OBJECT):
        return _struct_type(kind, dialect, position)
    elif this in (T.DECIMAL, T.BIGDECIMAL):
        return _decimal_type(kind, dialect, position)
    elif this in (T.TIMESTAMP, T.TIMESTAMPTZ) and _precision(kind) > 6:
        return "timestamptz_ns" if this is T.TIMESTAMPTZ else "timestamp_ns"
    elif this is T.TIMESTAMP:
        return "timestamptz" if dialect is Dialect.SPARK else "timestamp"
    elif this in _PRIMITIVES:
        return _PRIMITIVES[this]
    raise error(
        ErrorCode.NOT_SUPPORTED,
        f"a column cannot have the type {kind.sql(dialect='duckdb')}",
        hint="Iceberg has boolean, int, bigint, real, double, decimal, varchar, varbinary, uuid, "
        "date, time, timestamp, array, map and row",
        position=position,
    )


def _struct_type(kind: exp.DataType, dialect: Dialect, position: Position | None) -> Any:
    fields = []
    for number, part in enumerate(kind.expressions):
        name = part.name if isinstance(part, exp.ColumnDef) else f"field{number}"
        inner = part.args["kind"] if isinstance(part, exp.ColumnDef) else part
        required = isinstance(part, exp.ColumnDef) and any(
            isinstance(constraint.kind, exp.NotNullColumnConstraint)
            for constraint in part.args.get("constraints") or ()
        )
        fields.append(
            {
                "name": name,
                "required": required,
                "type": iceberg_type(inner, dialect, position),
            }
        )
    names = [f["name"].casefold() for f in fields]
    if len(set(names)) != len(names):
        raise error(
            ErrorCode.DUPLICATE_COLUMN_NAME, "a row type names a field twice", position=position
        )
    return {"type": "struct", "fields": fields}


def _decimal_type(kind: exp.DataType, dialect: Dialect, position: Position | None) -> str:
    sizes = [int(part.name) for part in kind.expressions]
    default = DEFAULT_DECIMAL[dialect]
    precision, scale = (*sizes, 0)[:2] if sizes else default
    if not 1 <= precision <= 38 or not 0 <= scale <= precision:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"decimal({precision}, {scale}) is out of range",
            hint="precision is 1 to 38, and scale at most the precision",
            position=position,
        )
    return f"decimal({precision}, {scale})"


def _precision(kind: exp.DataType) -> int:
    first = kind.expressions[0] if kind.expressions else None
    return int(first.name) if first is not None and first.name.isdigit() else 6


def parse_type(text: str, dialect: Dialect, position: Position | None = None) -> Any:
    """The Iceberg type that a type's text in a dialect names."""
    try:
        kind = exp.DataType.build(text.strip(), dialect=str(dialect))
    except Exception as failure:
        raise error(
            ErrorCode.SYNTAX_ERROR,
            f"{text.strip()[:80]!r} is not a type",
            hint="for example bigint, varchar, decimal(10, 2), timestamp, array(bigint)",
            position=position,
        ) from failure
    if kind.this is T.USERDEFINED:
        raise error(
            ErrorCode.NOT_SUPPORTED,
            f"there is no type {text.strip()[:80]}",
            hint="for example bigint, varchar, decimal(10, 2), timestamp, array(bigint)",
            position=position,
        )
    return iceberg_type(kind, dialect, position)


def common_type(left: exp.DataType, right: exp.DataType) -> exp.DataType:
    """The type of a column that either query of a set operation may fill; unknown when unsure."""
    if left == right or right.is_type(exp.DType.NULL):
        return left
    if left.is_type(exp.DType.NULL):
        return right
    ranks = (
        exp.DType.TINYINT, exp.DType.SMALLINT, exp.DType.INT, exp.DType.BIGINT,
        exp.DType.FLOAT, exp.DType.DOUBLE,
    )  # fmt: skip
    if left.this in ranks and right.this in ranks:
        return max(left, right, key=lambda kind: ranks.index(kind.this))
    if exp.DType.DECIMAL in (left.this, right.this):
        return widest([left, right]) or exp.DType.UNKNOWN.into_expr()
    return exp.DType.UNKNOWN.into_expr()


def arrow_data_type(kind: pa.DataType) -> exp.DataType:
    """sqlglot's type for an Arrow type, unknown where the two do not match."""
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return exp.DataType(
            this=T.ARRAY, expressions=[arrow_data_type(kind.value_type)], nested=True
        )
    if pa.types.is_map(kind):
        parts = [arrow_data_type(kind.key_type), arrow_data_type(kind.item_type)]
        return exp.DataType(this=T.MAP, expressions=parts, nested=True)
    if pa.types.is_struct(kind):
        fields = [
            exp.ColumnDef(
                this=exp.to_identifier(field.name, quoted=True), kind=arrow_data_type(field.type)
            )
            for field in kind
        ]
        return exp.DataType(this=T.STRUCT, expressions=fields, nested=True)
    if pa.types.is_decimal(kind):
        return exp.DataType.build(f"DECIMAL({kind.precision}, {kind.scale})", dialect="duckdb")
    if pa.types.is_timestamp(kind):
        return (T.TIMESTAMPTZ if kind.tz else T.TIMESTAMPNTZ).into_expr()
    return _ARROW.get(str(kind), T.UNKNOWN).into_expr()


_ARROW = {
    "bool": T.BOOLEAN, "int8": T.TINYINT, "int16": T.SMALLINT, "int32": T.INT, "int64": T.BIGINT,
    "float": T.FLOAT, "double": T.DOUBLE, "string": T.TEXT, "large_string": T.TEXT,
    "date32[day]": T.DATE, "time64[us]": T.TIME, "binary": T.VARBINARY, "large_binary": T.VARBINARY,
}  # fmt: skip
