"""The SQL that loads files, from trees: readers of spooled paths, casts to Iceberg's types.

Nothing here takes a user's text but names of columns, schemas and tables, as quoted identifiers;
paths are the server's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pyarrow as pa
from sqlglot import exp

from headwater.model.identifiers import CATALOG_NAME, TableIdentifier, namespace_text
from headwater.server.load.files import CsvLayout, FileFormat, LoadFile

_SAMPLE_ROWS = 1_000_000
_JSON_OBJECT_BYTES = 16 * 1024 * 1024


def reader(
    files: Sequence[LoadFile], layout: CsvLayout | None, *, skip_errors: bool
) -> exp.Anonymous:
    """The table function that reads the files; all are of one format and, for CSV, one layout."""
    paths = exp.array(*(exp.Literal.string(str(file.path)) for file in files))
    options: dict[str, exp.Expr] = {}
    if layout is not None:
        name = "read_csv"
        options = {
            "delim": exp.Literal.string(layout.separator),
            "quote": exp.Literal.string('"'),
            "escape": exp.Literal.string('"'),
            "header": exp.true(),
            "sample_size": exp.Literal.number(_SAMPLE_ROWS),
            "union_by_name": exp.true(),
            "ignore_errors": exp.convert(skip_errors),
        }
    elif files[0].format is FileFormat.JSON:
        name = "read_json"
        options = {
            "sample_size": exp.Literal.number(_SAMPLE_ROWS),
            "maximum_object_size": exp.Literal.number(_JSON_OBJECT_BYTES),
            "union_by_name": exp.true(),
            "ignore_errors": exp.convert(skip_errors),
        }
        if files[0].path.suffixes[0] == ".json" and skip_errors:
            options["format"] = exp.Literal.string("newline_delimited")
    else:
        name = "read_parquet"
        options = {"union_by_name": exp.true()}
    return exp.Anonymous(
        this=name,
        expressions=[
            paths,
            *(exp.Kwarg(this=exp.var(key), expression=value) for key, value in options.items()),
        ],
    )


def columns_of(source: exp.Expr) -> str:
    """A query without rows whose result schema is the files' columns."""
    return _sql(exp.select("*").from_(source).limit(0))


def create(
    identifier: TableIdentifier, source: exp.Expr, columns: Iterable[tuple[str, str]]
) -> str:
    """CREATE TABLE AS: each (name, DuckDB type) of the files, cast to what Iceberg can keep."""
    query = exp.select(*(_cast(name, kind) for name, kind in columns)).from_(source)
    return _sql(exp.Create(this=_target(identifier), kind="TABLE", expression=query))


def insert(
    identifier: TableIdentifier, source: exp.Expr, columns: Sequence[tuple[str, str]]
) -> str:
    """INSERT by column name, each cast to the table's own type."""
    query = exp.select(*(_cast(name, kind) for name, kind in columns)).from_(source)
    target = exp.Schema(
        this=_target(identifier),
        expressions=[exp.to_identifier(name, quoted=True) for name, _ in columns],
    )
    return _sql(exp.Insert(this=target, expression=query))


def insert_prefix(identifier: TableIdentifier) -> str:
    """`INSERT INTO` the table, to stand before a query that yields all of its columns."""
    return f"INSERT INTO {_sql(_target(identifier))}"


def delete_all(identifier: TableIdentifier) -> str:
    """DELETE of every row."""
    return _sql(exp.Delete(this=_target(identifier)))


def in_transaction(*statements: str) -> str:
    """The statements as one transaction: one commit, or none."""
    return "; ".join(("BEGIN", *statements, "COMMIT"))


def storable_type(kind: pa.DataType) -> str:
    """The DuckDB type that Iceberg can keep for an Arrow type as the engine's readers give it."""
    for test, text in _SCALARS:
        if test(kind):
            return text
    if isinstance(kind, pa.Decimal128Type):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz is None else "TIMESTAMPTZ"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        return f"{storable_type(kind.value_type)}[]"
    if isinstance(kind, pa.MapType):
        return f"MAP({storable_type(kind.key_type)}, {storable_type(kind.item_type)})"
    if isinstance(kind, pa.StructType):
        fields = (kind.field(index) for index in range(kind.num_fields))
        listed = ", ".join(f"{_quoted(field.name)} {storable_type(field.type)}" for field in fields)
        return f"STRUCT({listed})"
    return "VARCHAR"


_SCALARS = (
    (pa.types.is_boolean, "BOOLEAN"),
    (pa.types.is_int8, "INTEGER"),
    (pa.types.is_int16, "INTEGER"),
    (pa.types.is_uint8, "INTEGER"),
    (pa.types.is_uint16, "INTEGER"),
    (pa.types.is_int32, "INTEGER"),
    (pa.types.is_uint32, "BIGINT"),
    (pa.types.is_int64, "BIGINT"),
    (pa.types.is_uint64, "DECIMAL(20, 0)"),
    (pa.types.is_float16, "REAL"),
    (pa.types.is_float32, "REAL"),
    (pa.types.is_float64, "DOUBLE"),
    (pa.types.is_date, "DATE"),
    (pa.types.is_time, "TIME"),
    (pa.types.is_binary, "BLOB"),
    (pa.types.is_large_binary, "BLOB"),
)


def _cast(name: str, kind: str) -> exp.Expr:
    column = exp.column(exp.to_identifier(name, quoted=True))
    cast = exp.Cast(this=column, to=exp.DataType.build(kind, dialect="duckdb"))
    return exp.alias_(cast, name, quoted=True)


def _target(identifier: TableIdentifier) -> exp.Table:
    return exp.Table(
        this=exp.to_identifier(identifier.name, quoted=True),
        db=exp.to_identifier(namespace_text(identifier.namespace), quoted=True),
        catalog=exp.to_identifier(CATALOG_NAME, quoted=True),
    )


def _quoted(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql("duckdb")


def _sql(tree: exp.Expr) -> str:
    return tree.sql("duckdb")
